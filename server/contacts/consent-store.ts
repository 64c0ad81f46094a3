/**
 * SQL of consent statements: appended, never changed, never deleted. The newest of an address holds.
 */
import { type Scope, sql, type Tx } from "#platform/db.ts";
import type { PageQuery } from "#platform/page.ts";
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
	order by ${newestFirst} limit 1`,
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

const currentOnly = `not exists (
	select 1 from consent_statements o
	where o.tenant_id = c.tenant_id and o.environment = c.environment and o.channel = c.channel
		and o.address_index = c.address_index
		and (o.consented_at, not o.granted, o.id) > (c.consented_at, not c.granted, c.id)
)`;

const listCurrentStatement = sql(
	"contacts.list_current",
	`select ${statementColumns} from consent_statements c
	where c.tenant_id = $1 and c.environment = $2 and c.channel = 'sms'
		and ($3::bytea is null or c.address_index = $3) and ($4::uuid is null or c.id < $4) and ${currentOnly}
	order by c.id desc limit $5`,
);
const listCurrentBeforeStatement = sql(
	"contacts.list_current_before",
	`select ${statementColumns} from consent_statements c
	where c.tenant_id = $1 and c.environment = $2 and c.channel = 'sms'
		and ($3::bytea is null or c.address_index = $3) and c.id > $4::uuid and ${currentOnly}
	order by c.id asc limit $5`,
);

/** The statement that holds, one per address, newest first; with `before`, nearest first. */
export function listCurrent(
	tx: Tx,
	scope: Scope,
	index: Buffer | undefined,
	page: PageQuery,
): Promise<StatementRow[]> {
	const statement = page.before === undefined ? listCurrentStatement : listCurrentBeforeStatement;
	const from = page.before ?? page.after ?? null;
	return tx.query(statement, [scope.tenantId, scope.environment, index ?? null, from, page.limit]);
}
