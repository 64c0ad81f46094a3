/**
 * A root key in a hardware security module or SoftHSM2, over PKCS#11 (OASIS PKCS#11 2.40). Node has no way to
 * call such a module without code compiled at installation, so each call is a run of OpenSC's `pkcs11-tool`: keys
 * go through its standard input and output, the PIN through its environment, neither through its arguments.
 * The module encrypts a fresh wrapping key (AES-CBC-PAD); that wraps ours with XAES, which binds the label.
 */
import { spawn } from "node:child_process";
import type { Secret } from "#platform/hidden.ts";
import type { Random } from "#platform/ids.ts";
import { keyBytes } from "../derive.ts";
import { epochOf, openEnvelope, platformEpoch, sealEnvelope } from "../envelope.ts";
import { nonceBytes, xaesKey } from "../xaes.ts";
import {
	type KeyProvider,
	KeyProviderError,
	labelBytes,
	probeHealth,
	type Wrapped,
} from "./provider.ts";

export interface Pkcs11Parts {
	/** `pkcs11:token=NAME;object=NAME?module-path=/path`, RFC 7512. */
	readonly uri: string;
	readonly pin: Secret;
	readonly random: Random;
	/** What the module needs of the environment (`SOFTHSM2_CONF`), and no more. */
	readonly environment?: Readonly<Record<string, string>>;
	readonly program?: string;
	readonly timeoutMs?: number;
}

const ivBytes = 16;
/** A wrapping key of 32 bytes, padded. */
const cipherBytes = 48;
const outputMax = 65_536;
const newKey = ["--keygen", "--key-type", "AES:32", "--sensitive"] as const;

interface Token {
	readonly token: string;
	readonly object: string;
	readonly module: string;
}

/** Reads the three attributes we use; throws KeyProviderError for anything else. */
export function readPkcs11Uri(uri: string): Token {
	const [path = "", query = ""] = uri.replace(/^pkcs11:/, "").split("?");
	const given = new Map(
		[...path.split(";"), ...query.split("&")].map((part) => {
			const [name = "", value = ""] = part.split("=", 2);
			return [name, decodeURIComponent(value)];
		}),
	);
	const [token = "", object = "", module = ""] = ["token", "object", "module-path"].map((name) =>
		given.get(name),
	);
	const known = uri.startsWith("pkcs11:") && given.size === 3;
	if (!known || token === "" || object === "" || module === "")
		throw new KeyProviderError(
			"refused",
			"WAXWING_KEY_URL must be pkcs11:token=NAME;object=NAME?module-path=/path/of/module.so",
		);
	return { token, object, module };
}

export function pkcs11Provider(parts: Pkcs11Parts): KeyProvider {
	const { random } = parts;
	const token = readPkcs11Uri(parts.uri);
	const tool = (args: readonly string[], input?: Buffer): Promise<Buffer> =>
		run(parts, token, args, input);
	const crypt = (verb: "--encrypt" | "--decrypt", id: string, iv: Buffer, data: Buffer) =>
		tool([verb, "--id", id, "--mechanism", "AES-CBC-PAD", "--iv", iv.toString("hex")], data);
	/** Ids of the root keys, the newest last. */
	const versions = async (): Promise<string[]> =>
		idsOf(await tool(["--list-objects", "--type", "secrkey"]), token.object);
	let newest: string | undefined;
	const newestVersion = async (): Promise<string> => {
		newest ??= (await versions()).at(-1);
		if (newest === undefined) throw noKey(token);
		return newest;
	};
	const provider: KeyProvider = {
		kind: "pkcs11",
		warning: undefined,
		async wrap(key, label): Promise<Wrapped> {
			const version = await newestVersion();
			const [between, iv] = [random.bytes(keyBytes), random.bytes(ivBytes)];
			const encrypted = await crypt("--encrypt", version, iv, between);
			if (encrypted.length !== cipherBytes) throw away("it gave no ciphertext of the right length");
			const nonce = random.bytes(nonceBytes);
			const sealed = sealEnvelope(xaesKey(between), platformEpoch, nonce, labelBytes(label), key);
			between.fill(0);
			return { version, bytes: Buffer.concat([iv, encrypted, sealed]) };
		},
		async unwrap({ version, bytes }, label) {
			const refused = new KeyProviderError(
				"refused",
				`A key of ${label.table} does not open under the token's key ${version}.`,
			);
			const [iv, encrypted, sealed] = cut(bytes);
			if (!/^[0-9a-f]{2,64}$/.test(version) || !isEnvelope(sealed)) throw refused;
			const between = await crypt("--decrypt", version, iv, encrypted).catch(async (error) => {
				// The tool tells a wrong ciphertext and a missing token alike: another call shows which it was.
				if ((await versions()).length > 0) throw refused;
				throw error;
			});
			if (between.length !== keyBytes) throw refused;
			const key = openEnvelope(xaesKey(between), labelBytes(label), sealed);
			between.fill(0);
			if (key === undefined) throw refused;
			return key;
		},
		async rotate() {
			const next = nextId(await newestVersion());
			await tool([...newKey, "--label", token.object, "--id", next]);
			newest = undefined;
		},
		async destroy(version) {
			if (version === (await newestVersion()))
				throw new KeyProviderError("refused", "The newest root key cannot be destroyed.");
			await tool(["--delete-object", "--type", "secrkey", "--id", version]);
		},
		health: () => probeHealth(provider),
		close: () => undefined,
	};
	return provider;
}

function noKey({ token, object }: Token): KeyProviderError {
	return new KeyProviderError(
		"refused",
		`The token ${token} has no key with the label ${object}. Make one: pkcs11-tool --keygen --key-type AES:32 --id 01 --label ${object} --sensitive`,
	);
}

function cut(bytes: Buffer): [iv: Buffer, encrypted: Buffer, sealed: Buffer] {
	const end = ivBytes + cipherBytes;
	return [bytes.subarray(0, ivBytes), bytes.subarray(ivBytes, end), bytes.subarray(end)];
}

function isEnvelope(bytes: Buffer): boolean {
	try {
		return epochOf(bytes) === platformEpoch;
	} catch {
		return false;
	}
}

/** The ids of objects with this label in what the tool lists, smallest first. */
function idsOf(listed: Buffer, label: string): string[] {
	const objects = listed.toString("utf8").split(/^(?=Secret Key Object)/m);
	return objects
		.filter((text) => /^ {2}label: +(.*)$/m.exec(text)?.[1] === label)
		.flatMap((text) => /^ {2}ID: +([0-9a-f]+)$/m.exec(text)?.[1] ?? [])
		.toSorted((a, b) => Number.parseInt(a, 16) - Number.parseInt(b, 16));
}

function nextId(id: string): string {
	const next = (Number.parseInt(id, 16) + 1).toString(16);
	return next.length % 2 === 0 ? next : `0${next}`;
}

function away(why: string): KeyProviderError {
	return new KeyProviderError("away", `The key module cannot be used now: ${why}.`);
}

function run(
	parts: Pkcs11Parts,
	{ token, module }: Token,
	args: readonly string[],
	input: Buffer = Buffer.alloc(0),
): Promise<Buffer> {
	const { program = "pkcs11-tool", timeoutMs = 10_000, environment = {} } = parts;
	const login = ["--module", module, "--token-label", token, "--login", "--pin", "env:PIN"];
	return new Promise((resolve, reject) => {
		// Nothing of our own environment goes along: it may hold secrets.
		const env = { PATH: "/usr/local/bin:/usr/bin:/bin", LC_ALL: "C", ...environment };
		const child = spawn(program, [...login, ...args], {
			env: { ...env, PIN: parts.pin.reveal() },
			stdio: ["pipe", "pipe", "pipe"],
			timeout: timeoutMs,
			killSignal: "SIGKILL",
		});
		const output: Buffer[] = [];
		let bytes = 0;
		child.stdout.on("data", (chunk: Buffer) => {
			bytes += chunk.length;
			if (bytes > outputMax) child.kill("SIGKILL");
			else output.push(chunk);
		});
		// What the tool says may hold what it was given: it is read and thrown away.
		child.stderr.resume();
		child.stdin.on("error", () => undefined);
		child.once("error", () => reject(away(`${program} cannot be run; install OpenSC`)));
		child.once("close", (code, signal) => {
			if (code === 0) resolve(Buffer.concat(output));
			else reject(away(signal === null ? `${program} ended with ${code}` : "it gave no answer"));
		});
		child.stdin.end(input);
	});
}
