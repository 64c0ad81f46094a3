import assert from "node:assert/strict";
import { test } from "node:test";
import { manualClock } from "#platform/clock.ts";
import { createGather } from "./gather.ts";

/** Arrivals per turn of the event loop; resolves with the size at the moment of the act, and the turns it took. */
async function gather(
	arrivals: readonly number[],
	stepMs = 0.1,
): Promise<[size: number, turns: number]> {
	const clock = manualClock(0);
	let [size, turns, acted] = [0, 0, 0];
	const arrived = createGather({
		clock,
		mostMs: 2,
		enough: 100,
		size: () => size,
		act: () => void (acted = size),
	});
	for (const more of arrivals) {
		size += more;
		if (more > 0) arrived();
		await new Promise<void>((resolve) => void setImmediate(resolve));
		clock.advance(stepMs);
		turns++;
		if (acted > 0) return [acted, turns];
	}
	return [acted, turns];
}

test("one alone waits a turn; many that keep coming go together, up to a number and a time", async () => {
	const cases: [arrivals: number[], stepMs: number, expected: [number, number]][] = [
		[[1, 0, 0], 0.1, [1, 2]],
		[[1, 1, 1, 0, 9], 0.1, [3, 4]],
		[[60, 60, 60], 0.1, [120, 2]],
		[Array(50).fill(1), 0.5, [5, 5]],
		[[5, 0, 0], 10, [5, 2]],
	];
	for (const [arrivals, stepMs, expected] of cases)
		assert.deepEqual(await gather(arrivals, stepMs), expected, JSON.stringify(arrivals));
});
