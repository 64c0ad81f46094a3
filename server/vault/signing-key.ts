/**
 * The file of the ledger's signing key: 64 hexadecimal digits (the Ed25519 seed), mode 0600, owned by who runs
 * the signer. Made once; a file that others could read, or that is gone while signatures exist, is refused.
 */
import {
	closeSync,
	constants,
	fstatSync,
	fsyncSync,
	mkdirSync,
	openSync,
	readSync,
	writeSync,
} from "node:fs";
import { dirname } from "node:path";
import type { Random } from "#platform/ids.ts";
import { seedBytes, type SigningKey, signingKey } from "./ed25519.ts";

/** The signing key cannot be used; the message is a sentence for the operator. */
export class SigningKeyError extends Error {
	override readonly name = "SigningKeyError";
}

export interface SigningKeyOptions {
	readonly path: string;
	/** False refuses to make a key: signatures of another one exist. */
	readonly mayCreate: boolean;
	readonly random: Random;
}

/** Opens the key, or makes its file. Throws SigningKeyError with a sentence that says what to do. */
export function openSigningKey({ path, mayCreate, random }: SigningKeyOptions): SigningKey {
	let file = openOrUndefined(path, constants.O_RDONLY);
	if (file === undefined) {
		if (!mayCreate)
			throw new SigningKeyError(
				`The ledger's signing key ${path} is missing, but checkpoints signed with it exist. Put the file back from its backup, or fork the logs.`,
			);
		makeFile(path, random);
		file = openOrUndefined(path, constants.O_RDONLY);
	}
	if (file === undefined) throw new SigningKeyError(`The signing key ${path} cannot be made.`);
	try {
		refuseOthers(path, file);
		const text = Buffer.alloc(2 * seedBytes + 16);
		const length = readSync(file, text, 0, text.length, 0);
		const hex = text.toString("latin1", 0, length).trim();
		text.fill(0);
		if (!/^[0-9a-f]{64}$/.test(hex))
			throw new SigningKeyError(`${path} does not hold a signing key: 64 hexadecimal digits.`);
		const seed = Buffer.from(hex, "hex");
		const key = signingKey(seed);
		seed.fill(0);
		return key;
	} finally {
		closeSync(file);
	}
}

/** Looks at the open file, not at the path: it cannot be exchanged between the look and the read. */
function refuseOthers(path: string, file: number): void {
	const status = fstatSync(file);
	const mode = status.mode & 0o777;
	if (!status.isFile()) throw new SigningKeyError(`${path} is not a file.`);
	if ((mode & 0o177) !== 0)
		throw new SigningKeyError(
			`The signing key ${path} has mode ${mode.toString(8).padStart(4, "0")}: others could read it. Run: chmod 600 ${path}`,
		);
	const userId = process.getuid?.();
	if (userId !== undefined && status.uid !== userId)
		throw new SigningKeyError(
			`The signing key ${path} belongs to user id ${status.uid}, and the signer runs as ${userId}.`,
		);
}

function openOrUndefined(path: string, flags: number): number | undefined {
	try {
		return openSync(path, flags);
	} catch (cause) {
		if ((cause as { code?: unknown }).code === "ENOENT") return undefined;
		throw new SigningKeyError(`The signing key ${path} cannot be read.`, { cause });
	}
}

/** Never over an existing file. A file cut off while it is written holds no key, and is refused when read. */
function makeFile(path: string, random: Random): void {
	const folder = dirname(path);
	try {
		mkdirSync(folder, { recursive: true, mode: 0o700 });
		for (const [at, flags, text] of [
			[path, "wx", `${random.bytes(seedBytes).toString("hex")}\n`],
			[folder, "r", undefined],
		] as const) {
			const file = openSync(at, flags, 0o600);
			try {
				if (text !== undefined) writeSync(file, text);
				fsyncSync(file);
			} finally {
				closeSync(file);
			}
		}
	} catch (cause) {
		throw new SigningKeyError(`The signing key ${path} cannot be made.`, { cause });
	}
}
