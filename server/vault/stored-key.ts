/**
 * What is stored of a contact's key. It opens with the key of its epoch, and for its own tenant, environment and contact
 * only. Both are needed: without the row, as without the epoch's key, the contact's key cannot be had.
 *
 * A new contact's: version 3 (1) ‖ secret (32 random bytes) ‖ check (16). The key is derived from the epoch's key and the
 * secret by the KDF of NIST SP 800-108r1 §4.1 (counter mode, HMAC-SHA256, counter and length of one and two octets):
 * K(1) is the key; of K(2) 16 bytes are the check, which tells a row that was changed or moved, and their first four
 * name the key. It costs two short HMACs, where wrapping a random key took a cipher object; sends to people who were
 * never written to are made of it. With the secret destroyed the key is as unknown as 256 random bits, also to one who
 * holds the epoch's key: then HMAC is keyed by the secret (RFC 5869 §2.2 extracts from it in the same way).
 *
 * A wrapped one (all from before version 3, and those that were carried into a new epoch, whose key must stay the same):
 * nonce (12) ‖ AES-256-GCM of name and key (36) ‖ tag (16), 64 bytes, which no other version is.
 */
import { createCipheriv, type KeyObject } from "node:crypto";
import {
	contactFormat,
	contactNonceBytes,
	decrypt,
	materialBytes,
	nameBytes,
} from "./contact-key.ts";
import { deriveBytes, deriveKey, keyBytes } from "./derive.ts";
import { equalBytes } from "./digest.ts";
import { blockBytes, type HmacKey, hmacKey } from "./hmac.ts";
import { bindPlace } from "./place.ts";
import { VaultError } from "./vault-error.ts";
import { tagBytes } from "./xaes.ts";

/** What follows from the key of an epoch. */
export interface EpochKey {
	readonly wrapping: KeyObject;
	readonly deriving: HmacKey;
}

/** `key`: 32 bytes, not kept. */
export function epochKey(key: Buffer): EpochKey {
	const bytes = deriveBytes(key, "contact/derive");
	const deriving = hmacKey(bytes);
	bytes.fill(0);
	return { wrapping: deriveKey(key, "contact/wrap"), deriving };
}

/** Which contact a stored key is of. */
export interface KeyPlace {
	readonly tenantId: string;
	readonly environment: string;
	/** 32 bytes. */
	readonly index: Buffer;
}

export const secretBytes = 32;
const version = 3;
const checkBytes = 16;
const indexBytes = 32;
const derivedBytes = 1 + secretBytes + checkBytes;
export const wrappedBytes = contactNonceBytes + materialBytes + tagBytes;

/** A new key: what is stored of it, and its material. `secret` is 32 fresh random bytes. */
export function deriveContact(
	{ deriving }: EpochKey,
	epoch: number,
	place: KeyPlace,
	secret: Buffer,
): { readonly stored: Buffer; readonly material: Buffer } {
	const { key, check } = derive(deriving, epoch, place, secret);
	const stored = Buffer.allocUnsafe(derivedBytes);
	stored[0] = version;
	stored.set(secret, 1);
	stored.set(check, 1 + secretBytes);
	return { stored, material: materialOf(key, check) };
}

/** Wraps a contact key's material under the key of an epoch. `nonce` is 12 fresh random bytes. */
export function wrapContact(
	{ wrapping }: EpochKey,
	epoch: number,
	place: KeyPlace,
	nonce: Buffer,
	material: Buffer,
): Buffer {
	const cipher = createCipheriv("aes-256-gcm", wrapping, nonce);
	cipher.setAAD(aadOf(epoch, place));
	const ciphertext = cipher.update(material);
	cipher.final();
	return Buffer.concat([nonce, ciphertext, cipher.getAuthTag()], wrappedBytes);
}

/** The material; undefined when it was changed, or belongs to another contact, tenant, environment or epoch. */
export function openContact(
	under: EpochKey,
	epoch: number,
	place: KeyPlace,
	stored: Buffer,
): Buffer | undefined {
	if (stored.length === wrappedBytes) {
		const nonce = stored.subarray(0, contactNonceBytes);
		const bytes = stored.subarray(contactNonceBytes);
		return decrypt(under.wrapping, nonce, aadOf(epoch, place), bytes);
	}
	if (stored.length !== derivedBytes || stored[0] !== version) return undefined;
	const secret = stored.subarray(1, 1 + secretBytes);
	const { key, check } = derive(under.deriving, epoch, place, secret);
	const material = materialOf(key, check);
	if (equalBytes(check, stored.subarray(1 + secretBytes))) return material;
	material.fill(0);
	return undefined;
}

function materialOf(key: Buffer, check: Buffer): Buffer {
	const material = Buffer.allocUnsafe(materialBytes);
	material.set(check.subarray(0, nameBytes), 0);
	material.set(key, nameBytes);
	key.fill(0);
	return material;
}

// SP 800-108r1 §4.1: [i] ‖ Label ‖ 0x00 ‖ Context ‖ [L]
const label = Buffer.from("waxwing/1/contact-key\0", "latin1");
const lengthBits = 8 * (keyBytes + checkBytes);
const textMost = 64;
const secretAt = blockBytes + 1 + label.length;
const scratch = Buffer.alloc(secretAt + secretBytes + indexBytes + 4 + 2 * (1 + 3 * textMost) + 2);
label.copy(scratch, blockBytes + 1);

/** Context: secret (32) ‖ index (32) ‖ epoch (4) ‖ environment ‖ tenant, each text behind its length (1). */
function derive(
	deriving: HmacKey,
	epoch: number,
	{ tenantId, environment, index }: KeyPlace,
	secret: Buffer,
): { readonly key: Buffer; readonly check: Buffer } {
	if (index.length !== indexBytes || secret.length !== secretBytes)
		throw VaultError.of("malformed", "a contact's index and secret have 32 bytes each");
	scratch.set(secret, secretAt);
	scratch.set(index, secretAt + secretBytes);
	let end = scratch.writeUInt32BE(epoch, secretAt + secretBytes + indexBytes);
	end = writeText(environment, end);
	end = writeText(tenantId, end);
	end = scratch.writeUInt16BE(lengthBits, end);
	const octets = scratch.subarray(0, end);
	scratch[blockBytes] = 1;
	const key = deriving.behind(octets);
	scratch[blockBytes] = 2;
	const check = deriving.behind(octets).subarray(0, checkBytes);
	// Neither the padded key nor the secret stays.
	scratch.fill(0, 0, blockBytes).fill(0, secretAt, secretAt + secretBytes);
	return { key, check };
}

function writeText(text: string, at: number): number {
	if (text.length > textMost) throw VaultError.of("malformed", "a place's name is too long");
	const bytes = scratch.write(text, at + 1, "utf8");
	scratch[at] = bytes;
	return at + 1 + bytes;
}

function aadOf(epoch: number, { tenantId, environment, index }: KeyPlace): Buffer {
	const row = `${index.toString("base64")}/${epoch}`;
	const place = { environment, table: "contact_keys", column: "wrapped", row };
	return bindPlace(contactFormat, tenantId, place);
}
