/** The list of erasures stays bounded, and a database that is older than it reaches is refused. PostgreSQL and files are real. */
import assert from "node:assert/strict";
import { appendFileSync, existsSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { manualClock } from "#platform/clock.ts";
import type { Scope } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import { silentLog } from "#platform/log.ts";
import { removeOldMonths, RestoreError } from "./erasure-list.ts";
import { testKeys } from "./test-keys.ts";

const clock = manualClock(Date.parse("2026-11-10T00:00:00Z"));
const world = await testKeys(clock);
const { admin, worker } = world.database;
const main = await world.open();
const folder = join(world.dataDir, "keyring");
const dayMs = 86_400_000;
const backupDays = 60;
const done = async (): Promise<void> => undefined;

const lists = (): string[] => readdirSync(folder).filter((name) => name.endsWith(".log"));
const removeOld = () =>
	removeOldMonths({ worker, files: main.files, clock, log: silentLog, backupDays });

let lastPerson = 0;
async function erase(scope: Scope, record = done): Promise<string> {
	const number = `+91981${String(++lastPerson).padStart(7, "0")}`;
	await main.vault.warm([scope.tenantId]);
	const index = main.vault.index(scope.tenantId, "live", "sms.address", number);
	const suppressionIndex = main.vault.suppressionIndex(scope.tenantId, "live", number);
	return (await main.erasures.erase(scope, { index, suppressionIndex }, record)).id;
}

/** The epochs of everybody who waits are turned. */
async function complete(): Promise<void> {
	const work = world.work(main, 365, 36_500);
	clock.advance(4 * dayMs);
	await work.work();
	clock.advance(dayMs);
	await work.work();
	await work.stop();
	const [open] = await admin.run<{ count: number }>(
		"select count(*)::int as count from contact_erasures where completed_at is null",
	);
	assert.equal(open?.count, 0);
}

const replay = async () => (await world.open()).erasures.replay();

test("a month leaves the list when all in it is older than any backup, known and complete; not before", async () => {
	const scope = await world.tenant(main);
	await erase(scope);
	const last = await erase(scope);
	const refused = () => Promise.reject(Fault.of("audit_unavailable", { retryAfterSeconds: 5 }));
	await assert.rejects(erase(scope, refused), { name: "audit_unavailable" });
	assert.deepEqual(lists(), ["erasures-202611.log"]);
	await complete();
	clock.advance(30 * dayMs);
	const later = await erase(scope);
	assert.deepEqual(lists(), ["erasures-202611.log", "erasures-202612.log"]);
	assert.equal(await removeOld(), 0, "a backup of before may still be restored");
	clock.advance(backupDays * dayMs - 35 * dayMs);
	assert.equal(await removeOld(), 0, "as old as the oldest backup, not older");
	clock.advance(1);
	assert.equal(await removeOld(), 1);
	assert.deepEqual(lists(), ["erasures-202612.log"]);
	const note = JSON.parse(readFileSync(join(folder, "erasures.removed"), "utf8"));
	assert.deepEqual([note.id, note.tenant], [last, scope.tenantId]);
	assert.equal(await removeOld(), 0);
	clock.advance(400 * dayMs);
	assert.equal(await removeOld(), 0, "what backups could still undo stays");
	await complete();
	// A line that nobody can read may be of somebody who was erased.
	const text = readFileSync(join(folder, "erasures-202612.log"));
	appendFileSync(join(folder, "erasures-202612.log"), '{"id":"0190\n');
	assert.equal(await removeOld(), 0);
	main.files.write("erasures-202612.log", text);
	await admin.run("delete from contact_erasures where id = $1", [later]);
	assert.equal(await removeOld(), 0, "the database does not know it: it may be a restored one");
	assert.equal((await replay()).erased, 1);
	await admin.run("update contact_erasures set completed_at = now() where id = $1", [later]);
	assert.equal(await removeOld(), 1);
	assert.deepEqual(lists(), []);
	assert.deepEqual(await replay(), { erased: 0, broughtBack: 0, unreadable: 0 });
});

test("a database from before what left the list is refused, and nothing is done to it", async () => {
	const scope = await world.tenant(main);
	await erase(scope);
	await complete();
	await admin.run("create table kept as select * from contact_erasures");
	clock.advance((backupDays + 31) * dayMs);
	const young = await erase(scope);
	assert.equal(await removeOld(), 1);
	await admin.run("delete from contact_erasures where tenant_id = $1", [scope.tenantId]);
	await assert.rejects(replay(), (error: Error) => {
		assert.ok(error instanceof RestoreError);
		assert.match(
			error.message,
			/is from before 20\d\d-\d\d-\d\d, .* WAXWING_BACKUP_DAYS .*erasures\.removed/,
		);
		return true;
	});
	const rows = await admin.run("select 1 from contact_erasures where id = $1", [young]);
	assert.equal(rows.length, 0, "it was refused before anything was erased again");
	// The younger backup knows what left the list.
	await admin.run("insert into contact_erasures select * from kept where tenant_id = $1", [
		scope.tenantId,
	]);
	assert.equal((await replay()).erased, 1);
});

test("the list of before is read, and goes when its time has come", async () => {
	const scope = await world.tenant(main);
	const id = await erase(scope);
	const [name] = lists().slice(-1) as [string];
	renameSync(join(folder, name), join(folder, "erasures.log"));
	await complete();
	await admin.run("delete from contact_erasures where id = $1", [id]);
	assert.equal((await replay()).erased >= 1, true);
	await complete();
	clock.advance((backupDays + 1) * dayMs);
	await removeOld();
	assert.equal(existsSync(join(folder, "erasures.log")), false);
});

test("the work on keys does it by itself, once a day", async () => {
	const scope = await world.tenant(main);
	await erase(scope);
	await complete();
	clock.advance(61 * dayMs);
	const work = world.work(main, 365, backupDays);
	await work.work();
	assert.deepEqual(lists(), []);
	await work.stop();
});
