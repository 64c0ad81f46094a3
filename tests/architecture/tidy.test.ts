import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { filesUnder, read, root, sourceOf, sources } from "./sources.ts";
import { placeViolations, tidyViolations } from "./tidy.ts";

const header = "/** What it is for. */\n";
const note = "TO" + "DO";
const off = "oxlint-" + "disable-next-line x";

describe("a planted violation is caught", () => {
	const cases: [what: string, path: string, text: string, expected: RegExp | undefined][] = [
		["nothing", "server/policy/a.ts", header, undefined],
		["401 lines", "server/policy/a.ts", header + "a;\n".repeat(400), /401 lines/],
		["400 lines", "server/policy/a.ts", header + "a;\n".repeat(399), undefined],
		["601 lines of tests", "server/policy/a.test.ts", "a;\n".repeat(601), /601 lines/],
		["a folder", "server/policy/utils/a.ts", header, /says nothing/],
		["a file", "server/policy/types.ts", header, /says nothing/],
		["a note", "server/policy/a.ts", `${header}// ${note}: later`, /note to do/],
		["a silenced checker", "server/policy/a.ts", `${header}// @ts-${"ignore"}`, /silenced/],
		["as any", "server/policy/a.ts", `${header}f(a as any);`, /`any`/],
		[": any", "server/policy/a.ts", `${header}let a: any;`, /`any`/],
		["<any>", "server/policy/a.ts", `${header}let a: Set<any>;`, /`any`/],
		["the word any", "server/policy/a.ts", `${header}const a = "as any"; // : any`, undefined],
		["a bare switch-off", "server/policy/a.ts", `${header}// ${off}`, /reason/],
		["a reasoned one", "server/policy/a.ts", `${header}// ${off} -- why`, undefined],
		["151 columns", "server/policy/a.ts", `${header}${"a".repeat(151)}`, /line 2 is wider/],
		["a long text", "server/policy/a.ts", `${header}"${"a".repeat(200)}";`, undefined],
		["a far too long text", "server/policy/a.ts", `${header}"${"a".repeat(330)}";`, /wider/],
		["no header", "server/policy/a.ts", "a;", /no header/],
		["an essay", "server/policy/a.ts", `/**\n${" * a\n".repeat(20)} */\n`, /essay/],
		["an index without header", "server/policy/index.ts", 'export * from "./a.ts";', undefined],
	];
	for (const [what, path, text, expected] of cases)
		test(what, () => {
			const found = tidyViolations(sourceOf(path, text));
			if (expected === undefined) assert.deepEqual(found, []);
			else assert.match(found.join("\n"), expected);
		});

	test("a place outside the repository", () => {
		assert.equal(placeViolations("a.md", `see ../${"shared"}/x`).length, 1);
		assert.equal(placeViolations("a.md", `see /${"work"}/x`).length, 1);
		assert.deepEqual(placeViolations("a.md", "see ./work/ and network/x"), []);
	});
});

test("the linter refuses long functions, any, and silenced checks", () => {
	const folder = mkdtempSync(join(tmpdir(), "wx-lint-"));
	try {
		const long = `export function a(b: number): number {\n${"\tb += 1;\n".repeat(61)}\treturn b;\n}\n`;
		writeFileSync(join(folder, "a.ts"), `${long}export const c = (d: any): unknown => d;\n`);
		const run = spawnSync(
			join(root, "node_modules/.bin/oxlint"),
			["-c", join(root, ".oxlintrc.json"), "-f", "unix", folder],
			{ encoding: "utf8", cwd: root },
		);
		assert.equal(run.status, 1);
		for (const rule of ["max-lines-per-function", "no-explicit-any"])
			assert.match(run.stdout, new RegExp(rule));
	} finally {
		rmSync(folder, { recursive: true });
	}
});

test("every source is tidy", () => {
	const all = sources("server", "tools", "bench", "tests");
	assert.equal(all.flatMap(tidyViolations).join("\n"), "");
});

test("no file mentions a place outside the repository", () => {
	const texts = filesUnder().filter((path) => !/\.(png|ico|woff2?|gz)$/.test(path));
	assert.equal(texts.flatMap((path) => placeViolations(path, read(path))).join("\n"), "");
});
