/**
 * kill -9 of the sequencer and of the signer, each alone, every half second, while entries are recorded. The sequencer is
 * a process of its own here, because the serving process takes longer to start than it would live. What the signer has
 * on disk never goes back; at the end each recorded entry has one place and everything verifies.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { readState } from "#audit/index.ts";
import { seededRandom } from "#platform/ids.ts";
import { runVerifier } from "../support/ledger-texts.ts";
import { keySeed, ledgerName, ledgerWorld, rootKey } from "../support/ledger-world.ts";
import { times } from "./ledger-siege.ts";

const seconds = times(6);
const random = seededRandom(Number(process.env["WAXWING_TEST_LEDGER_SEED"] ?? 36));
const killEveryMs = 500;
const pause = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));

const world = await ledgerWorld();
const { tenantId, platformLog, statePath, admin } = world;
const folder = dirname(statePath);
const program = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

interface Kills {
	kills: number;
	/** Of those, how many struck a process that had begun to work. */
	atWork: number;
}

/** Processes that have started and wait for their task: a start takes longer than one of them lives. */
const standbys = 2;
const spawned = new Set<ChildProcess>();
after(() => {
	for (const child of spawned) child.kill("SIGKILL");
});

interface Started {
	readonly child: ChildProcess;
	readonly gone: Promise<true>;
}

function start(path: string): Started {
	const child = spawn(process.execPath, [path], {
		env: { NODE_COMPILE_CACHE: join(folder, "compiled") },
		stdio: ["ignore", "ignore", "inherit", "ipc"],
		serialization: "advanced",
	});
	spawned.add(child);
	child.once("exit", () => spawned.delete(child));
	return { child, gone: once(child, "exit").then((): true => true) };
}

/** Gives the task to one process after the other and kills each after half a second, give or take; if it began at all. */
function keepKilling(path: string, task: object, until: () => boolean) {
	const done: Kills = { kills: 0, atWork: 0 };
	const waiting = Array.from({ length: standbys }, () => start(path));
	const running = (async () => {
		while (!until()) {
			waiting.push(start(path));
			const { child, gone } = waiting.shift() as Started;
			let ready = false;
			child.on("message", (news: { kind: string }) => {
				if (news.kind === "ready") ready = true;
				else assert.equal(news.kind, "failing", `${path}: ${JSON.stringify(news)}`);
			});
			child.send(task);
			const givenMs = performance.now();
			while (!ready && !(await Promise.race([gone, pause(5).then(() => false)])))
				assert.ok(performance.now() - givenMs < 30_000, `${path} does not become ready`);
			// Counted from when it is ready: on a busy machine it would not have begun.
			await Promise.race([gone, pause(killEveryMs * (0.5 + random.fraction()))]);
			child.kill("SIGKILL");
			await gone;
			done.kills++;
			if (ready) done.atWork++;
		}
		for (const { child } of waiting) child.kill("SIGKILL");
	})();
	return { done, running };
}

/** At least; and until each has been killed a few times, on a machine that is busy elsewhere. */
const killsLeast = 4;

test(`kill -9 of sequencer and signer every ${killEveryMs} ms for ${seconds} s: the log is consistent`, {
	timeout: 3_000_000,
}, async (context) => {
	const keyPath = join(folder, "signer.key");
	writeFileSync(keyPath, `${keySeed.toString("hex")}\n`, { mode: 0o600 });
	const endMs = performance.now() + seconds * 1_000;
	const parts: { readonly done: Kills }[] = [];
	const over = (): boolean =>
		performance.now() >= endMs + 60_000 ||
		(performance.now() >= endMs && parts.every(({ done }) => done.atWork >= killsLeast));
	const database = (user: string) => ({ ...world.at, user, password: user, max: 2 });
	const signerTask = {
		database: database("wx_test_signer"),
		name: ledgerName,
		keyPath,
		publicKeyPath: join(folder, "signer.pub"),
		statePath,
	};
	const sequencerTask = { database: database("wx_test_worker"), rootKey, name: ledgerName };
	const signer = keepKilling(
		program("../../server/processes/ledger-signer.ts"),
		{ task: signerTask },
		over,
	);
	const sequencer = keepKilling(program("./ledger-sequencer.ts"), sequencerTask, over);
	parts.push(signer, sequencer);
	const recorded: string[] = [];
	const recording = (async () => {
		for (; !over(); await pause(4)) {
			recorded.push(...(await world.record()));
			if (recorded.length % 20 === 0) await world.record(platformLog, "tenants.read", undefined);
		}
	})();
	let looks = 0;
	const watching = (async () => {
		for (let size = 0; !over(); await pause(20), looks++) {
			const now = readState(statePath).get(tenantId)?.edge.size ?? 0;
			assert.ok(now >= size, `the signer's state went back from ${size} to ${now}`);
			size = now;
		}
	})();
	await Promise.all([signer.running, sequencer.running, recording, watching]);

	const [{ checkpoints } = { checkpoints: 0 }] = await admin.run<{ checkpoints: number }>(
		"select count(*)::int as checkpoints from ledger_checkpoints where tenant_id = $1",
		[tenantId],
	);
	assert.ok(checkpoints >= 2, `${checkpoints} checkpoints were signed between the kills`);
	await world.place();
	await world.openSigner().sign();
	assert.deepEqual(await world.inspect(), []);
	const rows = await admin.run<{ id: string; place: number }>(
		"select id, leaf_index::int as place from ledger_entries where tenant_id = $1 order by leaf_index",
		[tenantId],
	);
	assert.deepEqual(
		rows.map((row) => row.place),
		rows.map((_, i) => i),
	);
	assert.deepEqual(rows.map((row) => row.id).toSorted(), recorded.toSorted());
	const { status, answer } = runVerifier(["full", ...world.pinned], await world.exported());
	assert.equal(status, 0, JSON.stringify(answer));
	const [s, q] = [signer.done, sequencer.done];
	context.diagnostic(
		`${seconds} s: kill -9 of the signer ${s.kills} times (${s.atWork} at work), of the sequencer ${q.kills} (${q.atWork}); ${recorded.length} entries and ${answer["checkpoints"]} checkpoints, ${looks} looks at the state; nothing wrong was found`,
	);
});
