import assert from "node:assert/strict";
import { test } from "node:test";
import { loseDatabase } from "./database-away.ts";

test("PostgreSQL is frozen, then killed, under load: 503 with Retry-After, nothing acknowledged is lost, it goes on by itself", {
	timeout: 120_000,
}, async (context) => {
	const result = await loseDatabase({ ways: ["freeze", "kill"], seed: 7 });
	context.diagnostic(JSON.stringify(result));
	assert.ok(result.acknowledged > 50, "there was load");
	assert.ok(
		(result.refusals["503 with Retry-After database_unavailable"] ?? 0) > 0,
		JSON.stringify(result.refusals),
	);
	assert.deepEqual(
		Object.keys(result.refusals).filter((name) => !/^(503 with Retry-After|409|429)/.test(name)),
		[],
	);
});
