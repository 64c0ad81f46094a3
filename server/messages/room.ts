/**
 * Room at the carriers: what may be given to a route's binds now. Counts messages whose batches are just being
 * started, as the binds do not know of them yet. What is urgent (authentication) is counted apart: a part of each
 * window is kept for it, so that a code finds it free whatever else is leaving.
 */
import type { Suspects } from "./apart.ts";
import type { Outlet } from "./dispatch.ts";
import type { Lanes, Urgency } from "./lanes.ts";
import type { Batch } from "./parcel.ts";

/** Messages whose batches are being started at once, per route and urgency, beyond the carrier's own window. */
export const startMax = 256;

export interface Room {
	/** Whether a batch may be given to the binds at once. */
	fits(batch: Batch): boolean;
	/** Takes batches out of the lanes, as many as there is room for but some `most` messages, and counts them as being started. */
	fill(routeId: string, urgency: Urgency, most: number): Batch[];
	/** The same for suspects: at most one batch, when one may be tried. */
	fillApart(routeId: string): Batch[];
	/** These have been given to the binds, or will not be. */
	leave(routeId: string, urgency: Urgency, messages: number): void;
}

export function urgencyOf({ class: classNumber }: Pick<Batch, "class">): Urgency {
	return classNumber === 0 ? "urgent" : "ordinary";
}

export function createRoom(
	lanes: Lanes,
	suspects: Suspects,
	outletOf: (routeId: string) => Outlet | undefined,
): Room {
	/** By route and urgency: messages whose batches are being started. */
	const starting = new Map<string, number>();
	const busy = (routeId: string, urgency: Urgency): number =>
		starting.get(`${routeId}/${urgency}`) ?? 0;
	const add = (routeId: string, urgency: Urgency, messages: number): void =>
		void starting.set(`${routeId}/${urgency}`, busy(routeId, urgency) + messages);
	/** What is urgent does not ask what else is being started: that goes behind it. */
	const left = (routeId: string, urgency: Urgency): number => {
		const pool = outletOf(routeId)?.pool;
		if (pool === undefined) return 0;
		const urgent = busy(routeId, "urgent");
		if (urgency === "urgent") return pool.room() - urgent;
		return pool.commonRoom() - urgent - busy(routeId, "ordinary");
	};
	return {
		fits: (batch) => left(batch.routeId, urgencyOf(batch)) >= batch.parcels.length,
		fill(routeId, urgency, most) {
			const free = Math.min(left(routeId, urgency), startMax - busy(routeId, urgency), most);
			if (free <= 0) return [];
			const batches = lanes.take(routeId, urgency, free);
			for (const { parcels } of batches) add(routeId, urgency, parcels.length);
			return batches;
		},
		fillApart: (routeId) =>
			(outletOf(routeId)?.pool.trialRoom() ?? 0) > 0 ? suspects.take(routeId) : [],
		leave: (routeId, urgency, messages) => add(routeId, urgency, -messages),
	};
}
