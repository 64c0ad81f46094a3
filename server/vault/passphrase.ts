/**
 * Root keys sealed under a passphrase, as lines of text: Argon2id (RFC 9106, its second recommended option: 64 MiB,
 * three passes, four lanes) gives the key that XAES-256-GCM seals them with.
 */
import { argon2Sync } from "node:crypto";
import type { Secret } from "#platform/hidden.ts";
import type { Random } from "#platform/ids.ts";
import { keyBytes } from "./derive.ts";
import { nonceBytes, tagBytes, type XaesKey, xaesKey } from "./xaes.ts";

const saltBytes = 16;
const prefix = "argon2id-1:";
const sealedBytes = saltBytes + nonceBytes + keyBytes + tagBytes;
const cost = { memory: 65_536, passes: 3, parallelism: 4, tagLength: keyBytes } as const;

export function isSealedLine(line: string): boolean {
	return line.startsWith(prefix);
}

export interface Passphrase {
	sealLine(key: Buffer): string;
	/** The key; undefined when the passphrase or the line is not the right one. */
	openLine(line: string): Buffer | undefined;
}

/** Stretching takes a third of a second and is done once: lines of one file share their salt. */
export function readPassphrase(secret: Secret, random: Random): Passphrase {
	let last: { readonly salt: Buffer; readonly key: XaesKey } | undefined;
	const keyOf = (salt: Buffer): XaesKey => {
		if (last?.salt.equals(salt) === true) return last.key;
		const bytes = argon2Sync("argon2id", { message: secret.reveal(), nonce: salt, ...cost });
		last = { salt: Buffer.from(salt), key: xaesKey(bytes) };
		bytes.fill(0);
		return last.key;
	};
	return {
		sealLine(key) {
			const salt = last?.salt ?? random.bytes(saltBytes);
			const nonce = random.bytes(nonceBytes);
			const [ciphertext, tag] = keyOf(salt).seal(nonce, key, Buffer.from(prefix));
			return `${prefix}${Buffer.concat([salt, nonce, ciphertext, tag]).toString("hex")}`;
		},
		openLine(line) {
			const bytes = Buffer.from(line.slice(prefix.length).trim(), "hex");
			if (bytes.length !== sealedBytes) return undefined;
			const nonce = bytes.subarray(saltBytes, saltBytes + nonceBytes);
			const end = sealedBytes - tagBytes;
			const ciphertext = bytes.subarray(saltBytes + nonceBytes, end);
			const key = keyOf(bytes.subarray(0, saltBytes));
			return key.open(nonce, ciphertext, bytes.subarray(end), Buffer.from(prefix));
		},
	};
}
