/** db/schema.sql says what the migrations make: read by people, so it must not lie. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { describeSchema, schemaFile } from "../../tools/schema.ts";
import { testDatabase } from "../support/database.ts";

const { admin } = await testDatabase();

test("db/schema.sql is what the migrations make: run `node tools/schema.ts`", async () => {
	assert.equal(readFileSync(schemaFile, "utf8"), await describeSchema(admin));
});

const changes: readonly [what: string, statement: string][] = [
	["a column", "alter table messages add column note text"],
	["a column's type", "alter table messages alter column segments type integer"],
	["a default", "alter table senders alter column active drop default"],
	["an index", "create index more on senders (created_at)"],
	["a policy", "drop policy one_tenant on senders"],
	["row-level security that is not forced", "alter table senders no force row level security"],
	["a grant", "grant delete on messages to waxwing_app"],
	["a grant of one column", "grant update (countries) on tenant_settings to waxwing_worker"],
	[
		"a trigger",
		"create trigger more before update on senders for each row execute function suppress_redundant_updates_trigger()",
	],
	["a check", "alter table senders drop constraint senders_kind_check"],
	["a function that anybody may run", "grant execute on function wx.disable_route to public"],
	["a function's definer flag", "alter function wx.disable_route security invoker"],
];
for (const [what, statement] of changes)
	test(`the description shows ${what}`, async () => {
		const before = await describeSchema(admin);
		await admin.run("begin");
		try {
			await admin.run(statement);
			assert.notEqual(await describeSchema(admin), before);
		} finally {
			await admin.run("rollback");
		}
	});
