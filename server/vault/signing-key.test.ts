import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { seededRandom } from "#platform/ids.ts";
import { openSigningKey } from "./signing-key.ts";

const folder = mkdtempSync(join(tmpdir(), "waxwing-signing-"));
after(() => rmSync(folder, { recursive: true }));
const random = seededRandom(5);

test("the key is made once, readable by its owner only, and found again", () => {
	const path = join(folder, "ledger", "signer.key");
	const made = openSigningKey({ path, mayCreate: true, random });
	assert.equal(statSync(path).mode & 0o777, 0o600);
	assert.match(readFileSync(path, "utf8"), /^[0-9a-f]{64}\n$/);
	const found = openSigningKey({ path, mayCreate: false, random });
	assert.deepEqual(found.publicKey, made.publicKey);
});

test("a missing key, one that others can read, and what is no key are refused", () => {
	const path = join(folder, "other.key");
	const open = () => openSigningKey({ path, mayCreate: false, random });
	assert.throws(open, /is missing, but checkpoints signed with it exist/);
	writeFileSync(path, "00".repeat(32), { mode: 0o600 });
	open();
	for (const mode of [0o640, 0o604, 0o700]) {
		chmodSync(path, mode);
		assert.throws(open, /others could read it/);
	}
	chmodSync(path, 0o600);
	for (const text of ["", "00".repeat(31), "zz".repeat(32)]) {
		writeFileSync(path, text);
		assert.throws(open, /does not hold a signing key/);
	}
});
