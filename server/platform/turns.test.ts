import assert from "node:assert/strict";
import { test } from "node:test";
import { createTurns, nextTurn } from "./turns.ts";

test("one piece of work in each turn, in order; what comes meanwhile has its own", async () => {
	const turns = createTurns();
	const done: string[] = [];
	turns(() => {
		done.push("a");
		turns(() => void done.push("d"));
	});
	for (const name of ["b", "c"]) turns(() => void done.push(name));
	assert.deepEqual([...done], [], "nothing is done at once");
	const seen: number[] = [];
	for (let i = 0; i < 5; i++) {
		await nextTurn();
		seen.push(done.length);
	}
	assert.deepEqual(seen, [1, 2, 3, 4, 4]);
	assert.deepEqual([...done], ["a", "b", "c", "d"]);
	turns(() => void done.push("later"));
	await nextTurn();
	assert.deepEqual([...done], ["a", "b", "c", "d", "later"]);
});

test("work that throws takes nothing along", async (context) => {
	const turns = createTurns();
	let isDone = false;
	const thrown: unknown[] = [];
	const listeners = process.listeners("uncaughtException");
	process.removeAllListeners("uncaughtException");
	process.once("uncaughtException", (error) => void thrown.push(error));
	context.after(() => {
		for (const one of listeners) process.on("uncaughtException", one);
	});
	turns(() => {
		throw new Error("this one");
	});
	turns(() => void (isDone = true));
	for (let i = 0; i < 4; i++) await nextTurn();
	assert.equal(thrown.length, 1);
	assert.equal(isDone, true);
});
