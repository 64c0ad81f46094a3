/**
 * SQL of suppressions, which are ended and never deleted, and of the facts that the message path asks
 * for (the rest of consent is in consent-store.ts). The gatherers at the top serve the message path under
 * both roles: they take arrays, and nothing they read is ever cached.
 */
import { type Environment, type Scope, sql, type Tx } from "#platform/db.ts";
import { byteas, texts, uuids } from "#platform/db-arrays.ts";
import { boundsOf, lastId, type Listed, lookMax, type PageQuery, zeroId } from "#platform/page.ts";

export interface IndexKey {
	readonly tenantId: string;
	readonly environment: Environment;
	/** Blind index, 32 bytes. */
	readonly index: Buffer;
}

/** An address by both of its indexes: what is known of the person is found by one, suppressions by the other. */
export interface AddressKey extends IndexKey {
	/** Under the key of suppressions, 32 bytes. */
	readonly suppressionIndex: Buffer;
}

export function factKey(key: IndexKey): string {
	return `${key.tenantId}/${key.environment}/${key.index.toString("base64")}`;
}

/**
 * The order of one address's statements: later consent first; a revocation beats a grant of the same
 * moment. Not the order of ids: two processes' clocks may differ by more than two statements do.
 */
export const newestFirst = (c: string): string =>
	`${c}.consented_at desc, ${c}.granted asc, ${c}.id desc`;

/** `offset 0`: one look into an index for each address, or PostgreSQL reads and hashes all that the tenant ever suppressed. */
const suppressedAmongStatement = sql(
	"contacts.suppressed_among",
	`select k.ord from unnest($1::uuid[], $2::text[], $3::bytea[], $4::bytea[]) with ordinality
		as k (tenant_id, environment, address_index, suppression_index, ord)
	where exists (
		select 1 from suppressions s
		where s.tenant_id = k.tenant_id and s.environment = k.environment and s.channel = 'sms'
			and s.suppression_index = k.suppression_index and s.ended_at is null offset 0
	) or ((select exists (
		select 1 from suppressions o where o.tenant_id = any ($1::uuid[]) and o.suppression_index is null and o.ended_at is null
	)) and exists (
		select 1 from suppressions s
		where s.tenant_id = k.tenant_id and s.environment = k.environment and s.channel = 'sms'
			and s.address_index = k.address_index and s.suppression_index is null and s.ended_at is null offset 0
	)) or exists (
		select 1 from consent_statements c
		where c.tenant_id = k.tenant_id and c.environment = k.environment and c.address_index = k.address_index
			and not c.granted and c.coverage = 'all' and c.channel = 'sms' and not exists (
				select 1 from consent_statements n
				where n.tenant_id = c.tenant_id and n.environment = c.environment and n.channel = 'sms'
					and n.address_index = c.address_index and n.consented_at > c.consented_at offset 0
			) offset 0
	)`,
);

/**
 * Which of these addresses must get nothing at all: a suppression is in force, or the newest
 * statement revokes consent to everything. By position in `keys`. Suppressions that have no index of their own yet are
 * looked for only while there are any.
 */
export async function suppressedAmong(
	tx: Tx,
	keys: readonly AddressKey[],
): Promise<ReadonlySet<number>> {
	if (keys.length === 0) return new Set();
	const rows = await tx.query<{ ord: number }>(suppressedAmongStatement, bothOf(keys));
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
		order by ${newestFirst("c")} limit 1
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

function bothOf(keys: readonly AddressKey[]): unknown[] {
	return [...columnsOf(keys), byteas(keys.map((key) => key.suppressionIndex))];
}

// Suppressions ------------------------------------------------------------------------------------

export const suppressionReasons = ["stop", "manual", "complaint"] as const;
export type SuppressionReason = (typeof suppressionReasons)[number];

export interface SuppressionFilter {
	readonly address?: AddressKey | undefined;
	readonly reason?: SuppressionReason | undefined;
}

export interface SuppressionRow {
	readonly id: string;
	/** Null when the person was erased, for good. */
	readonly addressIndex: Buffer | null;
	readonly addressSealed: Buffer;
	readonly reason: SuppressionReason;
	readonly createdAt: number;
	readonly endedAt: number | null;
	readonly endedReason: "start" | "manual" | null;
}

export interface NewSuppression extends AddressKey {
	readonly id: string;
	readonly addressSealed: Buffer;
	readonly reason: SuppressionReason;
	readonly atMs: number;
}

const insertSuppressionsStatement = sql(
	"contacts.insert_suppressions",
	`insert into suppressions (tenant_id, environment, channel, address_index, suppression_index, id, address_sealed, reason, created_at)
	select n.tenant_id, n.environment, 'sms', n.address_index, n.suppression_index, n.id, n.address_sealed, n.reason, to_timestamp(n.at_ms / 1000)
	from unnest($1::uuid[], $2::text[], $3::bytea[], $4::bytea[], $5::uuid[], $6::bytea[], $7::text[], $8::float8[])
		as n (tenant_id, environment, address_index, suppression_index, id, address_sealed, reason, at_ms)
	on conflict do nothing returning id`,
);

/** Returns the ids of those that are new; an address already suppressed for the reason stays as it is. */
export async function insertSuppressions(
	tx: Tx,
	rows: readonly NewSuppression[],
): Promise<string[]> {
	if (rows.length === 0) return [];
	// What is there already gets its index: now the number is known.
	indexSuppressions(tx, rows);
	const inserted = await tx.query<{ id: string }>(insertSuppressionsStatement, [
		...bothOf(rows),
		rows.map((row) => row.id),
		rows.map((row) => row.addressSealed),
		rows.map((row) => row.reason),
		rows.map((row) => row.atMs),
	]);
	return inserted.map(({ id }) => id);
}

const endByStartStatement = sql(
	"contacts.end_by_start",
	`with said as (
		select * from unnest($1::uuid[], $2::text[], $3::bytea[], $4::bytea[], $5::float8[])
			as n (tenant_id, environment, address_index, suppression_index, at_ms)
	), found as materialized (
		select n.tenant_id, f.id, n.at_ms from said n cross join lateral (
			select s.id from suppressions s where s.tenant_id = n.tenant_id and s.environment = n.environment
				and s.channel = 'sms' and s.suppression_index = n.suppression_index and s.reason = 'stop' and s.ended_at is null
			union all
			select s.id from suppressions s where s.tenant_id = n.tenant_id and s.environment = n.environment
				and s.channel = 'sms' and s.address_index = n.address_index and s.suppression_index is null and s.reason = 'stop' and s.ended_at is null
			offset 0
		) f
	)
	update suppressions s set ended_at = to_timestamp(f.at_ms / 1000), ended_reason = 'start'
	from found f where s.tenant_id = f.tenant_id and s.id = f.id and s.ended_at is null
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
	rows: readonly (AddressKey & { readonly atMs: number })[],
): Promise<EndedSuppression[]> {
	if (rows.length === 0) return [];
	const values = [...bothOf(rows), rows.map((row) => row.atMs)];
	return tx.query<EndedSuppression>(endByStartStatement, values);
}

const suppressionColumns = `id, address_index as "addressIndex", address_sealed as "addressSealed", reason,
	(extract(epoch from created_at) * 1000)::float8 as "createdAt",
	(extract(epoch from ended_at) * 1000)::float8 as "endedAt", ended_reason as "endedReason"`;

const inForce =
	"s.tenant_id = $1 and s.environment = $2 and s.channel = 'sms' and s.ended_at is null";
const onPage = "s.id < $3 and s.id > $4 and s.reason = any ($5::text[])";
const list = (name: string, order: "asc" | "desc") => ({
	all: sql(
		`contacts.list_suppressions${name}`,
		`select ${suppressionColumns} from suppressions s where ${inForce} and ${onPage} order by s.id ${order} limit $6`,
	),
	// Found by the person, whatever the planner thinks of the page's bounds.
	ofPerson: sql(
		`contacts.suppressions_of_person${name}`,
		`select ${suppressionColumns} from (
			select * from suppressions s where ${inForce} and s.suppression_index = $7
			union all select * from suppressions s where ${inForce} and s.suppression_index is null and s.address_index = $8
			offset 0
		) s where ${onPage} order by s.id ${order} limit $6`,
	),
});
const lists = { newest: list("", "desc"), oldest: list("_before", "asc") };
const edgeStatement = sql(
	"contacts.suppressions_edge",
	"select id from wx.suppressions_edge($1, $2, $3, $4) as id",
);

/**
 * In force only, newest first; with `before`, nearest first. Among the next `lookMax` of the tenant, of both its environments
 * and ended ones too; a person's own at once.
 */
export async function listSuppressions(
	tx: Tx,
	{ tenantId, environment }: Scope,
	{ address, reason }: SuppressionFilter,
	page: PageQuery,
): Promise<Listed<SuppressionRow>> {
	const backwards = page.before !== undefined;
	const { all, ofPerson } = backwards ? lists.oldest : lists.newest;
	const asked = { before: page.after ?? lastId, after: page.before ?? zeroId };
	const valuesOf = ({ before, after }: typeof asked) => [
		tenantId,
		environment,
		before,
		after,
		reason === undefined ? suppressionReasons : [reason],
		page.limit,
	];
	if (address !== undefined) {
		const values = [...valuesOf(asked), address.suppressionIndex, address.index];
		return { rows: await tx.query(ofPerson, values), lookedTo: undefined };
	}
	const look = [asked.before, asked.after, lookMax, backwards];
	const bounds = boundsOf(asked, backwards, await tx.query<{ id: string }>(edgeStatement, look));
	return { rows: await tx.query(all, valuesOf(bounds)), lookedTo: bounds.lookedTo };
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

const indexSuppressionsStatement = sql(
	"contacts.index_suppressions",
	`update suppressions s set suppression_index = n.suppression_index
	from unnest($1::uuid[], $2::text[], $3::bytea[], $4::bytea[]) as n (tenant_id, environment, address_index, suppression_index)
	where s.tenant_id = n.tenant_id and s.environment = n.environment and s.channel = 'sms'
		and s.address_index = n.address_index and s.suppression_index is null and s.ended_at is null and not exists (
			select 1 from suppressions o where o.tenant_id = s.tenant_id and o.environment = s.environment and o.channel = s.channel
				and o.suppression_index = n.suppression_index and o.reason = s.reason and o.ended_at is null offset 0
		)`,
);

/** Gives suppressions of before the index they are found by from now on, unless another holds it for the same reason. */
export function indexSuppressions(tx: Tx, keys: readonly AddressKey[]): void {
	if (keys.length > 0) tx.post(indexSuppressionsStatement, bothOf(keys));
}

export function endManually(tx: Tx, scope: Scope, id: string, atMs: number): void {
	tx.post(endManuallyStatement, [scope.tenantId, scope.environment, id, atMs]);
}
