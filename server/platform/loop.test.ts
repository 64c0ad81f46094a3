import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { silentLog } from "./log.ts";
import { startLoop } from "./loop.ts";

/** Lets everything that can go on do so. */
const settled = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));

test("a chore that failed is tried again soon, however seldom it is done", async (context) => {
	context.mock.timers.enable({ apis: ["setTimeout"] });
	const fails = [true, true, false, false];
	const step = mock.fn(async () => {
		if (fails.shift() === true) throw new Error("the database is away");
	});
	const loop = startLoop({ log: silentLog, name: "seldom", everyMs: 300_000, step });
	const after = async (ms: number): Promise<number> => {
		context.mock.timers.tick(ms);
		await settled();
		return step.mock.callCount();
	};
	await settled();
	assert.deepEqual(
		[await after(999), await after(1), await after(1_000), await after(299_999), await after(1)],
		[1, 2, 3, 3, 4],
	);
	await loop.stop();
});

test("a step says when the next is due: soon, or after so long, else at its usual time", async (context) => {
	context.mock.timers.enable({ apis: ["setTimeout"] });
	const says = [true, 40, 0, undefined, undefined];
	const step = mock.fn(async () => says.shift());
	const loop = startLoop({ log: silentLog, name: "paced", everyMs: 1_000, step });
	const after = async (ms: number): Promise<number> => {
		context.mock.timers.tick(ms);
		await settled();
		return step.mock.callCount();
	};
	await settled();
	assert.deepEqual([await after(5), await after(39), await after(1)], [2, 2, 3]);
	assert.deepEqual([await after(5), await after(999), await after(1)], [4, 4, 5]);
	await loop.stop();
});
