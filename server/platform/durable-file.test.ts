/** That it outlives a power cut is shown by tests/faults/power-cut.test.ts. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { writeDurably } from "./durable-file.ts";

const dir = mkdtempSync(join(tmpdir(), "waxwing-durable-"));
after(() => rmSync(dir, { recursive: true }));

test("the file is whole, its owner's only, and alone", () => {
	const path = join(dir, "secret");
	for (const text of ["a long first text", "short"]) {
		writeDurably(path, text);
		assert.equal(readFileSync(path, "utf8"), text);
		assert.equal(statSync(path).mode & 0o777, 0o600);
	}
	assert.deepEqual(readdirSync(dir), ["secret"]);
	assert.throws(() => writeDurably(join(dir, "nowhere", "secret"), "text"), /ENOENT/);
});
