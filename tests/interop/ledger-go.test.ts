/**
 * The ledger against an implementation that is not ours: Go's checksum database library. Go accepts our
 * checkpoints and proofs; our core and waxwing-verify accept Go's. Skipped by name where Go is not installed.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { readCheckpoint, verifierKey, writeProof } from "../../server/audit/checkpoint.ts";
import { leafHash, verifyConsistency, verifyInclusion } from "../../server/audit/tree.ts";
import { key, makeLog, origin, pinned, runVerifier, seed } from "../support/ledger-texts.ts";

const library = "/usr/share/gocode";
const missing =
	spawnSync("go", ["version"]).status !== 0
		? "needs Go (Debian: golang-go)"
		: existsSync(`${library}/src/golang.org/x/mod/sumdb/tlog`)
			? false
			: "needs golang.org/x/mod (Debian: golang-golang-x-mod-dev)";
const source = fileURLToPath(new URL("./ledger.go", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "waxwing-go-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const program = join(folder, "ledger");

interface Proof {
	readonly index: number;
	readonly old: number;
	readonly path: readonly string[];
}

function askGo(input: object): { status: number | null; stdout: string; stderr: string } {
	return spawnSync(program, { input: JSON.stringify(input), encoding: "utf8" });
}

test("Go accepts our checkpoints and proofs, and we accept Go's", { skip: missing }, () => {
	const env = {
		PATH: process.env["PATH"],
		HOME: folder,
		GO111MODULE: "off",
		GOPATH: library,
		GOCACHE: join(folder, "cache"),
		GOFLAGS: "",
	};
	const built = spawnSync("go", ["build", "-o", program, source], { env, encoding: "utf8" });
	assert.equal(built.status, 0, built.stderr);
	const signerKey = `PRIVATE+KEY+${origin}+${verifierKey(origin, key.publicKey).split("+")[1]}+${Buffer.concat([Buffer.of(1), seed]).toString("base64")}`;
	const text = (path: readonly Buffer[]): string[] => path.map((hash) => hash.toString("base64"));
	let checked = 0;
	for (const size of [1, 2, 3, 7, 8, 33, 64]) {
		const log = makeLog(size);
		const indexes = Array.from({ length: size }, (_, index) => index);
		const input = {
			origin,
			verifier_key: verifierKey(origin, key.publicKey),
			signer_key: signerKey,
			leaves: log.rows.map(({ entry }) => entry.toString("base64")),
			checkpoint: log.checkpoint(size),
			old_roots: text([0, ...indexes].map((_, at) => log.rootAt(at))),
			inclusion: indexes.map((index) => ({ index, path: text(log.inclusion(index)) })),
			consistency: indexes.map((i) => ({ old: i + 1, path: text(log.consistency(i + 1)) })),
		};
		const ran = askGo(input);
		assert.equal(ran.status, 0, `size ${size}: ${ran.stderr}`);
		const theirs = JSON.parse(ran.stdout) as {
			checkpoint: string;
			inclusion: Proof[];
			consistency: Proof[];
			checked: number;
		};
		checked += theirs.checked;
		assert.equal(theirs.checkpoint, input.checkpoint);
		const head = readCheckpoint(theirs.checkpoint, origin, key.publicKey);
		assert.ok(head !== undefined);
		const bytes = (path: readonly string[]): Buffer[] =>
			path.map((one) => Buffer.from(one, "base64"));
		for (const { index, path } of theirs.inclusion) {
			const { entry } = log.rows[index] as (typeof log.rows)[number];
			assert.ok(verifyInclusion(leafHash(entry), index, size, bytes(path), head.root));
			if (index % 7 !== 0) continue;
			const proof = writeProof(entry, index, bytes(path), theirs.checkpoint);
			assert.equal(runVerifier(["entry", ...pinned], proof).status, 0);
		}
		for (const { old, path } of theirs.consistency) {
			const before = { size: old, root: log.rootAt(old) };
			assert.ok(verifyConsistency(before, head, bytes(path)), `${old} → ${size}`);
			if (old % 7 !== 1) continue;
			const answer = runVerifier(
				["consistency", ...pinned],
				log.checkpoint(old),
				theirs.checkpoint,
				path.join("\n"),
			);
			assert.equal(answer.status, 0, JSON.stringify(answer.answer));
		}
		// And Go refuses what is not so: otherwise its consent would say nothing.
		const wrong = { ...input, checkpoint: makeLog(size + 1).checkpoint(size + 1) };
		assert.equal(askGo(wrong).status, 1);
	}
	assert.equal(checked, 2 * (1 + 2 + 3 + 7 + 8 + 33 + 64));
});
