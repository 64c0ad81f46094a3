/**
 * The key of one contact of a tenant, and what it seals: AES-256-GCM with random 96-bit nonces, because one key seals one
 * person's records only (NIST SP 800-38D §8.3 allows 2^32). Beside the key stand four bytes that name it, so that
 * what an erased key sealed is told from what was changed.
 *
 * A sealed value: format 2 (1) ‖ name of the key (4) ‖ nonce (12) ‖ ciphertext ‖ tag (16).
 * What is stored of a key is described in `stored-key.ts`.
 */
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from "node:crypto";
import { keyBytes } from "./derive.ts";
import { tagBytes } from "./xaes.ts";

export const contactFormat = 2;
export const contactNonceBytes = 12;
export const nameBytes = 4;
/** What a contact key is made of: its name, then the key. */
export const materialBytes = nameBytes + keyBytes;

const headerBytes = 1 + nameBytes + contactNonceBytes;

export interface ContactKey {
	/** `nonce` is 12 fresh random bytes; a text is sealed in UTF-8. */
	seal(nonce: Buffer, aad: Buffer, plaintext: Buffer | string): Buffer;
	/** Undefined when anything about it was changed. */
	open(aad: Buffer, sealed: Buffer): Buffer | undefined;
	/** Whether the value names this key. */
	sealed(value: Buffer): boolean;
}

export function isContactSealed(sealed: Buffer): boolean {
	return sealed[0] === contactFormat && sealed.length >= headerBytes + tagBytes;
}

/** `material`: 36 bytes, which are the key's own from now on. */
export function contactKey(material: Buffer): ContactKey {
	return new HeldKey(material);
}

/**
 * Out of reach of inspection and JSON. Node's key object is held from the second use on: most people are written to
 * once in a while, and thousands of objects that are held cost the garbage collector several microseconds a message.
 */
class HeldKey implements ContactKey {
	readonly #material: Buffer;
	#wasUsed = false;
	#held: KeyObject | undefined;

	constructor(material: Buffer) {
		this.#material = material;
	}

	#key(): KeyObject {
		if (this.#held !== undefined) return this.#held;
		const key = createSecretKey(this.#material.subarray(nameBytes));
		if (this.#wasUsed) this.#held = key;
		this.#wasUsed = true;
		return key;
	}

	seal(nonce: Buffer, aad: Buffer, plaintext: Buffer | string): Buffer {
		const cipher = createCipheriv("aes-256-gcm", this.#key(), nonce);
		cipher.setAAD(aad);
		const ciphertext =
			typeof plaintext === "string" ? cipher.update(plaintext, "utf8") : cipher.update(plaintext);
		cipher.final();
		const sealed = Buffer.allocUnsafe(headerBytes + ciphertext.length + tagBytes);
		sealed[0] = contactFormat;
		this.#material.copy(sealed, 1, 0, nameBytes);
		sealed.set(nonce, 1 + nameBytes);
		sealed.set(ciphertext, headerBytes);
		sealed.set(cipher.getAuthTag(), headerBytes + ciphertext.length);
		return sealed;
	}

	open(aad: Buffer, sealed: Buffer): Buffer | undefined {
		const nonce = sealed.subarray(1 + nameBytes, headerBytes);
		return decrypt(this.#key(), nonce, aad, sealed.subarray(headerBytes));
	}

	sealed(value: Buffer): boolean {
		return (
			value.length >= headerBytes &&
			this.#material.compare(value, 1, 1 + nameBytes, 0, nameBytes) === 0
		);
	}
}

/** AES-256-GCM over `bytes`, whose last 16 are the tag; undefined when anything about it was changed. */
export function decrypt(
	key: KeyObject,
	nonce: Buffer,
	aad: Buffer,
	bytes: Buffer,
): Buffer | undefined {
	const end = bytes.length - tagBytes;
	if (end < 0) return undefined;
	const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: tagBytes });
	decipher.setAAD(aad);
	decipher.setAuthTag(bytes.subarray(end));
	const plaintext = decipher.update(bytes.subarray(0, end));
	try {
		decipher.final();
		return plaintext;
	} catch {
		plaintext.fill(0);
		return undefined;
	}
}
