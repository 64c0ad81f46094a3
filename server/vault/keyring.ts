/**
 * From the root key to all others: HKDF gives a wrapping key for tenants' keys and the platform's own keys.
 * The root key itself is not kept.
 */
import type { Clock } from "#platform/clock.ts";
import type { Random } from "#platform/ids.ts";
import { deriveBytes, keyBytes } from "./derive.ts";
import { platformEpoch } from "./envelope.ts";
import { createKeyCache, type KeyCache } from "./key-cache.ts";
import { type Keys, keysFrom, unwrapKeys, wrapNewKey } from "./keys.ts";
import type { WrappedKey } from "./store.ts";
import { VaultError } from "./vault-error.ts";
import { type XaesKey, xaesKey } from "./xaes.ts";

export interface Keyring extends KeyCache {
	readonly platform: Keys;
	/** A new random tenant key of epoch 1, wrapped. It is not in the cache until it is stored and warmed. */
	wrapNew(tenantId: string): Buffer;
	/** Keys from their wrapped form, past the cache: for sealing the first rows of a tenant being made. */
	unwrap(tenantId: string, wrapped: readonly WrappedKey[]): Keys;
}

export interface KeyringParts {
	/** 32 bytes; the caller may overwrite them afterwards. */
	readonly rootKey: Buffer;
	readonly load: (tenantIds: readonly string[]) => Promise<readonly WrappedKey[]>;
	readonly random: Random;
	readonly clock: Clock;
	readonly tenantsMax?: number;
}

export function createKeyring(parts: KeyringParts): Keyring {
	const { rootKey, random, load, ...cacheParts } = parts;
	if (rootKey.length !== keyBytes)
		throw VaultError.of("malformed", "the root key is not 32 bytes long");
	const wrappingKey = xaesKey(deriveBytes(rootKey, "root/wrap"));
	const cache = createKeyCache({
		...cacheParts,
		load: async (tenantIds) => unwrapAll(wrappingKey, await load(tenantIds)),
	});
	return {
		...cache,
		platform: keysFrom(new Map([[platformEpoch, deriveBytes(rootKey, "root/platform")]])),
		wrapNew: (tenantId) => wrapNewKey(wrappingKey, tenantId, random),
		unwrap: (tenantId, wrapped) => unwrapKeys(wrappingKey, tenantId, wrapped),
	};
}

function unwrapAll(
	wrappingKey: XaesKey,
	rows: readonly WrappedKey[],
): Map<string, Keys | VaultError> {
	const unwrapped = new Map<string, Keys | VaultError>();
	for (const [tenantId, wrapped] of Map.groupBy(rows, (row) => row.tenantId)) {
		try {
			unwrapped.set(tenantId, unwrapKeys(wrappingKey, tenantId, wrapped));
		} catch (error) {
			if (!(error instanceof VaultError)) throw error;
			unwrapped.set(tenantId, error);
		}
	}
	return unwrapped;
}
