/** SQL of rotating keys and of erasures. Under the worker's role, but for erasing itself, which is the tenant's act. */
import { type Scope, sql, type Tx } from "#platform/db.ts";

export interface TenantKeyRow {
	readonly tenantId: string;
	readonly epoch: number;
	readonly wrapped: Buffer;
	readonly createdAtMs: number;
}

const tenantKeysAfterStatement = sql(
	"vault.tenant_keys_after",
	`select tenant_id as "tenantId", epoch, wrapped, (extract(epoch from created_at) * 1000)::float8 as "createdAtMs"
	from wx.tenant_keys_after($1, $2, $3)`,
);

/** A page of all tenants' keys behind this one. */
export function tenantKeysAfter(
	tx: Tx,
	after: Pick<TenantKeyRow, "tenantId" | "epoch"> | undefined,
	most: number,
): Promise<TenantKeyRow[]> {
	const from = after ?? { tenantId: "00000000-0000-0000-0000-000000000000", epoch: 0 };
	return tx.query(tenantKeysAfterStatement, [from.tenantId, from.epoch, most]);
}

const rewrapTenantKeyStatement = sql(
	"vault.rewrap_tenant_key",
	"select wx.rewrap_tenant_key($1, $2, $3, $4)",
);

/** Only if it is still wrapped as it was read. */
export function rewrapTenantKey(tx: Tx, row: TenantKeyRow, wrapped: Buffer): void {
	tx.post(rewrapTenantKeyStatement, [row.tenantId, row.epoch, row.wrapped, wrapped]);
}

const suppressionKeysAfterStatement = sql(
	"vault.suppression_keys_after",
	`select tenant_id as "tenantId", version as epoch, wrapped, (extract(epoch from created_at) * 1000)::float8 as "createdAtMs"
	from wx.suppression_keys_after($1, $2, $3)`,
);

/** A page of all tenants' keys for suppressions behind this one; `epoch` is the key's version. */
export function suppressionKeysAfter(
	tx: Tx,
	after: Pick<TenantKeyRow, "tenantId" | "epoch"> | undefined,
	most: number,
): Promise<TenantKeyRow[]> {
	const from = after ?? { tenantId: "00000000-0000-0000-0000-000000000000", epoch: 0 };
	return tx.query(suppressionKeysAfterStatement, [from.tenantId, from.epoch, most]);
}

const rewrapSuppressionKeyStatement = sql(
	"vault.rewrap_suppression_key",
	"select wx.rewrap_suppression_key($1, $2, $3, $4)",
);

/** Only if it is still wrapped as it was read. */
export function rewrapSuppressionKey(tx: Tx, row: TenantKeyRow, wrapped: Buffer): void {
	tx.post(rewrapSuppressionKeyStatement, [row.tenantId, row.epoch, row.wrapped, wrapped]);
}

const addTenantKeyStatement = sql(
	"vault.add_tenant_key",
	"select wx.add_tenant_key($1, $2, $3, to_timestamp($4::float8 / 1000))",
);

export function addTenantKey(tx: Tx, row: TenantKeyRow): void {
	tx.post(addTenantKeyStatement, [row.tenantId, row.epoch, row.wrapped, row.createdAtMs]);
}

// Erasures --------------------------------------------------------------------------------------------------------

const eraseStatement = sql(
	"vault.erase_person",
	"select wx.erase_person($1, $2, $3, $4, to_timestamp($5::float8 / 1000))",
);

export function eraseContact(
	tx: Tx,
	erasure: {
		readonly id: string;
		readonly index: Buffer;
		/** The index that suppressions are found by; undefined if it is not known. */
		readonly suppressionIndex: Buffer | undefined;
		readonly epoch: number;
		readonly atMs: number;
	},
): Promise<unknown> {
	const { id, index, suppressionIndex = null, epoch, atMs } = erasure;
	return tx.query(eraseStatement, [id, index, suppressionIndex, epoch, atMs]);
}

export interface ErasureRow {
	readonly id: string;
	readonly epoch: number;
	readonly keyDigest: Buffer | null;
	readonly statements: number;
	readonly suppressions: number;
	readonly parts: number;
	readonly erasedAt: Date;
	readonly completedAt: Date | null;
}

const findErasureStatement = sql(
	"vault.find_erasure",
	`select id, epoch, key_digest as "keyDigest", statements, suppressions, parts, erased_at as "erasedAt", completed_at as "completedAt"
	from contact_erasures where tenant_id = $1 and environment = $2 and id = $3`,
);

export async function findErasure(
	tx: Tx,
	scope: Scope,
	id: string,
): Promise<ErasureRow | undefined> {
	const values = [scope.tenantId, scope.environment, id];
	return (await tx.query<ErasureRow>(findErasureStatement, values))[0];
}

const forgetAddressesStatement = sql(
	"vault.forget_suppressed_addresses",
	`update suppressions s set address_index = null
	from contact_erasures e
	where e.tenant_id = $1 and e.epoch < $2 and e.completed_at is null and s.tenant_id = e.tenant_id and s.environment = e.environment
		and s.address_index = e.contact_index and s.suppression_index is not null and s.address_sealed = ''`,
);

const completeStatement = sql(
	"vault.complete_erasures",
	`update contact_erasures set completed_at = to_timestamp($3::float8 / 1000)
	where tenant_id = $1 and epoch < $2 and completed_at is null`,
);

/** Every epoch before `oldest` is destroyed: what was erased in them is gone, in backups too. */
export function completeErasures(tx: Tx, tenantId: string, oldest: number, nowMs: number): void {
	// Their suppressions stay, under the index of their own only.
	tx.post(forgetAddressesStatement, [tenantId, oldest]);
	tx.post(completeStatement, [tenantId, oldest, nowMs]);
}

const waitingStatement = sql(
	"vault.erasures_waiting",
	`select tenant_id as "tenantId", (extract(epoch from oldest) * 1000)::float8 as "oldestMs", waiting from wx.erasures_waiting($1)`,
);

export interface Waiting {
	readonly tenantId: string;
	readonly oldestMs: number;
	readonly waiting: number;
}

/** Tenants with erasures that backups could still undo, the longest waiting first. */
export function erasuresWaiting(tx: Tx, most: number): Promise<Waiting[]> {
	return tx.query(waitingStatement, [most]);
}

const missingStatement = sql(
	"vault.erasures_missing",
	"select id from wx.erasures_missing($1::uuid[], $2::uuid[])",
);

/** Which of these erasures the database does not know. */
export async function erasuresMissing(
	tx: Tx,
	erasures: readonly { readonly tenantId: string; readonly id: string }[],
): Promise<Set<string>> {
	const rows = await tx.query<{ id: string }>(missingStatement, [
		erasures.map((one) => one.tenantId),
		erasures.map((one) => one.id),
	]);
	return new Set(rows.map(({ id }) => id));
}

const openStatement = sql(
	"vault.erasures_open",
	"select id from wx.erasures_open($1::uuid[], $2::uuid[])",
);

/** Which of these erasures the database does not know, or has not completed. */
export async function erasuresOpen(
	tx: Tx,
	erasures: readonly { readonly tenantId: string; readonly id: string }[],
): Promise<Set<string>> {
	const rows = await tx.query<{ id: string }>(openStatement, [
		erasures.map((one) => one.tenantId),
		erasures.map((one) => one.id),
	]);
	return new Set(rows.map(({ id }) => id));
}

const behindStatement = sql(
	"vault.contact_epochs_behind",
	`select tenant_id as "tenantId" from wx.contact_epochs_behind($1::uuid[], $2::integer[])`,
);

/** Tenants whose contact keys in the database are of an epoch that was destroyed. */
export async function contactEpochsBehind(
	tx: Tx,
	tenants: readonly { readonly tenantId: string; readonly oldest: number }[],
): Promise<string[]> {
	const rows = await tx.query<{ tenantId: string }>(behindStatement, [
		tenants.map((one) => one.tenantId),
		tenants.map((one) => one.oldest),
	]);
	return rows.map(({ tenantId }) => tenantId);
}
