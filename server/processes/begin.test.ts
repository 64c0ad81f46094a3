/** A start that is begun before anybody waits for it. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readConfig } from "#platform/config.ts";
import { begin } from "./begin.ts";

test("a database that does not open while the modules are loaded is told to who waits later, and ends nothing before", async () => {
	const dataDir = mkdtempSync(join(tmpdir(), "waxwing-begin-"));
	try {
		const config = readConfig({
			WAXWING_DATA_DIR: dataDir,
			DATABASE_URL: "postgres://nobody@127.0.0.1:1/nothing",
		});
		const begun = begin(config, "api");
		// A database of the operator's own is no reason to wait with the modules.
		const first = await Promise.race([begun.atWork.then(() => "at work"), begun.databases]);
		assert.equal(first, "at work");
		// A rejection that nobody has taken up by now would end the process.
		await new Promise((resolve) => void setTimeout(resolve, 500));
		await assert.rejects(begun.databases);
		await begun.stop();
		const again = begin(config, "api");
		await again.stop();
	} finally {
		rmSync(dataDir, { recursive: true, force: true });
	}
});
