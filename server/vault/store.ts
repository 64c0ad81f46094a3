/** The vault's SQL: wrapped tenant keys, which are of no use without the root key. */
import { sql, type Tx } from "#platform/db.ts";

/** A tenant's key of one epoch as it is stored. */
export interface WrappedKey {
	readonly tenantId: string;
	readonly epoch: number;
	readonly wrapped: Buffer;
	readonly createdAtMs: number;
	/** The tenant's contact epoch as the database knows it; null before there was one. */
	readonly contactEpoch: number | null;
}

const keysOfTenants = sql(
	"vault.keys_of_tenants",
	`select tenant_id as "tenantId", epoch, wrapped, (extract(epoch from created_at) * 1000)::float8 as "createdAtMs",
		contact_epoch as "contactEpoch"
	from wx.keys_of_tenants($1::uuid[])`,
);

/** All epochs of all these tenants; unknown tenants are simply not there. Works under both roles. */
export function findWrappedKeys(tx: Tx, tenantIds: readonly string[]): Promise<WrappedKey[]> {
	return tx.query<WrappedKey>(keysOfTenants, [tenantIds]);
}

/** A tenant's key for suppressions as it is stored. */
export interface SuppressionKeyRow {
	readonly tenantId: string;
	readonly version: number;
	readonly wrapped: Buffer;
}

const suppressionKeysStatement = sql(
	"vault.suppression_keys_of",
	`select tenant_id as "tenantId", version, wrapped from wx.suppression_keys_of($1::uuid[])`,
);

/** Of all these tenants; those that have none yet are not there. Works under both roles. */
export function findSuppressionKeys(
	tx: Tx,
	tenantIds: readonly string[],
): Promise<SuppressionKeyRow[]> {
	return tx.query<SuppressionKeyRow>(suppressionKeysStatement, [tenantIds]);
}

const offerSuppressionKeyStatement = sql(
	"vault.offer_suppression_key",
	"select wx.offer_suppression_key($1, $2, $3, to_timestamp($4::float8 / 1000))",
);

/** Of two who make a tenant's key the first wins. */
export function offerSuppressionKey(tx: Tx, row: SuppressionKeyRow, nowMs: number): void {
	tx.post(offerSuppressionKeyStatement, [row.tenantId, row.version, row.wrapped, nowMs]);
}

const setContactEpochStatement = sql(
	"vault.set_contact_epoch",
	"select wx.set_contact_epoch($1, $2, to_timestamp($3::float8 / 1000))",
);

/** Every contact key of the tenant is wrapped under this epoch or a later one. Never goes back. */
export function setContactEpoch(tx: Tx, tenantId: string, epoch: number, nowMs: number): void {
	tx.post(setContactEpochStatement, [tenantId, epoch, nowMs]);
}
