/**
 * The text of an API key: kind, id and secret, as in `wx_live_<26 base32>_<43 base64url>`. The id finds the
 * row, the secret (32 random bytes) proves the key; only the secret's SHA-256 is ever stored.
 */
import { Secret } from "#platform/hidden.ts";
import { type Random, readId, showId } from "#platform/ids.ts";
import { hashSecret } from "#vault/index.ts";

export type KeyKind = "live" | "test" | "operator";

/** What a text says it is; nothing about it has been proven. */
export interface ReadKey {
	readonly kind: KeyKind;
	/** 26 characters that may or may not be an id: see `idOf`. */
	readonly shownId: string;
	readonly secret: string;
}

/** How an id looks in front of objects of the API: `key_…`. */
export const keyPrefix = "key";

const kinds: readonly (readonly [prefix: string, kind: KeyKind])[] = [
	["wx_live_", "live"],
	["wx_test_", "test"],
	["wx_op_", "operator"],
];
const idLength = 26;
const secretBytes = 32;
const secretLength = 43;
const secretPattern = /^[A-Za-z0-9_-]{43}$/;

/** Makes a key's text; the text is shown once and `secretHash` (32 bytes) is stored. */
export function mintKey(
	kind: KeyKind,
	id: string,
	random: Random,
): { readonly text: Secret; readonly secretHash: Buffer } {
	const prefix = kinds.find((known) => known[1] === kind)?.[0] ?? "";
	const secret = random.bytes(secretBytes).toString("base64url");
	const shownId = showId(keyPrefix, id).slice(keyPrefix.length + 1);
	return { text: new Secret(`${prefix}${shownId}_${secret}`), secretHash: hashSecret(secret) };
}

/** Takes a text apart, whatever it is; undefined when it cannot be a key. Costs no look-up and no hash. */
export function readKey(text: string): ReadKey | undefined {
	for (const [prefix, kind] of kinds) {
		if (!text.startsWith(prefix)) continue;
		const idEnd = prefix.length + idLength;
		if (text.length !== idEnd + 1 + secretLength || text[idEnd] !== "_") return undefined;
		const secret = text.slice(idEnd + 1);
		if (!secretPattern.test(secret)) return undefined;
		return { kind, shownId: text.slice(prefix.length, idEnd), secret };
	}
	return undefined;
}

/** The uuid behind the 26 characters, or undefined when they are none. */
export function idOf(shownId: string): string | undefined {
	return readId(keyPrefix, `${keyPrefix}_${shownId}`);
}

const bearerPattern = /^Bearer +([^ ]{1,128})$/i;

/** The token of an Authorization header (RFC 6750 §2.1); undefined when there is none. */
export function bearerToken(authorization: string | undefined): string | undefined {
	if (authorization === undefined || authorization.length > 256) return undefined;
	return bearerPattern.exec(authorization)?.[1];
}
