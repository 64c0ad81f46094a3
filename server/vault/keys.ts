/**
 * A tenant's key and what is derived from it. The key is 32 random bytes per epoch, stored wrapped under the
 * root key and bound to tenant and epoch. In memory it lives in closures only.
 */
import { type BlindIndexer, blindIndexer } from "./blind-index.ts";
import { type ContactEpochs, epochsOf } from "./contact-epochs.ts";
import { deriveBytes, deriveKey, keyBytes } from "./derive.ts";
import { type HmacKey, hmacKey } from "./hmac.ts";
import type { KeyLabel } from "./providers/provider.ts";
import type { WrappedKey } from "./store.ts";
import { epochKey } from "./stored-key.ts";
import { suppressionIndexer } from "./suppression-key.ts";
import { VaultError } from "./vault-error.ts";
import type { Wrapping } from "./wrapping.ts";
import { type XaesKey, xaesKey } from "./xaes.ts";

/** A new epoch seals only after this long: by then every process has loaded it. Twice what keys are held without a look. */
export const settleMs = 20 * 60_000;

/** The keys of one tenant, or of the platform. */
export interface Keys {
	/** The epoch that seals. */
	readonly newestEpoch: number;
	sealing(epoch: number): XaesKey | undefined;
	readonly index: BlindIndexer;
	/** Of suppressions, under a key of their own; or why there is none. */
	readonly suppressions: BlindIndexer | VaultError;
	readonly mac: HmacKey;
	/** Or why there are none. */
	readonly contacts: ContactEpochs | VaultError;
}

/** The keys derived from each epoch's key. Overwrites the bytes it was given. */
export function keysFrom(epochs: ReadonlyMap<number, Buffer>, newestEpoch: number): Keys {
	const numbers = [...epochs.keys()].sort((a, b) => a - b);
	const oldest = epochs.get(numbers[0] as number) as Buffer;
	// Indexes and MACs must not change with an epoch, or nothing would be found again.
	const index = blindIndexer(deriveKey(oldest, "index"));
	const macBytes = deriveBytes(oldest, "mac");
	const mac = hmacKey(macBytes);
	macBytes.fill(0);
	// Without key files; else the tenant's own key for it takes this one's place.
	const suppressions = suppressionIndexer(deriveBytes(oldest, "suppression"));
	const contacts = epochsOf(new Map([[0, epochKey(oldest)]]), undefined);
	const sealing = new Map<number, XaesKey>();
	for (const [epoch, key] of epochs) sealing.set(epoch, xaesKey(deriveBytes(key, "seal")));
	for (const key of epochs.values()) key.fill(0);
	return {
		newestEpoch,
		sealing: (epoch) => sealing.get(epoch),
		index,
		suppressions,
		mac,
		contacts,
	};
}

/** What a tenant's wrapped key is bound to. */
export function tenantKeyLabel(tenantId: string, epoch: number): KeyLabel {
	return { tenantId, table: "tenant_keys", row: String(epoch) };
}

/**
 * All epochs of one tenant, at least one. Values are sealed under the newest that every process has had time to
 * load. Throws a VaultError when one does not open.
 */
export async function unwrapKeys(
	wrapping: Pick<Wrapping, "unwrap">,
	tenantId: string,
	rows: readonly WrappedKey[],
	nowMs: number,
): Promise<Keys> {
	const epochs = await Promise.all(
		rows.map(async ({ epoch, wrapped }) => {
			const key = await wrapping.unwrap(wrapped, tenantKeyLabel(tenantId, epoch));
			if (key.length !== keyBytes)
				throw VaultError.of("not_authentic", "a tenant's key is not 32 bytes long");
			return [epoch, key] as const;
		}),
	);
	const settled = rows.filter((row) => row.createdAtMs + settleMs <= nowMs);
	const newest = Math.max(
		...(settled.length === 0 ? [firstOf(rows)] : settled.map((row) => row.epoch)),
	);
	return keysFrom(new Map(epochs), newest);
}

function firstOf(rows: readonly WrappedKey[]): number {
	return Math.min(...rows.map((row) => row.epoch));
}
