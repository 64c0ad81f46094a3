import assert from "node:assert/strict";
import { test } from "node:test";
import { sendThroughBadCarriers } from "./bad-carriers.ts";

test("a carrier behind a bad network: nothing is lost or doubled against its class, and the clean route does not notice", {
	timeout: 180_000,
}, async (context) => {
	const result = await sendThroughBadCarriers({
		seed: 31,
		quietMs: 1_500,
		ragingMs: 5_000,
		goodMs: 500,
	});
	context.diagnostic(JSON.stringify(result));
	for (const [fault, times] of Object.entries(result.happened))
		assert.ok(times > 0, `${fault} happened`);
	assert.ok(result.submittedTwice > 0, "some outcomes were unknown");
});
