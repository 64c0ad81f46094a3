/**
 * Digests and comparison. Several parts are hashed each behind its length, so that no two lists of
 * parts give the same bytes.
 */
import { timingSafeEqual } from "node:crypto";
import { hashParts, type Part, sha256 } from "./hmac.ts";

/** SHA-256 over the parts, each behind its length. 32 bytes. */
export function digest(...parts: Part[]): Buffer {
	return hashParts(parts);
}

/**
 * SHA-256 of a secret of at least 128 random bits (an API key), for storing. Not for passwords: those can be
 * guessed and need a slow hash.
 */
export function hashSecret(text: string): Buffer {
	return sha256(text);
}

/** Equality in a time that depends on the lengths only. Different lengths are unequal. */
export function equalBytes(a: Buffer, b: Buffer): boolean {
	return a.length === b.length && timingSafeEqual(a, b);
}
