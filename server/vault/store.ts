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

const setContactEpochStatement = sql(
	"vault.set_contact_epoch",
	"select wx.set_contact_epoch($1, $2, to_timestamp($3::float8 / 1000))",
);

/** Every contact key of the tenant is wrapped under this epoch or a later one. Never goes back. */
export function setContactEpoch(tx: Tx, tenantId: string, epoch: number, nowMs: number): void {
	tx.post(setContactEpochStatement, [tenantId, epoch, nowMs]);
}
