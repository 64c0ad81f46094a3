/** A small log made with the server's own core, and waxwing-verify run as anybody runs it: as a program. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { originOf, signCheckpoint, verifierKey } from "../../server/audit/checkpoint.ts";
import { encodeEntry } from "../../server/audit/entry.ts";
import {
	append,
	consistencySteps,
	emptyEdge,
	inclusionSteps,
	leafHash,
	type Node,
	rootOf,
	stepHash,
} from "../../server/audit/tree.ts";
import { showId } from "#platform/ids.ts";
import { sha256, signingKey } from "#vault/index.ts";

export const seed = Buffer.alloc(32, 3);
export const key = signingKey(seed);
export const logId = showId("ten", "01900000-0000-7000-8000-00000000d001");
export const origin = originOf("example.com", logId, 1);
export const pinned = ["--origin", origin, "--key", verifierKey(origin, key.publicKey)];

/** The n-th entry of the log, and its detail; every third has none. */
export function entryAt(n: number): { readonly entry: Buffer; readonly detail: Buffer | null } {
	const detail = n % 3 === 2 ? null : Buffer.from(`sealed detail ${n}`);
	const entry = encodeEntry({
		id: showId("aud", `01900000-0000-7000-8000-${n.toString(16).padStart(12, "0")}`),
		log: logId,
		atMs: 1_764_200_000_000 + n,
		action: "webhook.changed",
		actor: { type: "api_key", id: showId("key", "01900000-0000-7000-8000-0000000000c1") },
		environment: "live",
		targets: [showId("whe", "01900000-0000-7000-8000-0000000000f1")],
		outcome: "ok",
		requestId: null,
		data: {},
		detailSha256: detail === null ? null : sha256(detail).toString("hex"),
	});
	return { entry, detail };
}

/** A log of so many entries; `rowAt` makes another history. */
export function makeLog(size: number, rowAt = entryAt) {
	const rows = Array.from({ length: size }, (_, n) => rowAt(n));
	const made: Node[] = [];
	const leaves = rows.map(({ entry }) => leafHash(entry));
	append(emptyEdge, leaves, made);
	const nodes = new Map(made.map((node) => [`${node.level}/${node.position}`, node.hash]));
	const hashOf = (name: { level: number; position: number }): Buffer =>
		nodes.get(`${name.level}/${name.position}`) as Buffer;
	const rootAt = (at: number): Buffer => rootOf(append(emptyEdge, leaves.slice(0, at)));
	return {
		rows,
		rootAt,
		checkpoint: (at: number) => signCheckpoint({ origin, size: at, root: rootAt(at) }, key),
		inclusion: (index: number, at = size) =>
			inclusionSteps(index, at).map((step) => stepHash(step, hashOf)),
		consistency: (old: number, at = size) =>
			consistencySteps(old, at).map((step) => stepHash(step, hashOf)),
	};
}

/** The export as the API gives it: a page per line, each ending at a checkpoint. */
export function exportOf(log: ReturnType<typeof makeLog>, pageEnds: readonly number[]): Page[] {
	return pageEnds.map((end, i) => {
		const start = pageEnds[i - 1] ?? 0;
		const entries = log.rows.slice(start, end).map(({ entry, detail }, n) => ({
			index: start + n,
			entry: entry.toString("base64"),
			detail_sealed: detail?.toString("base64") ?? null,
		}));
		return { entries, checkpoints: [log.checkpoint(end)] };
	});
}

export interface ExportedEntry {
	index: number;
	entry: string;
	detail_sealed: string | null;
}

export interface Page {
	entries: ExportedEntry[];
	checkpoints: string[];
}

export const pagesText = (pages: readonly Page[]): string =>
	pages.map((page) => `${JSON.stringify(page)}\n`).join("");

const program = fileURLToPath(new URL("../../verify/waxwing-verify.mjs", import.meta.url));

export interface Verdict {
	readonly status: number | null;
	readonly answer: Readonly<Record<string, unknown>>;
}

/** Writes the texts into files: `@1` in the arguments is the second; else they follow the command. */
function argumentsFor(folder: string, args: readonly string[], texts: readonly string[]): string[] {
	const files = texts.map((text, i) => {
		writeFileSync(join(folder, `${i}`), text);
		return join(folder, `${i}`);
	});
	const [command = "", ...rest] = args;
	const named = rest.map((arg) => (/^@[0-9]$/.test(arg) ? (files[Number(arg[1])] ?? arg) : arg));
	const placed = rest.some((arg) => arg.startsWith("@")) ? named : [...files, ...named];
	return [command, ...placed, "--json"];
}

/** Runs the verifier as a program on texts, each put into a file. */
export function runVerifier(args: readonly string[], ...texts: readonly string[]): Verdict {
	const folder = mkdtempSync(join(tmpdir(), "waxwing-verify-"));
	try {
		const given = [program, ...argumentsFor(folder, args, texts)];
		const { status, stdout, stderr } = spawnSync(process.execPath, given, { encoding: "utf8" });
		if (stderr !== "") throw new Error(stderr);
		return { status, answer: JSON.parse(stdout) as Verdict["answer"] };
	} finally {
		rmSync(folder, { recursive: true });
	}
}

type Main = (given: readonly string[], print: (line: string) => void) => Promise<number>;

/** The same program, thousands of times in this process. `close` removes its files. */
export async function openVerifier() {
	const { main } = (await import(pathToFileURL(program).href)) as { main: Main };
	const memory = "/dev/shm";
	const folder = mkdtempSync(join(existsSync(memory) ? memory : tmpdir(), "waxwing-verify-"));
	return {
		async run(args: readonly string[], ...texts: readonly string[]): Promise<Verdict> {
			let line = "";
			const given = argumentsFor(folder, args, texts);
			const status = await main(given, (text) => void (line = text));
			return { status, answer: JSON.parse(line) as Verdict["answer"] };
		},
		close: () => rmSync(folder, { recursive: true }),
	};
}
