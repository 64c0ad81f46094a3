/**
 * The root key: everything sealed depends on it and nothing can replace it. From the file `root.key` of the
 * data directory (64 hexadecimal digits, mode 0600, made at the first start) or from configuration. It refuses
 * a file that others could read and never prints what it holds.
 */
import {
	closeSync,
	fstatSync,
	fsyncSync,
	linkSync,
	mkdirSync,
	openSync,
	readSync,
	unlinkSync,
	writeSync,
} from "node:fs";
import { join } from "node:path";
import type { Secret } from "#platform/hidden.ts";
import type { Random } from "#platform/ids.ts";
import { keyBytes } from "./derive.ts";

/** The root key cannot be used; the message is a sentence for the operator. */
export class RootKeyError extends Error {
	override readonly name = "RootKeyError";
}

export interface RootKey {
	/** 32 bytes. */
	readonly key: Buffer;
	readonly provider: "file" | "env";
	/** A sentence the operator should see at start, if any. */
	readonly warning: string | undefined;
}

export interface RootKeyOptions {
	readonly dataDir: string;
	/** The configured key (`WAXWING_ROOT_KEY`); it takes precedence over the file. */
	readonly configured: Secret | undefined;
	/** False refuses to make a key: the database already holds what another one sealed. */
	readonly mayCreate: boolean;
	readonly random: Random;
}

/** Opens the root key, or makes the file. Throws RootKeyError with a sentence that says what to do. */
export function openRootKey(options: RootKeyOptions): RootKey {
	const { configured } = options;
	if (configured !== undefined)
		return {
			key: readHex(configured.reveal(), "WAXWING_ROOT_KEY"),
			provider: "env",
			warning:
				"The root key comes from WAXWING_ROOT_KEY: other processes of this user can read it there. Use the key file in production.",
		};
	const path = join(options.dataDir, "root.key");
	let key = readFile(path);
	if (key === undefined) {
		if (!options.mayCreate)
			throw new RootKeyError(
				`The root key file ${path} is missing, but data sealed under it exists. Put the file back from its backup; a new key cannot open that data.`,
			);
		makeFile(options.dataDir, path, options.random);
		key = readFile(path);
	}
	if (key === undefined) throw new RootKeyError(`The root key file ${path} cannot be made.`);
	return { key, provider: "file", warning: undefined };
}

function readHex(text: string, source: string): Buffer {
	const trimmed = text.trim();
	if (!/^[0-9a-fA-F]{64}$/.test(trimmed))
		throw new RootKeyError(`${source} does not hold a root key: it must be 64 hexadecimal digits.`);
	return Buffer.from(trimmed, "hex");
}

/** The key in the file; undefined when there is no such file. */
function readFile(path: string): Buffer | undefined {
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
		const text = Buffer.alloc(128);
		const length = readSync(file, text, 0, text.length, 0);
		return readHex(text.toString("latin1", 0, length), `The root key file ${path}`);
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
 * Written and synced under another name, then linked: the file is there whole or not at all, and a key made
 * by another process at the same moment is never overwritten.
 */
function makeFile(dataDir: string, path: string, random: Random): void {
	const draft = `${path}.${random.bytes(8).toString("hex")}`;
	try {
		mkdirSync(dataDir, { recursive: true, mode: 0o700 });
		const file = openSync(draft, "wx", 0o600);
		try {
			writeSync(file, `${random.bytes(keyBytes).toString("hex")}\n`);
			fsyncSync(file);
		} finally {
			closeSync(file);
		}
		try {
			linkSync(draft, path);
		} catch (error) {
			if ((error as { code?: unknown }).code !== "EEXIST") throw error;
		} finally {
			unlinkSync(draft);
		}
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
