/** What the recorder does when a transaction fails; that it writes the right things is for the journeys and the simulation. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { manualClock } from "#platform/clock.ts";
import type { Database, Statement, Tx } from "#platform/db.ts";
import { createIds, seededRandom } from "#platform/ids.ts";
import { silentLog } from "#platform/log.ts";
import { createRecorder, type Recorder } from "./recorder.ts";

/** A recorder over a database that fails as told; `written` names the statements of each commit. */
function recorderThat(fails: (attempt: number) => string | undefined) {
	const written: string[][] = [];
	let attempts = 0;
	const inPlatform = async <T>(work: (tx: Tx) => Promise<T>): Promise<T> => {
		const code = fails(++attempts);
		if (code !== undefined) throw Object.assign(new Error("refused"), { code });
		const names: string[] = [];
		const result = await work({
			query: async () => [],
			post: ({ name }: Statement) => void names.push(name),
			enter: () => undefined,
			enterTenants: () => undefined,
		});
		written.push(names);
		return result;
	};
	const clock = manualClock(Date.parse("2026-11-22T12:00:00Z"));
	const recorder = createRecorder({
		worker: { inPlatform } as Database,
		ids: createIds(clock, seededRandom(1)),
		clock,
		log: silentLog,
		onEvents: () => undefined,
	});
	return { recorder, written };
}

const tenantId = "018f3a5e-0000-7000-8000-000000000001";
const end = (recorder: Recorder, n: number): Promise<void> => {
	const messageId = `01a203a0-0000-7000-8000-${String(n).padStart(12, "0")}`;
	recorder.record({ batchId: "b", effects: { finished: { tenantId, messageId } } });
	return recorder.idle();
};

test("the victim of a deadlock is written again", async () => {
	const { recorder, written } = recorderThat((attempt) => (attempt === 1 ? "40P01" : undefined));
	recorder.open("b", 1);
	await end(recorder, 1);
	assert.deepEqual(written, [["lanes.finish", "lanes.drop_batches"]]);
});

test("a result that is given up leaves its batch to recovery, also when the others end well", async () => {
	const { recorder, written } = recorderThat((attempt) => (attempt === 1 ? "22021" : undefined));
	recorder.open("b", 2);
	await end(recorder, 1);
	assert.deepEqual(recorder.openIds(), [], "its lease is not renewed");
	await end(recorder, 2);
	assert.deepEqual(written, [["lanes.finish"]], "its row stays until its lease ends");
});

test("a stop does not wait for ever for a database that is away, and nothing is written after it", async () => {
	let isAway = true;
	const { recorder, written } = recorderThat(() => (isAway ? "40001" : undefined));
	recorder.open("b", 1);
	const ended = end(recorder, 1);
	assert.equal(await recorder.stop(100), 1, "one is not written");
	isAway = false;
	await ended;
	await recorder.stop(20);
	await assert.rejects(
		recorder.receipt({ routeId: tenantId, candidates: [], messageState: 2, errorCode: undefined }),
	);
	assert.deepEqual(written, []);
});

test("a stop waits for what is being written", async () => {
	const { recorder, written } = recorderThat((attempt) => (attempt === 1 ? "40001" : undefined));
	recorder.open("b", 1);
	void end(recorder, 1);
	assert.equal(await recorder.stop(5_000), 0);
	assert.equal(written.length, 1);
});

test("results wait for others, receipts only for those that follow at once", async (context) => {
	context.mock.timers.enable({ apis: ["setTimeout"] });
	const passMs = async (ms: number): Promise<void> => {
		for (let passed = 0; passed < ms; passed++) {
			context.mock.timers.tick(1);
			await new Promise((resolve) => void setImmediate(resolve));
		}
	};
	const { recorder, written } = recorderThat(() => undefined);
	recorder.open("b", 3);
	void end(recorder, 1);
	await passMs(20);
	void end(recorder, 2);
	assert.equal(written.length, 0, "nobody waits for a result");
	await passMs(5);
	assert.deepEqual(written, [["lanes.finish"]], "both in one transaction");

	void end(recorder, 3);
	const receipt = { routeId: tenantId, candidates: [], messageState: 2, errorCode: undefined };
	const stored = [recorder.receipt(receipt)];
	await passMs(3);
	stored.push(recorder.receipt(receipt));
	await passMs(3);
	assert.equal(written.length, 1, "another receipt came: there may be more");
	await passMs(3);
	assert.equal(written.length, 2, "the carrier may wait for its answers");
	await Promise.all(stored);
});
