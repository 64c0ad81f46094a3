/**
 * From the outbox to deliveries: each step takes the oldest rows, makes one delivery per event and
 * subscribed endpoint, and deletes the rows, all in one transaction. Payloads are not made here.
 */
import type { Clock } from "#platform/clock.ts";
import type { Database } from "#platform/db.ts";
import type { Ids } from "#platform/ids.ts";
import type { Log } from "#platform/log.ts";
import { type EventSource, eventIdOf } from "./event.ts";
import {
	addDeliveries,
	deleteOutbox,
	enterBatch,
	type NewDelivery,
	nextOutbox,
	type OutboxRow,
	type Subscription,
	subscriptionsOf,
} from "./delivery-store.ts";

export interface FanOutParts {
	/** The worker's database. */
	readonly db: Database;
	readonly clock: Clock;
	readonly ids: Ids;
	readonly log: Log;
	readonly sources: readonly EventSource[];
}

/** What one step did, in rows. */
export interface FanOutResult {
	readonly outboxRows: number;
	readonly deliveries: number;
	/** Outbox rows of a topic without a source; deleted all the same. */
	readonly unknownTopics: number;
	/** References that could not be read; dropped. */
	readonly malformed: number;
	/** There was no room for more: the outbox is to be looked into again at once. */
	readonly isFull: boolean;
}

/** Rows of one step: a commit adds one for each tenant, and a row may have a thousand references, of some 80 octets each. */
const outboxRowsMax = 400;
const outboxOctetsMax = 4_000_000;
/** A step stops adding outbox rows when it has made this many deliveries. */
const deliveriesMax = 5_000;
const insertRowsMax = 5_000;

/** One step; `outboxRows` 0 means there was nothing to do. */
export async function fanOut(parts: FanOutParts): Promise<FanOutResult> {
	const sources = new Map(parts.sources.map((source) => [source.topic, source]));
	const result = await parts.db.inPlatform(async (tx) => {
		const rows = await nextOutbox(tx, outboxRowsMax, outboxOctetsMax);
		const nothing = { outboxRows: 0, deliveries: 0, unknownTopics: 0, malformed: 0 };
		if (rows.length === 0) return { ...nothing, isFull: false };
		const tenantIds = [...new Set(rows.map((row) => row.tenant_id))];
		enterBatch(tx, tenantIds);
		const subscriptions = groupByScope(await subscriptionsOf(tx, tenantIds));
		const made: NewDelivery[] = [];
		const taken: OutboxRow[] = [];
		let unknownTopics = 0;
		let malformed = 0;
		for (const row of rows) {
			if (made.length >= deliveriesMax) break;
			taken.push(row);
			const source = sources.get(row.topic);
			if (source === undefined) unknownTopics++;
			const endpoints = subscriptions.get(scopeKey(row)) ?? [];
			if (source === undefined || endpoints.length === 0) continue;
			malformed += deliveriesOf(row, source, endpoints, parts.ids, made);
		}
		const at = new Date(parts.clock.now());
		for (let start = 0; start < made.length; start += insertRowsMax)
			addDeliveries(tx, made.slice(start, start + insertRowsMax), at);
		deleteOutbox(tx, taken);
		const octets = rows.reduce((sum, { refs }) => sum + refs.length, 0);
		const isFull = rows.length === outboxRowsMax || octets >= outboxOctetsMax;
		const counts = { outboxRows: taken.length, deliveries: made.length, unknownTopics, malformed };
		return { ...counts, isFull: isFull || taken.length < rows.length };
	});
	if (result.unknownTopics + result.malformed > 0)
		parts.log.warn({ event: "webhooks.outbox_dropped", ...result }, "outbox rows were dropped");
	return result;
}

function scopeKey(row: { readonly tenant_id: string; readonly environment: string }): string {
	return `${row.tenant_id}/${row.environment}`;
}

function groupByScope(subscriptions: readonly Subscription[]): Map<string, Subscription[]> {
	return Map.groupBy(subscriptions, scopeKey);
}

/** Appends the deliveries of one outbox row to `made`; returns how many references were unreadable. */
function deliveriesOf(
	row: OutboxRow,
	source: EventSource,
	endpoints: readonly Subscription[],
	ids: Ids,
	made: NewDelivery[],
): number {
	const refs: unknown = JSON.parse(row.refs);
	if (!Array.isArray(refs)) return 1;
	let malformed = 0;
	for (const ref of refs as unknown[]) {
		const eventId = eventIdOf(ref);
		if (eventId === undefined) {
			malformed++;
			continue;
		}
		const eventType = source.eventTypeOf(ref as unknown[]);
		if (eventType === undefined) continue;
		const wanting = endpoints.filter(({ events }) => events.includes(eventType));
		if (wanting.length === 0) continue;
		const text = JSON.stringify(ref);
		for (const endpoint of wanting)
			made.push({
				tenantId: row.tenant_id,
				id: ids.next(),
				environment: row.environment,
				endpointId: endpoint.id,
				eventId,
				eventType,
				topic: row.topic,
				ref: text,
			});
	}
	return malformed;
}
