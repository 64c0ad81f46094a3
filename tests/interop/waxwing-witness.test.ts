/** waxwing-witness, run as a program: what it co-signs, what it refuses (C2SP tlog-witness), and what a kill leaves. */
import assert from "node:assert/strict";
import { chmodSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { signCheckpoint } from "../../server/audit/checkpoint.ts";
import { readCosignature, readWitness, witnessRequest } from "../../server/audit/cosignature.ts";
import { seededRandom } from "#platform/ids.ts";
import { signingKey } from "#vault/index.ts";
import { entryAt, key, makeLog, openVerifier, origin, pinned } from "../support/ledger-texts.ts";
import { type RunningWitness, startWitness, witnessFolder } from "../support/witness.ts";

const trusted = `example.com/audit/=${key.publicKey.toString("hex")}`;
const log = makeLog(40);
/** The same beginning, and another history from the sixth entry on. */
const shared = 5;
const other = makeLog(40, (n) => entryAt(n < shared ? n : n + 1_000));
const ask = (from: number, to: number, of = log): string =>
	witnessRequest(
		from,
		from === 0 || from === to ? [] : of.consistency(from, to),
		of.checkpoint(to),
	);
const lineOf = (witness: RunningWitness, text: string, checkpoint: string): string | undefined =>
	readCosignature(text, checkpoint, readWitness(`${witness.url}=${witness.key}`) ?? assert.fail());

test("the program stands alone: one file that imports node's own modules only", () => {
	const text = readFileSync(new URL("../../verify/waxwing-witness.mjs", import.meta.url), "utf8");
	const imports = [...text.matchAll(/from "(.*)";$/gm)].map(([, from]) => from);
	assert.deepEqual(imports, ["node:crypto", "node:fs", "node:http", "node:path"]);
	assert.doesNotMatch(text, /\bimport\(|\brequire\(|\bfetch\(/);
});

test("it co-signs what continues, and waxwing-verify can require that", async () => {
	const [one, two] = [
		await startWitness(witnessFolder(), trusted),
		await startWitness(witnessFolder(), trusted, { name: "witness.test/two" }),
	];
	let newest = "";
	for (const [from, to] of [
		[0, 3],
		[3, 8],
		[8, 8],
		[8, 21],
		[21, 40],
	] as const) {
		const { status, text } = await one.post(ask(from, to));
		assert.equal(status, 200, `${from} to ${to}: ${text}`);
		const line = lineOf(one, text, log.checkpoint(to));
		assert.ok(line, text);
		assert.equal(lineOf(one, text, log.checkpoint(to - 1)), undefined);
		assert.equal(lineOf(two, text, log.checkpoint(to)), undefined, "another's key");
		newest = log.checkpoint(to) + line;
	}
	const kept = await (
		await fetch(`${one.url}checkpoint?origin=${encodeURIComponent(origin)}`)
	).text();
	assert.equal(kept.slice(0, 80), newest.slice(0, 80));
	const verifier = await openVerifier();
	const proof = log.consistency(21, 40).map((hash) => hash.toString("base64"));
	const run = (checkpoint: string, ...more: string[]) =>
		verifier.run(
			["consistency", ...pinned, ...more],
			log.checkpoint(21),
			checkpoint,
			proof.join("\n"),
		);
	const both = ["--witness", one.key, "--witness", two.key];
	for (const [checkpoint, args, expected] of [
		[newest, ["--witness", one.key], 0],
		[kept, ["--witness", one.key], 0],
		[newest, both, 1],
		[newest, [...both, "--witnesses", "1"], 0],
		[log.checkpoint(40), ["--witness", one.key], 1],
		[newest, [...both, "--witnesses", "3"], 2],
		[newest, ["--witness", "witness.test/one+00000000+AAAA"], 2],
		// A bit of the time, which the signature covers.
		[newest.replace(/(witness\.test\/one \S{8})A/, "$1B"), ["--witness", one.key], 1],
	] as const) {
		const { status, answer } = await run(checkpoint, ...args);
		assert.equal(status, expected, `${args.join(" ")} ${JSON.stringify(answer)}`);
	}
	verifier.close();
});

test("what it refuses, and how", async () => {
	const witness = await startWitness(witnessFolder(), trusted);
	assert.equal((await witness.post(ask(0, 8))).status, 200);
	const stranger = signingKey(Buffer.alloc(32, 8));
	const head = (size: number) => ({ origin, size, root: log.rootAt(size) });
	const proof = log.consistency(8, 21);
	const flipped = proof.map((hash, i) => (i === 0 ? Buffer.from(hash).fill(1, 0, 1) : hash));
	const elsewhere = { ...head(8), origin: "elsewhere.test/audit/platform/e1" };
	const emptyLie = { ...head(1), size: 0 };
	const line = log.checkpoint(20).split("\n\n")[1] as string;
	const borrowed = `${log.checkpoint(21).split("\n\n")[0]}\n\n${line}`;
	const cases: [what: string, body: string, status: number, size?: string][] = [
		["another log", witnessRequest(0, [], signCheckpoint(elsewhere, key)), 404],
		["another key", witnessRequest(8, proof, signCheckpoint(head(21), stranger)), 403],
		[
			"no signature",
			witnessRequest(8, proof, log.checkpoint(21)).replace(/— .*\n$/u, "— x AAAA\n"),
			403,
		],
		["a signature over something else", witnessRequest(8, proof, borrowed), 403],
		["old above the size", ask(8, 21).replace("old 8", "old 22"), 400],
		["an old state", ask(3, 21), 409, "8\n"],
		["from nothing again", ask(0, 21), 409, "8\n"],
		["another history of the same size", ask(8, 8, other), 409, "8\n"],
		["another history", ask(8, 21, other), 422],
		["a changed proof", witnessRequest(8, flipped, log.checkpoint(21)), 422],
		["no proof", witnessRequest(8, [], log.checkpoint(21)), 422],
		["a proof too long", witnessRequest(8, [...proof, ...proof], log.checkpoint(21)), 422],
		["a proof where none may be", witnessRequest(8, proof, log.checkpoint(8)), 422],
		[
			"64 lines",
			witnessRequest(
				8,
				Array.from({ length: 64 }, () => proof[0] as Buffer),
				log.checkpoint(21),
			),
			400,
		],
		["a smaller one", ask(0, 3).replace("old 0", "old 8"), 400],
		["an empty log that is not", witnessRequest(8, [], signCheckpoint(emptyLie, key)), 400],
		["no request", "hello", 400],
		["an old size with a zero before", ask(8, 21).replace("old 8", "old 08"), 400],
		["more than it reads", "old 8\n".padEnd(70_000, "A"), 413],
	];
	for (const [what, body, status, size] of cases) {
		const reply = await witness.post(body);
		assert.equal(reply.status, status, `${what}: ${reply.text}`);
		if (size === undefined) continue;
		assert.deepEqual([reply.text, reply.type], [size, "text/x.tlog.size"], what);
	}
	assert.match(witness.output(), /"event":"fork".*"event":"inconsistent"/s, "evidence is kept");
	assert.equal((await witness.post(ask(8, 21))).status, 200, "none of it changed what it knows");
});

test("it remembers over a restart, runs once per folder, and needs its key", async () => {
	const folder = witnessFolder();
	const first = await startWitness(folder, trusted);
	assert.equal((await first.post(ask(0, 8))).status, 200);
	await assert.rejects(startWitness(folder, trusted), /runs on .* already/);
	await first.end();
	const second = await startWitness(folder, trusted);
	assert.equal(second.key, first.key);
	assert.equal((await second.post(ask(0, 8))).status, 409);
	assert.equal((await second.post(ask(8, 21))).status, 200);
	await second.end();
	const keyPath = join(folder, "witness.key");
	chmodSync(keyPath, 0o640);
	await assert.rejects(startWitness(folder, trusted), /chmod 600/);
	rmSync(keyPath);
	await assert.rejects(startWitness(folder, trusted), /is missing, but/);
});

test("killed again and again while two histories compete, it co-signs one of them", {
	timeout: 200_000,
}, async (context) => {
	const folder = witnessFolder();
	const random = seededRandom(51);
	let witness = await startWitness(folder, trusted);
	assert.equal((await witness.post(ask(0, shared))).status, 200);
	const cosigned: { size: number; of: string }[] = [];
	let running = true;
	/** Pushes one history on, from wherever the witness says that it stands. */
	const push = async (name: string, history: typeof log): Promise<void> => {
		for (let old = shared; running && old < 40; ) {
			const to = old + 1;
			const reply = await witness.post(ask(old, to, history)).catch(() => undefined);
			if (reply === undefined) await new Promise((resolve) => void setTimeout(resolve, 5));
			else if (reply.status === 409) {
				if (Number(reply.text) === old) return;
				old = Number(reply.text);
			} else if (reply.status === 422) return;
			else if (reply.status === 200) {
				assert.ok(lineOf(witness, reply.text, history.checkpoint(to)));
				cosigned.push({ size: to, of: name });
				old = to;
				await new Promise((resolve) => void setTimeout(resolve, 60 * random.fraction()));
			}
		}
	};
	const pushing = Promise.all([push("a", log), push("b", other), push("a", log), push("b", other)]);
	let kills = 0;
	for (const until = performance.now() + 60_000; kills < 12 && performance.now() < until; kills++) {
		await new Promise((resolve) => void setTimeout(resolve, 20 + 150 * random.fraction()));
		await witness.end();
		witness = await startWitness(folder, trusted);
	}
	await pushing;
	running = false;
	assert.equal(new Set(cosigned.map((one) => one.of)).size, 1, JSON.stringify(cosigned));
	assert.ok(cosigned.length > 5 && kills >= 3, `${cosigned.length} co-signed, ${kills} kills`);
	context.diagnostic(`${kills} kills, ${cosigned.length} co-signed, all of one history`);
});
