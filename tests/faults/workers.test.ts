import assert from "node:assert/strict";
import { test } from "node:test";
import { loseWorkers } from "./workers.ts";

test("two workers on one database, one killed after the other: nothing is lost, at_most_once is never doubled", {
	timeout: 180_000,
}, async (context) => {
	const result = await loseWorkers({ kills: 2, seed: 20261127 });
	assert.ok(result.messages > 100, JSON.stringify(result));
	context.diagnostic(JSON.stringify(result));
});
