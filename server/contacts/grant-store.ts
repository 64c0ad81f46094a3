/** SQL of consent that comes with a send: a batch of grants, kept only where nothing newer is known. */
import { type Scope, sql, type Tx } from "#platform/db.ts";
import { byteas, float8s, texts, uuids } from "#platform/db-arrays.ts";

export interface GrantRow {
	readonly scope: Scope;
	readonly id: string;
	readonly addressIndex: Buffer;
	readonly consentedAtMs: number;
	readonly sealed: Buffer;
}

/**
 * `offset 0` keeps the question one per row, answered by the index on the address. As a join it was planned, while the
 * table had no statistics, as all of the tenant's statements read for each of the batch's rows.
 */
const insertStatement = sql(
	"contacts.insert_grants",
	`insert into consent_statements (tenant_id, id, environment, address_index, channel, coverage, granted, consented_at, sealed, recorded_at)
	select g.tenant_id, g.id, g.environment, g.address_index, 'sms', 'all', true, to_timestamp(g.consented_ms / 1000), g.sealed,
		to_timestamp($1::float8 / 1000)
	from unnest($2::uuid[], $3::text[], $4::uuid[], $5::bytea[], $6::float8[], $7::bytea[])
		as g (tenant_id, environment, id, address_index, consented_ms, sealed)
	where not exists (
		select 1 from consent_statements c where c.tenant_id = g.tenant_id and c.environment = g.environment and c.channel = 'sms'
			and c.address_index = g.address_index and c.consented_at >= to_timestamp(g.consented_ms / 1000)
		offset 0
	)`,
);

/** One row for each person of a tenant's environment: the caller leaves doubles out. */
export function insertGrants(tx: Tx, nowMs: number, rows: readonly GrantRow[]): void {
	if (rows.length === 0) return;
	tx.post(insertStatement, [
		nowMs,
		uuids(rows.map(({ scope }) => scope.tenantId)),
		texts(rows.map(({ scope }) => scope.environment)),
		uuids(rows.map((row) => row.id)),
		byteas(rows.map((row) => row.addressIndex)),
		float8s(rows.map((row) => row.consentedAtMs)),
		byteas(rows.map((row) => row.sealed)),
	]);
}
