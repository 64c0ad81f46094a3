import assert from "node:assert/strict";
import { test } from "node:test";
import { manualClock } from "#platform/clock.ts";
import { createRestraint, holdMs, lateMs, restMax } from "./restraint.ts";

/** Codes at 100 a second; returns the rest after each. */
function play(lags: readonly number[]): number[] {
	const clock = manualClock(0);
	const restraint = createRestraint(clock);
	return lags.map((lag) => {
		clock.advance(10);
		restraint.codeLeft(lag);
		return restraint.restMs();
	});
}

test("nothing rests without codes, or while they are in time", () => {
	assert.equal(createRestraint(manualClock(0)).restMs(), 0);
	assert.deepEqual(new Set(play(Array.from({ length: 500 }, () => lateMs))), new Set([0]));
});

test("the rest grows with every late code, up to its limit and never beyond", () => {
	const rests = play(Array.from({ length: 1_000 }, () => lateMs + 1));
	assert.ok(rests.every((rest, i) => rest >= (rests[i - 1] ?? 0)));
	assert.ok((rests[0] ?? 0) > 0);
	assert.equal(rests.at(-1), restMax);
});

test("in about one code in twenty being late the rest stays where it is", () => {
	const oneIn = (count: number) =>
		Array.from({ length: 3_000 }, (_, i) => (i % count === 0 ? lateMs + 1 : lateMs));
	assert.ok((play(oneIn(10)).at(-1) ?? 0) > restMax - 2);
	assert.ok((play(oneIn(30)).at(-1) ?? 1) < 2);
});

test("the rest ends when no codes come, and does not come back with the next", () => {
	const clock = manualClock(0);
	const restraint = createRestraint(clock);
	for (let i = 0; i < 20; i++) restraint.codeLeft(lateMs + 1);
	clock.advance(holdMs - 1);
	assert.ok(restraint.restMs() > 0);
	clock.advance(1);
	assert.equal(restraint.restMs(), 0);
	restraint.codeLeft(lateMs);
	assert.equal(restraint.restMs(), 0);
});
