/** All SQL of access: tenants, API keys, operator keys. Texts arrive sealed, secrets as hashes. */
import { type Environment, type Scope, sql, type Tx } from "#platform/db.ts";
import { texts, uuids } from "#platform/db-arrays.ts";

// Authentication: before a tenant is known, by definer functions that answer only for ids asked ----------

export interface FoundKey {
	readonly id: string;
	/** Null for an operator's key. */
	readonly tenantId: string | null;
	readonly environment: Environment | null;
	readonly secretHash: Buffer;
	readonly scopes: readonly string[];
	readonly expiresAt: Date | null;
	readonly revokedAt: Date | null;
	readonly suspendedAt: Date | null;
}

const findKeysStatement = sql(
	"access.find_api_keys",
	`select id, tenant_id as "tenantId", environment, secret_hash as "secretHash", scopes, expires_at as "expiresAt",
		revoked_at as "revokedAt", suspended_at as "suspendedAt"
	from wx.find_api_keys($1::uuid[])`,
);

export function findApiKeys(tx: Tx, ids: readonly string[]): Promise<FoundKey[]> {
	return tx.query<FoundKey>(findKeysStatement, [ids]);
}

const findOperatorKeysStatement = sql(
	"access.find_operator_keys",
	`select id, null::uuid as "tenantId", null::text as environment, secret_hash as "secretHash", '{}'::text[] as scopes,
		expires_at as "expiresAt", revoked_at as "revokedAt", null::timestamptz as "suspendedAt"
	from wx.find_operator_keys($1::uuid[])`,
);

export function findOperatorKeys(tx: Tx, ids: readonly string[]): Promise<FoundKey[]> {
	return tx.query<FoundKey>(findOperatorKeysStatement, [ids]);
}

const validKeysStatement = sql(
	"access.valid_keys",
	`select a.ord from unnest($1::uuid[], $2::text[], $3::uuid[]) with ordinality as a (tenant_id, environment, id, ord)
	where exists (
		select 1 from api_keys k join tenants t using (tenant_id)
		where k.tenant_id = a.tenant_id and k.environment = a.environment and k.id = a.id
			and k.revoked_at is null and (k.expires_at is null or k.expires_at > $4) and t.suspended_at is null
		offset 0
	)`,
);

/** A key, and for whom it is used. */
export interface KeyInUse {
	readonly scope: Scope;
	readonly id: string;
}

/**
 * Those of these keys that may act at this moment, asked inside the transaction that acts: a key revoked (or a
 * tenant suspended) by another process is not among them, nor one of somebody else. `tx` must be in these tenants.
 */
export async function keysStillValid(
	tx: Tx,
	keys: readonly KeyInUse[],
	nowMs: number,
): Promise<KeyInUse[]> {
	const rows = await tx.query<{ ord: number }>(validKeysStatement, [
		uuids(keys.map(({ scope }) => scope.tenantId)),
		texts(keys.map(({ scope }) => scope.environment)),
		uuids(keys.map(({ id }) => id)),
		new Date(nowMs),
	]);
	return rows.map(({ ord }) => keys[ord - 1] as KeyInUse);
}

// API keys of a tenant --------------------------------------------------------------------------------------

export interface NewApiKey {
	readonly id: string;
	readonly environment: Environment;
	readonly secretHash: Buffer;
	readonly nameSealed: Buffer;
	readonly scopes: readonly string[];
	readonly expiresAtMs: number | undefined;
}

const insertKeysStatement = sql(
	"access.insert_keys",
	`insert into api_keys (tenant_id, id, environment, secret_hash, name_sealed, scopes, created_at, expires_at)
	select $1, k.id, k.environment, k.secret_hash, k.name_sealed, string_to_array(k.scopes, ' '), $2, k.expires_at
	from unnest($3::uuid[], $4::text[], $5::bytea[], $6::bytea[], $7::text[], $8::timestamptz[])
		as k (id, environment, secret_hash, name_sealed, scopes, expires_at)`,
);

export function insertApiKeys(
	tx: Tx,
	tenantId: string,
	keys: readonly NewApiKey[],
	nowMs: number,
): void {
	tx.post(insertKeysStatement, [
		tenantId,
		new Date(nowMs),
		keys.map((key) => key.id),
		keys.map((key) => key.environment),
		keys.map((key) => key.secretHash),
		keys.map((key) => key.nameSealed),
		keys.map((key) => key.scopes.join(" ")),
		keys.map((key) => (key.expiresAtMs === undefined ? null : new Date(key.expiresAtMs))),
	]);
}

const countKeysStatement = sql(
	"access.count_keys",
	`select count(*)::integer as count from api_keys
	where tenant_id = $1 and environment = $2 and revoked_at is null and (expires_at is null or expires_at > $3)`,
);

/** Keys that can still be used. */
export async function countApiKeys(tx: Tx, scope: Scope, nowMs: number): Promise<number> {
	const values = [scope.tenantId, scope.environment, new Date(nowMs)];
	const [row] = await tx.query<{ count: number }>(countKeysStatement, values);
	return row?.count ?? 0;
}

export interface ApiKeyRow {
	readonly id: string;
	readonly nameSealed: Buffer | null;
	readonly scopes: readonly string[];
	readonly createdAt: Date;
	readonly expiresAt: Date | null;
	readonly revokedAt: Date | null;
}

const keyColumns = `id, name_sealed as "nameSealed", scopes, created_at as "createdAt", expires_at as "expiresAt", revoked_at as "revokedAt"`;

const listKeysStatement = sql(
	"access.list_keys",
	`select ${keyColumns} from api_keys
	where tenant_id = $1 and environment = $2 and ($3::uuid is null or id < $3) order by id desc limit $4`,
);
const listNewerKeysStatement = sql(
	"access.list_newer_keys",
	`select ${keyColumns} from api_keys where tenant_id = $1 and environment = $2 and id > $3 order by id limit $4`,
);

/** Newest first, older than `after` when given. */
export function listApiKeys(
	tx: Tx,
	scope: Scope,
	after: string | undefined,
	most: number,
): Promise<ApiKeyRow[]> {
	const values = [scope.tenantId, scope.environment, after ?? null, most];
	return tx.query<ApiKeyRow>(listKeysStatement, values);
}

/** The next ones newer than `before`, oldest of them first. */
export function listNewerApiKeys(
	tx: Tx,
	scope: Scope,
	before: string,
	most: number,
): Promise<ApiKeyRow[]> {
	const values = [scope.tenantId, scope.environment, before, most];
	return tx.query<ApiKeyRow>(listNewerKeysStatement, values);
}

const revokeKeysStatement = sql(
	"access.revoke_keys",
	`update api_keys set revoked_at = coalesce(revoked_at, $4)
	where tenant_id = $1 and environment = $2 and id = any ($3::uuid[]) returning id`,
);

/** Revokes for good; the first time of revocation stays. Returns the ids that were found. */
export async function revokeApiKeys(
	tx: Tx,
	scope: Scope,
	ids: readonly string[],
	nowMs: number,
): Promise<string[]> {
	const values = [scope.tenantId, scope.environment, ids, new Date(nowMs)];
	return (await tx.query<{ id: string }>(revokeKeysStatement, values)).map((row) => row.id);
}

// Tenants and operator keys: definer functions ------------------------------------------------------------

const createTenantStatement = sql(
	"access.create_tenant",
	"select wx.create_tenant($1, $2, $3, $4)",
);

export function createTenantRow(
	tx: Tx,
	tenantId: string,
	nameSealed: Buffer,
	wrappedKey: Buffer,
	nowMs: number,
): Promise<unknown> {
	return tx.query(createTenantStatement, [tenantId, nameSealed, wrappedKey, new Date(nowMs)]);
}

export interface TenantRow {
	readonly tenantId: string;
	readonly nameSealed: Buffer;
	readonly suspendedAt: Date | null;
	readonly createdAt: Date;
}

const tenantColumns = `tenant_id as "tenantId", name_sealed as "nameSealed", suspended_at as "suspendedAt", created_at as "createdAt"`;

const listTenantsStatement = sql(
	"access.list_tenants",
	`select ${tenantColumns} from wx.list_tenants($1, $2)`,
);

/** Newest first, older than `after` when given. */
export function listTenantRows(
	tx: Tx,
	after: string | undefined,
	most: number,
): Promise<TenantRow[]> {
	return tx.query<TenantRow>(listTenantsStatement, [after ?? null, most]);
}

const readTenantStatement = sql(
	"access.read_tenant",
	`select ${tenantColumns} from tenants where tenant_id = $1`,
);

/** The tenant in whose scope `tx` is. */
export async function readTenantRow(tx: Tx, tenantId: string): Promise<TenantRow | undefined> {
	return (await tx.query<TenantRow>(readTenantStatement, [tenantId]))[0];
}

const suspendTenantStatement = sql(
	"access.suspend_tenant",
	"select wx.suspend_tenant($1, $2) as found",
);

/** Suspends at this time, or resumes when it is undefined. False when there is no such tenant. */
export async function setTenantSuspended(
	tx: Tx,
	tenantId: string,
	atMs: number | undefined,
): Promise<boolean> {
	const values = [tenantId, atMs === undefined ? null : new Date(atMs)];
	const [row] = await tx.query<{ found: number }>(suspendTenantStatement, values);
	return row?.found === 1;
}

const createOperatorKeyStatement = sql(
	"access.create_operator_key",
	"select wx.create_operator_key($1, $2, $3)",
);

export function insertOperatorKey(tx: Tx, id: string, secretHash: Buffer, nowMs: number): void {
	tx.post(createOperatorKeyStatement, [id, secretHash, new Date(nowMs)]);
}
