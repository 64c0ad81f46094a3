import assert from "node:assert/strict";
import { test } from "node:test";
import { type Clock, systemClock } from "#platform/clock.ts";
import { seededRandom } from "#platform/ids.ts";
import { createAgenda } from "./agenda.ts";

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const noFault = (cause: unknown): void => assert.fail(String(cause));

test("acts run in the order they are due, those due together in the order they were noted", async () => {
	// Only this clock says when something is due; the timer asks again until it is.
	let now = 0;
	const clock: Clock = { now: () => now, elapsed: () => now };
	const agenda = createAgenda(clock, 10_000, noFault);
	const random = seededRandom(1);
	const wanted: { due: number; order: number }[] = [];
	const ran: { due: number; order: number }[] = [];
	for (let order = 0; order < 2_000; order++) {
		const due = Math.floor(random.fraction() * 20);
		wanted.push({ due, order });
		agenda.add(due, () => ran.push({ due, order }));
	}
	wanted.sort((a, b) => a.due - b.due || a.order - b.order);
	now = 10;
	await pause(30);
	assert.deepEqual(
		ran,
		wanted.filter(({ due }) => due <= 10),
	);
	now = 20;
	await pause(30);
	assert.deepEqual(ran, wanted);
	assert.equal(agenda.size(), 0);
});

test("nothing runs early, and a nearer act overtakes the armed timer", async () => {
	const agenda = createAgenda(systemClock, 10, noFault);
	const started = systemClock.elapsed();
	const took: number[] = [];
	agenda.add(60, () => took.push(systemClock.elapsed() - started));
	agenda.add(5, () => took.push(systemClock.elapsed() - started));
	await pause(150);
	assert.equal(took.length, 2);
	assert.ok((took[0] as number) >= 5 && (took[0] as number) < 60, `${took}`);
	assert.ok((took[1] as number) >= 60, `${took}`);
});

test("a full agenda says no; a fault in one act leaves the others; stop forgets", async () => {
	const faults: unknown[] = [];
	let ran = 0;
	const agenda = createAgenda(systemClock, 3, (cause) => faults.push(cause));
	assert.ok(agenda.add(1, () => assert.fail("planted")));
	assert.ok(agenda.add(1, () => ran++));
	assert.ok(agenda.add(1, () => void agenda.add(1, () => ran++)));
	assert.ok(!agenda.add(1, () => ran++));
	await pause(40);
	assert.deepEqual([ran, faults.length], [2, 1]);
	agenda.add(5, () => ran++);
	agenda.stop();
	assert.ok(!agenda.add(1, () => ran++));
	await pause(30);
	assert.equal(ran, 2);
});
