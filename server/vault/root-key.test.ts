import assert from "node:assert/strict";
import {
	chmodSync,
	chownSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { inspect } from "node:util";
import { Secret } from "#platform/hidden.ts";
import { seededRandom } from "#platform/ids.ts";
import { openRootKeys, RootKeyError, type RootKeyOptions } from "./index.ts";

const hex = "00112233445566778899aabbccddeeff".repeat(2);

function inDirectory(t: TestContext, changes: Partial<RootKeyOptions> = {}): RootKeyOptions {
	const dataDir = mkdtempSync(join(tmpdir(), "waxwing-root-key-"));
	t.after(() => rmSync(dataDir, { recursive: true }));
	return { dataDir, configured: undefined, mayCreate: true, random: seededRandom(5), ...changes };
}

test("the file is made once, for its owner only, and read again", (t) => {
	const base = inDirectory(t);
	const options = { ...base, dataDir: join(base.dataDir, "new", "data") };
	const made = openRootKeys(options);
	const path = join(options.dataDir, "root.key");
	assert.equal(made.provider, "file");
	assert.equal(made.warning, undefined);
	assert.equal(readFileSync(path, "latin1"), `${made.keys[0]?.toString("hex")}\n`);
	assert.equal(statSync(path).mode & 0o777, 0o600);
	assert.deepEqual(readdirSync(options.dataDir), ["root.key"]);
	const again = openRootKeys({ ...options, mayCreate: false, random: seededRandom(6) });
	assert.deepEqual(again.keys, made.keys);
});

test("a missing file is not replaced when data exists", (t) => {
	const options = inDirectory(t, { mayCreate: false });
	assert.throws(() => openRootKeys(options), /is missing, but data sealed under it exists/);
	assert.deepEqual(readdirSync(options.dataDir), []);
});

for (const mode of [0o604, 0o640, 0o660, 0o644, 0o666, 0o700, 0o777])
	test(`a file of mode ${mode.toString(8)} is refused`, (t) => {
		const options = inDirectory(t);
		openRootKeys(options);
		const path = join(options.dataDir, "root.key");
		chmodSync(path, mode);
		assert.throws(
			() => openRootKeys(options),
			(error) => error instanceof RootKeyError && error.message.includes(`chmod 600 ${path}`),
		);
		chmodSync(path, 0o400);
		assert.equal(openRootKeys(options).keys[0]?.length, 32);
	});

test("another user's file is refused", (t) => {
	if (process.getuid?.() !== 0) return t.skip("needs root to give a file away");
	const options = inDirectory(t);
	openRootKeys(options);
	chownSync(join(options.dataDir, "root.key"), 12_345, 12_345);
	assert.throws(() => openRootKeys(options), /belongs to user id 12345/);
});

const contents: [string, boolean][] = [
	[hex, true],
	[`${hex.toUpperCase()}\r\n`, true],
	["", false],
	[hex.slice(1), false],
	[`${hex}0`, false],
	[`${hex}\n${"ab".repeat(32)}\n`, true],
	[`${hex}\nab`, false],
	[`${hex}\n\n${hex}`, false],
	[hex.replace("0", "g"), false],
	["x".repeat(100_000), false],
];
for (const [index, [content, valid]] of contents.entries())
	test(`content ${index} is ${valid ? "read" : "refused without being shown"}`, (t) => {
		const options = inDirectory(t);
		writeFileSync(join(options.dataDir, "root.key"), content, { mode: 0o600 });
		if (valid) return assert.equal(openRootKeys(options).keys[0]?.toString("hex"), hex);
		assert.throws(
			() => openRootKeys(options),
			(error: Error) =>
				/64 hexadecimal digits/.test(error.message) && !inspect(error).includes("112233"),
		);
	});

test("what is not a file is refused", (t) => {
	const directory = inDirectory(t);
	mkdirSync(join(directory.dataDir, "root.key"));
	assert.throws(() => openRootKeys(directory), RootKeyError);
	const dangling = inDirectory(t);
	symlinkSync(join(dangling.dataDir, "nowhere"), join(dangling.dataDir, "root.key"));
	assert.throws(() => openRootKeys(dangling), RootKeyError);
});

test("a configured key comes with a warning and touches no file", (t) => {
	const options = inDirectory(t, { configured: new Secret(hex) });
	const opened = openRootKeys(options);
	assert.equal(opened.keys[0]?.toString("hex"), hex);
	assert.equal(opened.provider, "env");
	assert.match(opened.warning ?? "", /WAXWING_ROOT_KEY/);
	assert.deepEqual(readdirSync(options.dataDir), []);
	assert.throws(
		() => openRootKeys({ ...options, configured: new Secret("112233") }),
		(error: Error) => error instanceof RootKeyError && !inspect(error).includes("112233"),
	);
});
