/** The vault over PostgreSQL: both roles read wrapped keys, and what is stored opens with the root key only. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "#platform/clock.ts";
import { type Database, sql } from "#platform/db.ts";
import { createIds, systemRandom } from "#platform/ids.ts";
import { testDatabase } from "../../tests/support/database.ts";
import { createVault, VaultError } from "./index.ts";

const { app, worker, admin } = await testDatabase();
const random = systemRandom();
const ids = createIds(systemClock, random);
const vaultOver = (db: Database, rootKey = Buffer.alloc(32, 7)) =>
	createVault({ db, rootKey, random, clock: systemClock });

const create = sql("vault.test.create", "select wx.create_tenant($1, $2, $3, now())");

test("keys stored by one process open in another, under either role", async () => {
	const tenants = [ids.next(), ids.next(), ids.next()];
	const maker = vaultOver(app);
	await app.inPlatform(async (tx) => {
		for (const id of tenants)
			await tx.query(create, [id, Buffer.from("name"), (await maker.makeTenantKey(id)).wrapped]);
	});
	const [sealing, opening] = [vaultOver(app), vaultOver(worker)];
	await Promise.all([sealing.warm(tenants), opening.warm([...tenants, ids.next()])]);
	const indexes = new Set<string>();
	for (const tenantId of tenants) {
		const row = ids.next();
		const place = { tenantId, environment: "live", table: "messages", column: "sealed", row };
		const sealed = sealing.seal(place, Buffer.from("Guten Tag"));
		assert.equal(opening.open(place, sealed).toString(), "Guten Tag");
		const index = sealing.index(tenantId, "live", "sms.address", "+4915112345678");
		assert.deepEqual(opening.index(tenantId, "live", "sms.address", "+4915112345678"), index);
		indexes.add(index.toString("hex"));
	}
	assert.equal(indexes.size, tenants.length);
});

test("a wrapped key copied to another tenant's row, or changed, is refused", async () => {
	const [one, other] = [ids.next(), ids.next()];
	const maker = vaultOver(app);
	const wrapped = (await maker.makeTenantKey(one)).wrapped;
	await app.inPlatform(async (tx) => {
		await tx.query(create, [one, Buffer.from("name"), wrapped]);
		await tx.query(create, [other, Buffer.from("name"), wrapped]);
	});
	const vault = vaultOver(worker);
	await vault.warm([one, other]);
	vault.index(one, "live", "tag", "x");
	assert.throws(() => vault.index(other, "live", "tag", "x"), VaultError);
	await admin.run(
		"update tenant_keys set wrapped = set_bit(wrapped, 300, 1 - get_bit(wrapped, 300)) where tenant_id = $1",
		[one],
	);
	const later = vaultOver(app);
	await later.warm([one]);
	assert.throws(() => later.index(one, "live", "tag", "x"), VaultError);
});
