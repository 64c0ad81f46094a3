import assert from "node:assert/strict";
import { test } from "node:test";
import { testDatabase } from "./database.ts";

const { app, admin } = await testDatabase();

test("a transaction without a tenant is refused loudly", async () => {
	const select = { name: "t1", text: "select * from tenants" };
	await assert.rejects(
		app.inPlatform((tx) => tx.query(select)),
		/no tenant is set/,
	);
	const scope = { tenantId: "018f3a5e-0000-7000-8000-000000000001", environment: "live" } as const;
	assert.deepEqual(await app.inTenant(scope, (tx) => tx.query(select)), []);
	assert.equal((await admin.run("select 1 as one")).length, 1);
});
