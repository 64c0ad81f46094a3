import assert from "node:assert/strict";
import { test } from "node:test";
import { killLedger } from "./ledger-kill.ts";

test("kill -9 of signer and sequencer while acts are recorded: every act has its entry, the log verifies", {
	timeout: 120_000,
}, async (context) => {
	const result = await killLedger({ ms: 8_000, seed: 41 });
	context.diagnostic(JSON.stringify(result));
	assert.ok(result.signers >= 4 && result.products >= 1, "there were kills");
	assert.ok(result.acknowledged > 100, "there were acts");
});
