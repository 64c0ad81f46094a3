import assert from "node:assert/strict";
import { test } from "node:test";
import { makeDataDir, removeDataDir, startProduct } from "../../bench/product.ts";
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

test("whoever reads what it prints goes away: it serves on, and stops cleanly", {
	timeout: 60_000,
}, async () => {
	const dataDir = makeDataDir();
	try {
		const product = await startProduct({ dataDir });
		product.child.stdout?.destroy();
		product.child.stderr?.destroy();
		const { baseUrl, apiKey, samples } = product.dev;
		const send = async (): Promise<number> => {
			const headers = { authorization: `Bearer ${apiKey}`, "content-type": "application/json" };
			const body = JSON.stringify(samples.transactional);
			return (await fetch(`${baseUrl}/v1/sms/messages`, { method: "POST", headers, body })).status;
		};
		// A body that is no JSON is logged.
		await fetch(`${baseUrl}/v1/nowhere`, { method: "POST", body: "{" });
		assert.equal(await send(), 202);
		assert.equal(await product.end("SIGINT"), 0);
	} finally {
		removeDataDir(dataDir);
	}
});
