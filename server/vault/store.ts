/** The vault's SQL: wrapped tenant keys, which are of no use without the root key. */
import { sql, type Tx } from "#platform/db.ts";

/** A tenant's key of one epoch as it is stored. */
export interface WrappedKey {
	readonly tenantId: string;
	readonly epoch: number;
	readonly wrapped: Buffer;
}

const keysOfTenants = sql(
	"vault.keys_of_tenants",
	`select tenant_id as "tenantId", epoch, wrapped from wx.tenant_keys_of($1::uuid[])`,
);

/** All epochs of all these tenants; unknown tenants are simply not there. Works under both roles. */
export function findWrappedKeys(tx: Tx, tenantIds: readonly string[]): Promise<WrappedKey[]> {
	return tx.query<WrappedKey>(keysOfTenants, [tenantIds]);
}
