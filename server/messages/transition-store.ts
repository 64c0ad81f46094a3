/**
 * The one statement that changes the state of messages: forward only, with its timeline entry and its
 * outbox row, for a whole batch of any number of tenants.
 */
import { sql, type Tx } from "#platform/db.ts";
import { bools, float8s, int2s, texts, uuids } from "#platform/db-arrays.ts";

export interface Transition {
	readonly tenantId: string;
	readonly messageId: string;
	readonly environment: string;
	/** The new state's rank. */
	readonly rank: number;
	readonly atMs: number;
	/** Number of a message error, or null. */
	readonly error: number | null;
	/** The carrier's own code, letters, digits, dot, dash, underscore; at most 40. */
	readonly carrierError: string | null;
	readonly possibleDuplicate: boolean;
	readonly eventId: string;
}

/** A change to sent or delivered is told by the state itself; any other has a row in the timeline (see read-store.ts). */
const applyStatement = sql(
	"messages.apply",
	`with applied as (
		insert into message_states as s (tenant_id, message_id, environment, status, changed_at, sent_at, sent_event, error, carrier_error,
			possible_duplicate, event_id)
		select tenant_id, message_id, environment, status, to_timestamp(at_ms / 1000),
			case when status in (20, 40, 41) then to_timestamp(at_ms / 1000) end, case when status = 20 then event_id end,
			error, carrier_error, possible_duplicate, event_id
		from unnest($1::uuid[], $2::uuid[], $3::text[], $4::smallint[], $5::float8[], $6::smallint[], $7::text[], $8::boolean[], $9::uuid[])
			as i (tenant_id, message_id, environment, status, at_ms, error, carrier_error, possible_duplicate, event_id)
		order by tenant_id, message_id
		on conflict (tenant_id, message_id) do update set status = excluded.status, changed_at = excluded.changed_at,
			sent_at = coalesce(s.sent_at, excluded.sent_at), sent_event = coalesce(s.sent_event, excluded.sent_event),
			error = excluded.error, carrier_error = excluded.carrier_error,
			possible_duplicate = s.possible_duplicate or excluded.possible_duplicate, event_id = excluded.event_id
		where excluded.status > s.status and s.status < 40
		returning s.tenant_id, s.message_id, s.event_id, s.environment, s.status, s.changed_at, s.error, s.carrier_error
	), logged as (
		insert into message_events (tenant_id, message_id, id, environment, status, occurred_at, error, carrier_error)
		select tenant_id, message_id, event_id, environment, status, changed_at, error, carrier_error from applied where status not in (20, 40)
	)
	insert into outbox (tenant_id, id, environment, topic, refs, created_at)
	select tenant_id, (array_agg(event_id))[1], environment, 'sms',
		'[' || string_agg('["' || message_id || '","' || event_id || '",' || status || ']', ',') || ']', to_timestamp($10::float8 / 1000)
	from applied group by tenant_id, environment`,
);

/**
 * Applies transitions; those that would go back, or out of a final state, are left out. A message may occur
 * several times: each occurrence goes in a statement of its own, in order.
 */
export function applyTransitions(tx: Tx, nowMs: number, transitions: readonly Transition[]): void {
	for (const layer of layersOf(transitions)) {
		tx.post(applyStatement, [
			uuids(layer.map((one) => one.tenantId)),
			uuids(layer.map((one) => one.messageId)),
			texts(layer.map((one) => one.environment)),
			int2s(layer.map((one) => one.rank)),
			float8s(layer.map((one) => one.atMs)),
			int2s(layer.map((one) => one.error)),
			texts(layer.map((one) => one.carrierError)),
			bools(layer.map((one) => one.possibleDuplicate)),
			uuids(layer.map((one) => one.eventId)),
			nowMs,
		]);
	}
}

/** Splits so that no message is twice in a layer (one INSERT … ON CONFLICT may touch a row once). */
export function layersOf<T extends { readonly messageId: string }>(items: readonly T[]): T[][] {
	const layers: T[][] = [];
	const seen = new Map<string, number>();
	for (const item of items) {
		const depth = seen.get(item.messageId) ?? 0;
		seen.set(item.messageId, depth + 1);
		const layer = layers[depth];
		if (layer === undefined) layers.push([item]);
		else layer.push(item);
	}
	return layers;
}
