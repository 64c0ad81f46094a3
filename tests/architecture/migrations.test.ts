import assert from "node:assert/strict";
import { test } from "node:test";
import { migrationViolations } from "./migrations.ts";
import { filesUnder, read } from "./sources.ts";

const good = "-- additive\nselect 1;\n";
// printf -- '-- additive\nselect 1;\n' | sha256sum
const sum = "f588240d178addbee8edf205fcecd77eddc196b87f4e09844d085f4feeac091a";

test("a planted violation is caught", () => {
	const cases: [files: [string, string][], checksums: string, expected: RegExp | undefined][] = [
		[[["0001-a.sql", good]], "", undefined],
		[[["0002-a.sql", good]], "", /expected 0001/],
		[
			[
				["0001-a.sql", good],
				["0003-b.sql", good],
			],
			"",
			/expected 0002/,
		],
		[[["0001-a.sql", "select 1;"]], "", /first line/],
		[[["0001-a.sql", good]], `${sum}  0001-a.sql\n`, undefined],
		[[["0001-a.sql", `${good} `]], `${sum}  0001-a.sql\n`, /frozen/],
		[[["0001-a.sql", good]], `${sum}  0002-b.sql\n`, /gone/],
	];
	for (const [files, checksums, expected] of cases) {
		const found = migrationViolations(new Map(files), checksums);
		if (expected === undefined) assert.deepEqual(found, []);
		else assert.match(found.join("\n"), expected);
	}
});

test("migrations are numbered, announced and frozen", () => {
	const paths = filesUnder("db/migrations");
	const files = new Map(paths.map((path) => [path.slice("db/migrations/".length), read(path)]));
	assert.ok(files.size > 0);
	assert.deepEqual(migrationViolations(files, files.get("checksums.txt") ?? ""), []);
});
