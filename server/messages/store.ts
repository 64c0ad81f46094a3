/**
 * All SQL of accepting and reading messages (dispatch has its own, lane-store.ts). Every statement takes
 * arrays: what is one message for the caller is a row of a batch here.
 */
import { type Scope, sql, type Tx } from "#platform/db.ts";
import { byteas, float8s, int2s, int4s, texts, uuids } from "#platform/db-arrays.ts";
import { digestMessages } from "./message-digest.ts";

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

/** The message's own columns, in the order of `messageColumns`. */
const messageArrays = `$1::uuid[], $2::smallint[], $3::bytea[], $4::bytea[], $5::bytea[], $6::smallint[], $7::smallint[], $8::integer[],
	$9::text[], $10::text[], $11::bytea[], $12::uuid[], $13::float8[], $14::float8[]`;
const messageNames =
	"id, class, address_index, sender_index, sealed, encoding, segments, characters, country, dlt_template_id, tag_indexes, api_key_id, scheduled_ms, expires_ms";

function messageColumns(rows: readonly NewMessage[]): Buffer[] {
	return [
		uuids(rows.map((row) => row.id)),
		int2s(rows.map((row) => row.class)),
		byteas(rows.map((row) => row.addressIndex)),
		byteas(rows.map((row) => row.senderIndex)),
		byteas(rows.map((row) => row.sealed)),
		int2s(rows.map((row) => row.encoding)),
		int2s(rows.map((row) => row.segments)),
		int4s(rows.map((row) => row.characters)),
		texts(rows.map((row) => row.country)),
		texts(rows.map((row) => row.dltTemplateId)),
		byteas(rows.map((row) => row.tagIndexes)),
		uuids(rows.map((row) => row.apiKeyId)),
		float8s(rows.map((row) => row.scheduledAtMs)),
		float8s(rows.map((row) => row.expiresAtMs)),
	];
}

const insertInboundStatement = sql(
	"messages.insert_inbound",
	`with digested as (
		insert into message_digests (tenant_id, id, environment, message_ids, leaves, root) values ($15, $18, $16, $1::uuid[], $19, $20)
	)
	insert into messages (tenant_id, id, environment, inbound, class, address_index, sender_index, sealed, encoding, segments, characters,
		country, dlt_template_id, tag_indexes, api_key_id, scheduled_at, expires_at, created_at)
	select $15, n.id, $16, true, n.class, n.address_index, n.sender_index, n.sealed, n.encoding, n.segments, n.characters, n.country,
		n.dlt_template_id, n.tag_indexes, n.api_key_id, to_timestamp(n.scheduled_ms / 1000), to_timestamp(n.expires_ms / 1000),
		to_timestamp($17::float8 / 1000)
	from unnest(${messageArrays}) as n (${messageNames})`,
);

/** What people sent: no verdicts, no lane. `digestId` is the id of the row that holds their hashes. */
export function insertInbound(
	tx: Tx,
	scope: Scope,
	nowMs: number,
	rows: readonly NewMessage[],
	digestId: string,
): void {
	if (rows.length === 0) return;
	const { leaves, root } = digestMessages(scope, nowMs, rows);
	const { tenantId, environment } = scope;
	const stored = [...messageColumns(rows), tenantId, environment, nowMs];
	tx.post(insertInboundStatement, [...stored, digestId, leaves, root]);
}

/** A message with what was decided on it and, if it may leave, its place in a lane. */
export interface JudgedMessage extends NewMessage {
	readonly ruleset: string;
	readonly verdicts: string;
	/** When a rule defers the message: until when. */
	readonly deferredUntilMs: number | null;
	/** The clearance that stands; undefined when a rule refused. */
	readonly clearance: { readonly untilMs: number; readonly seal: Buffer } | undefined;
	/** `batchId`: the batch it is handed over in; null when it waits in the lane. */
	readonly lane:
		| { readonly routeId: string; readonly dueAtMs: number; readonly batchId: string | null }
		| undefined;
}

/** The lease of the batches that messages are handed over in. */
export interface Lease {
	readonly owner: string;
	readonly untilMs: number;
	/** Those that leave as soon as this is committed: they are started already. */
	readonly startedIds: readonly string[];
}

/**
 * One statement for all that acceptance writes: messages with their verdicts; batches that name the messages
 * handed over, or lane entries for those that wait; their hashes for the ledger; the outbox row.
 */
const insertJudgedStatement = sql(
	"messages.insert_judged",
	`with n as materialized (
		select * from unnest(${messageArrays}, $15::text[], $16::text[], $17::float8[], $18::float8[], $19::bytea[], $20::uuid[],
				$21::float8[], $22::uuid[])
			as n (${messageNames}, ruleset, verdicts, deferred_ms, clear_ms, seal, route_id, due_ms, batch_id)
	), stored as (
		insert into messages (tenant_id, id, environment, class, address_index, sender_index, sealed, encoding, segments, characters,
			country, dlt_template_id, tag_indexes, api_key_id, scheduled_at, expires_at, created_at, ruleset, verdicts, deferred_until, clear_until, seal)
		select $23, n.id, $24, n.class, n.address_index, n.sender_index, n.sealed, n.encoding, n.segments, n.characters, n.country,
			n.dlt_template_id, n.tag_indexes, n.api_key_id, to_timestamp(n.scheduled_ms / 1000), to_timestamp(n.expires_ms / 1000),
			to_timestamp($25::float8 / 1000), n.ruleset, n.verdicts, to_timestamp(n.deferred_ms / 1000), to_timestamp(n.clear_ms / 1000), n.seal
		from n
	), waiting as (
		insert into lane_entries (tenant_id, message_id, environment, route_id, class, due_at, expires_at, seal)
		select $23, n.id, $24, n.route_id, n.class, to_timestamp(n.due_ms / 1000), to_timestamp(n.expires_ms / 1000), n.seal
		from n where n.route_id is not null and n.batch_id is null
	), leased as (
		insert into dispatch_batches (id, owner, lease_until, tenant_id, route_id, message_ids, started_at)
		select n.batch_id, $26::uuid, to_timestamp($27::float8 / 1000), $23, n.route_id, array_agg(n.id),
			case when n.batch_id = any ($30::uuid[]) then to_timestamp($25::float8 / 1000) end
		from n where n.batch_id is not null and n.seal is not null group by n.batch_id, n.route_id
	), digested as (
		insert into message_digests (tenant_id, id, environment, message_ids, leaves, root) values ($23, $28, $24, $1::uuid[], $31, $32)
	)
	insert into outbox (tenant_id, id, environment, topic, refs, created_at)
	select $23, $28, $24, 'sms', $29, to_timestamp($25::float8 / 1000) where $29::text <> '[]'`,
);

/**
 * Stores a scope's messages as acceptance decided. `outbox`: the id of its row, which is also that of the row of the
 * messages' hashes, and its references, [message id, event id, state rank].
 */
export function insertJudged(
	tx: Tx,
	scope: Scope,
	nowMs: number,
	rows: readonly JudgedMessage[],
	lease: Lease | undefined,
	outbox: { readonly id: string; readonly events: readonly (readonly [string, string, number])[] },
): void {
	if (rows.length === 0) return;
	const { leaves, root } = digestMessages(scope, nowMs, rows);
	tx.post(insertJudgedStatement, [
		...messageColumns(rows),
		texts(rows.map((row) => row.ruleset)),
		texts(rows.map((row) => row.verdicts)),
		float8s(rows.map((row) => row.deferredUntilMs)),
		float8s(rows.map((row) => row.clearance?.untilMs ?? null)),
		byteas(rows.map((row) => row.clearance?.seal ?? null)),
		uuids(rows.map((row) => row.lane?.routeId ?? null)),
		float8s(rows.map((row) => row.lane?.dueAtMs ?? null)),
		uuids(rows.map((row) => row.lane?.batchId ?? null)),
		scope.tenantId,
		scope.environment,
		nowMs,
		lease?.owner ?? null,
		lease?.untilMs ?? null,
		outbox.id,
		JSON.stringify(outbox.events),
		lease?.startedIds ?? [],
		leaves,
		root,
	]);
}

/** A judgement after acceptance: on the way out. */
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
	tx.post(insertDecisionsStatement, [
		nowMs,
		uuids(rows.map((row) => row.tenantId)),
		uuids(rows.map((row) => row.messageId)),
		texts(rows.map((row) => row.environment)),
		texts(rows.map((row) => row.ruleset)),
		texts(rows.map((row) => row.verdicts)),
		texts(rows.map((row) => row.outcome)),
		float8s(rows.map((row) => row.untilMs)),
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
	`select i.key_hash, i.fingerprint, i.message_ids from unnest($3::bytea[]) as k (key_hash) cross join lateral (
		select * from idempotency_keys o where o.tenant_id = $1 and o.environment = $2 and o.key_hash = k.key_hash offset 0
	) i`,
);

export interface KnownKey {
	readonly keyHash: Buffer;
	readonly fingerprint: Buffer;
	readonly messageIds: readonly string[] | null;
}

/** A request that may be sent again, as it is recognised then. */
export interface Retryable {
	readonly keyHash: Buffer;
	/** Under a key of the tenant. */
	readonly fingerprint: Buffer;
	/** As it was made before it had a key; of the last 72 hours. */
	readonly olderFingerprint: Buffer;
}

export function isSameRequest(
	{ fingerprint, olderFingerprint }: Retryable,
	known: KnownKey,
): boolean {
	return [fingerprint, olderFingerprint].some((one) => one.equals(known.fingerprint));
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
