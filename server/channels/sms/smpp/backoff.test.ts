import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "#platform/ids.ts";
import { backoffMs, defaultBackoff, refusedMs } from "./backoff.ts";

test("waits grow from one second to sixty, anywhere below the ceiling", () => {
	const random = seededRandom(3);
	for (const [failures, ceiling] of [
		[1, 1_000],
		[2, 2_000],
		[5, 16_000],
		[7, 60_000],
		[1_000, 60_000],
	] as const) {
		const waits = Array.from({ length: 500 }, () => backoffMs(failures, defaultBackoff, random));
		assert.ok(Math.min(...waits) >= 100 && Math.max(...waits) <= ceiling);
		assert.ok(
			Math.max(...waits) > ceiling * 0.95 && Math.min(...waits) < Math.max(101, ceiling * 0.05),
			"full jitter",
		);
	}
});

test("refused credentials are tried every five minutes or so", () => {
	const random = seededRandom(4);
	for (let count = 0; count < 100; count++) {
		const waitMs = refusedMs(defaultBackoff, random);
		assert.ok(waitMs >= 270_000 && waitMs <= 330_000);
	}
});
