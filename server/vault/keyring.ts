/**
 * Tenants' keys and the platform's: unwrapped by the provider, held in memory for a time. The platform's own keys
 * follow from a key that is stored beside the root key's, so that they outlive a rotation of the root.
 */
import type { Clock } from "#platform/clock.ts";
import type { Random } from "#platform/ids.ts";
import { type EpochParts, loadEpochs } from "./contact-epochs.ts";
import { keyBytes } from "./derive.ts";
import { platformEpoch } from "./envelope.ts";
import { createKeyCache, type KeyCache } from "./key-cache.ts";
import { type Keys, keysFrom, tenantKeyLabel, unwrapKeys } from "./keys.ts";
import type { SuppressionKeyRow, WrappedKey } from "./store.ts";
import { openSuppressionKey, type SuppressionKeyParts } from "./suppression-key.ts";
import { VaultError } from "./vault-error.ts";
import type { Wrapping } from "./wrapping.ts";

export interface Keyring extends KeyCache {
	readonly platform: Keys;
	/** A new random tenant key of epoch 1. It is not in the cache until it is stored and warmed. */
	makeNew(tenantId: string): Promise<{ readonly wrapped: Buffer; readonly keys: Keys }>;
}

export interface KeyringParts {
	readonly wrapping: Wrapping;
	/** 32 bytes; the caller may overwrite them afterwards. */
	readonly platformKey: Buffer;
	/** Where tenants' contact epochs stand; without them they follow from the tenant's key. */
	readonly epochs: Omit<EpochParts, "wrapping" | "random"> | undefined;
	/** Where the keys of suppressions stand; without it they follow from the tenant's key. */
	readonly suppressions: SuppressionKeyParts | undefined;
	readonly load: (tenantIds: readonly string[]) => Promise<readonly WrappedKey[]>;
	readonly random: Random;
	readonly clock: Clock;
	readonly tenantsMax?: number;
}

/** Tenants whose keys a key service is asked for at once. */
const unwrapsAtOnce = 32;
const firstEpoch = 1;

export function createKeyring(parts: KeyringParts): Keyring {
	const { wrapping, platformKey, random, load, epochs, suppressions, ...cacheParts } = parts;
	if (platformKey.length !== keyBytes)
		throw VaultError.of("malformed", "the platform's key is not 32 bytes long");
	const unwrapTenant = async (
		tenantId: string,
		rows: readonly WrappedKey[],
		own: readonly SuppressionKeyRow[],
		nowMs: number,
	): Promise<Keys> => {
		const keys = await unwrapKeys(wrapping, tenantId, rows, nowMs);
		if (suppressions === undefined) return keys;
		const opening = openSuppressionKey({ ...suppressions, wrapping, random }, tenantId, own);
		return { ...keys, suppressions: await opening.catch(asVaultError) };
	};
	const cache = createKeyCache({
		...cacheParts,
		load: async (tenantIds) => {
			const nowMs = parts.clock.now();
			const [rows, own = []] = await Promise.all([load(tenantIds), suppressions?.find(tenantIds)]);
			return unwrapAll(rows, async (tenantId, rows) => {
				const keys = await unwrapTenant(tenantId, rows, own, nowMs);
				if (epochs === undefined) return keys;
				const stored = rows[0]?.contactEpoch ?? null;
				const loading = loadEpochs({ ...epochs, wrapping, random }, tenantId, stored, nowMs);
				return { ...keys, contacts: await loading.catch(asVaultError) };
			});
		},
	});
	return {
		...cache,
		platform: keysFrom(new Map([[platformEpoch, Buffer.from(platformKey)]]), platformEpoch),
		async makeNew(tenantId) {
			const key = random.bytes(keyBytes);
			const wrapped = await wrapping.wrap(key, tenantKeyLabel(tenantId, firstEpoch));
			return { wrapped, keys: keysFrom(new Map([[firstEpoch, key]]), firstEpoch) };
		},
	};
}

function asVaultError(error: unknown): VaultError {
	// While the key service is away, the tenant's keys as a whole are not at hand.
	if (error instanceof VaultError && error.reason !== "keys_away") return error;
	throw error;
}

async function unwrapAll(
	rows: readonly WrappedKey[],
	unwrap: (tenantId: string, rows: readonly WrappedKey[]) => Promise<Keys>,
): Promise<Map<string, Keys | VaultError>> {
	const unwrapped = new Map<string, Keys | VaultError>();
	const waiting = [...Map.groupBy(rows, (row) => row.tenantId)];
	const work = async (): Promise<void> => {
		for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
			const [tenantId, wrapped] = next;
			try {
				unwrapped.set(tenantId, await unwrap(tenantId, wrapped));
			} catch (error) {
				if (!(error instanceof VaultError)) throw error;
				unwrapped.set(tenantId, error);
			}
		}
	};
	await Promise.all(Array.from({ length: unwrapsAtOnce }, work));
	return unwrapped;
}
