/**
 * Tenants' keys and the platform's: unwrapped by the provider, held in memory for a time. The platform's own keys
 * follow from a key that is stored beside the root key's, so that they outlive a rotation of the root.
 */
import type { Clock } from "#platform/clock.ts";
import type { Random } from "#platform/ids.ts";
import { type EpochParts, loadEpochs, markOf } from "./contact-epochs.ts";
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
	/**
	 * Reads the contact epochs of these tenants anew, of those whose key file was written since. Takes one look at a
	 * file for each, no database, and the key service only if there is something new. What fails is left as it was.
	 */
	refreshEpochs(tenantIds: readonly string[]): Promise<void>;
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
		refreshEpochs: createRefresh(parts, cache),
		platform: keysFrom(new Map([[platformEpoch, Buffer.from(platformKey)]]), platformEpoch),
		async makeNew(tenantId) {
			const key = random.bytes(keyBytes);
			const wrapped = await wrapping.wrap(key, tenantKeyLabel(tenantId, firstEpoch));
			return { wrapped, keys: keysFrom(new Map([[firstEpoch, key]]), firstEpoch) };
		},
	};
}

/** Each tenant's file is looked at once for all who ask at the same time. */
function createRefresh(
	{ wrapping, random, epochs, clock }: KeyringParts,
	cache: KeyCache,
): Keyring["refreshEpochs"] {
	const refresh = async (tenantId: string): Promise<void> => {
		if (epochs === undefined) return;
		const { contacts } = cache.of(tenantId);
		const mark = contacts instanceof VaultError ? undefined : contacts.mark;
		if (markOf(epochs, tenantId) === mark) return;
		// What is at hand was loaded, so the database knows of a first epoch: none is begun here.
		const loading = loadEpochs({ ...epochs, wrapping, random }, tenantId, 1, clock.now());
		try {
			const fresh = await loading;
			cache.exchange(tenantId, (keys) => ({ ...keys, contacts: fresh }));
		} catch (error) {
			// What is at hand goes on; the others of the batch must not suffer.
			if (!(error instanceof VaultError)) throw error;
		}
	};
	const refreshing = new Map<string, Promise<void>>();
	return async (tenantIds) => {
		const all = tenantIds.map((tenantId) => {
			const underway = refreshing.get(tenantId);
			if (underway !== undefined) return underway;
			const fresh = refresh(tenantId).finally(() => void refreshing.delete(tenantId));
			refreshing.set(tenantId, fresh);
			return fresh;
		});
		await Promise.all(all);
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
