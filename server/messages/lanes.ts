/**
 * Lanes in memory: batches that are leased and wait for room at a carrier. Between classes the smaller
 * number always leaves first; between tenants of a class, deficit round robin (Shreedhar and Varghese,
 * 1995), so that one tenant's million does not delay another's ten. Bounded by who puts in: claim.ts and gate.ts.
 * Pure: no time, no I/O.
 */
import type { Batch } from "./parcel.ts";

/** What a tenant may send in a turn, messages. */
const quantum = 64;
const classCount = 4;

interface Line {
	readonly batches: Batch[];
	messages: number;
	deficit: number;
}

interface Lane {
	/** Tenants in turn: a Map keeps the order of insertion. */
	readonly lines: Map<string, Line>;
	messages: number;
}

/** Authentication is urgent; no other class is. */
export type Urgency = "urgent" | "ordinary";

export interface Lanes {
	push(batch: Batch): void;
	/**
	 * Takes whole batches in turn until `most` messages are reached (the last batch may go over): of authentication, or
	 * of the other classes.
	 */
	take(routeId: string, urgency: Urgency, most: number): Batch[];
	/** Messages waiting in a route, in one class or all. */
	waiting(routeId: string, classNumber?: number): number;
	/** Empties everything: what was never started goes back to the table. */
	drain(): Batch[];
	batchIds(): string[];
}

export function createLanes(): Lanes {
	const routes = new Map<string, Lane[]>();
	const lanesOf = (routeId: string): Lane[] => {
		let lanes = routes.get(routeId);
		if (lanes === undefined) {
			lanes = Array.from({ length: classCount }, () => ({ lines: new Map(), messages: 0 }));
			routes.set(routeId, lanes);
		}
		return lanes;
	};
	return {
		push: (batch) => pushTo(lanesOf(batch.routeId)[batch.class] as Lane, batch),
		take(routeId, urgency, most) {
			const taken: Batch[] = [];
			const lanes = lanesOf(routeId);
			let left = most;
			for (const lane of urgency === "urgent" ? lanes.slice(0, 1) : lanes.slice(1))
				left = takeFrom(lane, left, taken);
			return taken;
		},
		waiting(routeId, classNumber) {
			const lanes = lanesOf(routeId);
			return classNumber === undefined
				? lanes.reduce((sum, lane) => sum + lane.messages, 0)
				: (lanes[classNumber]?.messages ?? 0);
		},
		drain() {
			const all = batchesOf(routes);
			routes.clear();
			return all;
		},
		batchIds: () => batchesOf(routes).map((batch) => batch.id),
	};
}

function batchesOf(routes: ReadonlyMap<string, readonly Lane[]>): Batch[] {
	const lines = [...routes.values()].flat().flatMap((lane) => [...lane.lines.values()]);
	return lines.flatMap((line) => line.batches);
}

function pushTo(lane: Lane, batch: Batch): void {
	let line = lane.lines.get(batch.tenantId);
	if (line === undefined) {
		line = { batches: [], messages: 0, deficit: 0 };
		lane.lines.set(batch.tenantId, line);
	}
	line.batches.push(batch);
	line.messages += batch.parcels.length;
	lane.messages += batch.parcels.length;
}

/** Serves the tenants of a lane in turn; returns how many messages may still be taken. */
function takeFrom(lane: Lane, most: number, taken: Batch[]): number {
	let left = most;
	while (left > 0 && lane.lines.size > 0) {
		const [tenantId, line] = lane.lines.entries().next().value as [string, Line];
		line.deficit += quantum;
		while (
			left > 0 &&
			line.batches[0] !== undefined &&
			line.batches[0].parcels.length <= line.deficit
		) {
			const batch = line.batches.shift() as Batch;
			line.deficit -= batch.parcels.length;
			line.messages -= batch.parcels.length;
			lane.messages -= batch.parcels.length;
			left -= batch.parcels.length;
			taken.push(batch);
		}
		// To the end of the turn order; a tenant with nothing left loses its deficit with its place.
		lane.lines.delete(tenantId);
		if (line.batches.length > 0) lane.lines.set(tenantId, line);
	}
	return left;
}
