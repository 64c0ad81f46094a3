import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { fillDisk } from "./disk-full.ts";

const skip =
	process.getuid?.() === 0 && process.platform === "linux"
		? false
		: "needs root on Linux, to mount a small tmpfs";

async function isFullFor(
	what: Parameters<typeof fillDisk>[0]["what"],
	context: TestContext,
): Promise<Awaited<ReturnType<typeof fillDisk>>> {
	const result = await fillDisk({ rounds: 1, seed: 31, what });
	context.diagnostic(JSON.stringify(result));
	assert.ok(result.acknowledged > 50, "there was load");
	assert.ok(
		(result.refusals["503 with Retry-After storage_full"] ?? 0) > 0,
		JSON.stringify(result.refusals),
	);
	assert.deepEqual(
		Object.keys(result.refusals).filter((name) => !/^(503 with Retry-After|409|429)/.test(name)),
		[],
	);
	return result;
}

test(
	"the database's disk is full: 503 storage_full, nothing acknowledged is lost, goes on when there is room",
	{
		timeout: 120_000,
		skip,
	},
	async (context) => void (await isFullFor("data", context)),
);

test("the disk of the database's temporary files is full: the same", {
	timeout: 120_000,
	skip,
}, async (context) => {
	const { temporaryFiles } = await isFullFor("temp", context);
	assert.ok(temporaryFiles > 0, "statements needed temporary files");
});
