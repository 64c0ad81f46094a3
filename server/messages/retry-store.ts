/** SQL of requests that may be sent again: their keys, which are taken in the commit that accepts their messages. */
import { type Scope, sql, type Tx } from "#platform/db.ts";
import { byteas, texts, uuids } from "#platform/db-arrays.ts";

export interface IdempotencyClaim {
	readonly scope: Scope;
	readonly keyHash: Buffer;
	readonly fingerprint: Buffer;
	readonly messageIds: readonly string[];
}

const claimKeysStatement = sql(
	"messages.claim_keys",
	`insert into idempotency_keys (tenant_id, environment, key_hash, fingerprint, status, message_ids, created_at)
	select k.tenant_id, k.environment, k.key_hash, k.fingerprint, 202, string_to_array(k.ids, ',')::uuid[], to_timestamp($6::float8 / 1000)
	from unnest($1::uuid[], $2::text[], $3::bytea[], $4::bytea[], $5::text[]) as k (tenant_id, environment, key_hash, fingerprint, ids)
	on conflict do nothing returning tenant_id, environment, key_hash`,
);

const readKeysStatement = sql(
	"messages.read_keys",
	`select i.tenant_id, i.environment, i.key_hash, i.fingerprint, i.message_ids
	from unnest($1::uuid[], $2::text[], $3::bytea[]) as k (tenant_id, environment, key_hash) cross join lateral (
		select tenant_id, environment, key_hash, fingerprint, message_ids from idempotency_keys o
		where o.tenant_id = k.tenant_id and o.environment = k.environment and o.key_hash = k.key_hash offset 0
	) i`,
);

export interface KnownKey {
	readonly fingerprint: Buffer;
	readonly messageIds: readonly string[] | null;
}

/** A request that may be sent again, as it is recognised then. */
export interface Retryable {
	readonly keyHash: Buffer;
	/** Under a key of the tenant. */
	readonly fingerprint: Buffer;
	/** As it was made before it had a key; of the last 72 hours. */
	readonly olderFingerprint: Buffer;
}

export function isSameRequest(
	{ fingerprint, olderFingerprint }: Retryable,
	known: KnownKey,
): boolean {
	return [fingerprint, olderFingerprint].some((one) => one.equals(known.fingerprint));
}

/** Hashes are a tenant's own, and so are the names of its keys. */
export function keyName({ tenantId, environment }: Scope, keyHash: Buffer): string {
	return `${tenantId}/${environment}/${keyHash.toString("base64")}`;
}

interface StoredKey {
	readonly tenant_id: string;
	readonly environment: Scope["environment"];
	readonly key_hash: Buffer;
}

function nameOfStored({ tenant_id: tenantId, environment, key_hash }: StoredKey): string {
	return keyName({ tenantId, environment }, key_hash);
}

function claimColumns(claims: readonly Pick<IdempotencyClaim, "scope" | "keyHash">[]): Buffer[] {
	return [
		uuids(claims.map(({ scope }) => scope.tenantId)),
		texts(claims.map(({ scope }) => scope.environment)),
		byteas(claims.map(({ keyHash }) => keyHash)),
	];
}

/** Takes the keys that are new, and returns their names; the others are known already (see `readKeys`). */
export async function claimKeys(
	tx: Tx,
	nowMs: number,
	claims: readonly IdempotencyClaim[],
): Promise<Set<string>> {
	if (claims.length === 0) return new Set();
	const rows = await tx.query<StoredKey>(claimKeysStatement, [
		...claimColumns(claims),
		byteas(claims.map((claim) => claim.fingerprint)),
		texts(claims.map((claim) => claim.messageIds.join(","))),
		nowMs,
	]);
	return new Set(rows.map(nameOfStored));
}

/** Those that are known, by their names. */
export async function readKeys(
	tx: Tx,
	claims: readonly IdempotencyClaim[],
): Promise<Map<string, KnownKey>> {
	if (claims.length === 0) return new Map();
	const rows = await tx.query<
		StoredKey & { readonly fingerprint: Buffer; readonly message_ids: string[] | null }
	>(readKeysStatement, claimColumns(claims));
	return new Map(
		rows.map((row) => [
			nameOfStored(row),
			{ fingerprint: row.fingerprint, messageIds: row.message_ids },
		]),
	);
}
