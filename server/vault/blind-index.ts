/**
 * Blind indexes: equality search over what is sealed. HMAC-SHA256 under a key per tenant, environment and
 * field, so that no index can be compared across them. It leaks which rows of one field hold the same value;
 * whoever holds the key can try all phone numbers, so keys stay in memory.
 */
import type { KeyObject } from "node:crypto";
import { deriveBytes } from "./derive.ts";
import { type HmacKey, hmacKey } from "./hmac.ts";
import { VaultError } from "./vault-error.ts";

/** Fields are named by code, not by callers; more than this many is a programming error. */
const fieldsMax = 64;

export type BlindIndexer = (environment: string, field: string, value: string) => Buffer;

/** An indexer over one tenant's (or the platform's) index key. Keys of fields are derived once and kept. */
export function blindIndexer(indexKey: KeyObject): BlindIndexer {
	const keys = new Map<string, HmacKey>();
	return (environment, field, value) => {
		const name = `${environment}/${field}`;
		let key = keys.get(name);
		if (key === undefined) {
			if (environment.includes("/"))
				throw VaultError.of("malformed", "an environment's name has no slash");
			if (keys.size >= fieldsMax) throw VaultError.of("malformed", "too many indexed fields");
			const bytes = deriveBytes(indexKey, `field/${name}`);
			key = hmacKey(bytes);
			bytes.fill(0);
			keys.set(name, key);
		}
		return key.text(value);
	};
}
