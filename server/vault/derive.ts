/** HKDF-SHA256 (RFC 5869) with a label per use: keys for different uses cannot be computed from one another. */
import { createSecretKey, hkdfSync, type KeyObject } from "node:crypto";

export const keyBytes = 32;

/** 32 bytes from `key` for the use `label`. The label is the same for ever: what it sealed must open. */
export function deriveBytes(key: Buffer | KeyObject, label: string): Buffer {
	return Buffer.from(hkdfSync("sha256", key, Buffer.alloc(0), `waxwing/1/${label}`, keyBytes));
}

export function deriveKey(key: Buffer | KeyObject, label: string): KeyObject {
	const bytes = deriveBytes(key, label);
	const object = createSecretKey(bytes);
	bytes.fill(0);
	return object;
}
