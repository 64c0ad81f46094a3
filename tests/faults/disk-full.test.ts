import assert from "node:assert/strict";
import { test } from "node:test";
import { fillDisk } from "./disk-full.ts";

const skip =
	process.getuid?.() === 0 && process.platform === "linux"
		? false
		: "needs root on Linux, to mount a small tmpfs";

test("the database's disk is full: 503 storage_full, nothing acknowledged is lost, goes on when there is room", {
	timeout: 120_000,
	skip,
}, async (context) => {
	const result = await fillDisk({ rounds: 1, seed: 31, what: "data" });
	context.diagnostic(JSON.stringify(result));
	assert.ok(result.acknowledged > 50, "there was load");
	assert.ok(
		(result.refusals["503 with Retry-After storage_full"] ?? 0) > 0,
		JSON.stringify(result.refusals),
	);
	assert.deepEqual(
		Object.keys(result.refusals).filter((name) => !/^(503 with Retry-After|409|429)/.test(name)),
		[],
	);
});
