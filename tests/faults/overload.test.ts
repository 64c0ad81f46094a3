import assert from "node:assert/strict";
import { test } from "node:test";
import { flood } from "./overload.ts";

test("ten times what can be sustained: memory is bounded, every answer is 202 or come back, codes arrive, and it recovers", {
	timeout: 240_000,
}, async (context) => {
	// Other tests run beside this one: that it recovers is asserted here, how soon in the long form.
	const times = { quietMs: 1_500, floodMs: 4_000, recoverWithinMs: 60_000 };
	const result = await flood({ seed: 41, ...times });
	context.diagnostic(JSON.stringify(result));
	assert.ok(result.flooded.accepted > 10, "codes were accepted during the flood");
});
