import assert from "node:assert/strict";
import { test } from "node:test";
import { killBesidePoison } from "./poison.ts";

test("kill -9 in a batch with a message that ends connections: the others end soon, and leave three times at most", {
	timeout: 120_000,
}, async (context) => {
	const result = await killBesidePoison({ rounds: 1, seed: 20_261_127 });
	context.diagnostic(JSON.stringify(result));
	assert.ok(result.endMs < 45_000, "soon");
});
