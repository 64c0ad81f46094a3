/** Opens the key provider that the configuration names; says which setting is missing. */
import { readFileSync } from "node:fs";
import type { Clock } from "#platform/clock.ts";
import { ConfigError, type KeySettings } from "#platform/config.ts";
import { createEgress, type Egress } from "#platform/egress.ts";
import type { Random } from "#platform/ids.ts";
import { openRootKeys } from "../root-key.ts";
import { awsKmsProvider } from "./aws-kms.ts";
import { localProvider } from "./local.ts";
import { pkcs11Provider } from "./pkcs11.ts";
import type { KeyProvider, ProviderKind } from "./provider.ts";
import { transitProvider } from "./transit.ts";

export interface OpenParts {
	readonly settings: KeySettings;
	readonly dataDir: string;
	/** False refuses to make a root key: the database already holds what another one sealed. */
	readonly mayCreate: boolean;
	readonly random: Random;
	readonly clock: Clock;
}

export function kindOf({ provider, rootKey }: KeySettings): ProviderKind {
	if (provider !== "") return provider;
	return rootKey === undefined ? "file" : "env";
}

export interface OpenedProvider {
	readonly provider: KeyProvider;
	/** The oldest root key, if it is at hand; the caller overwrites it. */
	readonly oldest: Buffer | undefined;
}

/** Throws ConfigError, RootKeyError or KeyProviderError with a sentence for the operator. */
export function openKeyProvider(parts: OpenParts): OpenedProvider {
	const kind = kindOf(parts.settings);
	if (kind === "file" || kind === "env") return openLocal(parts, kind);
	return { provider: openService(parts, kind), oldest: undefined };
}

function openService(parts: OpenParts, kind: Exclude<ProviderKind, "file" | "env">): KeyProvider {
	const { settings, random, clock } = parts;
	switch (kind) {
		case "pkcs11":
			return pkcs11Provider({
				uri: demand(settings.url, "WAXWING_KEY_URL", kind),
				pin: demand(settings.credential, "WAXWING_KEY_CREDENTIAL", kind),
				random,
				environment: readEnvironment(settings.moduleEnvironment),
			});
		case "transit":
			return withEgress(parts, (egress) =>
				transitProvider({
					url: demand(settings.url, "WAXWING_KEY_URL", kind).replace(/\/+$/, ""),
					keyName: demand(settings.name, "WAXWING_KEY_NAME", kind),
					token: demand(settings.credential, "WAXWING_KEY_CREDENTIAL", kind),
					egress,
				}),
			);
		case "aws-kms":
			return withEgress(parts, (egress) =>
				awsKmsProvider({
					url: demand(settings.url, "WAXWING_KEY_URL", kind),
					keyArn: demand(settings.name, "WAXWING_KEY_NAME", kind),
					credentials: demand(settings.credential, "WAXWING_KEY_CREDENTIAL", kind),
					egress,
					clock,
				}),
			);
	}
}

function openLocal(parts: OpenParts, kind: "file" | "env"): OpenedProvider {
	const { settings, random } = parts;
	const configured =
		kind === "env" ? demand(settings.rootKey, "WAXWING_ROOT_KEY", kind) : undefined;
	const { keys, warning, save, reload } = openRootKeys({
		dataDir: parts.dataDir,
		configured,
		passphrase: settings.passphrase,
		mayCreate: parts.mayCreate,
		random,
	});
	const provider = localProvider({
		kind,
		keys,
		random,
		warning,
		...(save && { save }),
		...(reload && { reload }),
	});
	const oldest = Buffer.from(keys.at(-1) as Buffer);
	for (const key of keys) key.fill(0);
	return { provider, oldest };
}

/** A door of its own: that the key service is in a private network must not open it to webhooks. */
function withEgress(
	{ settings, clock }: OpenParts,
	open: (egress: Egress) => KeyProvider,
): KeyProvider {
	const trusted = settings.certificateAuthorities;
	const egress = createEgress({
		allow: settings.networks,
		clock,
		totalTimeoutMs: 5_000,
		...(trusted !== undefined && { certificateAuthorities: readCertificates(trusted) }),
	});
	return { ...open(egress), close: () => egress.close() };
}

function readCertificates(path: string): string {
	try {
		return readFileSync(path, "latin1");
	} catch (cause) {
		throw new ConfigError(`WAXWING_KEY_CA names a file that cannot be read: ${path}`, { cause });
	}
}

function readEnvironment(items: readonly string[]): Record<string, string> {
	return Object.fromEntries(
		items.map((item) => {
			const at = item.indexOf("=");
			if (at < 1)
				throw new ConfigError("WAXWING_KEY_MODULE_ENV must be NAME=value, with commas between.");
			return [item.slice(0, at), item.slice(at + 1)];
		}),
	);
}

function demand<T>(value: T | undefined, name: string, kind: ProviderKind): T {
	if (value === undefined) throw new ConfigError(`The key provider ${kind} needs ${name}.`);
	return value;
}
