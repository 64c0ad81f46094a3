/** A vault over a real database and real key files, for tests: tenants, contacts, and a copy of the database's keys. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { type Clock, systemClock } from "#platform/clock.ts";
import { readConfig } from "#platform/config.ts";
import type { Scope } from "#platform/db.ts";
import { createIds, systemRandom } from "#platform/ids.ts";
import { silentLog } from "#platform/log.ts";
import { createMetrics } from "#platform/metrics.ts";
import { type TestDatabase, testDatabase } from "../../tests/support/database.ts";
import { createErasures } from "./erasures.ts";
import { startKeyWork } from "./key-work.ts";
import { openKeys } from "./open-keys.ts";
import { createVault } from "./vault.ts";

/** The tables that hold wrapped keys and erasures: what a backup of the database has of them. */
const keyTables = [
	"tenant_keys",
	"contact_epochs",
	"contact_keys",
	"contact_erasures",
	"contact_erasure_counts",
] as const;

export async function testKeys(clock: Clock = systemClock) {
	const database = await testDatabase();
	const { app, worker, admin } = database;
	const dataDir = mkdtempSync(join(tmpdir(), "waxwing-vault-"));
	after(() => rmSync(dataDir, { recursive: true, force: true }));
	const random = systemRandom();
	const ids = createIds(clock, random);
	const open = async () => {
		const settings = readConfig({}).keys;
		const keys = await openKeys({ settings, dataDir, mayCreate: true, random, clock });
		const vault = createVault({ db: app, ...keys, random, clock });
		const { forgetTenant } = vault;
		const settleMs = 20 * 60_000;
		const parts = { ...keys, db: app, worker, random, clock, ids, vault, settleMs, forgetTenant };
		return { ...parts, erasures: createErasures(parts) };
	};
	type Opened = Awaited<ReturnType<typeof open>>;
	return {
		database,
		dataDir,
		ids,
		/** A process of its own: nothing in memory is shared. */
		open,
		work(opened: Opened, rotationDays = 365, backupDays = 400) {
			const metrics = createMetrics();
			const work = startKeyWork({
				...opened,
				log: silentLog,
				metrics,
				rotationDays,
				erasureWindowDays: 7,
				backupDays,
			});
			after(() => work.stop());
			return { ...work, metrics };
		},
		async tenant({ vault }: Opened): Promise<Scope> {
			const tenantId = ids.next();
			const { wrapped } = await vault.makeTenantKey(tenantId);
			await admin.run("select wx.create_tenant($1, $2, $3, $4)", [
				tenantId,
				Buffer.from("x"),
				wrapped,
				new Date(clock.now()),
			]);
			await vault.warm([tenantId]);
			return { tenantId, environment: "live" };
		},
		backup: () =>
			copy(database, (table) => [`create table backup_${table} as select * from ${table}`]),
		restore: () =>
			copy(database, (table) => [
				`truncate ${table} cascade`,
				`insert into ${table} select * from backup_${table}`,
			]),
	};
}

async function copy(
	{ admin }: TestDatabase,
	statements: (table: string) => readonly string[],
): Promise<void> {
	for (const table of keyTables) for (const text of statements(table)) await admin.run(text);
}
