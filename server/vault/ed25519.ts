/**
 * Ed25519 signatures (RFC 8032), pure form, for the ledger's checkpoints. A private key lives in a closure;
 * it comes from its 32-byte seed and is never given back.
 */
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";

export interface SigningKey {
	/** 32 bytes, as RFC 8032 encodes it. */
	readonly publicKey: Buffer;
	/** 64 bytes; the same for the same message, always. */
	sign(message: Buffer): Buffer;
}

export const seedBytes = 32;
export const publicKeyBytes = 32;

/** What RFC 8410 puts before the seed (PKCS #8) and before the public key (SPKI). */
const privatePrefix = Buffer.from("302e020100300506032b657004220420", "hex");
const publicPrefix = Buffer.from("302a300506032b6570032100", "hex");

/** The key of this 32-byte seed. The caller may overwrite the seed afterwards. */
export function signingKey(seed: Buffer): SigningKey {
	if (seed.length !== seedBytes) throw new RangeError("an Ed25519 seed is 32 bytes");
	const der = Buffer.concat([privatePrefix, seed]);
	const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
	der.fill(0);
	const spki = createPublicKey(key).export({ format: "der", type: "spki" });
	return {
		publicKey: Buffer.from(spki.subarray(publicPrefix.length)),
		sign: (message) => sign(null, message, key),
	};
}

/** Whether `signature` is this public key's over the message. Anything malformed is not. */
export function verifySignature(publicKey: Buffer, message: Buffer, signature: Buffer): boolean {
	if (publicKey.length !== publicKeyBytes || signature.length !== 64) return false;
	return verify(null, message, publicKeyOf(publicKey), signature);
}

function publicKeyOf(bytes: Buffer): KeyObject {
	const der = Buffer.concat([publicPrefix, bytes]);
	return createPublicKey({ key: der, format: "der", type: "spki" });
}
