/**
 * The key of one contact of a tenant, and what it seals: AES-256-GCM with random 96-bit nonces, because one key seals one
 * person's records only (NIST SP 800-38D §8.3 allows 2^32). Beside the key stand four random bytes that name it, so that
 * what an erased key sealed is told from what was changed.
 *
 * A sealed value: format 2 (1) ‖ name of the key (4) ‖ nonce (12) ‖ ciphertext ‖ tag (16).
 * A wrapped key: nonce (12) ‖ ciphertext of name and key (36) ‖ tag (16).
 */
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from "node:crypto";
import { keyBytes } from "./derive.ts";
import { bindPlace } from "./place.ts";
import { tagBytes } from "./xaes.ts";

export const contactFormat = 2;
export const contactNonceBytes = 12;
/** The random bytes that a new contact key is made of. */
export const materialBytes = 4 + keyBytes;
export const wrappedBytes = contactNonceBytes + materialBytes + tagBytes;

const nameBytes = 4;
const headerBytes = 1 + nameBytes + contactNonceBytes;

/** The key itself lives in a closure, out of reach of inspection and JSON. */
export interface ContactKey {
	/** `nonce` is 12 fresh random bytes. */
	seal(nonce: Buffer, aad: Buffer, plaintext: Buffer): Buffer;
	/** Undefined when anything about it was changed. */
	open(aad: Buffer, sealed: Buffer): Buffer | undefined;
	/** Whether the value names this key. */
	sealed(value: Buffer): boolean;
}

export function isContactSealed(sealed: Buffer): boolean {
	return sealed[0] === contactFormat && sealed.length >= headerBytes + tagBytes;
}

/** `material`: 36 random bytes; they are copied. */
export function contactKey(material: Buffer): ContactKey {
	const name = Buffer.from(material.subarray(0, nameBytes));
	const key = createSecretKey(material.subarray(nameBytes));
	return {
		seal(nonce, aad, plaintext) {
			const cipher = createCipheriv("aes-256-gcm", key, nonce);
			cipher.setAAD(aad);
			const ciphertext = cipher.update(plaintext);
			cipher.final();
			const sealed = Buffer.allocUnsafe(headerBytes + plaintext.length + tagBytes);
			sealed[0] = contactFormat;
			name.copy(sealed, 1);
			nonce.copy(sealed, 1 + nameBytes);
			ciphertext.copy(sealed, headerBytes);
			cipher.getAuthTag().copy(sealed, headerBytes + plaintext.length);
			return sealed;
		},
		open: (aad, sealed) =>
			decrypt(key, sealed.subarray(1 + nameBytes, headerBytes), aad, sealed.subarray(headerBytes)),
		sealed: (value) => name.equals(value.subarray(1, 1 + nameBytes)),
	};
}

/** Which contact a wrapped key is of. */
export interface WrappedPlace {
	readonly tenantId: string;
	readonly environment: string;
	/** 32 bytes. */
	readonly index: Buffer;
}

/** Wraps a contact key's material under the key of an epoch. `nonce` is 12 fresh random bytes. */
export function wrapContact(
	wrappingKey: KeyObject,
	epoch: number,
	place: WrappedPlace,
	nonce: Buffer,
	material: Buffer,
): Buffer {
	const cipher = createCipheriv("aes-256-gcm", wrappingKey, nonce);
	cipher.setAAD(aadOf(epoch, place));
	const ciphertext = cipher.update(material);
	cipher.final();
	return Buffer.concat([nonce, ciphertext, cipher.getAuthTag()], wrappedBytes);
}

/** The material; undefined when it was changed, or belongs to another contact, tenant, environment or epoch. */
export function unwrapContact(
	wrappingKey: KeyObject,
	epoch: number,
	place: WrappedPlace,
	wrapped: Buffer,
): Buffer | undefined {
	if (wrapped.length !== wrappedBytes) return undefined;
	const nonce = wrapped.subarray(0, contactNonceBytes);
	return decrypt(wrappingKey, nonce, aadOf(epoch, place), wrapped.subarray(contactNonceBytes));
}

function aadOf(epoch: number, { tenantId, environment, index }: WrappedPlace): Buffer {
	const row = `${index.toString("base64")}/${epoch}`;
	const place = { environment, table: "contact_keys", column: "wrapped", row };
	return bindPlace(contactFormat, tenantId, place);
}

function decrypt(key: KeyObject, nonce: Buffer, aad: Buffer, bytes: Buffer): Buffer | undefined {
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
