import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ranks, rankViolations } from "./ranks.ts";
import { root, sourceOf, sources } from "./sources.ts";

describe("a planted violation is caught", () => {
	const cases: [path: string, text: string, expected: RegExp | undefined][] = [
		["server/policy/a.ts", 'import { x } from "#vault/index.ts";', undefined],
		["server/policy/a.ts", 'import { x } from "#platform/clock.ts";', undefined],
		[
			"server/policy/a.ts",
			'import { x } from "#vault/keyring.ts";',
			/through #vault\/index\.ts only/,
		],
		["server/policy/a.ts", 'import "#access/index.ts";', /ranks above/],
		["server/policy/a.ts", 'import type { X } from "#messages/index.ts";', /ranks above/],
		["server/policy/a.ts", 'await import("#messages/index.ts");', /ranks above/],
		["server/policy/a.ts", "await import(name);", /computed import/],
		["server/policy/a.ts", 'export * from "#audit/index.ts";', /strangers/],
		["server/contacts/a.ts", 'import { x } from "#templates/index.ts";', /strangers/],
		["server/policy/a.ts", 'import { x } from "../vault/index.ts";', /leaves the module/],
		["server/policy/in-trai/a.ts", 'import { x } from "../clearance.ts";', undefined],
		[
			"server/policy/in-trai/a.ts",
			'import { x } from "../../vault/index.ts";',
			/leaves the module/,
		],
		["server/policy/a.ts", 'import { x } from "../../tools/x.ts";', /leaves the module/],
		["server/policy/a.ts", 'import { x } from "./b";', /ends in \.ts/],
		["server/policy/a.ts", 'import { x } from "#policy/b.ts";', /relative path/],
		["server/policy/a.ts", 'import { x } from "#nowhere/index.ts";', /not a module/],
		["server/utilities/a.ts", "", /no rank/],
		["server/policy/a.test.ts", 'import { x } from "../../tests/support/database.ts";', undefined],
		["server/policy/a.ts", 'import { x } from "./test-world.ts";', /only tests/],
		["server/policy/a.test.ts", 'import { x } from "./test-world.ts";', undefined],
		[
			"server/policy/index.ts",
			'export { a, type B } from "./a.ts";\nexport * from "./c.ts";',
			undefined,
		],
		[
			"server/policy/index.ts",
			'export { a } from "./a.ts";\nexport const b = 1;',
			/only re-exports/,
		],
		["server/policy/index.ts", 'import { a } from "./a.ts";\na();', /only re-exports/],
		["tools/a.ts", 'import { x } from "#vault/keyring.ts";', /index\.ts only/],
		["tools/a.ts", 'import { x } from "../server/vault/index.ts";', /use #module/],
		["tools/a.ts", 'import { x } from "#processes/routes.ts";', undefined],
	];
	for (const [path, text, expected] of cases)
		test(`${path}: ${text.replaceAll("\n", " ")}`, () => {
			const found = rankViolations(sourceOf(path, text));
			if (expected === undefined) assert.deepEqual(found, []);
			else assert.match(found.join("\n"), expected);
		});
});

test("every import goes down, through a front door", () => {
	const all = sources("server", "tools", "bench");
	assert.ok(all.length > 20, "the sources were not found");
	assert.equal(all.flatMap(rankViolations).join("\n"), "");
});

test("every folder of server/ has a rank", () => {
	for (const entry of readdirSync(join(root, "server"), { withFileTypes: true }))
		if (entry.isDirectory()) assert.ok(entry.name in ranks, `${entry.name} has no rank`);
});
