import assert from "node:assert/strict";
import { test } from "node:test";
import { jumpClock } from "./clock.ts";
import { findLibfaketime } from "./faketime.ts";

const library = findLibfaketime();

test("the product's clock jumps by minutes and a day, forwards and back: nothing lost or doubled, windows and signatures hold", {
	timeout: 180_000,
	skip:
		library === undefined
			? "libfaketime is not installed (Debian: apt-get install faketime)"
			: false,
}, async (context) => {
	const result = await jumpClock({ library: library ?? "", rounds: 1, seed: 51 });
	context.diagnostic(JSON.stringify(result));
	assert.ok(result.messages > 200 && result.webhooks > 100, "there was load");
});
