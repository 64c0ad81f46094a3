/**
 * What the signer remembers outside the database: of each log the origin, size and root that it signed last, and
 * the edge to go on from. Written whole under another name, synced, then renamed, and the folder synced: what is
 * signed is on disk before the signature is given away. Nobody else writes this file.
 */
import {
	closeSync,
	existsSync,
	fsyncSync,
	mkdirSync,
	openSync,
	readFileSync,
	renameSync,
	writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { type Edge, rootOf, subtreesOf } from "./tree.ts";

/** The state cannot be used; the message is a sentence for the operator. */
export class SignerStateError extends Error {
	override readonly name = "SignerStateError";
}

export interface LogState {
	readonly origin: string;
	readonly epoch: number;
	readonly edge: Edge;
	/** How many checkpoints were signed. */
	readonly checkpoints: number;
	/** Why this log is not signed any more, until an operator has decided. */
	readonly trouble: string | undefined;
}

/** By tenant, or `platformLog`. */
export type SignerState = ReadonlyMap<string, LogState>;

interface Written {
	readonly origin: string;
	readonly epoch: number;
	readonly size: number;
	readonly root: string;
	readonly edge: readonly string[];
	readonly checkpoints: number;
	readonly trouble?: string;
}

const version = 1;

/** Empty when there is no file. Throws SignerStateError when there is one that cannot be understood. */
export function readState(path: string): SignerState {
	if (!existsSync(path)) return new Map();
	try {
		const { version: found, logs } = JSON.parse(readFileSync(path, "utf8")) as {
			version: number;
			logs: Readonly<Record<string, Written>>;
		};
		if (found !== version) throw new Error(`version ${found}`);
		return new Map(Object.entries(logs).map(([log, written]) => [log, stateOf(written)]));
	} catch (cause) {
		throw new SignerStateError(
			`The signer's state ${path} cannot be understood: ${(cause as Error).message}. Put it back from its newest backup.`,
			{ cause },
		);
	}
}

function stateOf({ origin, epoch, size, root, edge, checkpoints, trouble }: Written): LogState {
	const read = { size, hashes: edge.map((hash) => Buffer.from(hash, "base64")) };
	const isWhole = subtreesOf(0, size).length === edge.length;
	if (!isWhole || rootOf(read).toString("base64") !== root)
		throw new Error(`${origin} contradicts itself`);
	return { origin, epoch, edge: read, checkpoints, trouble };
}

/** As they are written: of thousands of logs few have grown since the last time. */
const texts = new WeakMap<LogState, string>();

function textOf(state: LogState): string {
	const known = texts.get(state);
	if (known !== undefined) return known;
	const { origin, epoch, edge, checkpoints, trouble } = state;
	const written: Written = {
		origin,
		epoch,
		size: edge.size,
		root: rootOf(edge).toString("base64"),
		edge: edge.hashes.map((hash) => hash.toString("base64")),
		checkpoints,
		...(trouble === undefined ? {} : { trouble }),
	};
	const text = JSON.stringify(written);
	texts.set(state, text);
	return text;
}

export function writeState(path: string, state: SignerState): void {
	const logs = [...state].map(([log, of]) => `${JSON.stringify(log)}:${textOf(of)}`).join(",");
	const folder = dirname(path);
	mkdirSync(folder, { recursive: true, mode: 0o700 });
	const file = openSync(`${path}.new`, "w", 0o600);
	try {
		writeFileSync(file, `{"version":${version},"logs":{${logs}}}\n`);
		fsyncSync(file);
	} finally {
		closeSync(file);
	}
	renameSync(`${path}.new`, path);
	const directory = openSync(folder, "r");
	try {
		fsyncSync(directory);
	} finally {
		closeSync(directory);
	}
}
