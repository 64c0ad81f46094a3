import assert from "node:assert/strict";
import { test } from "node:test";
import { killManyTimes } from "./kill.ts";

test("kill -9 of the whole tree under load: nothing accepted is lost, at_most_once is never doubled", {
	timeout: 120_000,
}, async (context) => {
	const result = await killManyTimes({ kills: 3, seed: 20_261_122 });
	context.diagnostic(JSON.stringify(result));
	assert.ok(result.acknowledged > 100, "there was load");
});
