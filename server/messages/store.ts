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
		insert into message_digests (tenant_id, id, environment, message_ids, leaves, root)
		select e.tenant_id, e.id, e.environment, ($1::uuid[])[e.first:e.last], e.leaves, e.root
		from unnest($18::uuid[], $19::uuid[], $20::text[], $21::integer[], $22::integer[], $23::bytea[], $24::bytea[])
			as e (id, tenant_id, environment, first, last, leaves, root)
	)
	insert into messages (tenant_id, id, environment, inbound, class, address_index, sender_index, sealed, encoding, segments, characters,
		country, dlt_template_id, tag_indexes, api_key_id, scheduled_at, expires_at, created_at)
	select n.tenant_id, n.id, n.environment, true, n.class, n.address_index, n.sender_index, n.sealed, n.encoding, n.segments, n.characters, n.country,
		n.dlt_template_id, n.tag_indexes, n.api_key_id, to_timestamp(n.scheduled_ms / 1000), to_timestamp(n.expires_ms / 1000),
		to_timestamp($17::float8 / 1000)
	from unnest(${messageArrays}, $15::uuid[], $16::text[]) as n (${messageNames}, tenant_id, environment)`,
);

/** Messages of one tenant's environment that are stored together. */
export interface MessageGroup<T extends NewMessage = NewMessage> {
	readonly scope: Scope;
	readonly rows: readonly T[];
	/** Of the row that holds their hashes. */
	readonly digestId: string;
}

/** What people sent: no verdicts, no lane. Each tenant's environment is there once. */
export function insertInbound(tx: Tx, nowMs: number, groups: readonly MessageGroup[]): void {
	const rows = groups.flatMap((group) => group.rows);
	if (rows.length === 0) return;
	const stored = [...messageColumns(rows), ...scopeColumns(groups), nowMs];
	tx.post(insertInboundStatement, [...stored, ...digestColumns(groups, nowMs)]);
}

/** Of each message; in the order of their groups. */
function scopeColumns(groups: readonly MessageGroup[]): Buffer[] {
	const scopes = groups.flatMap((group) => group.rows.map(() => group.scope));
	return [
		uuids(scopes.map(({ tenantId }) => tenantId)),
		texts(scopes.map(({ environment }) => environment)),
	];
}

/** Of each group: its scope, which of the messages are its own, `first` to `last` from 1, and their hashes. */
function digestColumns(groups: readonly MessageGroup[], nowMs: number): Buffer[] {
	let done = 0;
	const lasts = groups.map(({ rows }) => (done += rows.length));
	const digests = groups.map(({ scope, rows }) => digestMessages(scope, nowMs, rows));
	return [
		uuids(groups.map(({ digestId }) => digestId)),
		uuids(groups.map(({ scope }) => scope.tenantId)),
		texts(groups.map(({ scope }) => scope.environment)),
		int4s(groups.map(({ rows }, i) => (lasts[i] as number) - rows.length + 1)),
		int4s(lasts),
		byteas(digests.map(({ leaves }) => leaves)),
		byteas(digests.map(({ root }) => root)),
	];
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
 * One statement for all that acceptance writes, of any number of tenants: messages with their verdicts; batches that name
 * the messages handed over, or lane entries for those that wait; and, for each tenant's environment, the messages' hashes
 * for the ledger and the outbox row. The messages of one environment stand together: `first` to `last`, from 1.
 */
const insertJudgedStatement = sql(
	"messages.insert_judged",
	`with n as materialized (
		select * from unnest(${messageArrays}, $15::text[], $16::text[], $17::float8[], $18::float8[], $19::bytea[], $20::uuid[],
				$21::float8[], $22::uuid[], $23::uuid[], $24::text[])
			as n (${messageNames}, ruleset, verdicts, deferred_ms, clear_ms, seal, route_id, due_ms, batch_id, tenant_id, environment)
	), e as materialized (
		select * from unnest($29::uuid[], $30::uuid[], $31::text[], $32::integer[], $33::integer[], $34::bytea[], $35::bytea[], $36::text[])
			as e (id, tenant_id, environment, first, last, leaves, root, refs)
	), stored as (
		insert into messages (tenant_id, id, environment, class, address_index, sender_index, sealed, encoding, segments, characters,
			country, dlt_template_id, tag_indexes, api_key_id, scheduled_at, expires_at, created_at, ruleset, verdicts, deferred_until, clear_until, seal)
		select n.tenant_id, n.id, n.environment, n.class, n.address_index, n.sender_index, n.sealed, n.encoding, n.segments, n.characters, n.country,
			n.dlt_template_id, n.tag_indexes, n.api_key_id, to_timestamp(n.scheduled_ms / 1000), to_timestamp(n.expires_ms / 1000),
			to_timestamp($25::float8 / 1000), n.ruleset, n.verdicts, to_timestamp(n.deferred_ms / 1000), to_timestamp(n.clear_ms / 1000), n.seal
		from n
	), waiting as (
		insert into lane_entries (tenant_id, message_id, environment, route_id, class, due_at, expires_at, seal)
		select n.tenant_id, n.id, n.environment, n.route_id, n.class, to_timestamp(n.due_ms / 1000), to_timestamp(n.expires_ms / 1000), n.seal
		from n where n.route_id is not null and n.batch_id is null
	), leased as (
		insert into dispatch_batches (id, owner, lease_until, tenant_id, route_id, message_ids, started_at)
		select n.batch_id, $26::uuid, to_timestamp($27::float8 / 1000), n.tenant_id, n.route_id, array_agg(n.id),
			case when n.batch_id = any ($28::uuid[]) then to_timestamp($25::float8 / 1000) end
		from n where n.batch_id is not null and n.seal is not null group by n.batch_id, n.tenant_id, n.route_id
	), digested as (
		insert into message_digests (tenant_id, id, environment, message_ids, leaves, root)
		select e.tenant_id, e.id, e.environment, ($1::uuid[])[e.first:e.last], e.leaves, e.root from e
	)
	insert into outbox (tenant_id, id, environment, topic, refs, created_at)
	select e.tenant_id, e.id, e.environment, 'sms', e.refs, to_timestamp($25::float8 / 1000) from e where e.refs <> '[]'`,
);

/** What acceptance decided for one tenant's environment. */
export interface JudgedGroup extends MessageGroup<JudgedMessage> {
	/** References of the outbox row, which has the id of the row of hashes: [message id, event id, state rank]. */
	readonly events: readonly (readonly [string, string, number])[];
}

/** Stores messages as acceptance decided; each tenant's environment is there once. */
export function insertJudged(
	tx: Tx,
	nowMs: number,
	judged: readonly JudgedGroup[],
	lease: Lease | undefined,
): void {
	const groups = judged.filter((group) => group.rows.length > 0);
	const rows = groups.flatMap((group) => group.rows);
	if (rows.length === 0) return;
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
		...scopeColumns(groups),
		nowMs,
		lease?.owner ?? null,
		lease?.untilMs ?? null,
		lease?.startedIds ?? [],
		...digestColumns(groups, nowMs),
		texts(groups.map(({ events }) => JSON.stringify(events))),
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
