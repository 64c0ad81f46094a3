/** How consent that comes with a batch finds what is known: by the address, also while the table has no statistics. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { declaredStatements } from "#platform/db.ts";
import { testDatabase } from "../../tests/support/database.ts";
import "./grant-store.ts";

const { admin } = await testDatabase();
/** As the product's logins plan (server/platform/migrate.ts). */
const planning = ["enable_seqscan", "enable_hashjoin", "enable_mergejoin"];
const declared = declaredStatements().find(({ name }) => name === "contacts.insert_grants");

async function planFor(role: string): Promise<string> {
	await admin.run("begin");
	await admin.run(`set local role ${role}`);
	for (const setting of planning) await admin.run(`set local ${setting} = off`);
	await admin.run("set local plan_cache_mode = force_generic_plan");
	await admin.run(`prepare grants as ${declared?.text}`);
	const rows = await admin.run<{ "QUERY PLAN": string }>(
		"explain (verbose) execute grants (null, null, null, null, null, null, null)",
	);
	await admin.run("rollback; deallocate grants");
	return rows.map((row) => row["QUERY PLAN"]).join("\n");
}

for (const rows of [0, 5_000]) {
	test(`with ${rows} statements and no statistics, known consent is looked up by its address`, async () => {
		await admin.run("alter table consent_statements set (autovacuum_enabled = false)");
		await admin.run(
			`insert into tenants (tenant_id, name_sealed, created_at)
			values ('01900000-0000-7000-8000-000000000001', '', now()) on conflict do nothing`,
		);
		await admin.run(
			`insert into consent_statements (tenant_id, id, environment, address_index, channel, coverage, granted, consented_at, sealed, recorded_at)
			select '01900000-0000-7000-8000-000000000001', gen_random_uuid(), 'live', sha256(int4send(n)), 'sms', 'all', true, now(), '', now()
			from generate_series(1, $1::integer) as n`,
			[rows],
		);
		const conditions = (await planFor("waxwing_app"))
			.split("\n")
			.filter((line) => /Index Cond: .*tenant_id/.test(line));
		assert.ok(conditions.length > 0, "the plan uses an index");
		for (const condition of conditions) assert.match(condition, /address_index = /);
	});
}
