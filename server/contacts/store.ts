/**
 * SQL of suppressions, which are ended and never deleted, and of the facts that the message path asks
 * for (the rest of consent is in consent-store.ts). The gatherers at the top serve the message path under
 * both roles: they take arrays, and nothing they read is ever cached.
 */
import { type Environment, type Scope, sql, type Tx } from "#platform/db.ts";
import { byteas, texts, uuids } from "#platform/db-arrays.ts";
import type { PageQuery } from "#platform/page.ts";

export interface IndexKey {
	readonly tenantId: string;
	readonly environment: Environment;
	/** Blind index, 32 bytes. */
	readonly index: Buffer;
}

export function factKey(key: IndexKey): string {
	return `${key.tenantId}/${key.environment}/${key.index.toString("base64")}`;
}

/**
 * The order of one address's statements: later consent first; a revocation beats a grant of the same
 * moment. Not the order of ids: two processes' clocks may differ by more than two statements do.
 */
export const newestFirst = "c.consented_at desc, c.granted asc, c.id desc";

const suppressedAmongStatement = sql(
	"contacts.suppressed_among",
	`select k.ord from unnest($1::uuid[], $2::text[], $3::bytea[]) with ordinality as k (tenant_id, environment, address_index, ord)
	where exists (
		select 1 from suppressions s
		where s.tenant_id = k.tenant_id and s.environment = k.environment and s.channel = 'sms'
			and s.address_index = k.address_index and s.ended_at is null
	) or exists (
		select 1 from consent_statements c
		where c.tenant_id = k.tenant_id and c.environment = k.environment and c.address_index = k.address_index
			and not c.granted and c.coverage = 'all' and c.channel = 'sms' and not exists (
				select 1 from consent_statements n
				where n.tenant_id = c.tenant_id and n.environment = c.environment and n.channel = 'sms'
					and n.address_index = c.address_index and n.consented_at > c.consented_at
			)
	)`,
);

/**
 * Which of these addresses must get nothing at all: a suppression is in force, or the newest
 * statement revokes consent to everything. By position in `keys`.
 */
export async function suppressedAmong(
	tx: Tx,
	keys: readonly IndexKey[],
): Promise<ReadonlySet<number>> {
	if (keys.length === 0) return new Set();
	const rows = await tx.query<{ ord: number }>(suppressedAmongStatement, columnsOf(keys));
	return new Set(rows.map(({ ord }) => ord - 1));
}

const consentAmongStatement = sql(
	"contacts.consent_among",
	`select k.ord, n.granted
	from unnest($1::uuid[], $2::text[], $3::bytea[]) with ordinality as k (tenant_id, environment, address_index, ord)
	cross join lateral (
		select c.granted from consent_statements c
		where c.tenant_id = k.tenant_id and c.environment = k.environment and c.channel = 'sms'
			and c.address_index = k.address_index
		order by ${newestFirst} limit 1
	) n`,
);

/**
 * What the newest statement of each address says about promotion (both coverages include it), by
 * position in `keys`; an address without a statement is not there.
 */
export async function consentAmong(
	tx: Tx,
	keys: readonly IndexKey[],
): Promise<ReadonlyMap<number, boolean>> {
	if (keys.length === 0) return new Map();
	const rows = await tx.query<{ ord: number; granted: boolean }>(
		consentAmongStatement,
		columnsOf(keys),
	);
	return new Map(rows.map(({ ord, granted }) => [ord - 1, granted]));
}

function columnsOf(keys: readonly IndexKey[]): unknown[] {
	return [
		uuids(keys.map((key) => key.tenantId)),
		texts(keys.map((key) => key.environment)),
		byteas(keys.map((key) => key.index)),
	];
}

// Suppressions ------------------------------------------------------------------------------------

export type SuppressionReason = "stop" | "manual" | "complaint";

export interface SuppressionRow {
	readonly id: string;
	readonly addressIndex: Buffer;
	readonly addressSealed: Buffer;
	readonly reason: SuppressionReason;
	readonly createdAt: number;
	readonly endedAt: number | null;
	readonly endedReason: "start" | "manual" | null;
}

export interface NewSuppression extends IndexKey {
	readonly id: string;
	readonly addressSealed: Buffer;
	readonly reason: SuppressionReason;
	readonly atMs: number;
}

const insertSuppressionsStatement = sql(
	"contacts.insert_suppressions",
	`insert into suppressions (tenant_id, environment, channel, address_index, id, address_sealed, reason, created_at)
	select n.tenant_id, n.environment, 'sms', n.address_index, n.id, n.address_sealed, n.reason, to_timestamp(n.at_ms / 1000)
	from unnest($1::uuid[], $2::text[], $3::bytea[], $4::uuid[], $5::bytea[], $6::text[], $7::float8[])
		as n (tenant_id, environment, address_index, id, address_sealed, reason, at_ms)
	on conflict do nothing returning id`,
);

/** Returns the ids of those that are new; an address already suppressed for the reason stays as it is. */
export async function insertSuppressions(
	tx: Tx,
	rows: readonly NewSuppression[],
): Promise<string[]> {
	if (rows.length === 0) return [];
	const inserted = await tx.query<{ id: string }>(insertSuppressionsStatement, [
		...columnsOf(rows),
		rows.map((row) => row.id),
		rows.map((row) => row.addressSealed),
		rows.map((row) => row.reason),
		rows.map((row) => row.atMs),
	]);
	return inserted.map(({ id }) => id);
}

const endByStartStatement = sql(
	"contacts.end_by_start",
	`update suppressions s set ended_at = to_timestamp(n.at_ms / 1000), ended_reason = 'start'
	from unnest($1::uuid[], $2::text[], $3::bytea[], $4::float8[]) as n (tenant_id, environment, address_index, at_ms)
	where s.tenant_id = n.tenant_id and s.environment = n.environment and s.channel = 'sms'
		and s.address_index = n.address_index and s.ended_at is null and s.reason = 'stop'
	returning s.id, s.tenant_id as "tenantId", s.environment::text as environment`,
);

export interface EndedSuppression {
	readonly id: string;
	readonly tenantId: string;
	readonly environment: Environment;
}

/** Ends what the person's own stop began; returns the suppressions ended. */
export async function endByStart(
	tx: Tx,
	rows: readonly (IndexKey & { readonly atMs: number })[],
): Promise<EndedSuppression[]> {
	if (rows.length === 0) return [];
	const values = [...columnsOf(rows), rows.map((row) => row.atMs)];
	return tx.query<EndedSuppression>(endByStartStatement, values);
}

const suppressionColumns = `id, address_index as "addressIndex", address_sealed as "addressSealed", reason,
	(extract(epoch from created_at) * 1000)::float8 as "createdAt",
	(extract(epoch from ended_at) * 1000)::float8 as "endedAt", ended_reason as "endedReason"`;

const listSuppressionsStatement = sql(
	"contacts.list_suppressions",
	`select ${suppressionColumns} from suppressions
	where tenant_id = $1 and environment = $2 and channel = 'sms' and ended_at is null
		and ($3::bytea is null or address_index = $3) and ($4::text is null or reason = $4)
		and ($5::uuid is null or id < $5)
	order by id desc limit $6`,
);
const listSuppressionsBeforeStatement = sql(
	"contacts.list_suppressions_before",
	`select ${suppressionColumns} from suppressions
	where tenant_id = $1 and environment = $2 and channel = 'sms' and ended_at is null
		and ($3::bytea is null or address_index = $3) and ($4::text is null or reason = $4)
		and id > $5::uuid
	order by id asc limit $6`,
);

/** In force only, newest first; with `before`, nearest first. */
export function listSuppressions(
	tx: Tx,
	scope: Scope,
	filter: { readonly index?: Buffer | undefined; readonly reason?: SuppressionReason | undefined },
	page: PageQuery,
): Promise<SuppressionRow[]> {
	const statement =
		page.before === undefined ? listSuppressionsStatement : listSuppressionsBeforeStatement;
	const { tenantId, environment } = scope;
	const from = page.before ?? page.after ?? null;
	const { index = null, reason = null } = filter;
	return tx.query(statement, [tenantId, environment, index, reason, from, page.limit]);
}

const findSuppressionStatement = sql(
	"contacts.find_suppression",
	`select ${suppressionColumns} from suppressions where tenant_id = $1 and environment = $2 and channel = 'sms' and id = $3`,
);

export async function findSuppression(
	tx: Tx,
	scope: Scope,
	id: string,
): Promise<SuppressionRow | undefined> {
	const values = [scope.tenantId, scope.environment, id];
	return (await tx.query<SuppressionRow>(findSuppressionStatement, values))[0];
}

const endManuallyStatement = sql(
	"contacts.end_manually",
	`update suppressions set ended_at = to_timestamp($4::float8 / 1000), ended_reason = 'manual'
	where tenant_id = $1 and environment = $2 and id = $3 and ended_at is null and reason = 'manual'`,
);

export function endManually(tx: Tx, scope: Scope, id: string, atMs: number): void {
	tx.post(endManuallyStatement, [scope.tenantId, scope.environment, id, atMs]);
}
