/** What an installation has before a migration is there after it: each that moves rows is run over some. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { migrate, readMigrations } from "#platform/migrate.ts";
import { testDatabase } from "../support/database.ts";

const { admin } = await testDatabase();
const migrations = readMigrations((text) => createHash("sha256").update(text).digest("hex"));
const tenant = "018f3a5e-0000-7000-8000-000000000001";
const route = "018f3a5e-0000-7000-8000-00000000000f";

/** The test's own database as it was when this migration was the newest. */
async function rewindTo(name: string): Promise<void> {
	await admin.run(
		"drop schema public cascade; drop schema wx cascade; create schema public; grant usage on schema public to waxwing_owner",
	);
	const last = migrations.findIndex((one) => one.name.startsWith(name));
	await migrate(admin, migrations.slice(0, last + 1));
	await admin.run("select wx.make_partitions(now())");
}

/** The id of the n-th message of this month. */
async function idOf(n: number): Promise<string> {
	const [row] = await admin.run<{ id: string }>(
		"select wx.first_id(date_trunc('month', now())) as id",
	);
	return `${row?.id.slice(0, -12)}${String(n).padStart(12, "0")}`;
}

test("0002: verdicts, seals and waiting entries move to where they are read now", async () => {
	await rewindTo("0001");
	const [sent, waiting, refused] = [await idOf(1), await idOf(2), await idOf(3)];
	for (const id of [sent, waiting, refused])
		await admin.run(
			`insert into messages (tenant_id, id, environment, class, address_index, sender_index, sealed, encoding, segments, characters, country, expires_at, created_at)
			values ($1, $2, 'live', 1, '', '', '', 0, 1, 1, 'IN', now(), '2026-11-22T10:00:00Z')`,
			[tenant, id],
		);
	for (const [id, until] of [
		[sent, null],
		[waiting, "2026-11-23T04:30:00Z"],
	])
		await admin.run(
			"insert into clearances values ($1, $2, 'live', 'r-1', 'pnd', $3, now(), '2026-11-22T11:00:00Z', $4)",
			[tenant, id, until, Buffer.alloc(32, 7)],
		);
	await admin.run(
		"insert into decisions values ($1, $2, 'live', 'r-1', 'prn', 'refused', null, '2026-11-22T10:00:00Z')",
		[tenant, refused],
	);
	await admin.run(
		"insert into lane_entries (tenant_id, message_id, environment, route_id, class, due_at, expires_at) values ($1, $2, 'live', $3, 1, now(), now())",
		[tenant, waiting, route],
	);
	const applied = await migrate(admin, migrations);
	assert.ok(applied.includes("0002-fewer-rows.sql"));
	const rows = await admin.run(
		"select id, ruleset, verdicts, deferred_until, clear_until, seal from messages order by id",
	);
	const seal = Buffer.alloc(32, 7);
	const clearUntil = new Date("2026-11-22T11:00:00Z");
	const cleared = { ruleset: "r-1", verdicts: "pnd", clear_until: clearUntil, seal };
	assert.deepEqual(rows, [
		{ id: sent, ...cleared, deferred_until: null },
		{ id: waiting, ...cleared, deferred_until: new Date("2026-11-23T04:30:00Z") },
		{
			id: refused,
			ruleset: "r-1",
			verdicts: "prn",
			deferred_until: null,
			clear_until: null,
			seal: null,
		},
	]);
	assert.deepEqual(await admin.run("select message_id, seal from lane_entries"), [
		{ message_id: waiting, seal },
	]);
});

test("0010: suppressions of before are as they were, in force and still to be re-indexed; a process of before goes on", async () => {
	await rewindTo("0006");
	await admin.run("select wx.create_tenant($1, $2, $2, now())", [tenant, Buffer.from("x")]);
	const index = Buffer.alloc(32, 5);
	const insert = (id: number, reason: string, ended: string | null = null) =>
		admin.run(
			`insert into suppressions (tenant_id, id, environment, channel, address_index, address_sealed, reason, created_at, ended_at)
			values ($1, $2, 'live', 'sms', $3, 'x', $4, now(), $5) on conflict do nothing`,
			[tenant, `018f3a5e-0000-7000-8000-0000000000a${id}`, index, reason, ended],
		);
	await insert(1, "stop");
	await insert(2, "manual");
	await insert(3, "stop", "2026-11-22T10:00:00Z");
	const applied = await migrate(admin, migrations);
	assert.ok(applied.includes("0010-suppression-keys.sql"));
	await insert(4, "complaint");
	await insert(5, "stop");
	const rows = await admin.run(
		"select right(id::text, 1) as id, reason, suppression_index, ended_at is null as in_force from suppressions order by id",
	);
	const row = (id: string, reason: string, in_force = true) => {
		return { id, reason, suppression_index: null, in_force };
	};
	assert.deepEqual(rows, [
		row("1", "stop"),
		row("2", "manual"),
		row("3", "stop", false),
		row("4", "complaint"),
	]);
	assert.deepEqual(
		await admin.run(
			"select * from wx.tenants_to_reindex('00000000-0000-0000-0000-000000000000', 9)",
		),
		[{ tenant_id: tenant }],
	);
});
