/**
 * The escrow of the root key, as docs/operations/keys.md has it: its commands are run as they are written there, with
 * Debian's ssss, on a root key that the product made; and what the page says of losses and mistakes is so.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { systemRandom } from "#platform/ids.ts";
import { openRootKeys } from "#vault/index.ts";

const page = readFileSync(new URL("../../docs/operations/keys.md", import.meta.url), "utf8");
const blocks = new Map(
	[...page.matchAll(/^```sh escrow (\w+)\n([\s\S]*?)^```$/gm)].map(([, name, code]) => [
		name,
		code,
	]),
);
const skip = spawnSync("ssss-split", ["-v"]).error === undefined ? false : "ssss is not installed";

const folder = mkdtempSync(join(tmpdir(), "waxwing-escrow-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const dataDir = join(folder, ".waxwing");
const random = systemRandom();
const openKeys = (at: string): Buffer | undefined =>
	openRootKeys({ dataDir: at, configured: undefined, mayCreate: false, random }).keys[0];

/** Runs a block of the page, as typed; people's lines come from the terminal. */
function run(
	name: string,
	typed = "",
): { readonly status: number | null; readonly output: string } {
	const code = blocks.get(name) ?? assert.fail(`the page has no block "escrow ${name}"`);
	const options = { cwd: folder, input: typed, encoding: "utf8" } as const;
	const { status, stdout, stderr } = spawnSync("bash", ["-c", code], options);
	return { status, output: `${stdout}${stderr}` };
}

const read = (name: string): string => readFileSync(join(folder, name), "utf8");
const sharesOf = (file: string): string[] => read(file).trim().split("\n");
const typedOf = (shares: readonly string[]): string => shares.map((share) => `${share}\n`).join("");

function triples(shares: readonly string[]): string[][] {
	return shares.flatMap((a, i) =>
		shares.slice(i + 1).flatMap((b, j) => shares.slice(i + j + 2).map((c) => [c, a, b])),
	);
}

/** A key of the product, split as the page says. */
function split(): string[] {
	rmSync(join(folder, "escrow"), { recursive: true, force: true });
	const { status, output } = run("split");
	assert.equal(status, 0, output);
	return sharesOf("escrow/shares");
}

test("the page has the commands", () => {
	assert.deepEqual([...blocks.keys()], ["split", "restore", "passphrase"]);
});

test("any three of five restore the key, and the product opens with it", { skip }, () => {
	mkdirSync(dataDir);
	// One that begins with zeros, which a careless tool would drop.
	for (const first of ["", "0000"]) {
		rmSync(join(dataDir, "root.key"), { force: true });
		openRootKeys({ dataDir, configured: undefined, mayCreate: true, random });
		const made = read(".waxwing/root.key");
		writeFileSync(join(dataDir, "root.key"), first + made.slice(first.length));
		const key = openKeys(dataDir) ?? assert.fail();
		const shares = split();
		assert.equal(shares.length, 5);
		assert.equal(statSync(join(folder, "escrow/shares")).mode & 0o077, 0);
		for (const three of triples(shares)) {
			const { status, output } = run("restore", typedOf(three));
			assert.deepEqual([status, output], [0, "this is the key\n"]);
			assert.ok(openKeys(join(folder, "restored"))?.equals(key));
		}
	}
	assert.equal(triples(["1", "2", "3", "4", "5"]).length, 10);
});

test("two shares, a mistyped one, and shares of two splits do not restore it", { skip }, () => {
	const [one = "", two = "", three = ""] = split();
	const digit = three.at(-1) === "a" ? "b" : "a";
	const again = split();
	for (const [what, typed] of Object.entries({
		"two only": [one, two],
		"one twice": [one, one, two],
		mistyped: [one, two, `${three.slice(0, -1)}${digit}`],
		"of another split": [one, two, again[2] as string],
	})) {
		const { status, output } = run("restore", typedOf(typed));
		assert.notEqual(status, 0, what);
		assert.doesNotMatch(output, /this is the key/, what);
	}
	assert.equal(run("restore", typedOf(again.slice(0, 3))).output, "this is the key\n");
});

test("with another threshold the tool gives another key and says nothing, as the page warns", {
	skip,
}, () => {
	const shares = split();
	const args = ["-t", "2", "-x", "-q"];
	const ran = spawnSync("ssss-combine", args, {
		input: typedOf(shares.slice(0, 2)),
		encoding: "utf8",
	});
	assert.equal(ran.status, 0);
	assert.match(ran.stderr, /^[0-9a-f]{64}$/m);
	assert.notEqual(ran.stderr.trim(), read(".waxwing/root.key").trim());
});

test("a passphrase", { skip }, () => {
	writeFileSync(join(folder, "passphrase"), "correct horse battery staple\n");
	assert.equal(run("passphrase").status, 0);
	const typed = typedOf(sharesOf("escrow/passphrase.shares").slice(1, 4));
	const ran = spawnSync("ssss-combine", ["-t", "3", "-q"], { input: typed, encoding: "utf8" });
	assert.equal(ran.stderr.trim(), "correct horse battery staple");
});
