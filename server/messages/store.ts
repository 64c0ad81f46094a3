/**
 * All SQL of accepting and reading messages (dispatch has its own, lane-store.ts). Every statement takes
 * arrays: what is one message for the caller is a row of a batch here.
 */
import { type Row, type Scope, sql, type Tx } from "#platform/db.ts";

export interface NewMessage {
	readonly id: string;
	readonly class: number;
	readonly addressIndex: Buffer;
	readonly senderIndex: Buffer;
	readonly sealed: Buffer;
	readonly encoding: number;
	readonly segments: number;
	readonly characters: number;
	readonly country: string;
	readonly dltTemplateId: string | null;
	readonly tagIndexes: Buffer | null;
	readonly apiKeyId: string | null;
	readonly scheduledAtMs: number | null;
	readonly expiresAtMs: number;
}

const insertMessagesStatement = sql(
	"messages.insert",
	`insert into messages (tenant_id, id, environment, inbound, class, address_index, sender_index, sealed, encoding, segments, characters,
		country, dlt_template_id, tag_indexes, api_key_id, scheduled_at, expires_at, created_at)
	select $1, n.id, $2, $3, n.class, n.address_index, n.sender_index, n.sealed, n.encoding, n.segments, n.characters, n.country,
		n.dlt_template_id, n.tag_indexes, n.api_key_id, to_timestamp(n.scheduled_ms / 1000), to_timestamp(n.expires_ms / 1000), to_timestamp($4::float8 / 1000)
	from unnest($5::uuid[], $6::smallint[], $7::bytea[], $8::bytea[], $9::bytea[], $10::smallint[], $11::smallint[], $12::integer[], $13::text[],
		$14::text[], $15::bytea[], $16::uuid[], $17::float8[], $18::float8[])
		as n (id, class, address_index, sender_index, sealed, encoding, segments, characters, country, dlt_template_id, tag_indexes, api_key_id,
			scheduled_ms, expires_ms)`,
);

export function insertMessages(tx: Tx, scope: Scope, inbound: boolean, nowMs: number, rows: readonly NewMessage[]): void {
	if (rows.length === 0) return;
	const column = <K extends keyof NewMessage>(name: K): NewMessage[K][] => rows.map((row) => row[name]);
	tx.post(insertMessagesStatement, [
		scope.tenantId, scope.environment, inbound, nowMs, column("id"), column("class"), column("addressIndex"), column("senderIndex"),
		column("sealed"), column("encoding"), column("segments"), column("characters"), column("country"), column("dltTemplateId"),
		column("tagIndexes"), column("apiKeyId"), column("scheduledAtMs"), column("expiresAtMs"),
	]);
}

export interface NewDecision {
	readonly messageId: string;
	readonly ruleset: string;
	readonly verdicts: string;
	readonly outcome: "cleared" | "refused" | "deferred";
	readonly untilMs: number | null;
	readonly tenantId: string;
	readonly environment: string;
}

const insertDecisionsStatement = sql(
	"messages.decisions",
	`insert into decisions (tenant_id, message_id, environment, ruleset, verdicts, outcome, until, judged_at)
	select d.tenant_id, d.message_id, d.environment, d.ruleset, d.verdicts, d.outcome, to_timestamp(d.until_ms / 1000), to_timestamp($1::float8 / 1000)
	from unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::float8[])
		as d (tenant_id, message_id, environment, ruleset, verdicts, outcome, until_ms)
	on conflict do nothing`,
);

export function insertDecisions(tx: Tx, nowMs: number, rows: readonly NewDecision[]): void {
	if (rows.length === 0) return;
	const column = <K extends keyof NewDecision>(name: K): NewDecision[K][] => rows.map((row) => row[name]);
	tx.post(insertDecisionsStatement, [
		nowMs, column("tenantId"), column("messageId"), column("environment"), column("ruleset"), column("verdicts"), column("outcome"), column("untilMs"),
	]);
}

export interface NewClearance {
	readonly tenantId: string;
	readonly messageId: string;
	readonly ruleset: string;
	readonly validUntilMs: number;
	readonly seal: Buffer;
}

const saveClearancesStatement = sql(
	"messages.clearances",
	`insert into clearances (tenant_id, message_id, ruleset, valid_until, seal)
	select c.tenant_id, c.message_id, c.ruleset, to_timestamp(c.valid_ms / 1000), c.seal
	from unnest($1::uuid[], $2::uuid[], $3::text[], $4::float8[], $5::bytea[]) as c (tenant_id, message_id, ruleset, valid_ms, seal)`,
);

export function insertClearances(tx: Tx, rows: readonly NewClearance[]): void {
	if (rows.length === 0) return;
	tx.post(saveClearancesStatement, [
		rows.map((row) => row.tenantId), rows.map((row) => row.messageId), rows.map((row) => row.ruleset),
		rows.map((row) => row.validUntilMs), rows.map((row) => row.seal),
	]);
}

export interface NewLaneEntry {
	readonly messageId: string;
	readonly routeId: string;
	readonly class: number;
	readonly dueAtMs: number;
	readonly batchId: string | null;
}

const insertLaneEntriesStatement = sql(
	"messages.lane_entries",
	`insert into lane_entries (tenant_id, message_id, environment, route_id, class, due_at, batch_id)
	select $1, l.message_id, $2, l.route_id, l.class, to_timestamp(l.due_ms / 1000), l.batch_id
	from unnest($3::uuid[], $4::uuid[], $5::smallint[], $6::float8[], $7::uuid[]) as l (message_id, route_id, class, due_ms, batch_id)`,
);

export function insertLaneEntries(tx: Tx, scope: Scope, rows: readonly NewLaneEntry[]): void {
	if (rows.length === 0) return;
	tx.post(insertLaneEntriesStatement, [
		scope.tenantId, scope.environment, rows.map((row) => row.messageId), rows.map((row) => row.routeId),
		rows.map((row) => row.class), rows.map((row) => row.dueAtMs), rows.map((row) => row.batchId),
	]);
}

const insertOutboxStatement = sql(
	"messages.outbox",
	`insert into outbox (tenant_id, id, environment, topic, refs, created_at)
	values ($1, $2, $3, 'sms', $4::jsonb, to_timestamp($5::float8 / 1000))`,
);

/** One row for a batch of events: `refs` are [message id, event id, state rank]. */
export function postEvents(tx: Tx, scope: Scope, id: string, nowMs: number, refs: readonly (readonly [string, string, number])[]): void {
	if (refs.length > 0) tx.post(insertOutboxStatement, [scope.tenantId, id, scope.environment, JSON.stringify(refs), nowMs]);
}

// Idempotency -------------------------------------------------------------------------------------------------

export interface IdempotencyClaim {
	readonly keyHash: Buffer;
	readonly fingerprint: Buffer;
	readonly messageIds: readonly string[];
}

const claimKeysStatement = sql(
	"messages.claim_keys",
	`insert into idempotency_keys (tenant_id, environment, key_hash, fingerprint, status, message_ids, created_at)
	select $1, $2, k.key_hash, k.fingerprint, 202, string_to_array(k.ids, ',')::uuid[], to_timestamp($6::float8 / 1000)
	from unnest($3::bytea[], $4::bytea[], $5::text[]) as k (key_hash, fingerprint, ids)
	on conflict do nothing returning key_hash`,
);

const readKeysStatement = sql(
	"messages.read_keys",
	`select key_hash, fingerprint, message_ids from idempotency_keys
	where tenant_id = $1 and environment = $2 and key_hash = any ($3::bytea[])`,
);

export interface KnownKey {
	readonly keyHash: Buffer;
	readonly fingerprint: Buffer;
	readonly messageIds: readonly string[] | null;
}

/** Takes the keys that are new; the others are known already (see `readKeys`). */
export async function claimKeys(tx: Tx, scope: Scope, nowMs: number, claims: readonly IdempotencyClaim[]): Promise<Set<string>> {
	if (claims.length === 0) return new Set();
	const rows = await tx.query<{ key_hash: Buffer }>(claimKeysStatement, [
		scope.tenantId, scope.environment, claims.map((claim) => claim.keyHash), claims.map((claim) => claim.fingerprint),
		claims.map((claim) => claim.messageIds.join(",")), nowMs,
	]);
	return new Set(rows.map((row) => row.key_hash.toString("base64")));
}

export async function readKeys(tx: Tx, scope: Scope, keyHashes: readonly Buffer[]): Promise<KnownKey[]> {
	const rows = await tx.query<{ key_hash: Buffer; fingerprint: Buffer; message_ids: string[] | null }>(readKeysStatement, [
		scope.tenantId, scope.environment, keyHashes,
	]);
	return rows.map((row) => ({ keyHash: row.key_hash, fingerprint: row.fingerprint, messageIds: row.message_ids }));
}

// Reading -----------------------------------------------------------------------------------------------------

/** A message with its present state, as stored. */
export interface StoredMessage {
	readonly id: string;
	readonly environment: string;
	readonly inbound: boolean;
	readonly class: number;
	readonly sealed: Buffer;
	readonly encoding: number;
	readonly segments: number;
	readonly characters: number;
	readonly scheduled_at: Date | null;
	readonly expires_at: Date;
	readonly created_at: Date;
	readonly status: number | null;
	readonly changed_at: Date | null;
	readonly sent_at: Date | null;
	readonly error: number | null;
	readonly carrier_error: string | null;
	readonly possible_duplicate: boolean | null;
	readonly due_at: Date | null;
}

const columns = `m.id, m.environment::text as environment, m.inbound, m.class, m.sealed, m.encoding, m.segments, m.characters, m.scheduled_at, m.expires_at,
	m.created_at, s.status, s.changed_at, s.sent_at, s.error, s.carrier_error, s.possible_duplicate, l.due_at`;
const joins = `left join message_states s on s.tenant_id = m.tenant_id and s.message_id = m.id
	left join lane_entries l on l.tenant_id = m.tenant_id and l.message_id = m.id`;

const byIdsStatement = sql(
	"messages.by_ids",
	`select ${columns} from messages m ${joins} where m.tenant_id = $1 and m.environment = $2 and m.id = any ($3::uuid[])`,
);

export function messagesByIds(tx: Tx, scope: Scope, ids: readonly string[]): Promise<StoredMessage[]> {
	return tx.query<StoredMessage>(byIdsStatement, [scope.tenantId, scope.environment, ids]);
}

/** What a list may ask for. Undefined means all. `before`/`after` are ids, exclusive. */
export interface ListFilter {
	readonly before: string | undefined;
	readonly after: string | undefined;
	/** The page nearest to `after`, instead of the newest one. */
	readonly backwards: boolean;
	readonly limit: number;
	readonly inbound: boolean | undefined;
	readonly class: number | undefined;
	readonly ranks: readonly number[] | undefined;
	readonly errors: readonly number[] | undefined;
	readonly addressIndex: Buffer | undefined;
	readonly senderIndex: Buffer | undefined;
	readonly tags: readonly Buffer[];
	readonly nowMs: number;
}

/** $1 tenant, $2 environment, $3 newest id (exclusive), $4 oldest id (exclusive), $5… filters. */
const filters = `m.tenant_id = $1 and m.environment = $2 and m.id < $3 and m.id > $4
	and ($5::boolean is null or m.inbound = $5) and ($6::smallint is null or m.class = $6)
	and ($7::smallint[] is null or coalesce(s.status, case when l.due_at > to_timestamp($12::float8 / 1000) then 5 else 10 end) = any ($7))
	and ($8::smallint[] is null or s.error = any ($8)) and ($9::bytea is null or m.sender_index = $9)
	and not exists (select from unnest($10::bytea[]) as t (tag) where coalesce(position(t.tag in m.tag_indexes), 0) = 0)`;

const newestStatement = sql("messages.list_newest", `select ${columns} from messages m ${joins} where ${filters} order by m.id desc limit $11`);
const oldestStatement = sql("messages.list_oldest", `select ${columns} from messages m ${joins} where ($13::bytea is null or m.address_index = $13) and ${filters} order by m.id asc limit $11`);
const byAddressStatement = sql(
	"messages.list_by_address",
	`select ${columns} from messages m ${joins} where m.address_index = $13::bytea and ${filters} order by m.id desc limit $11`,
);
/** A list by state starts at the state's own index: rare states are found without reading the common ones. */
const byStateStatement = sql(
	"messages.list_by_state",
	`select ${columns} from message_states s join messages m on m.tenant_id = s.tenant_id and m.id = s.message_id
	left join lane_entries l on l.tenant_id = m.tenant_id and l.message_id = m.id
	where s.tenant_id = $1 and s.environment = $2 and s.status = any ($7::smallint[]) and s.message_id < $3 and s.message_id > $4 and ${filters}
	order by s.message_id desc limit $11`,
);

const lastId = "ffffffff-ffff-ffff-ffff-ffffffffffff";
const zeroId = "00000000-0000-0000-0000-000000000000";

export async function listMessages(tx: Tx, scope: Scope, filter: ListFilter): Promise<StoredMessage[]> {
	const values: unknown[] = [
		scope.tenantId, scope.environment, filter.before ?? lastId, filter.after ?? zeroId, filter.inbound ?? null, filter.class ?? null,
		filter.ranks ?? null, filter.errors ?? null, filter.senderIndex ?? null, filter.tags, filter.limit, filter.nowMs,
	];
	if (filter.backwards) return (await tx.query<StoredMessage>(oldestStatement, [...values, filter.addressIndex ?? null])).reverse();
	if (filter.addressIndex !== undefined) return tx.query(byAddressStatement, [...values, filter.addressIndex]);
	const stored = filter.ranks?.every((rank) => rank > 10) === true;
	return tx.query(stored ? byStateStatement : newestStatement, values);
}

const eventsStatement = sql(
	"messages.events",
	`select id, status, occurred_at, error, carrier_error from message_events
	where tenant_id = $1 and environment = $2 and message_id = $3 order by occurred_at, id limit 200`,
);

export interface StoredEvent {
	readonly id: string;
	readonly status: number;
	readonly occurred_at: Date;
	readonly error: number | null;
	readonly carrier_error: string | null;
}

export function eventsOf(tx: Tx, scope: Scope, messageId: string): Promise<StoredEvent[]> {
	return tx.query<StoredEvent>(eventsStatement, [scope.tenantId, scope.environment, messageId]);
}

const eventsByIdsStatement = sql(
	"messages.events_by_ids",
	`select e.message_id, e.id, e.status, e.occurred_at, e.error, e.carrier_error
	from unnest($3::uuid[], $4::uuid[]) as r (message_id, id)
	join message_events e on e.tenant_id = $1 and e.message_id = r.message_id and e.id = r.id where e.environment = $2`,
);

export function eventsByIds(tx: Tx, scope: Scope, messageIds: readonly string[], ids: readonly string[]): Promise<(StoredEvent & { message_id: string })[]> {
	return tx.query(eventsByIdsStatement, [scope.tenantId, scope.environment, messageIds, ids]);
}

const decisionsStatement = sql(
	"messages.decisions_of",
	`select message_id, ruleset, verdicts, outcome, until, judged_at from decisions
	where tenant_id = $1 and environment = $2 and message_id = any ($3::uuid[]) order by judged_at limit 1000`,
);

export interface StoredDecision {
	readonly message_id: string;
	readonly ruleset: string;
	readonly verdicts: string;
	readonly outcome: "cleared" | "refused" | "deferred";
	readonly until: Date | null;
	readonly judged_at: Date;
}

export function decisionsOf(tx: Tx, scope: Scope, messageIds: readonly string[]): Promise<StoredDecision[]> {
	return tx.query<StoredDecision>(decisionsStatement, [scope.tenantId, scope.environment, messageIds]);
}

const cancelStatement = sql(
	"messages.cancel",
	`delete from lane_entries where tenant_id = $1 and environment = $2 and message_id = $3 and batch_id is null and attempt = 0 and not abandoned
	returning message_id`,
);

/** Takes a waiting message out of its lane; false when it has left (or never was there). */
export async function takeOutOfLane(tx: Tx, scope: Scope, messageId: string): Promise<boolean> {
	return (await tx.query<Row>(cancelStatement, [scope.tenantId, scope.environment, messageId])).length === 1;
}
