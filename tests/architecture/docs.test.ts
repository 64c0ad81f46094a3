/**
 * What the documents say is so: their commands run, their links lead somewhere, their lists are the
 * code's lists. Every block marked in README and the guides is run against a whole platform.
 */
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { magicNumbers } from "#channels/index.ts";
import { states } from "../../server/messages/state.ts";
import { testPlatform } from "../support/platform.ts";
import { blocksOf, brokenReferences, documents, follow, read, root } from "./docs.ts";

const platform = await testPlatform();

test("there are documents, and all they refer to is there", () => {
	const all = documents();
	assert.ok(all.length > 20, all.join("\n"));
	assert.deepEqual(
		all.flatMap((path) => brokenReferences(path, read(path))),
		[],
	);
});

test("a wrong reference is found", () => {
	const text = "[a](nowhere.md) [b](README.md#x) `server/nowhere.ts` `server/**/store.ts`\n";
	assert.equal(brokenReferences("README.md", text).length, 2);
});

const followed = documents().filter((path) => blocksOf(read(path)).some(({ file }) => !file));

test("the pages for readers are among those that are followed", () => {
	for (const page of ["README.md", "docs/guides/receive-webhooks.md"])
		assert.ok(followed.includes(page), page);
});

for (const path of followed)
	test(`${path}: its commands do what it says`, { timeout: 60_000 }, async () => {
		const devFile = join(platform.dataDir, "dev.json");
		for (const { block, output } of await follow(read(path), { devFile, port: await freePort() })) {
			assert.ok(block.prints.length > 0, `nothing is expected of:\n${block.code}`);
			for (const pattern of block.prints) assert.match(output, pattern);
		}
	});

async function freePort(): Promise<number> {
	const server = createServer();
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const { port } = server.address() as AddressInfo;
	await new Promise((resolve) => server.close(resolve));
	return port;
}

test("README names the two commands, and what they start is in package.json", () => {
	const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
	for (const name of ["start", "test"]) {
		assert.ok(scripts[name] !== undefined);
		assert.ok(read("README.md").includes(`\`npm ${name}\``));
	}
	const commands = documents().flatMap((path) => [...read(path).matchAll(/npm run ([\w-]+)/g)]);
	for (const [said, name = ""] of commands) assert.ok(scripts[name] !== undefined, said);
});

test("the page of magic numbers is the sandbox's table", () => {
	const table = magicNumbers.map(({ digits, says }) => `| \`${digits}\` | ${says} |`).join("\n");
	assert.ok(read("docs/guides/sandbox-magic-numbers.md").includes(table), `expected:\n${table}`);
});

test("the first guide explains every status that an outgoing message can have", () => {
	const page = read("docs/guides/send-your-first-sms.md");
	const outgoing = Object.values(states).filter(({ status }) => status !== "received");
	for (const { status, final } of outgoing) {
		const row = page.split("\n").find((line) => line.startsWith(`| \`${status}\` |`));
		assert.ok(row !== undefined, status);
		assert.ok(row.endsWith(final ? "| yes |" : "| no |"), row);
	}
});

test("every dependency is in its decision record, with its version, and no other", () => {
	const { dependencies, devDependencies } = JSON.parse(read("package.json")) as Record<
		"dependencies" | "devDependencies",
		Record<string, string>
	>;
	const wanted = Object.entries({ ...dependencies, ...devDependencies }).map((pair) =>
		pair.join(" "),
	);
	const [page = ""] = globSync("docs/decisions/0010-*.md", { cwd: root });
	const rows = [...read(page).matchAll(/^\| `([^`]+)` \| (\S+) \|/gm)];
	assert.deepEqual(rows.map((row) => `${row[1]} ${row[2]}`).sort(), wanted.sort());
});

test("every metric of ours is on the page about monitoring, and no other", async () => {
	const text = await (await fetch(platform.dev.metricsUrl)).text();
	const served = [...text.matchAll(/^# TYPE (wx_\w+) /gm)].map((match) => match[1]);
	const page = read("docs/operations/monitoring.md");
	const told = new Set([...page.matchAll(/`(wx_\w+)`/g)].map((match) => match[1]));
	assert.deepEqual([...told].sort(), served.sort());
});

test("the sentences that troubleshooting quotes are said by the code", () => {
	const code = globSync(["server/**/*.ts", "tools/install.mjs"], { cwd: root })
		.filter((path) => !path.endsWith(".test.ts"))
		.map((path) => readFileSync(join(root, path), "utf8"))
		.join("\n");
	const page = read("docs/operations/troubleshooting.md");
	const quoted = [...page.matchAll(/^### “(.+)”$/gm)].map((match) => match[1] as string);
	assert.ok(quoted.length > 10);
	for (const sentence of quoted)
		for (const part of sentence.split("…").map((text) => text.trim()))
			assert.ok(part === "" || code.includes(part), `nobody says: ${part}`);
});

test("a decision record says context, choice, consequences and what would reverse it", () => {
	const records = globSync("docs/decisions/*.md", { cwd: root }).sort();
	assert.ok(records.length >= 13);
	for (const [i, path] of records.entries()) {
		const number = String(i + 1).padStart(4, "0");
		assert.match(path, new RegExp(`/${number}-[a-z0-9-]+\\.md$`), "numbered without gaps");
		const titles = [...read(path).matchAll(/^## (.+)$/gm)].map((match) => match[1]);
		const wanted = ["Context", "Choice", "Consequences", "What would reverse it"];
		assert.deepEqual(titles, wanted, path);
	}
});

test("the glossary has each word once, in order", () => {
	const words = [...read("docs/glossary.md").matchAll(/^\*\*(.+?)\*\*/gm)].map((match) =>
		(match[1] as string).toLowerCase(),
	);
	assert.ok(words.length > 30);
	assert.deepEqual(words, [...new Set(words)].sort());
});

test("ARCHITECTURE.md is a map: at most 250 lines, with all ten invariants", () => {
	const text = read("ARCHITECTURE.md");
	assert.ok(text.split("\n").length <= 250);
	const invariants = [
		...text.matchAll(/^\| (\d+) \| .+ \| .*`tests?\/|^\| (\d+) \| .+ \| .*\.test\.ts/gm),
	];
	assert.equal(invariants.length, 10);
});

test("CHANGELOG has its four parts in order", () => {
	const parts = [...read("CHANGELOG.md").matchAll(/^### (.+)$/gm)].slice(0, 4);
	const wanted = ["Security and compliance", "Features", "Changes you must act on", "Internals"];
	assert.deepEqual(
		parts.map((match) => match[1]),
		wanted,
	);
	assert.ok(existsSync(join(root, "SECURITY.md")));
});
