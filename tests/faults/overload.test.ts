import assert from "node:assert/strict";
import { test } from "node:test";
import { flood } from "./overload.ts";

test("ten times what can be sustained: memory is bounded, every answer is 202 or come back, codes arrive, and it recovers", {
	timeout: 240_000,
}, async (context) => {
	const result = await flood({ seed: 41, quietMs: 1_500, floodMs: 4_000 });
	context.diagnostic(JSON.stringify(result));
	assert.ok(result.flooded.accepted > 10, "codes were accepted during the flood");
});
