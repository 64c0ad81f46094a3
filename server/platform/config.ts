/**
 * Configuration: environment variables `WAXWING_*` (and `DATABASE_URL`), parsed once at start. Unknown
 * keys are refused, so a misspelt setting cannot be silently without effect. A secret may be given as
 * a file: `NAME_FILE` holds its path. The only reader of the environment. The reference page
 * `docs/operations/configuration.md` is generated from `settings`.
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { Secret } from "./hidden.ts";

type Kind = "text" | "secret" | "port" | "count" | "mode" | "level" | "list" | "flag" | "provider";

interface Setting {
	readonly kind: Kind;
	readonly fallback: string | undefined;
	readonly says: string;
}

export const settings = {
	WAXWING_MODE: {
		kind: "mode",
		fallback: "development",
		says: "`development` seeds a tenant and sandbox carriers; `production` seeds nothing and refuses unsafe settings.",
	},
	WAXWING_DATA_DIR: {
		kind: "text",
		fallback: ".waxwing",
		says: "Where state lives: embedded database, root key, dev.json.",
	},
	WAXWING_PORT: {
		kind: "port",
		fallback: "8080",
		says: "Port of the API and its reference page; 0 takes a free one.",
	},
	WAXWING_HOST: {
		kind: "text",
		fallback: "127.0.0.1",
		says: "Address to listen on. Put a TLS-terminating proxy before it when it is not loopback.",
	},
	WAXWING_LOG_LEVEL: {
		kind: "level",
		fallback: "info",
		says: "debug, info, warn, error or silent.",
	},
	DATABASE_URL: {
		kind: "secret",
		fallback: undefined,
		says: "A PostgreSQL 15–18 of your own, as a role that may create roles. Unset: the embedded one.",
	},
	WAXWING_KEY_PROVIDER: {
		kind: "provider",
		fallback: "",
		says: "What keeps the root key: file, env, pkcs11, transit or aws-kms. Unset: env if WAXWING_ROOT_KEY is set, else file.",
	},
	WAXWING_ROOT_KEY: {
		kind: "secret",
		fallback: undefined,
		says: "Provider env: the root key, 64 hexadecimal digits; older ones behind it, with commas between. Unset: the file root.key in the data directory, made at first start.",
	},
	WAXWING_ROOT_KEY_PASSPHRASE: {
		kind: "secret",
		fallback: undefined,
		says: "Provider file: seals root.key (Argon2id). A file in the clear is sealed at the next start.",
	},
	WAXWING_KEY_URL: {
		kind: "text",
		fallback: undefined,
		says: "transit: https://HOST:8200/v1/transit. aws-kms: https://kms.REGION.amazonaws.com. pkcs11: pkcs11:token=NAME;object=NAME?module-path=/path/of/module.so",
	},
	WAXWING_KEY_NAME: {
		kind: "text",
		fallback: undefined,
		says: "transit: the key's name. aws-kms: the key's ARN.",
	},
	WAXWING_KEY_CREDENTIAL: {
		kind: "secret",
		fallback: undefined,
		says: "transit: the token. aws-kms: ACCESS_KEY_ID:SECRET_ACCESS_KEY, and :SESSION_TOKEN. pkcs11: the user PIN.",
	},
	WAXWING_KEY_NETWORKS: {
		kind: "list",
		fallback: "",
		says: "CIDR list of private networks in which the key service may be. Webhooks and carriers may not go there.",
	},
	WAXWING_KEY_CA: {
		kind: "text",
		fallback: undefined,
		says: "A file with the certificates (PEM) that the key service's certificate is trusted by. Unset: the system's.",
	},
	WAXWING_KEY_MODULE_ENV: {
		kind: "list",
		fallback: "",
		says: "pkcs11: what the module needs of the environment, NAME=value with commas between.",
	},
	WAXWING_KEY_ROTATION_DAYS: {
		kind: "count",
		fallback: "365",
		says: "After so many days the root key and a tenant's key are due for rotation, which raises an alarm. 0: never.",
	},
	WAXWING_ERASURE_WINDOW_DAYS: {
		kind: "count",
		fallback: "7",
		says: "Within so many days (1 to 30) after a contact was erased, no backup can be read for it either.",
	},
	WAXWING_BACKUP_DAYS: {
		kind: "count",
		fallback: "400",
		says: "No older backup of the database will ever be restored (31 to 36500 days). So far back does the list of erasures reach; a restored database from before is refused.",
	},
	WAXWING_DEV_SMSC: {
		kind: "secret",
		fallback: undefined,
		says: "Development only: smpp://systemId:password@host:port?window=200&tps=0 becomes the default SMS route of live keys.",
	},
	WAXWING_SANDBOX_PORT: {
		kind: "port",
		fallback: "0",
		says: "Port of the sandbox SMSC on loopback; 0 takes a free one.",
	},
	WAXWING_METRICS_PORT: {
		kind: "port",
		fallback: "0",
		says: "Port of /metrics on loopback; 0 takes a free one.",
	},
	WAXWING_DANGEROUS_EGRESS_ALLOW: {
		kind: "list",
		fallback: undefined,
		says: "CIDR list of private networks that webhooks and carriers may reach. Empty in production unless set; loopback in development.",
	},
	WAXWING_DEFAULT_COUNTRY_ALLOW: {
		kind: "list",
		fallback: "",
		says: "Destination countries (ISO 3166 alpha-2) a new tenant may send to; empty: none until set per tenant.",
	},
	WAXWING_LEDGER_SIGNER: {
		kind: "flag",
		fallback: "true",
		says: "Whether this process runs the ledger's signer. One process of an installation does: with several API processes, `false` in the others.",
	},
	WAXWING_LEDGER_NAME: {
		kind: "text",
		fallback: "waxwing.local",
		says: "First part of the names (origins) of the ledger's logs, for example the host's name. Set it before the first start and never change it: verifiers pin it.",
	},
	WAXWING_LEDGER_WITNESSES: {
		kind: "list",
		fallback: "",
		says: "Witnesses that co-sign the ledger's checkpoints: URL=KEY with commas between, KEY as the witness shows it (NAME+ID+BASE64).",
	},
	WAXWING_LEDGER_WITNESS_NETWORKS: {
		kind: "list",
		fallback: "",
		says: "CIDR list of private networks in which witnesses may be.",
	},
	WAXWING_UNKNOWN_RECONCILE_SECONDS: {
		kind: "count",
		fallback: "30",
		says: "How long a submit with an unknown outcome waits for a receipt before its class's policy applies.",
	},
	WAXWING_DANGEROUS_NO_FSYNC: {
		kind: "flag",
		fallback: "false",
		says: "Embedded database without fsync: tests only, refused in production.",
	},
} as const satisfies Record<string, Setting>;

export interface Config {
	readonly mode: "development" | "production";
	readonly dataDir: string;
	readonly port: number;
	readonly host: string;
	readonly logLevel: string;
	readonly databaseUrl: Secret | undefined;
	readonly keys: KeySettings;
	readonly devSmsc: Secret | undefined;
	readonly sandboxPort: number;
	readonly metricsPort: number;
	readonly egressAllow: readonly string[];
	readonly defaultCountries: readonly string[];
	readonly ledgerName: string;
	readonly ledgerSigner: boolean;
	readonly ledgerWitnesses: readonly string[];
	readonly ledgerWitnessNetworks: readonly string[];
	readonly unknownReconcileMs: number;
	readonly noFsync: boolean;
}

/** How the root key is kept; what a provider needs is checked when it is opened. */
export interface KeySettings {
	/** Empty: env if there is a root key here, else file. */
	readonly provider: "" | "file" | "env" | "pkcs11" | "transit" | "aws-kms";
	readonly rootKey: Secret | undefined;
	readonly passphrase: Secret | undefined;
	readonly url: string | undefined;
	readonly name: string | undefined;
	readonly credential: Secret | undefined;
	readonly networks: readonly string[];
	/** The path of a file. */
	readonly certificateAuthorities: string | undefined;
	readonly moduleEnvironment: readonly string[];
	readonly rotationDays: number;
	readonly erasureWindowDays: number;
	readonly backupDays: number;
}

export class ConfigError extends Error {}

type Environment = Readonly<Record<string, string | undefined>>;

export function readConfig(environment: Environment = process.env): Config {
	refuseUnknown(environment);
	const text = (name: keyof typeof settings): string | undefined => valueOf(environment, name);
	const mode = oneOf("WAXWING_MODE", text("WAXWING_MODE"), ["development", "production"]);
	const secret = (name: keyof typeof settings): Secret | undefined => {
		const value = text(name);
		return value === undefined || value === "" ? undefined : new Secret(value);
	};
	const config: Config = {
		mode,
		dataDir: resolve(text("WAXWING_DATA_DIR") ?? ""),
		port: count("WAXWING_PORT", text("WAXWING_PORT"), 65_535),
		host: text("WAXWING_HOST") ?? "",
		logLevel: oneOf("WAXWING_LOG_LEVEL", text("WAXWING_LOG_LEVEL"), [
			"debug",
			"info",
			"warn",
			"error",
			"silent",
		]),
		databaseUrl: secret("DATABASE_URL"),
		keys: readKeySettings(text, secret),
		devSmsc: secret("WAXWING_DEV_SMSC"),
		sandboxPort: count("WAXWING_SANDBOX_PORT", text("WAXWING_SANDBOX_PORT"), 65_535),
		metricsPort: count("WAXWING_METRICS_PORT", text("WAXWING_METRICS_PORT"), 65_535),
		egressAllow: list(
			text("WAXWING_DANGEROUS_EGRESS_ALLOW") ??
				(mode === "development" ? "127.0.0.0/8,::1/128" : ""),
		),
		defaultCountries: list(text("WAXWING_DEFAULT_COUNTRY_ALLOW")),
		ledgerSigner:
			oneOf("WAXWING_LEDGER_SIGNER", text("WAXWING_LEDGER_SIGNER"), ["true", "false"]) === "true",
		ledgerWitnesses: list(text("WAXWING_LEDGER_WITNESSES")),
		ledgerWitnessNetworks: list(text("WAXWING_LEDGER_WITNESS_NETWORKS")),
		ledgerName: pattern(
			"WAXWING_LEDGER_NAME",
			text("WAXWING_LEDGER_NAME"),
			/^[a-z0-9][a-z0-9.-]{0,99}$/,
			"a host's name in lower case",
		),
		unknownReconcileMs:
			count(
				"WAXWING_UNKNOWN_RECONCILE_SECONDS",
				text("WAXWING_UNKNOWN_RECONCILE_SECONDS"),
				86_400,
			) * 1000,
		noFsync:
			oneOf("WAXWING_DANGEROUS_NO_FSYNC", text("WAXWING_DANGEROUS_NO_FSYNC"), ["true", "false"]) ===
			"true",
	};
	refuseUnsafe(config);
	return config;
}

type Read<T> = (name: keyof typeof settings) => T | undefined;

function readKeySettings(text: Read<string>, secret: Read<Secret>): KeySettings {
	const filled = (name: keyof typeof settings): string | undefined => text(name) || undefined;
	const window = "WAXWING_ERASURE_WINDOW_DAYS";
	const erasureWindowDays = count(window, text(window), 30);
	if (erasureWindowDays === 0) throw new ConfigError(`${window} is 0; it must be from 1 to 30.`);
	const backups = "WAXWING_BACKUP_DAYS";
	const backupDays = count(backups, text(backups), 36_500);
	// Longer than any window: what is not complete yet is never taken from the list anyhow.
	if (backupDays < 31)
		throw new ConfigError(`${backups} is ${backupDays}; it must be from 31 to 36500.`);
	return {
		provider: oneOf("WAXWING_KEY_PROVIDER", text("WAXWING_KEY_PROVIDER"), [
			"",
			"file",
			"env",
			"pkcs11",
			"transit",
			"aws-kms",
		]),
		rootKey: secret("WAXWING_ROOT_KEY"),
		passphrase: secret("WAXWING_ROOT_KEY_PASSPHRASE"),
		url: filled("WAXWING_KEY_URL"),
		name: filled("WAXWING_KEY_NAME"),
		credential: secret("WAXWING_KEY_CREDENTIAL"),
		networks: list(text("WAXWING_KEY_NETWORKS")),
		certificateAuthorities: filled("WAXWING_KEY_CA"),
		moduleEnvironment: list(text("WAXWING_KEY_MODULE_ENV")),
		rotationDays: count("WAXWING_KEY_ROTATION_DAYS", text("WAXWING_KEY_ROTATION_DAYS"), 3_650),
		erasureWindowDays,
		backupDays,
	};
}

function refuseUnknown(environment: Environment): void {
	for (const name of Object.keys(environment)) {
		if (!name.startsWith("WAXWING_") || name.startsWith("WAXWING_TEST_")) continue;
		const base = name.endsWith("_FILE") ? name.slice(0, -5) : name;
		const known = (settings as Record<string, Setting>)[base];
		if (known === undefined || (base !== name && known.kind !== "secret"))
			throw new ConfigError(
				`${name} is not a setting. The settings are: ${Object.keys(settings).join(", ")}.`,
			);
	}
}

function valueOf(environment: Environment, name: keyof typeof settings): string | undefined {
	const file = environment[`${name}_FILE`];
	if (file !== undefined) {
		try {
			return readFileSync(file, "utf8").trim();
		} catch (cause) {
			throw new ConfigError(`${name}_FILE names a file that cannot be read: ${file}`, { cause });
		}
	}
	return environment[name] ?? settings[name].fallback;
}

function oneOf<const T extends string>(
	name: string,
	value: string | undefined,
	allowed: readonly T[],
): T {
	const found = allowed.find((one) => one === value);
	if (found === undefined)
		throw new ConfigError(`${name} is "${value}"; it may be ${allowed.join(", ")}.`);
	return found;
}

function count(name: string, value: string | undefined, max: number): number {
	const number = Number(value);
	if (value === undefined || !/^\d+$/.test(value) || number > max)
		throw new ConfigError(`${name} is "${value}"; it must be a whole number from 0 to ${max}.`);
	return number;
}

function pattern(name: string, value: string | undefined, allowed: RegExp, says: string): string {
	if (value === undefined || !allowed.test(value))
		throw new ConfigError(`${name} is "${value}"; it must be ${says}.`);
	return value;
}

function list(value: string | undefined): readonly string[] {
	return (value ?? "")
		.split(",")
		.map((item) => item.trim())
		.filter((item) => item !== "");
}

function refuseUnsafe(config: Config): void {
	if (config.mode !== "production") return;
	if (config.noFsync)
		throw new ConfigError(
			"WAXWING_DANGEROUS_NO_FSYNC is refused in production: accepted messages could be lost.",
		);
	if (config.devSmsc !== undefined)
		throw new ConfigError(
			"WAXWING_DEV_SMSC is refused in production: set routes up through the API instead.",
		);
}
