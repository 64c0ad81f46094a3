/** SQL of suppressions that have no index of their own yet. Under the worker's role. */
import { type Environment, sql, type Tx } from "#platform/db.ts";
import { zeroId } from "#platform/page.ts";

const tenantsStatement = sql(
	"contacts.tenants_to_reindex",
	`select tenant_id as "tenantId" from wx.tenants_to_reindex($1, $2)`,
);

/** Tenants that have such rows, in order, behind `after`. */
export async function tenantsToReindex(
	tx: Tx,
	after: string | undefined,
	most: number,
): Promise<string[]> {
	const rows = await tx.query<{ tenantId: string }>(tenantsStatement, [after ?? zeroId, most]);
	return rows.map(({ tenantId }) => tenantId);
}

export interface OldSuppression {
	readonly id: string;
	readonly environment: Environment;
	readonly addressIndex: Buffer;
	readonly addressSealed: Buffer;
}

const oldStatement = sql(
	"contacts.old_suppressions",
	`select id, environment, address_index as "addressIndex", address_sealed as "addressSealed" from suppressions
	where tenant_id = $1 and ended_at is null and suppression_index is null and id > $2 order by id limit $3`,
);

/** A page of one tenant's, behind `after`. */
export function oldSuppressions(
	tx: Tx,
	tenantId: string,
	after: string | undefined,
	most: number,
): Promise<OldSuppression[]> {
	return tx.query(oldStatement, [tenantId, after ?? zeroId, most]);
}
