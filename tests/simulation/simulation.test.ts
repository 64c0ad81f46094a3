import assert from "node:assert/strict";
import { test } from "node:test";
import { simulate } from "./many.ts";
import { runSeed } from "./run.ts";

test("a seed decides everything: the same trace each time", async () => {
	for (const seed of [1, 4, 9]) {
		const [first, second] = [await runSeed({ seed }), await runSeed({ seed })];
		assert.equal(first.digest, second.digest);
		assert.equal(first.steps, second.steps);
	}
	assert.notEqual((await runSeed({ seed: 1 })).digest, (await runSeed({ seed: 2 })).digest);
});

test("200 seeds: whatever happens to database, carriers and processes, nothing that is promised is broken", async (context) => {
	const result = await simulate(200, 1);
	context.diagnostic(JSON.stringify(result));
	assert.ok(result.submits > 10_000 && result.kills > 50, "it was a storm");
});
