/**
 * Lanes in memory: batches that are leased and wait for room at a carrier. Between classes the smaller
 * number always leaves first; between tenants of a class, deficit round robin (Shreedhar and Varghese,
 * 1995), so that one tenant's million does not delay another's ten. Bounded: what does not fit stays in
 * the table. Pure: no time, no I/O.
 */
import type { Batch } from "./parcel.ts";

/** Messages of one lane (route and class) that may be handed over in memory. The table holds any number. */
export const laneMax = 32_768;
/** Messages of all lanes together that may be handed over: some 100 MB. */
export const lanesMax = 65_536;
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
	reserved: number;
}

export interface Lanes {
	/** Messages that this lane can still take from a tenant; half the lane at most while others could come. */
	room(routeId: string, classNumber: number, tenantId: string): number;
	reserve(routeId: string, classNumber: number, count: number): void;
	release(routeId: string, classNumber: number, count: number): void;
	push(batch: Batch): void;
	/** Takes whole batches in turn until `most` messages are reached (the last batch may go over). */
	take(routeId: string, most: number): Batch[];
	/** Messages waiting in a route, in one class or all. */
	waiting(routeId: string, classNumber?: number): number;
	/** Empties everything: what was never started goes back to the table. */
	drain(): Batch[];
	batchIds(): string[];
}

export function createLanes(): Lanes {
	const routes = new Map<string, Lane[]>();
	let total = 0;
	const lanesOf = (routeId: string): Lane[] => {
		let lanes = routes.get(routeId);
		if (lanes === undefined) {
			lanes = Array.from({ length: classCount }, () => ({
				lines: new Map(),
				messages: 0,
				reserved: 0,
			}));
			routes.set(routeId, lanes);
		}
		return lanes;
	};
	const laneOf = (routeId: string, classNumber: number): Lane =>
		lanesOf(routeId)[classNumber] as Lane;
	return {
		room: (routeId, classNumber, tenantId) =>
			Math.max(0, Math.min(roomOf(laneOf(routeId, classNumber), tenantId), lanesMax - total)),
		reserve(routeId, classNumber, count) {
			laneOf(routeId, classNumber).reserved += count;
			total += count;
		},
		release(routeId, classNumber, count) {
			laneOf(routeId, classNumber).reserved -= count;
			total -= count;
		},
		push(batch) {
			pushTo(laneOf(batch.routeId, batch.class), batch);
			total += batch.parcels.length;
		},
		take(routeId, most) {
			const taken: Batch[] = [];
			let left = most;
			for (const lane of lanesOf(routeId)) left = takeFrom(lane, left, taken);
			for (const { parcels } of taken) total -= parcels.length;
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
			total = 0;
			return all;
		},
		batchIds: () => batchesOf(routes).map((batch) => batch.id),
	};
}

function batchesOf(routes: ReadonlyMap<string, readonly Lane[]>): Batch[] {
	const lines = [...routes.values()].flat().flatMap((lane) => [...lane.lines.values()]);
	return lines.flatMap((line) => line.batches);
}

function roomOf(lane: Lane, tenantId: string): number {
	const own = lane.lines.get(tenantId)?.messages ?? 0;
	const { messages, reserved } = lane;
	return Math.max(0, Math.min(laneMax - messages, laneMax / 2 - own) - reserved);
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
