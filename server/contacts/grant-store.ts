/** SQL of consent that comes with a send: a batch of grants, kept only where nothing newer is known. */
import { type Scope, sql, type Tx } from "#platform/db.ts";

export interface GrantRow {
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
	select $1::uuid, g.id, $2::text, g.address_index, 'sms', 'all', true, to_timestamp(g.consented_ms / 1000), g.sealed, to_timestamp($3::float8 / 1000)
	from unnest($4::uuid[], $5::bytea[], $6::float8[], $7::bytea[]) as g (id, address_index, consented_ms, sealed)
	where not exists (
		select 1 from consent_statements c where c.tenant_id = $1::uuid and c.environment = $2::text and c.channel = 'sms'
			and c.address_index = g.address_index and c.consented_at >= to_timestamp(g.consented_ms / 1000)
		offset 0
	)`,
);

/** One row per address: the caller leaves doubles out. */
export function insertGrants(tx: Tx, scope: Scope, nowMs: number, rows: readonly GrantRow[]): void {
	if (rows.length === 0) return;
	tx.post(insertStatement, [
		scope.tenantId,
		scope.environment,
		nowMs,
		rows.map((row) => row.id),
		rows.map((row) => row.addressIndex),
		rows.map((row) => row.consentedAtMs),
		rows.map((row) => row.sealed),
	]);
}
