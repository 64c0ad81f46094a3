import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "#platform/ids.ts";
import { createPace } from "./pace.ts";

/** Takes as often as it can, looking every `stepMs` on average; returns when each was taken. */
function drive(perSecond: number, seconds: number, stepMs: number): number[] {
	const pace = createPace(perSecond);
	const random = seededRandom(perSecond);
	const taken: number[] = [];
	for (let now = 5; now < seconds * 1_000; now += stepMs * 2 * random.fraction())
		while (pace.take(now)) taken.push(now);
	return taken;
}

/** The most taken in any window of one second, by half-open windows that begin at a take. */
function mostInASecond(taken: readonly number[]): number {
	let most = 0;
	for (let from = 0, to = 0; from < taken.length; from++) {
		while (to < taken.length && (taken[to] as number) < (taken[from] as number) + 1_000) to++;
		most = Math.max(most, to - from);
	}
	return most;
}

test("no window of a second holds more than agreed, and little less is used", () => {
	for (const perSecond of [1, 2, 5, 10, 30, 100, 500, 2_000]) {
		for (const stepMs of [0.2, 3, 9]) {
			const taken = drive(perSecond, 20, stepMs);
			assert.ok(
				mostInASecond(taken) <= perSecond,
				`${perSecond}/s, looking every ${stepMs} ms: ${mostInASecond(taken)}`,
			);
			assert.ok(
				taken.length >= perSecond * 20 * 0.9,
				`${perSecond}/s, looking every ${stepMs} ms: ${taken.length}`,
			);
		}
	}
});

test("a long idle time saves nothing up", () => {
	const pace = createPace(100);
	const takeAll = (now: number): number => {
		let taken = 0;
		while (pace.take(now)) taken++;
		return taken;
	};
	assert.ok(takeAll(0) <= 3);
	assert.ok(takeAll(1_000_000) <= 3);
});

test("available tells how many takes follow, waitMs when the next one can", () => {
	const pace = createPace(200);
	let now = 0;
	for (let round = 0; round < 200; round++) {
		const available = pace.available(now);
		for (let count = 0; count < available; count++) assert.equal(pace.take(now), true);
		assert.equal(pace.take(now), false);
		assert.equal(pace.available(now), 0);
		const waitMs = pace.waitMs(now);
		assert.ok(waitMs > 0);
		assert.equal(pace.available(now + waitMs * 0.99), 0);
		now += waitMs + 0.001;
		assert.ok(pace.available(now) >= 1);
		now += round % 30;
	}
});

test("throttling halves the rate once per flight, and it comes back", () => {
	const pace = createPace(100);
	pace.take(0);
	pace.slow(0, 50);
	assert.equal(pace.rate(50), 50);
	for (let count = 0; count < 10; count++) pace.slow(49, 60);
	assert.ok(
		pace.rate(60) > 49 && pace.rate(60) < 51,
		"what was sent before the halving does not count again",
	);
	pace.slow(61, 70);
	assert.ok(pace.rate(70) < 26);
	assert.ok(pace.rate(5_070) > 48 && pace.rate(5_070) < 52, "5 % of the full rate a second");
	assert.equal(pace.rate(60_000), 100);
	for (let now = 100_000; now < 100_020; now++) pace.slow(now, now + 0.5);
	assert.ok(pace.rate(100_020) >= 1 && pace.rate(100_020) < 1.5, "never to a standstill");
});

test("without a limit, throttling begins at half of what was sent, and ends again", () => {
	const pace = createPace(0);
	assert.equal(pace.available(0), Number.POSITIVE_INFINITY);
	for (let now = 0; now < 3_000; now += 2) assert.equal(pace.take(now), true);
	pace.slow(2_990, 3_000);
	assert.ok(pace.rate(3_000) > 240 && pace.rate(3_000) <= 251, `${pace.rate(3_000)}`);
	assert.equal(pace.take(3_000), false);
	assert.ok(pace.rate(13_000) > 480 && pace.rate(13_000) < 520);
	assert.equal(pace.rate(43_000), Number.POSITIVE_INFINITY);
});

test("two that share the agreed rate keep it together, also while the shares change", () => {
	const [one, two] = [createPace(100), createPace(100)];
	const taken: number[] = [];
	one.share(1, 0);
	two.share(0, 0);
	for (let now = 6; now < 30_000; now += 3) {
		if (now === 9_999) one.share(0.5, now);
		if (now === 12_000) two.share(0.5, now);
		for (const pace of [one, two]) while (pace.take(now)) taken.push(now);
	}
	assert.ok(mostInASecond(taken) <= 101, `${mostInASecond(taken)} in a second`);
	assert.ok(taken.length >= 100 * 28 * 0.9, `${taken.length} in half a minute`);
	assert.deepEqual([one.rate(30_000), two.rate(30_000)], [50, 50]);
});

test("without a share nothing leaves, and nothing is waited for; with one again it goes on", () => {
	const pace = createPace(100);
	pace.share(0, 0);
	assert.deepEqual([pace.take(5_000), pace.available(5_000), pace.waitMs(5_000)], [false, 0, 0]);
	pace.share(1, 6_000);
	assert.equal(pace.take(6_100), true);
	const unlimited = createPace(0);
	unlimited.share(0, 0);
	assert.equal(unlimited.take(1), true, "what has no limit is not shared out");
});

test("a share of a throttled rate is throttled as well", () => {
	const pace = createPace(100);
	pace.slow(1, 1);
	assert.equal(pace.rate(1), 50);
	pace.share(0.5, 1);
	assert.equal(pace.rate(1), 25);
});
