import assert from "node:assert/strict";
import { test } from "node:test";
import { testDatabase } from "../../tests/support/database.ts";
import type { Tx } from "./db.ts";

const { admin, app, worker } = await testDatabase();
const scope = { tenantId: "018f3a5e-0000-7000-8000-000000000001", environment: "live" } as const;

/** Asks for one message, often, and returns how often PostgreSQL planned that anew, and used the plan it had kept. */
async function plansOf(tx: Tx): Promise<object | undefined> {
	const statement = {
		name: "few",
		text: "select m.id from unnest($1::uuid[]) as k (id) join messages m on m.tenant_id = $2 and m.id = k.id",
	};
	for (let i = 0; i < 12; i++) await tx.query(statement, [`{${scope.tenantId}}`, scope.tenantId]);
	const text = "select custom_plans, generic_plans from pg_prepared_statements where name = 'few'";
	return (await tx.query({ name: "", text }))[0];
}

test("a statement is planned once for a connection, whatever the number of its rows", async () => {
	const kept = { custom_plans: 0, generic_plans: 12 };
	assert.deepEqual(await app.inTenant(scope, plansOf), kept);
	assert.deepEqual(await worker.inTenants([scope.tenantId], plansOf), kept);
});

test("a plan made while a table has one row reads it by its index, as when it has filled", async () => {
	await admin.run("create table growing as select 1 as id");
	await admin.run("create index on growing (id)");
	await admin.run("analyze growing");
	await admin.run("grant select on growing to waxwing_app, waxwing_worker");
	const explain = { name: "", text: "explain select from growing where id = 1" };
	for (const rows of [
		await app.inTenant(scope, (tx) => tx.query(explain)),
		await worker.inTenants([scope.tenantId], (tx) => tx.query(explain)),
	])
		assert.match(JSON.stringify(rows), /Index Only Scan/);
});
