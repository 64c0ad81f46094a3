import assert from "node:assert/strict";
import { test } from "node:test";
import { whyNoLoopDisk } from "./loop-disk.ts";
import { cutPower } from "./power-cut.ts";

test("a power cut under load loses nothing that was acknowledged; without synchronous_commit or fsync it does", {
	timeout: 180_000,
	skip: await whyNoLoopDisk(),
}, async (context) => {
	const result = await cutPower({ cuts: 1, seed: 51 });
	context.diagnostic(JSON.stringify(result));
	assert.ok(result.acknowledged > 50, "there was load");
	for (const [control, { acknowledged, lost }] of Object.entries(result.controls))
		assert.ok(lost > 0, `${control} lost none of ${acknowledged}: the test could not fail`);
});
