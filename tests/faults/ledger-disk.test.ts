import assert from "node:assert/strict";
import { test } from "node:test";
import { fillLedgerDisk } from "./ledger-disk.ts";

const skip =
	process.getuid?.() === 0 && process.platform === "linux"
		? false
		: "needs root on Linux, to mount a small tmpfs";

test("the ledger's disk is full: acts and privileged reads are refused, and none happens without its entry", {
	timeout: 120_000,
	skip,
}, async (context) => {
	const result = await fillLedgerDisk({ acts: 100, seed: 1 });
	context.diagnostic(JSON.stringify(result));
	const refused = Object.values(result.refused).reduce((sum, n) => sum + n, 0);
	assert.ok(refused > 100, "the disk was full");
});
