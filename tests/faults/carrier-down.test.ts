import assert from "node:assert/strict";
import { test } from "node:test";
import { dropBinds, loseCarrier } from "./carrier-down.ts";

test("the carrier is down: messages are accepted and wait, and all arrive when it is back", {
	timeout: 120_000,
}, async (context) => {
	const result = await loseCarrier({ outages: 1, seed: 11 });
	context.diagnostic(JSON.stringify(result));
	assert.ok(result.waited > 0);
});

test("the carrier drops binds in mid-flight: at_least_once is sent again and flagged, at_most_once never", {
	timeout: 120_000,
}, async (context) => {
	const result = await dropBinds({ drops: 2, seed: 12 });
	context.diagnostic(JSON.stringify(result));
	assert.equal(result.unanswered, 2);
	assert.ok(result.submittedTwice > 0, "at least one of the dropped was sent again");
});
