import assert from "node:assert/strict";
import { test } from "node:test";
import { loseWorkers, shareRate } from "./workers.ts";

test("two workers on one database, one killed after the other: nothing is lost, at_most_once is never doubled", {
	timeout: 180_000,
}, async (context) => {
	const result = await loseWorkers({ kills: 2, seed: 20261127 });
	assert.ok(result.messages > 100, JSON.stringify(result));
	context.diagnostic(JSON.stringify(result));
});

test("two workers share out a route's rate: the carrier sees no more than it agreed to", {
	timeout: 120_000,
}, async (context) => {
	const tps = 100;
	const { mostInASecond, perSecond, each } = await shareRate(tps, 5);
	context.diagnostic(JSON.stringify({ mostInASecond, perSecond, each }));
	// What one second holds is measured on arrival: a busy machine may deliver what two seconds sent a little closer.
	assert.ok(mostInASecond <= tps * 1.2, `${mostInASecond} in a second`);
	assert.ok(perSecond <= tps * 1.02, `${perSecond} a second`);
	assert.ok(perSecond >= tps * 0.5, `only ${perSecond} a second`);
	assert.equal(each.length, 2);
});
