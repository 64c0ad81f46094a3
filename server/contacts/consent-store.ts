/**
 * SQL of consent statements: appended, never changed, never deleted. The newest of an address holds.
 */
import { type Scope, sql, type Tx } from "#platform/db.ts";
import { boundsOf, lastId, type Listed, lookMax, type PageQuery, zeroId } from "#platform/page.ts";
import { newestFirst } from "./store.ts";

export interface StatementRow {
	readonly id: string;
	readonly addressIndex: Buffer;
	readonly coverage: "all" | "non_transactional";
	readonly granted: boolean;
	readonly consentedAt: number;
	readonly sealed: Buffer;
	readonly recordedAt: number;
}

export interface NewStatement extends Omit<StatementRow, "recordedAt"> {
	readonly recordedAtMs: number;
}

const lockAddressStatement = sql(
	"contacts.lock_address",
	"select pg_advisory_xact_lock(hashtextextended($1::text || encode($2::bytea, 'hex'), 0))",
);

/** Until the end of the transaction nobody else states anything about this address. */
export function lockAddress(tx: Tx, scope: Scope, index: Buffer): void {
	tx.post(lockAddressStatement, [`${scope.tenantId}/${scope.environment}/`, index]);
}

const statementColumns = `c.id, c.address_index as "addressIndex", c.coverage, c.granted, c.sealed,
	(extract(epoch from c.consented_at) * 1000)::float8 as "consentedAt",
	(extract(epoch from c.recorded_at) * 1000)::float8 as "recordedAt"`;

const newestStatementStatement = sql(
	"contacts.newest_statement",
	`select ${statementColumns} from consent_statements c
	where c.tenant_id = $1 and c.environment = $2 and c.channel = 'sms' and c.address_index = $3
	order by ${newestFirst("c")} limit 1`,
);

export async function newestStatement(
	tx: Tx,
	scope: Scope,
	index: Buffer,
): Promise<StatementRow | undefined> {
	const values = [scope.tenantId, scope.environment, index];
	return (await tx.query<StatementRow>(newestStatementStatement, values))[0];
}

const insertStatementsStatement = sql(
	"contacts.insert_statements",
	`insert into consent_statements (tenant_id, environment, channel, id, address_index, coverage, granted, consented_at, sealed, recorded_at)
	select $1, $2, 'sms', n.id, n.address_index, n.coverage, n.granted, to_timestamp(n.consented_ms / 1000), n.sealed, to_timestamp(n.recorded_ms / 1000)
	from unnest($3::uuid[], $4::bytea[], $5::text[], $6::boolean[], $7::float8[], $8::bytea[], $9::float8[])
		as n (id, address_index, coverage, granted, consented_ms, sealed, recorded_ms)`,
);

export function insertStatements(tx: Tx, scope: Scope, rows: readonly NewStatement[]): void {
	tx.post(insertStatementsStatement, [
		scope.tenantId,
		scope.environment,
		rows.map((row) => row.id),
		rows.map((row) => row.addressIndex),
		rows.map((row) => row.coverage),
		rows.map((row) => row.granted),
		rows.map((row) => row.consentedAt),
		rows.map((row) => row.sealed),
		rows.map((row) => row.recordedAtMs),
	]);
}

const currentOnly = `c.id = (
	select o.id from consent_statements o
	where o.tenant_id = c.tenant_id and o.environment = c.environment and o.channel = c.channel
		and o.address_index = c.address_index
	order by ${newestFirst("o")} limit 1
)`;

const list = (name: string, order: "asc" | "desc") =>
	sql(
		`contacts.list_current${name}`,
		`select ${statementColumns} from consent_statements c
		where c.tenant_id = $1 and c.environment = $2 and c.channel = 'sms' and c.id < $3 and c.id > $4 and ${currentOnly}
		order by c.id ${order} limit $5`,
	);
const lists = { newest: list("", "desc"), oldest: list("_before", "asc") };
const edgeStatement = sql(
	"contacts.statements_edge",
	"select id from wx.statements_edge($1, $2, $3, $4) as id",
);

/**
 * The statement that holds, one per address, newest first; with `before`, nearest first. Among the next `lookMax` of the
 * tenant, of both its environments; a person's own at once.
 */
export async function listCurrent(
	tx: Tx,
	scope: Scope,
	index: Buffer | undefined,
	page: PageQuery,
): Promise<Listed<StatementRow>> {
	const backwards = page.before !== undefined;
	const asked = { before: page.after ?? lastId, after: page.before ?? zeroId };
	if (index !== undefined) {
		const row = await newestStatement(tx, scope, index);
		const isThere = row !== undefined && row.id < asked.before && row.id > asked.after;
		return { rows: isThere ? [row] : [], lookedTo: undefined };
	}
	const look = [asked.before, asked.after, lookMax, backwards];
	const edge = await tx.query<{ id: string }>(edgeStatement, look);
	const { before, after, lookedTo } = boundsOf(asked, backwards, edge);
	const values = [scope.tenantId, scope.environment, before, after, page.limit];
	const rows = await tx.query<StatementRow>(backwards ? lists.oldest : lists.newest, values);
	return { rows, lookedTo };
}
