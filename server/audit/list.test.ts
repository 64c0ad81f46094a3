/** The list of a long log: complete, in order, with each filter, also one that few entries fit. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { lookMax, type PageQuery } from "#platform/page.ts";
import { testDatabase } from "../../tests/support/database.ts";
import { pagesOf } from "../../tests/support/pages.ts";
import { type EntryFilter, listEntries } from "./store.ts";

const { app, admin } = await testDatabase();
const tenantId = "01900000-0000-7000-8000-000000000001";
const scope = { tenantId, environment: "live" } as const;
const id = (n: number): string => `01900000-0000-7000-8000-${String(n).padStart(12, "0")}`;
const many = 2 * lookMax + 500;
/** Every 900th is a key's; of those one is of a type of its own. */
const ofKey = [1800, 900];

await admin.run(
	`insert into ledger_entries (tenant_id, id, action, actor, entry)
	select $1, ('01900000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, case when n = 900 then 'route.changed' else 'key.changed' end,
		case when n % 900 = 0 then 'key_1' else 'system' end, '{}' from generate_series(1, $2::integer) as n`,
	[tenantId, many],
);

const nothing: EntryFilter = {
	action: undefined,
	actor: undefined,
	from: undefined,
	until: undefined,
};
const list = (filter: Partial<EntryFilter>) => (page: PageQuery) =>
	app.inTenant(scope, (tx) => listEntries(tx, tenantId, { ...nothing, ...filter }, page));

const cases: [name: string, filter: Partial<EntryFilter>, expected: number[]][] = [
	["all", {}, Array.from({ length: many }, (_, i) => many - i)],
	["a type", { action: "route.changed" }, [900]],
	["an actor", { actor: "key_1" }, ofKey],
	["a type and an actor that did little of it", { action: "key.changed", actor: "key_1" }, [1800]],
	["a type and an actor that did none of it", { action: "route.changed", actor: "system" }, []],
	["from and until", { from: id(1000), until: id(1004) }, [1003, 1002, 1001]],
	["an actor until a moment", { actor: "key_1", until: id(1800) }, [900]],
];
for (const [name, filter, expected] of cases)
	test(`${name}, both ways`, async () => {
		for (const size of [1, 100]) {
			if (expected.length > 1_000 && size === 1) continue;
			const pages = await pagesOf(list(filter), size);
			assert.deepEqual(pages.flat(), expected.map(id));
			assert.ok(pages.every((page) => page.length <= size));
			const back = await pagesOf(list(filter), size, id(0));
			assert.deepEqual(back.toReversed().flat(), expected.map(id));
		}
	});

test("a page that holds nothing leads on", async () => {
	const rare = list({ action: "key.changed", actor: "key_1" });
	assert.deepEqual(await pagesOf(rare, 20), [[id(1800)], [], []]);
});
