import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { killEmbedded, killPostgres, type KillPostgresResult } from "./kill-postgres.ts";

function isHonest({ acknowledged, refusals }: KillPostgresResult): void {
	assert.ok(acknowledged > 100, "there was load");
	assert.deepEqual(
		Object.keys(refusals).filter((name) => !/^(503 with Retry-After|409|429)/.test(name)),
		[],
	);
}

// Beside each other: for most of their time they wait for leases to end.
describe("kill -9 of PostgreSQL only", { concurrency: 2 }, () => {
	test("all of it, its server, one session: the product goes on by itself, nothing is lost or doubled", {
		timeout: 120_000,
	}, async (context) => {
		const result = await killPostgres({ kills: 3, seed: 41 });
		context.diagnostic(JSON.stringify(result));
		isHonest(result);
	});

	test("the embedded one: its end is the product's, and the next start goes on", {
		timeout: 120_000,
	}, async (context) => {
		const result = await killEmbedded({ kills: 2, seed: 42 });
		context.diagnostic(JSON.stringify(result));
		isHonest(result);
	});
});
