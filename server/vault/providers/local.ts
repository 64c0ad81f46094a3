/**
 * Root keys held in this process: of the file, or of the environment. Keys are wrapped with XAES-256-GCM under
 * a key derived from the root key; the root keys themselves are not kept. A version is named by what follows
 * from its key, so that nothing has to be numbered.
 */
import type { Random } from "#platform/ids.ts";
import { deriveBytes, keyBytes } from "../derive.ts";
import { epochOf, openEnvelope, platformEpoch, sealEnvelope } from "../envelope.ts";
import { VaultError } from "../vault-error.ts";
import { nonceBytes, type XaesKey, xaesKey } from "../xaes.ts";
import { type KeyProvider, KeyProviderError, labelBytes, probeHealth } from "./provider.ts";

export interface LocalParts {
	readonly kind: "file" | "env";
	/** Newest first, 32 bytes each; the caller may overwrite them. */
	readonly keys: readonly Buffer[];
	readonly random: Random;
	readonly warning?: string | undefined;
	/** Keeps these keys from now on, newest first: the file. Without it keys are exchanged by the operator. */
	readonly save?: (change: KeyChange) => readonly Buffer[];
	/** What another process may have added meanwhile, newest first. */
	readonly reload?: () => readonly Buffer[];
}

/** A new key, or the versions that go. */
export type KeyChange = { readonly add: Buffer } | { readonly remove: (key: Buffer) => boolean };

/** Eight hexadecimal digits that follow from the key, and from which the key does not follow. */
export function versionOf(rootKey: Buffer): string {
	return deriveBytes(rootKey, "root/version").toString("hex", 0, 4);
}

export function localProvider(parts: LocalParts): KeyProvider {
	const { kind, random, save } = parts;
	let held = load(parts.keys);
	const newest = (): string => held.keys().next().value as string;
	const take = (keys: readonly Buffer[]): void => {
		held = load(keys);
		for (const key of keys) key.fill(0);
	};
	const changeKeys = (change: KeyChange): void => {
		if (save === undefined)
			throw new KeyProviderError(
				"unsupported",
				"Root keys from the environment are exchanged there: put the new key before the old one in WAXWING_ROOT_KEY, with a comma between, and start again.",
			);
		take(save(change));
	};
	const provider: KeyProvider = {
		kind,
		warning: parts.warning,
		async wrap(key, label) {
			// Another process may have made a new one, and destroyed ours: what we wrapped would be lost.
			if (parts.reload !== undefined) take(parts.reload());
			const version = newest();
			const nonce = random.bytes(nonceBytes);
			const wrapping = held.get(version) as XaesKey;
			const bytes = sealEnvelope(wrapping, platformEpoch, nonce, labelBytes(label), key);
			return { version, bytes };
		},
		async unwrap({ version, bytes }, label) {
			if (version !== "" && !held.has(version) && parts.reload !== undefined) take(parts.reload());
			// Keys wrapped before versions were written down have an empty one.
			const tried = version === "" ? [...held.values()] : [held.get(version)];
			for (const key of tried) {
				if (key === undefined || !isEnvelope(bytes)) continue;
				const opened = openEnvelope(key, labelBytes(label), bytes);
				if (opened?.length === keyBytes) return opened;
			}
			throw new KeyProviderError(
				"refused",
				`A key of ${label.table} does not open under the root key at hand.`,
			);
		},
		async rotate() {
			changeKeys({ add: random.bytes(keyBytes) });
		},
		async destroy(version) {
			if (version === newest())
				throw new KeyProviderError("refused", "The newest root key cannot be destroyed.");
			changeKeys({ remove: (key) => versionOf(key) === version });
		},
		health: () => probeHealth(provider),
		close: () => undefined,
	};
	return provider;
}

function load(keys: readonly Buffer[]): Map<string, XaesKey> {
	if (keys.length === 0 || keys.some((key) => key.length !== keyBytes))
		throw VaultError.of("malformed", "a root key is not 32 bytes long");
	return new Map(keys.map((key) => [versionOf(key), xaesKey(deriveBytes(key, "root/wrap"))]));
}

function isEnvelope(bytes: Buffer): boolean {
	try {
		return epochOf(bytes) === platformEpoch;
	} catch {
		return false;
	}
}
