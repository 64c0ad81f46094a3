/**
 * Room at the carriers: what may be given to a route's binds now. Counts messages whose batches are just being
 * started, as the binds do not know of them yet. A part of each window is kept for authentication, so that a code
 * finds it free whatever else is leaving.
 */
import type { Suspects } from "./apart.ts";
import type { Outlet } from "./dispatch.ts";
import type { Lanes } from "./lanes.ts";
import type { Batch } from "./parcel.ts";

/** Messages whose batches are being started at once, per route, beyond the carrier's own window. */
const startMax = 256;

export interface Room {
	/** Whether a batch may be given to the binds at once. */
	fits(batch: Batch): boolean;
	/** Takes batches out of the lanes, as many as there is room for, and counts them as being started. */
	fill(routeId: string): Batch[];
	/** The same for suspects: at most one batch, when one may be tried. */
	fillApart(routeId: string): Batch[];
	/** These have been given to the binds, or will not be. */
	leave(routeId: string, messages: number): void;
}

export function createRoom(
	lanes: Lanes,
	suspects: Suspects,
	outletOf: (routeId: string) => Outlet | undefined,
): Room {
	/** By route: messages whose batches are being started. */
	const starting = new Map<string, number>();
	const add = (routeId: string, messages: number): void =>
		void starting.set(routeId, (starting.get(routeId) ?? 0) + messages);
	return {
		fits({ routeId, class: classNumber, parcels }) {
			const pool = outletOf(routeId)?.pool;
			if (pool === undefined) return false;
			const room = classNumber === 0 ? pool.room() : pool.commonRoom();
			return room - (starting.get(routeId) ?? 0) >= parcels.length;
		},
		fill(routeId) {
			const pool = outletOf(routeId)?.pool;
			const busy = starting.get(routeId) ?? 0;
			const most = Math.min(pool?.room() ?? 0, startMax) - busy;
			if (pool === undefined || most <= 0) return [];
			const common = Math.min(pool.commonRoom(), startMax) - busy;
			const batches = lanes.take(routeId, most, common);
			for (const batch of batches) add(routeId, batch.parcels.length);
			return batches;
		},
		fillApart: (routeId) =>
			(outletOf(routeId)?.pool.trialRoom() ?? 0) > 0 ? suspects.take(routeId) : [],
		leave: (routeId, messages) => add(routeId, -messages),
	};
}
