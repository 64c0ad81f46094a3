/**
 * XAES-256-GCM (C2SP, https://c2sp.org/XAES-256-GCM): AES-256-GCM under a key derived from a 256-bit key and
 * the first half of a 192-bit nonce, so that nonces may be drawn at random for 2^80 messages. It never draws
 * the nonce itself and never returns plaintext that failed its tag. Keys derived lately are kept: nonces that
 * share their first half share the derived key.
 */
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from "node:crypto";
import type { Random } from "#platform/ids.ts";

export const nonceBytes = 24;
export const tagBytes = 16;

const blockBytes = 16;
/** Derived keys kept per key: what is read back was mostly sealed in a row. */
const derivedMax = 64;
/** Where a GCM nonce starts in the long one: what stands before it goes into the key. */
const splitAt = 12;
/** Seals under one derived key. NIST SP 800-38D §8.3 allows 2^32 random nonces of 96 bits; this stays far below. */
const sealsPerPrefix = 4_096;

/**
 * Nonces for one key: random as a whole, but the first half stays for a few thousand, so that deriving the key,
 * which costs as much as sealing a text message, is done once for them. Two alike: once in 2^72 prefixes.
 */
export function nonceSource(random: Random): () => Buffer {
	let prefix: Buffer = Buffer.alloc(0);
	let left = 0;
	return () => {
		if (left-- === 0) {
			prefix = random.bytes(splitAt);
			left = sealsPerPrefix - 1;
		}
		return Buffer.concat([prefix, random.bytes(nonceBytes - splitAt)], nonceBytes);
	};
}

/** One key, ready for use. The key itself lives in a closure, out of reach of inspection and JSON. */
export interface XaesKey {
	/** `nonce` is 24 fresh random bytes. Returns [ciphertext, 16-byte tag]. */
	seal(nonce: Buffer, plaintext: Buffer, aad: Buffer): [ciphertext: Buffer, tag: Buffer];
	/** The plaintext, or undefined when the tag does not fit key, nonce, ciphertext and aad. */
	open(nonce: Buffer, ciphertext: Buffer, tag: Buffer, aad: Buffer): Buffer | undefined;
}

/** `key` is 32 bytes; they are copied, so that the caller may overwrite them. */
export function xaesKey(key: Buffer): XaesKey {
	// ECB keeps no state between blocks, so one warm cipher object serves every derivation.
	const block = createCipheriv("aes-256-ecb", createSecretKey(key), null).setAutoPadding(false);
	const k1 = cmacSubkey(block.update(Buffer.alloc(blockBytes)));
	const input = Buffer.alloc(2 * blockBytes);
	const derived = new Map<string, KeyObject>();
	const derive = (nonce: Buffer): KeyObject => {
		if (nonce.length !== nonceBytes) throw new RangeError("the nonce is not 24 bytes long");
		const prefix = nonce.toString("latin1", 0, splitAt);
		const known = derived.get(prefix);
		if (known !== undefined) return known;
		if (derived.size >= derivedMax) derived.delete(derived.keys().next().value as string);
		const object = deriveAnew(nonce);
		derived.set(prefix, object);
		return object;
	};
	const deriveAnew = (nonce: Buffer): KeyObject => {
		for (let half = 0; half < 2; half++) {
			const start = half * blockBytes;
			// NIST SP 800-108r1 counter mode: 16-bit counter, label "X", zero, context.
			input[start] = k1[0] as number;
			input[start + 1] = (k1[1] as number) ^ (half + 1);
			input[start + 2] = (k1[2] as number) ^ 0x58;
			input[start + 3] = k1[3] as number;
			for (let i = 0; i < splitAt; i++)
				input[start + 4 + i] = (k1[4 + i] as number) ^ (nonce[i] as number);
		}
		const bytes = block.update(input);
		// As a KeyObject: node takes three times as long over the same key given as bytes.
		const object = createSecretKey(bytes);
		bytes.fill(0);
		return object;
	};
	return {
		seal(nonce, plaintext, aad) {
			const cipher = createCipheriv("aes-256-gcm", derive(nonce), nonce.subarray(splitAt));
			cipher.setAAD(aad);
			const ciphertext = cipher.update(plaintext);
			cipher.final();
			return [ciphertext, cipher.getAuthTag()];
		},
		open(nonce, ciphertext, tag, aad) {
			if (tag.length !== tagBytes) return undefined;
			const decipher = createDecipheriv("aes-256-gcm", derive(nonce), nonce.subarray(splitAt), {
				authTagLength: tagBytes,
			});
			decipher.setAAD(aad);
			decipher.setAuthTag(tag);
			const plaintext = decipher.update(ciphertext);
			try {
				decipher.final();
				return plaintext;
			} catch {
				plaintext.fill(0);
				return undefined;
			}
		},
	};
}

/** K1 of NIST SP 800-38B §6.1: L doubled in GF(2^128). Overwrites and returns `l`. */
function cmacSubkey(l: Buffer): Buffer {
	const carry = (l[0] as number) >> 7;
	for (let i = 0; i < blockBytes; i++) {
		const next = i + 1 < blockBytes ? (l[i + 1] as number) >> 7 : 0;
		l[i] = (((l[i] as number) << 1) & 0xff) | next;
	}
	if (carry === 1) l[blockBytes - 1] = (l[blockBytes - 1] as number) ^ 0x87;
	return l;
}
