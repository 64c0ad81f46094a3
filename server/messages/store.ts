/**
 * All SQL of accepting and reading messages (dispatch has its own, lane-store.ts). Every statement takes
 * arrays: what is one message for the caller is a row of a batch here.
 */
import { type Scope, sql, type Tx } from "#platform/db.ts";

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

export function insertMessages(
	tx: Tx,
	scope: Scope,
	inbound: boolean,
	nowMs: number,
	rows: readonly NewMessage[],
): void {
	if (rows.length === 0) return;
	const column = <K extends keyof NewMessage>(name: K): NewMessage[K][] =>
		rows.map((row) => row[name]);
	tx.post(insertMessagesStatement, [
		scope.tenantId,
		scope.environment,
		inbound,
		nowMs,
		column("id"),
		column("class"),
		column("addressIndex"),
		column("senderIndex"),
		column("sealed"),
		column("encoding"),
		column("segments"),
		column("characters"),
		column("country"),
		column("dltTemplateId"),
		column("tagIndexes"),
		column("apiKeyId"),
		column("scheduledAtMs"),
		column("expiresAtMs"),
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
	const column = <K extends keyof NewDecision>(name: K): NewDecision[K][] =>
		rows.map((row) => row[name]);
	tx.post(insertDecisionsStatement, [
		nowMs,
		column("tenantId"),
		column("messageId"),
		column("environment"),
		column("ruleset"),
		column("verdicts"),
		column("outcome"),
		column("untilMs"),
	]);
}

export interface NewClearance {
	readonly messageId: string;
	readonly ruleset: string;
	readonly verdicts: string;
	/** When a rule defers the message: until when. */
	readonly untilMs: number | null;
	readonly validUntilMs: number;
	readonly seal: Buffer;
}

const insertClearancesStatement = sql(
	"messages.clearances",
	`insert into clearances (tenant_id, message_id, environment, ruleset, verdicts, until, judged_at, valid_until, seal)
	select $1, c.message_id, $2, c.ruleset, c.verdicts, to_timestamp(c.until_ms / 1000), to_timestamp($3::float8 / 1000),
		to_timestamp(c.valid_ms / 1000), c.seal
	from unnest($4::uuid[], $5::text[], $6::text[], $7::float8[], $8::float8[], $9::bytea[])
		as c (message_id, ruleset, verdicts, until_ms, valid_ms, seal)`,
);

export function insertClearances(
	tx: Tx,
	scope: Scope,
	nowMs: number,
	rows: readonly NewClearance[],
): void {
	if (rows.length === 0) return;
	const column = <K extends keyof NewClearance>(name: K): NewClearance[K][] =>
		rows.map((row) => row[name]);
	tx.post(insertClearancesStatement, [
		scope.tenantId,
		scope.environment,
		nowMs,
		column("messageId"),
		column("ruleset"),
		column("verdicts"),
		column("untilMs"),
		column("validUntilMs"),
		column("seal"),
	]);
}

export interface NewLaneEntry {
	readonly messageId: string;
	readonly routeId: string;
	readonly class: number;
	readonly dueAtMs: number;
	readonly expiresAtMs: number;
	readonly batchId: string | null;
}

const insertLaneEntriesStatement = sql(
	"messages.lane_entries",
	`insert into lane_entries (tenant_id, message_id, environment, route_id, class, due_at, expires_at, batch_id)
	select $1, l.message_id, $2, l.route_id, l.class, to_timestamp(l.due_ms / 1000), to_timestamp(l.expires_ms / 1000), l.batch_id
	from unnest($3::uuid[], $4::uuid[], $5::smallint[], $6::float8[], $7::float8[], $8::uuid[])
		as l (message_id, route_id, class, due_ms, expires_ms, batch_id)`,
);

export function insertLaneEntries(tx: Tx, scope: Scope, rows: readonly NewLaneEntry[]): void {
	if (rows.length === 0) return;
	tx.post(insertLaneEntriesStatement, [
		scope.tenantId,
		scope.environment,
		rows.map((row) => row.messageId),
		rows.map((row) => row.routeId),
		rows.map((row) => row.class),
		rows.map((row) => row.dueAtMs),
		rows.map((row) => row.expiresAtMs),
		rows.map((row) => row.batchId),
	]);
}

const insertOutboxStatement = sql(
	"messages.outbox",
	`insert into outbox (tenant_id, id, environment, topic, refs, created_at)
	values ($1, $2, $3, 'sms', $4, to_timestamp($5::float8 / 1000))`,
);

/** One row for a batch of events: `refs` are [message id, event id, state rank]. */
export function postEvents(
	tx: Tx,
	scope: Scope,
	id: string,
	nowMs: number,
	refs: readonly (readonly [string, string, number])[],
): void {
	if (refs.length > 0)
		tx.post(insertOutboxStatement, [
			scope.tenantId,
			id,
			scope.environment,
			JSON.stringify(refs),
			nowMs,
		]);
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
export async function claimKeys(
	tx: Tx,
	scope: Scope,
	nowMs: number,
	claims: readonly IdempotencyClaim[],
): Promise<Set<string>> {
	if (claims.length === 0) return new Set();
	const rows = await tx.query<{ key_hash: Buffer }>(claimKeysStatement, [
		scope.tenantId,
		scope.environment,
		claims.map((claim) => claim.keyHash),
		claims.map((claim) => claim.fingerprint),
		claims.map((claim) => claim.messageIds.join(",")),
		nowMs,
	]);
	return new Set(rows.map((row) => row.key_hash.toString("base64")));
}

export async function readKeys(
	tx: Tx,
	scope: Scope,
	keyHashes: readonly Buffer[],
): Promise<KnownKey[]> {
	const rows = await tx.query<{
		key_hash: Buffer;
		fingerprint: Buffer;
		message_ids: string[] | null;
	}>(readKeysStatement, [scope.tenantId, scope.environment, keyHashes]);
	return rows.map((row) => ({
		keyHash: row.key_hash,
		fingerprint: row.fingerprint,
		messageIds: row.message_ids,
	}));
}

const cancelStatement = sql(
	"messages.cancel",
	`delete from lane_entries where tenant_id = $1 and environment = $2 and message_id = $3 and batch_id is null and attempt = 0 and not abandoned
	returning message_id`,
);

/** Takes a waiting message out of its lane; false when it has left (or never was there). */
export async function takeOutOfLane(tx: Tx, scope: Scope, messageId: string): Promise<boolean> {
	return (
		(await tx.query(cancelStatement, [scope.tenantId, scope.environment, messageId])).length === 1
	);
}
