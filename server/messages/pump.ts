/**
 * When batches leave the lanes of a route: as soon as there is room, codes before the rest, the rest with pauses while
 * codes come late, and suspects by themselves. What is then done with a batch is the caller's.
 */
import type { Outlet } from "./dispatch.ts";
import { batchMax } from "./handover.ts";
import type { Urgency } from "./lanes.ts";
import type { Batch } from "./parcel.ts";
import type { Restraint } from "./restraint.ts";
import { type Room, startMax } from "./room.ts";

/** Transactions that start batches, per route and urgency: while they run, what arrives gathers for the next. */
const startsMax = 2;

export interface PumpParts {
	readonly room: Room;
	readonly restraint: Pick<Restraint, "restMs">;
	/** The binds of a route; undefined when this process does not serve it. */
	readonly outletOf: (routeId: string) => Outlet | undefined;
	readonly isStopping: () => boolean;
}

/** Starts batches; resolves when they have been given to the binds, or when they will not be. */
export type Begin = (outlet: Outlet, batches: readonly Batch[]) => Promise<void>;

/** Begins on a route what there is room for. */
export function createPump(
	{ room, restraint, outletOf, isStopping }: PumpParts,
	begin: Begin,
): (routeId: string) => void {
	/** By route and urgency: transactions that start batches. */
	const starts = new Map<string, number>();
	/** Routes whose ordinary classes rest. */
	const resting = new Set<string>();
	const pump = (routeId: string): void => {
		pumpOne(routeId, "urgent");
		if (!resting.has(routeId)) pumpOne(routeId, "ordinary");
	};
	/** While codes come late, the others go batch by batch, one after the other, with rests between. */
	const pumpOne = (routeId: string, urgency: Urgency): void => {
		const outlet = outletOf(routeId);
		const name = `${routeId}/${urgency}`;
		const running = starts.get(name) ?? 0;
		const isHeld = urgency === "ordinary" && restraint.restMs() > 0;
		if (isStopping() || outlet === undefined || running >= (isHeld ? 1 : startsMax)) return;
		const batches = room.fill(routeId, urgency, isHeld ? batchMax : startMax);
		if (batches.length === 0) return;
		starts.set(name, running + 1);
		void begin(outlet, batches).finally(() => {
			for (const { parcels } of batches) room.leave(routeId, urgency, parcels.length);
			starts.set(name, (starts.get(name) ?? 0) - 1);
			if (urgency === "ordinary") rest(routeId);
			pump(routeId);
		});
	};
	const rest = (routeId: string): void => {
		const ms = restraint.restMs();
		if (ms === 0 || resting.has(routeId)) return;
		resting.add(routeId);
		setTimeout(() => {
			resting.delete(routeId);
			pump(routeId);
		}, ms);
	};
	return pump;
}

/** Suspects leave apart, a batch at a time: the binds say when. */
export function createTrialPump(
	{ room, outletOf, isStopping }: PumpParts,
	begin: Begin,
): (routeId: string) => void {
	/** Routes for which a batch of suspects is being started. */
	const starting = new Set<string>();
	const tryApart = (routeId: string): void => {
		const outlet = outletOf(routeId);
		if (isStopping() || outlet === undefined || starting.has(routeId)) return;
		const batches = room.fillApart(routeId);
		if (batches.length === 0) return;
		starting.add(routeId);
		void begin(outlet, batches).finally(() => {
			starting.delete(routeId);
			tryApart(routeId);
		});
	};
	return tryApart;
}
