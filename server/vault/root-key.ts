/**
 * Root keys at hand: everything sealed depends on them and nothing can replace them. From the file `root.key` of
 * the data directory (one key a line, newest first, mode 0600, made at the first start; sealed under a passphrase
 * if there is one) or from configuration. It refuses a file that others could read and never prints what it holds.
 */
import {
	closeSync,
	fstatSync,
	fsyncSync,
	linkSync,
	mkdirSync,
	openSync,
	readSync,
	renameSync,
	unlinkSync,
	writeSync,
} from "node:fs";
import { join } from "node:path";
import type { Secret } from "#platform/hidden.ts";
import type { Random } from "#platform/ids.ts";
import { keyBytes } from "./derive.ts";
import { isSealedLine, type Passphrase, readPassphrase } from "./passphrase.ts";
import type { KeyChange } from "./providers/local.ts";

/** The root key cannot be used; the message is a sentence for the operator. */
export class RootKeyError extends Error {
	override readonly name = "RootKeyError";
}

export interface RootKeys {
	/** Newest first, 32 bytes each. */
	readonly keys: readonly Buffer[];
	readonly provider: "file" | "env";
	/** A sentence the operator should see at start, if any. */
	readonly warning: string | undefined;
	/** Adds a key in front, or takes keys away, in the file; undefined for keys from the environment. */
	readonly save: ((change: KeyChange) => readonly Buffer[]) | undefined;
	/** What the file holds now. */
	readonly reload: (() => readonly Buffer[]) | undefined;
}

export interface RootKeyOptions {
	readonly dataDir: string;
	/** The configured keys (`WAXWING_ROOT_KEY`), newest first, commas between; they take precedence over the file. */
	readonly configured: Secret | undefined;
	/** Seals the file's lines (Argon2id); a file in the clear is sealed at once. */
	readonly passphrase?: Secret | undefined;
	/** False refuses to make a key: the database already holds what another one sealed. */
	readonly mayCreate: boolean;
	readonly random: Random;
}

/** Root keys and lines of the file: rotation adds one, destroying takes one away. */
const keysMax = 16;
const fileBytesMax = 8_192;

/** Opens the root keys, or makes the file. Throws RootKeyError with a sentence that says what to do. */
export function openRootKeys(options: RootKeyOptions): RootKeys {
	const { configured } = options;
	if (configured !== undefined)
		return {
			keys: configured
				.reveal()
				.split(",")
				.map((text) => readHex(text, "WAXWING_ROOT_KEY")),
			provider: "env",
			warning:
				"The root key comes from WAXWING_ROOT_KEY: other processes of this user can read it there. Use the key file in production.",
			save: undefined,
			reload: undefined,
		};
	const path = join(options.dataDir, "root.key");
	const passphrase =
		options.passphrase === undefined
			? undefined
			: readPassphrase(options.passphrase, options.random);
	const file: KeyFile = { ...options, path, passphrase };
	if (readLines(path) === undefined) {
		if (!options.mayCreate)
			throw new RootKeyError(
				`The root key file ${path} is missing, but data sealed under it exists. Put the file back from its backup; a new key cannot open that data.`,
			);
		writeFile(file, [options.random.bytes(keyBytes)], false);
	}
	const keys = readKeys(file);
	return {
		keys,
		provider: "file",
		warning: undefined,
		reload: () => readKeys(file),
		save(change) {
			const now = readKeys(file);
			const changed =
				"add" in change ? [change.add, ...now] : now.filter((key) => !change.remove(key));
			if (changed.length > keysMax)
				throw new RootKeyError(`${path} holds ${keysMax} root keys: destroy an old one first.`);
			writeFile(file, changed, true);
			return readKeys(file);
		},
	};
}

interface KeyFile {
	readonly dataDir: string;
	readonly path: string;
	readonly passphrase: Passphrase | undefined;
	readonly random: Random;
}

function readKeys(file: KeyFile): Buffer[] {
	const { path, passphrase } = file;
	const lines = readLines(path);
	if (lines === undefined) throw new RootKeyError(`The root key file ${path} cannot be made.`);
	const source = `The root key file ${path}`;
	const keys = lines.map((line) => {
		if (!isSealedLine(line)) return readHex(line, source);
		if (passphrase === undefined)
			throw new RootKeyError(
				`${source} is sealed: give its passphrase in WAXWING_ROOT_KEY_PASSPHRASE_FILE.`,
			);
		const key = passphrase.openLine(line);
		if (key === undefined)
			throw new RootKeyError(`${source} does not open under this passphrase, or was changed.`);
		return key;
	});
	// A passphrase given for the first time: from now on the file is of no use without it.
	if (passphrase !== undefined && lines.some((line) => !isSealedLine(line)))
		writeFile(file, keys, true);
	return keys;
}

function readHex(text: string, source: string): Buffer {
	const trimmed = text.trim();
	if (!/^[0-9a-fA-F]{64}$/.test(trimmed))
		throw new RootKeyError(`${source} does not hold a root key: it must be 64 hexadecimal digits.`);
	return Buffer.from(trimmed, "hex");
}

/** The lines of the file, at least one; undefined when there is no such file. */
function readLines(path: string): string[] | undefined {
	const file = openOrUndefined(path);
	if (file === undefined) return undefined;
	try {
		// Of the open file, not of the path: it cannot be exchanged between the look and the read.
		const status = fstatSync(file);
		const mode = status.mode & 0o777;
		if (!status.isFile()) throw new RootKeyError(`${path} is not a file.`);
		if ((mode & 0o177) !== 0)
			throw new RootKeyError(
				`The root key file ${path} has mode ${mode.toString(8).padStart(4, "0")}: others could read it. Run: chmod 600 ${path}`,
			);
		const userId = process.getuid?.();
		if (userId !== undefined && status.uid !== userId)
			throw new RootKeyError(
				`The root key file ${path} belongs to user id ${status.uid}, and this process runs as ${userId}. Run as its owner, or change the owner.`,
			);
		const text = Buffer.alloc(fileBytesMax);
		const length = readSync(file, text, 0, text.length, 0);
		return text.toString("latin1", 0, length).trimEnd().split("\n");
	} finally {
		closeSync(file);
	}
}

function openOrUndefined(path: string): number | undefined {
	try {
		return openSync(path, "r");
	} catch (cause) {
		if ((cause as { code?: unknown }).code === "ENOENT") return undefined;
		throw new RootKeyError(`The root key file ${path} cannot be read.`, { cause });
	}
}

/**
 * Written and synced under another name: the file is there whole or not at all. A first file is linked, so that a
 * key made by another process at the same moment is never overwritten; a changed one takes the old one's place.
 */
function writeFile(
	{ dataDir, path, passphrase, random }: KeyFile,
	keys: readonly Buffer[],
	replace: boolean,
): void {
	const draft = `${path}.${random.bytes(8).toString("hex")}`;
	const lines = keys.map((key) =>
		passphrase === undefined ? key.toString("hex") : passphrase.sealLine(key),
	);
	try {
		mkdirSync(dataDir, { recursive: true, mode: 0o700 });
		const file = openSync(draft, "wx", 0o600);
		try {
			writeSync(file, lines.map((line) => `${line}\n`).join(""));
			fsyncSync(file);
		} finally {
			closeSync(file);
		}
		if (replace) renameSync(draft, path);
		else linkOnce(draft, path);
		const directory = openSync(dataDir, "r");
		try {
			fsyncSync(directory);
		} finally {
			closeSync(directory);
		}
	} catch (cause) {
		throw new RootKeyError(`The root key file ${path} cannot be made.`, { cause });
	}
}

function linkOnce(draft: string, path: string): void {
	try {
		linkSync(draft, path);
	} catch (error) {
		if ((error as { code?: unknown }).code !== "EEXIST") throw error;
	} finally {
		unlinkSync(draft);
	}
}
