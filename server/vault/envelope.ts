/**
 * The bytes of a sealed value: format (1) ‖ key epoch (4, big-endian) ‖ nonce (24) ‖ ciphertext ‖ tag (16).
 * Epoch 0 is the platform's own key, 1 and up are a tenant's. The epoch is not authenticated by itself: it
 * only names the key, and the wrong key fails the tag.
 */
import { VaultError } from "./vault-error.ts";
import { nonceBytes, tagBytes, type XaesKey } from "./xaes.ts";

export const format = 1;
export const platformEpoch = 0;

const headerBytes = 5;
/** What sealing adds to a value's length. */
export const overheadBytes = headerBytes + nonceBytes + tagBytes;

/** Seals under `key`, which is the key of `epoch`; `nonce` is 24 fresh random bytes. */
export function sealEnvelope(
	key: XaesKey,
	epoch: number,
	nonce: Buffer,
	aad: Buffer,
	plaintext: Buffer,
): Buffer {
	const [ciphertext, tag] = key.seal(nonce, plaintext, aad);
	const sealed = Buffer.allocUnsafe(overheadBytes + plaintext.length);
	sealed[0] = format;
	sealed.writeUInt32BE(epoch, 1);
	nonce.copy(sealed, headerBytes);
	ciphertext.copy(sealed, headerBytes + nonceBytes);
	tag.copy(sealed, sealed.length - tagBytes);
	return sealed;
}

/** The key epoch a sealed value names. Throws a VaultError for what is not a sealed value. */
export function epochOf(sealed: Buffer): number {
	if (sealed.length < overheadBytes || sealed[0] !== format)
		throw VaultError.of("malformed", "these bytes are not a sealed value of a known format");
	return sealed.readUInt32BE(1);
}

/** Opens a value whose epoch is that of `key`; undefined when anything about it was changed. */
export function openEnvelope(key: XaesKey, aad: Buffer, sealed: Buffer): Buffer | undefined {
	const end = sealed.length - tagBytes;
	return key.open(
		sealed.subarray(headerBytes, headerBytes + nonceBytes),
		sealed.subarray(headerBytes + nonceBytes, end),
		sealed.subarray(end),
		aad,
	);
}
