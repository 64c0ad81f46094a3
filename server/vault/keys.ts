/**
 * A tenant's key and what is derived from it. The key is 32 random bytes per epoch, stored wrapped under the
 * root's wrapping key and bound to tenant and epoch. In memory it lives in closures only.
 */
import type { Random } from "#platform/ids.ts";
import { type BlindIndexer, blindIndexer } from "./blind-index.ts";
import { deriveBytes, deriveKey, keyBytes } from "./derive.ts";
import { epochOf, format, openEnvelope, platformEpoch, sealEnvelope } from "./envelope.ts";
import { type HmacKey, hmacKey } from "./hmac.ts";
import { bindPlace } from "./place.ts";
import type { WrappedKey } from "./store.ts";
import { VaultError } from "./vault-error.ts";
import { nonceBytes, type XaesKey, xaesKey } from "./xaes.ts";

/** The keys of one tenant, or of the platform. */
export interface Keys {
	readonly newestEpoch: number;
	sealing(epoch: number): XaesKey | undefined;
	readonly index: BlindIndexer;
	readonly mac: HmacKey;
}

const firstEpoch = 1;

/** The keys derived from each epoch's key. Overwrites the bytes it was given. */
export function keysFrom(epochs: ReadonlyMap<number, Buffer>): Keys {
	const numbers = [...epochs.keys()].sort((a, b) => a - b);
	const oldest = epochs.get(numbers[0] as number) as Buffer;
	// Indexes and MACs must not change with an epoch, or nothing would be found again.
	const index = blindIndexer(deriveKey(oldest, "index"));
	const macBytes = deriveBytes(oldest, "mac");
	const mac = hmacKey(macBytes);
	macBytes.fill(0);
	const sealing = new Map<number, XaesKey>();
	for (const [epoch, key] of epochs) sealing.set(epoch, xaesKey(deriveBytes(key, "seal")));
	for (const key of epochs.values()) key.fill(0);
	return {
		newestEpoch: numbers.at(-1) as number,
		sealing: (epoch) => sealing.get(epoch),
		index,
		mac,
	};
}

/** A new random key of epoch 1, wrapped. */
export function wrapNewKey(wrappingKey: XaesKey, tenantId: string, random: Random): Buffer {
	const key = random.bytes(keyBytes);
	const aad = wrappingPlace(tenantId, firstEpoch);
	const wrapped = sealEnvelope(wrappingKey, platformEpoch, random.bytes(nonceBytes), aad, key);
	key.fill(0);
	return wrapped;
}

/** All epochs of one tenant, at least one. Throws a VaultError when one does not open under this root key. */
export function unwrapKeys(
	wrappingKey: XaesKey,
	tenantId: string,
	wrapped: readonly WrappedKey[],
): Keys {
	return keysFrom(new Map(wrapped.map((one) => [one.epoch, unwrap(wrappingKey, tenantId, one)])));
}

function unwrap(wrappingKey: XaesKey, tenantId: string, { epoch, wrapped }: WrappedKey): Buffer {
	const known = epochOf(wrapped) === platformEpoch;
	const aad = wrappingPlace(tenantId, epoch);
	const key = known ? openEnvelope(wrappingKey, aad, wrapped) : undefined;
	if (key === undefined || key.length !== keyBytes)
		throw VaultError.of(
			"not_authentic",
			`the key of tenant ${tenantId}, epoch ${epoch}, does not open under this root key`,
		);
	return key;
}

function wrappingPlace(tenantId: string, epoch: number): Buffer {
	const place = { environment: "", table: "tenant_keys", column: "wrapped", row: String(epoch) };
	return bindPlace(format, tenantId, place);
}
