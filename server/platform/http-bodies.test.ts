import assert from "node:assert/strict";
import { test } from "node:test";
import { createBodyAllowance } from "./http-bodies.ts";
import { Fault } from "./errors.ts";

const refused = (error: unknown): boolean =>
	error instanceof Fault && error.entry.status === 429 && error.name === "rate_limited";

test("large bodies share three mebibytes; one alone may be larger; small ones are never refused", () => {
	const bodies = createBodyAllowance();
	assert.equal(bodies.take("5000000"), 5_000_000);
	assert.throws(() => bodies.take("20000"), refused);
	assert.equal(bodies.take("16384"), 0);
	assert.equal(bodies.take(undefined), 0);
	assert.equal(bodies.take("no number"), 0);
	bodies.giveBack(5_000_000);
	for (let i = 0; i < 157; i++) assert.equal(bodies.take("20000"), 20_000);
	assert.throws(() => bodies.take("20000"), refused);
	bodies.giveBack(20_000);
	assert.equal(bodies.take("20000"), 20_000);
});
