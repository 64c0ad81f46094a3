import assert from "node:assert/strict";
import { test } from "node:test";
import { ProductDidNotStart, startProduct } from "../../bench/product.ts";
import { stopUnderLoad } from "./stop.ts";
import { openWorld } from "./world.ts";

test("SIGINT and SIGTERM under load drain: exit 0, everything accepted is delivered once", {
	timeout: 120_000,
}, async (context) => {
	const result = await stopUnderLoad({ stops: 2, seed: 21 });
	context.diagnostic(JSON.stringify(result));
	assert.ok(result.messages > 100, "there was load");
});

test("a second start on the same data directory is refused with a sentence that names the process", {
	timeout: 60_000,
}, async () => {
	const world = await openWorld({ seed: 22 });
	try {
		await assert.rejects(startProduct({ dataDir: world.dataDir }), (error) => {
			assert.ok(error instanceof ProductDidNotStart);
			assert.equal(error.exit, 1);
			assert.match(
				error.message,
				new RegExp(`already running on .* \\(process ${world.product().child.pid}\\)`),
			);
			return true;
		});
		assert.equal((await world.client.call("GET", "/healthz")).status, 200, "the first goes on");
	} finally {
		await world.close();
	}
});
