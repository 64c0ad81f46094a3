/**
 * What may be handed over in memory, seen from the half that accepts: routes that have a bind, lanes with nothing
 * older in the table, and room in them. The half that sends says what has left; what does not pass here waits in
 * the table. Pure: no time, no I/O.
 */
import type { LeftBatch, ToAccepting } from "./channel.ts";
import { policyOf } from "./effects.ts";

/** Messages of one lane (route and class) that may be handed over. The table holds any number. */
export const laneMax = 32_768;
/** Messages of all lanes together that may be handed over: some 100 MB. */
export const lanesMax = 65_536;
/** Messages of a route that may be on their way from their commit to the carrier without having waited. */
export const startedMax = 256;

export type Passage = "started" | "lane" | "table";

export interface Gate {
	/** How a message goes on; "started" and "lane" take up room until it has left. */
	pass(routeId: string, classNumber: number, tenantId: string): Passage;
	/** What was counted in and has left, or never came: its commit failed. */
	left(batches: readonly LeftBatch[]): void;
	hear(news: ToAccepting): void;
}

interface Lane {
	messages: number;
	readonly byTenant: Map<string, number>;
}

export function createGate(): Gate {
	let bound: ReadonlySet<string> = new Set();
	let backlog = new Set<string>();
	const lanes = new Map<string, Lane>();
	/** By route. */
	const started = new Map<string, number>();
	let total = 0;
	const laneOf = (name: string): Lane => {
		let lane = lanes.get(name);
		if (lane === undefined) lanes.set(name, (lane = { messages: 0, byTenant: new Map() }));
		return lane;
	};
	/** Nothing of this class, or of one that leaves before it, waits. */
	const isFree = (routeId: string, classNumber: number): boolean => {
		for (let number = 0; number <= classNumber; number++)
			if ((lanes.get(`${routeId}/${number}`)?.messages ?? 0) > 0) return false;
		return true;
	};
	const left = (batches: readonly LeftBatch[]): void => {
		for (const batch of batches) {
			if (batch.started)
				started.set(batch.routeId, (started.get(batch.routeId) ?? 0) - batch.messages);
			else {
				add(laneOf(`${batch.routeId}/${batch.class}`), batch.tenantId, -batch.messages);
				total -= batch.messages;
			}
		}
	};
	return {
		pass(routeId, classNumber, tenantId) {
			const name = `${routeId}/${classNumber}`;
			if (!bound.has(routeId) || backlog.has(name)) return "table";
			const flying = started.get(routeId) ?? 0;
			// A crash between the commit and the submit would end unsent what is sent at most once.
			const mayStart = policyOf(classNumber) === "at_least_once" && flying < startedMax;
			if (mayStart && isFree(routeId, classNumber)) {
				started.set(routeId, flying + 1);
				return "started";
			}
			const lane = laneOf(name);
			const own = lane.byTenant.get(tenantId) ?? 0;
			// A tenant has half the lane at most: others could come.
			if (total >= lanesMax || lane.messages >= laneMax || own >= laneMax / 2) {
				backlog.add(name);
				return "table";
			}
			add(lane, tenantId, 1);
			total++;
			return "lane";
		},
		left,
		hear(news) {
			if (news.kind === "left") return left(news.batches);
			bound = new Set(news.bound);
			backlog = new Set(news.backlog);
		},
	};
}

function add(lane: Lane, tenantId: string, messages: number): void {
	const own = (lane.byTenant.get(tenantId) ?? 0) + messages;
	lane.messages += messages;
	if (own > 0) lane.byTenant.set(tenantId, own);
	else lane.byTenant.delete(tenantId);
}
