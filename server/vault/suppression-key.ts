/**
 * The key that a tenant's suppressions are found by, and nothing else. It stands in the database, wrapped under the root
 * key, so that a STOP is as durable as its row: neither an erasure nor a rotation of the tenant's other keys touches it,
 * and a lost folder of key files does not lose it. Made when the tenant's keys are first loaded.
 */
import type { Random } from "#platform/ids.ts";
import { type BlindIndexer, blindIndexer } from "./blind-index.ts";
import { deriveKey, keyBytes } from "./derive.ts";
import type { KeyLabel } from "./providers/provider.ts";
import type { SuppressionKeyRow } from "./store.ts";
import { VaultError } from "./vault-error.ts";
import type { Wrapping } from "./wrapping.ts";

/** Of the key that indexes now. Another would need every number again, and those of the erased are gone. */
export const suppressionVersion = 1;

export interface SuppressionKeyParts {
	/** What is stored for these tenants; those without a key are not there. */
	readonly find: (tenantIds: readonly string[]) => Promise<readonly SuppressionKeyRow[]>;
	/** Stores a tenant's first key, unless somebody else did. */
	readonly offer: (row: SuppressionKeyRow) => Promise<void>;
}

/** What a wrapped key is bound to. */
export function suppressionKeyLabel(tenantId: string, version: number): KeyLabel {
	return { tenantId, table: "suppression_keys", row: String(version) };
}

/** Indexes addresses under the key; overwrites the bytes it was given. */
export function suppressionIndexer(key: Buffer): BlindIndexer {
	const index = blindIndexer(deriveKey(key, "suppression/index"));
	key.fill(0);
	return index;
}

/**
 * Opens the tenant's key, or makes it when there is none. Throws a VaultError when it does not open: then nobody can say
 * who is suppressed, and nothing may be sent.
 */
export async function openSuppressionKey(
	parts: SuppressionKeyParts & { readonly wrapping: Wrapping; readonly random: Random },
	tenantId: string,
	stored: readonly SuppressionKeyRow[],
): Promise<BlindIndexer> {
	const { wrapping, random } = parts;
	const label = suppressionKeyLabel(tenantId, suppressionVersion);
	let wrapped = wrappedFor(stored, tenantId);
	if (wrapped === undefined) {
		const key = random.bytes(keyBytes);
		const made = await wrapping.wrap(key, label);
		key.fill(0);
		await parts.offer({ tenantId, version: suppressionVersion, wrapped: made });
		wrapped = wrappedFor(await parts.find([tenantId]), tenantId);
	}
	if (wrapped === undefined)
		throw VaultError.of("unknown_key", "the key of the tenant's suppressions is not stored");
	const key = await wrapping.unwrap(wrapped, label);
	if (key.length !== keyBytes)
		throw VaultError.of(
			"not_authentic",
			"the key of the tenant's suppressions is not 32 bytes long",
		);
	return suppressionIndexer(key);
}

function wrappedFor(rows: readonly SuppressionKeyRow[], tenantId: string): Buffer | undefined {
	return rows.find((row) => row.tenantId === tenantId && row.version === suppressionVersion)
		?.wrapped;
}
