/** The ledger when nobody has touched it: it grows, is placed, signed, gone through and verified, and nothing is found. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { besiege, times } from "./ledger-siege.ts";

const runs = times(20);
const { world, below, verifies } = await besiege();

test(`${runs} clean runs: no false alarm`, { timeout: 3_000_000 }, async (context) => {
	for (let n = 0; n < runs; n++) {
		await world.record();
		await world.place();
		const { sign, scrub, troubles } = world.openSigner();
		await sign();
		await scrub(1 + below(500));
		assert.deepEqual(troubles, [], `run ${n}`);
		assert.ok(await verifies(), `run ${n}`);
	}
	context.diagnostic(`${runs} clean runs of signer and waxwing-verify: 0 false alarms`);
});
