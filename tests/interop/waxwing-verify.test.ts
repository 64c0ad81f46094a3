/** waxwing-verify, run as a program: what it accepts, what it refuses, and with which exit status. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { signCheckpoint, writeProof } from "../../server/audit/checkpoint.ts";
import { seededRandom } from "#platform/ids.ts";
import { signingKey } from "#vault/index.ts";
import {
	exportOf,
	type ExportedEntry,
	key,
	makeLog,
	origin,
	type Page,
	pagesText,
	pinned,
	runVerifier,
} from "../support/ledger-texts.ts";

const log = makeLog(21);
const { entry } = log.rows[13] as (typeof log.rows)[number];
const proof = writeProof(entry, 13, log.inclusion(13), log.checkpoint(21));
const full = (pages: readonly Page[], ...more: string[]) =>
	runVerifier(["full", ...pinned, ...more], pagesText(pages));

test("the program stands alone: one file that imports node's own modules only", () => {
	const text = readFileSync(new URL("../../verify/waxwing-verify.mjs", import.meta.url), "utf8");
	const imports = [...text.matchAll(/^import .* from "(.*)";$/gm)].map(([, from]) => from);
	assert.deepEqual(imports, ["node:crypto", "node:fs", "node:readline", "node:url"]);
	assert.doesNotMatch(text, /\bimport\(|\brequire\(|\bfetch\(/);
});

test("a genuine proof, as text and as the API's JSON", () => {
	for (const text of [proof, JSON.stringify({ proof })]) {
		const { status, answer } = runVerifier(["entry", ...pinned], text);
		assert.equal(status, 0, JSON.stringify(answer));
		assert.deepEqual([answer["verified"], answer["index"], answer["size"]], [true, 13, 21]);
		assert.deepEqual(answer["entry"], JSON.parse(entry.toString()));
	}
	const hex = ["--origin", origin, "--key", key.publicKey.toString("hex")];
	assert.equal(runVerifier(["entry", ...hex], proof).status, 0);
});

test("another origin, another key and wrong use", () => {
	const status = (...args: string[]) => runVerifier(args, proof).status;
	const other = signingKey(Buffer.alloc(32, 8)).publicKey.toString("hex");
	assert.equal(
		status("entry", "--origin", `${origin}1`, "--key", key.publicKey.toString("hex")),
		1,
	);
	assert.equal(status("entry", "--origin", origin, "--key", other), 1);
	assert.equal(status("entry", "--origin", `${origin}1`, ...pinned.slice(2)), 2);
	assert.equal(status("entry", "--origin", origin), 2);
	assert.equal(status("entry", "--origin", origin, "--key", "abc"), 2);
	assert.equal(status("full", ...pinned, "--unknown"), 2);
	assert.equal(status("everything", ...pinned), 2);
	assert.equal(runVerifier(["full", ...pinned]).status, 2);
	assert.equal(runVerifier(["full", "/nowhere/at/all", ...pinned]).status, 2);
});

test("of a proof's changed characters none is accepted", () => {
	const random = seededRandom(77);
	const start = proof.indexOf("extra ");
	for (let n = 0; n < 60; n++) {
		const at = n === 0 ? 3 : start + Math.floor(random.fraction() * (proof.length - start));
		const changed = `${proof.slice(0, at)}${proof[at] === "A" ? "B" : "A"}${proof.slice(at + 1)}`;
		const { status } = runVerifier(["entry", ...pinned], changed);
		assert.equal(status, 1, `character ${at}`);
	}
	const path = log.inclusion(13);
	for (const wrong of [
		path.slice(1),
		path.slice(0, -1),
		[...path, path[0] as Buffer],
		path.toReversed(),
	]) {
		const text = writeProof(entry, 13, wrong, log.checkpoint(21));
		assert.equal(runVerifier(["entry", ...pinned], text).status, 1);
	}
	for (const index of [12, 14, 20, 21, 34])
		assert.equal(
			runVerifier(["entry", ...pinned], writeProof(entry, index, path, log.checkpoint(21))).status,
			1,
		);
});

test("an entry of one log is none of another, though it was signed there", () => {
	const elsewhere = origin.replace(/ten_[^/]+/, "platform");
	const checkpoint = signCheckpoint({ origin: elsewhere, size: 21, root: log.rootAt(21) }, key);
	const { status, answer } = runVerifier(
		["entry", "--origin", elsewhere, "--key", key.publicKey.toString("hex")],
		writeProof(entry, 13, log.inclusion(13), checkpoint),
	);
	assert.deepEqual([status, answer["tried"]], [1, true]);
});

test("consistency: the continuation is accepted, a rewritten history is not", () => {
	const run = (old: string, now: string, path: readonly Buffer[]) =>
		runVerifier(
			["consistency", ...pinned],
			old,
			now,
			path.map((hash) => hash.toString("base64")).join("\n"),
		).status;
	for (const old of [1, 8, 13, 20, 21])
		assert.equal(run(log.checkpoint(old), log.checkpoint(21), log.consistency(old)), 0, `${old}`);
	assert.equal(run(log.checkpoint(0), log.checkpoint(21), []), 0);
	assert.equal(run(log.checkpoint(21), log.checkpoint(13), []), 1);
	const rewritten = signCheckpoint({ origin, size: 13, root: log.rootAt(12) }, key);
	assert.equal(run(rewritten, log.checkpoint(21), log.consistency(13)), 1);
	assert.equal(run(log.checkpoint(13), log.checkpoint(21), log.consistency(12)), 1);
});

const pages = (): Page[] => exportOf(log, [5, 8, 21]);
const entriesOf = (page: Page | undefined): ExportedEntry[] => page?.entries ?? [];

test("a full export, whole and with a checkpoint that was kept", () => {
	const { status, answer } = full(pages());
	assert.equal(status, 0, JSON.stringify(answer));
	assert.deepEqual([answer["entries"], answer["checkpoints"], answer["details"]], [21, 3, 14]);
	const gone = pages();
	for (const one of entriesOf(gone[0])) one.detail_sealed = null;
	assert.deepEqual([full(gone).status, full(gone).answer["details_gone"]], [0, 4]);
});

test("whatever is done to an export is found", () => {
	const attacks: Readonly<Record<string, (all: Page[]) => unknown>> = {
		"an entry removed": (all) => entriesOf(all[1]).splice(1, 1),
		"an entry removed, the rest renumbered": (all) => {
			entriesOf(all[2]).splice(3, 1);
			entriesOf(all[2]).forEach((one, i) => void (one.index = 8 + i));
		},
		"two entries swapped": (all) => {
			const [a, b] = entriesOf(all[2]) as [ExportedEntry, ExportedEntry];
			[a.entry, b.entry, a.detail_sealed, b.detail_sealed] = [
				b.entry,
				a.entry,
				b.detail_sealed,
				a.detail_sealed,
			];
		},
		"an entry doubled": (all) => entriesOf(all[0]).push(entriesOf(all[0])[4] as ExportedEntry),
		"an entry changed": (all) => {
			const one = entriesOf(all[1])[0] as ExportedEntry;
			one.entry = Buffer.from(
				Buffer.from(one.entry, "base64").toString().replace('"ok"', '"no"'),
			).toString("base64");
		},
		"a detail changed": (all) =>
			void ((entriesOf(all[0])[0] as ExportedEntry).detail_sealed = "AAAA"),
		"a detail made up": (all) =>
			void ((entriesOf(all[0])[2] as ExportedEntry).detail_sealed = "AAAA"),
		"the tail cut inside a page": (all) => entriesOf(all[2]).pop(),
		"a checkpoint removed": (all) => all[2]?.checkpoints.pop(),
		"a checkpoint of another log": (all) =>
			void (all[2] as Page).checkpoints.splice(0, 1, makeLog(20).checkpoint(20)),
		"a page missing": (all) => all.splice(1, 1),
		"nothing at all": (all) => all.splice(0),
	};
	for (const [what, attack] of Object.entries(attacks)) {
		const all = pages();
		attack(all);
		assert.equal(full(all).status, 1, what);
	}
	assert.equal(runVerifier(["full", ...pinned], "not json\n").status, 1);
});

test("a tail cut at a checkpoint is found with the checkpoint that was kept", () => {
	const kept = (text: string, all: readonly Page[]): number | null =>
		runVerifier(["full", "@0", ...pinned, "--newest", "@1"], pagesText(all), text).status;
	assert.equal(full(pages().slice(0, 2)).status, 0);
	for (const size of [3, 8, 21]) assert.equal(kept(log.checkpoint(size), pages()), 0, `${size}`);
	assert.equal(kept(log.checkpoint(21), pages().slice(0, 2)), 1);
	const rewritten = signCheckpoint({ origin, size: 13, root: log.rootAt(12) }, key);
	assert.equal(kept(rewritten, pages()), 1);
});
