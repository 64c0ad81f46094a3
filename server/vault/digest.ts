/**
 * Digests, MACs and comparison. Several parts are hashed each behind its length, so that no two lists of
 * parts give the same bytes.
 */
import { createHmac, hash, type KeyObject, timingSafeEqual } from "node:crypto";

export type Part = string | Buffer;

/** SHA-256 over the parts, each behind its length. 32 bytes. */
export function digest(...parts: Part[]): Buffer {
	return hash("sha256", join(parts), "buffer");
}

/** HMAC-SHA256 (RFC 2104) over the parts, each behind its length. 32 bytes. */
export function keyedDigest(key: KeyObject, parts: readonly Part[]): Buffer {
	return createHmac("sha256", key).update(join(parts)).digest();
}

/** Each part behind its length (4 bytes). One buffer, because each call into the hash costs more than it. */
function join(parts: readonly Part[]): Buffer {
	let size = 0;
	for (const part of parts) size += 4 + lengthOf(part);
	const joined = Buffer.allocUnsafe(size);
	let at = 0;
	for (const part of parts) {
		const length = lengthOf(part);
		joined.writeUInt32BE(length, at);
		if (typeof part === "string") joined.write(part, at + 4, "utf8");
		else part.copy(joined, at + 4);
		at += 4 + length;
	}
	return joined;
}

function lengthOf(part: Part): number {
	return typeof part === "string" ? Buffer.byteLength(part, "utf8") : part.length;
}

/**
 * SHA-256 of a secret of at least 128 random bits (an API key), for storing. Not for passwords: those can be
 * guessed and need a slow hash.
 */
export function hashSecret(text: string): Buffer {
	return hash("sha256", text, "buffer");
}

/** Equality in a time that depends on the lengths only. Different lengths are unequal. */
export function equalBytes(a: Buffer, b: Buffer): boolean {
	return a.length === b.length && timingSafeEqual(a, b);
}
