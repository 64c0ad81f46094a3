import assert from "node:assert/strict";
import { test } from "node:test";
import { stopUnderLoad, stopWithoutDatabase } from "./stop.ts";

test("a second start on a directory in use is refused; SIGINT under load drains: exit 0, everything accepted is delivered once", {
	timeout: 120_000,
}, async (context) => {
	const result = await stopUnderLoad({ stops: 1, seed: 21 });
	context.diagnostic(JSON.stringify(result));
	assert.ok(result.messages > 100, "there was load");
});

test("SIGTERM while the database is away: it ends soon, and the next start loses and doubles nothing", {
	timeout: 120_000,
}, async (context) => {
	const result = await stopWithoutDatabase({ seed: 22 });
	context.diagnostic(JSON.stringify(result));
	assert.ok(result.messages > 50, "there was load");
});
