/**
 * Wrapped keys as they are stored: format 2 ‖ length ‖ `kind:version` ‖ the provider's bytes. What begins with
 * format 1 was wrapped by a root key at hand before versions were written down. Several providers may be at
 * hand while an installation moves from one to another: the first wraps, each unwraps its own.
 */
import {
	type KeyLabel,
	type KeyProvider,
	KeyProviderError,
	type ProviderKind,
	type Wrapped,
} from "./providers/provider.ts";
import { VaultError } from "./vault-error.ts";

const format = 2;
const versionBytesMax = 255;

export interface Wrapping {
	wrap(key: Buffer, label: KeyLabel): Promise<Buffer>;
	/** Throws VaultError `keys_away` when nobody can say now, `not_authentic` when it does not open. */
	unwrap(stored: Buffer, label: KeyLabel): Promise<Buffer>;
	readonly current: KeyProvider;
}

export function createWrapping(current: KeyProvider, older: readonly KeyProvider[]): Wrapping {
	const providers = [current, ...older];
	return {
		current,
		async wrap(key, label) {
			const wrapped = await told(() => current.wrap(key, label));
			return encode(`${nameOf(current.kind)}:${wrapped.version}`, wrapped.bytes);
		},
		async unwrap(stored, label) {
			const { kind, ...wrapped } = decode(stored);
			const provider = providers.find((one) => nameOf(one.kind) === kind);
			if (provider === undefined)
				throw VaultError.of(
					"not_authentic",
					`a key was wrapped by the provider ${kind}, which is not at hand`,
				);
			return told(() => provider.unwrap(wrapped, label));
		},
	};
}

/** `kind:version` of a stored key; without a version if it was wrapped before versions were written down. */
export function wrappedBy(stored: Buffer): string {
	const { kind, version } = decode(stored);
	return `${kind}:${version}`;
}

/** A key may move from the environment to the file and back: it is the same key. */
const atHand = "root";

function nameOf(kind: ProviderKind): string {
	return kind === "file" || kind === "env" ? atHand : kind;
}

function encode(name: string, bytes: Buffer): Buffer {
	const text = Buffer.from(name, "utf8");
	if (text.length > versionBytesMax)
		throw VaultError.of("malformed", "a root key's version has too long a name");
	return Buffer.concat([Buffer.from([format, text.length]), text, bytes]);
}

function decode(stored: Buffer): Wrapped & { readonly kind: string } {
	if (stored[0] === 1) return { kind: atHand, version: "", bytes: stored };
	const end = 2 + (stored[1] ?? 0);
	if (stored[0] !== format || stored.length <= end)
		throw VaultError.of("malformed", "these bytes are not a wrapped key of a known format");
	const name = stored.toString("utf8", 2, end);
	const colon = name.indexOf(":");
	return {
		kind: name.slice(0, colon),
		version: name.slice(colon + 1),
		bytes: stored.subarray(end),
	};
}

async function told<T>(work: () => Promise<T>): Promise<T> {
	try {
		return await work();
	} catch (error) {
		if (!(error instanceof KeyProviderError)) throw error;
		throw VaultError.of(error.trouble === "away" ? "keys_away" : "not_authentic", error.message);
	}
}
