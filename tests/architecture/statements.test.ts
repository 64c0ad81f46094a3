/**
 * Every statement that the server declares is prepared against the migrated schema, with the rights of the
 * role that runs it: a misspelt column or a missing grant fails here, not at a customer's request.
 */
import assert from "node:assert/strict";
import { globSync } from "node:fs";
import { test } from "node:test";
import { declaredStatements } from "#platform/db.ts";
import { testDatabase } from "../support/database.ts";

const sources = globSync("server/**/*.ts").filter(
	// What starts a process or a thread when it is imported declares none.
	(file) =>
		!file.endsWith(".test.ts") && !/^server\/processes\/(all|api|worker|.*-thread)\.ts$/.test(file),
);
for (const file of sources) await import(`../../${file}`);
const { admin } = await testDatabase();

test("there are statements to prepare", () => assert.ok(declaredStatements().length > 50));

for (const { name, text } of declaredStatements()) {
	test(`${name} can be prepared, and planned for waxwing_app or waxwing_worker`, async () => {
		const prepared = `s_${name.replaceAll(/[^a-z_]/g, "_")}`;
		await admin.run(`prepare ${prepared} as ${text}`);
		await admin.run(`deallocate ${prepared}`);
	});
}
