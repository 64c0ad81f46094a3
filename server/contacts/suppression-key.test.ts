/**
 * A STOP is in force for the very next question, at every moment: while rows of before are re-indexed, after the person
 * was erased, after each rotation of keys, in another process and over a restored database. Over PostgreSQL and real key files.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { manualClock } from "#platform/clock.ts";
import { readConfig } from "#platform/config.ts";
import type { Scope } from "#platform/db.ts";
import { createIds, seededRandom } from "#platform/ids.ts";
import { silentLog } from "#platform/log.ts";
import { createMetrics } from "#platform/metrics.ts";
import { createErasures, createVault, openKeys, startKeyWork, VaultError } from "#vault/index.ts";
import { testDatabase } from "../../tests/support/database.ts";
import { until } from "../../tests/support/http.ts";
import { addressKey } from "./address.ts";
import { recordStatement } from "./consent.ts";
import { type Keyword, recordStarts, recordStops, suppressedAmong } from "./index.ts";
import { startReindexing } from "./reindex.ts";

const { app, worker, admin } = await testDatabase();
const clock = manualClock(Date.parse("2026-11-27T00:00:00Z"));
const random = seededRandom(5);
const ids = createIds(clock, random);
const dataDir = mkdtempSync(join(tmpdir(), "waxwing-suppression-"));
after(() => rmSync(dataDir, { recursive: true, force: true }));
const minuteMs = 60_000;
const dayMs = 86_400_000;

/** A process: it shares nothing in memory with another. */
async function open() {
	const settings = readConfig({}).keys;
	const keys = await openKeys({ settings, dataDir, mayCreate: true, random, clock });
	const vault = createVault({ db: app, ...keys, random, clock });
	const { forgetTenant } = vault;
	const settleMs = 20 * minuteMs;
	const shared = { ...keys, db: app, worker, vault, random, ids, clock, settleMs, forgetTenant };
	const log = silentLog;
	const erasures = createErasures(shared);
	const work = () => {
		const due = { rotationDays: 365, erasureWindowDays: 7, backupDays: 400 };
		const started = startKeyWork({ ...shared, ...due, log, metrics: createMetrics() });
		after(() => started.stop());
		return started;
	};
	return { vault, erasures, work };
}
type Opened = Awaited<ReturnType<typeof open>>;

const main = await open();
const metrics = createMetrics();
/** It walks when a test says so: the walk that it begins with finds nothing yet. */
const reindexing = startReindexing({ worker, vault: main.vault, log: silentLog, metrics });
after(() => reindexing.stop());
await reindexing.walk();

async function tenant({ vault }: Opened): Promise<Scope> {
	const tenantId = ids.next();
	const { wrapped } = await vault.makeTenantKey(tenantId);
	const name = Buffer.from("x");
	await admin.run("select wx.create_tenant($1, $2, $3, now())", [tenantId, name, wrapped]);
	await vault.warm([tenantId]);
	return { tenantId, environment: "live" };
}

let lastPerson = 0;
const someone = (): string => `+9198${String(20_000_000 + ++lastPerson)}`;

function said(scope: Scope, address: string): Keyword {
	return { ...scope, id: ids.next(), address, originator: null, atMs: clock.now() };
}

const stop = ({ vault }: Opened, scope: Scope, ...addresses: string[]) =>
	worker.inTenants([scope.tenantId], (tx) =>
		recordStops(
			tx,
			vault,
			addresses.map((address) => said(scope, address)),
		),
	);
const start = ({ vault }: Opened, scope: Scope, address: string) =>
	worker.inTenants([scope.tenantId], (tx) => recordStarts(tx, vault, [said(scope, address)]));

/** How many of these are suppressed, as accepting and as sending asks; both must say the same. */
async function count({ vault }: Opened, scope: Scope, addresses: readonly string[]) {
	await vault.warm([scope.tenantId]);
	const keys = addresses.map((address) => addressKey(vault, scope, address));
	const ask = async (tx: Parameters<typeof suppressedAmong>[0]) =>
		(await suppressedAmong(tx, keys)).size;
	const accepting = await app.inTenant(scope, ask);
	assert.equal(await worker.inTenants([scope.tenantId], ask), accepting);
	return accepting;
}

/** As a process of the version before wrote them. */
const asBefore = ({ tenantId }: Scope) =>
	admin.run("update suppressions set suppression_index = null where tenant_id = $1", [tenantId]);

const rowsOf = ({ tenantId }: Scope) =>
	admin.run<{ own: Buffer | null; old: Buffer | null; sealed: Buffer; ended: Date | null }>(
		`select suppression_index as own, address_index as old, address_sealed as sealed, ended_at as ended
		from suppressions where tenant_id = $1 order by id`,
		[tenantId],
	);

async function erase(by: Opened, scope: Scope, address: string) {
	const { index, suppressionIndex } = addressKey(by.vault, scope, address);
	return by.erasures.erase(scope, { index, suppressionIndex }, async () => undefined);
}

/** Turns the tenant's epoch, as erasures have it done within the window. */
async function turn(by: Opened): Promise<void> {
	const work = by.work();
	clock.advance(4 * dayMs);
	await work.work();
	clock.advance(21 * minuteMs);
	await work.work();
	await work.stop();
}

test("a suppression is found by an index under a key that nothing else has", async () => {
	const [scope, other] = [await tenant(main), await tenant(main)];
	const address = someone();
	await stop(main, scope, address);
	const [row] = await rowsOf(scope);
	const key = addressKey(main.vault, scope, address);
	assert.deepEqual(row?.own, key.suppressionIndex);
	assert.deepEqual(row?.old, key.index);
	const { tenantId } = scope;
	const all = [
		key.index,
		key.suppressionIndex,
		main.vault.suppressionIndex(tenantId, "test", address),
		main.vault.suppressionIndex(other.tenantId, "live", address),
	];
	assert.equal(new Set(all.map((index) => index.toString("hex"))).size, 4);
	assert.equal(await count(main, scope, [address, someone()]), 1);
	assert.equal(await count(main, other, [address]), 0);
});

test("two processes that meet a tenant at once make one key", async () => {
	const scope = await tenant(main);
	const processes = await Promise.all([open(), open(), open(), open()]);
	await admin.run("delete from suppression_keys where tenant_id = $1", [scope.tenantId]);
	// They find none, and wait with one each.
	await admin.run("begin; lock table suppression_keys in exclusive mode");
	const indexing = Promise.all(
		processes.map(async ({ vault }) => {
			await vault.warm([scope.tenantId]);
			return vault.suppressionIndex(scope.tenantId, "live", "+911").toString("hex");
		}),
	);
	const waiting = async () => {
		const text = "select count(*)::int as count from pg_locks where not granted";
		return (await admin.run<{ count: number }>(text))[0]?.count;
	};
	await until("all wait", waiting, (count) => count === 4);
	await admin.run("commit");
	const indexes = await indexing;
	assert.equal(new Set(indexes).size, 1);
});

test("rows of before are in force, are re-indexed beside serving, and are in force meanwhile", async () => {
	const scope = await tenant(main);
	const people = Array.from({ length: 1_200 }, someone);
	await stop(main, scope, ...people);
	await asBefore(scope);
	assert.equal(await count(main, scope, people), 1_200);
	// Asked without a pause while the rows change over, 500 in a transaction.
	const walking = reindexing.walk();
	let isDone = false;
	void walking.finally(() => (isDone = true));
	const keys = people.map((address) => addressKey(main.vault, scope, address));
	let asked = 0;
	for (; !isDone || asked < 20; asked++) {
		const some = keys.slice((asked * 97) % 1_100, ((asked * 97) % 1_100) + 100);
		const ask = async (tx: Parameters<typeof suppressedAmong>[0]) =>
			(await suppressedAmong(tx, some)).size;
		const found =
			asked % 2 === 0 ? app.inTenant(scope, ask) : worker.inTenants([scope.tenantId], ask);
		assert.equal(await found, 100);
	}
	assert.deepEqual(await walking, { indexed: 1_200, left: 0 });
	assert.equal(await count(main, scope, people), 1_200);
	const rows = await rowsOf(scope);
	assert.ok(rows.every(({ own }) => own !== null));
	assert.deepEqual(await reindexing.walk(), { indexed: 0, left: 0 });
	assert.match(await metrics.text(), /^wx_suppressions_old_index 0$/m);
});

test("what a process of the version before writes meanwhile is in force, and re-indexed later", async () => {
	const scope = await tenant(main);
	const [first, second] = [someone(), someone()];
	await stop(main, scope, first);
	await stop(main, scope, second);
	await asBefore(scope);
	await reindexing.walk();
	// It knows the old index only: a STOP of somebody whose row has moved on is a second row, or none.
	await admin.run(
		`insert into suppressions (tenant_id, environment, channel, address_index, id, address_sealed, reason, created_at)
		values ($1, 'live', 'sms', $2, $3, '', 'stop', now()) on conflict do nothing`,
		[scope.tenantId, addressKey(main.vault, scope, first).index, ids.next()],
	);
	assert.equal((await rowsOf(scope)).length, 2);
	assert.equal(await count(main, scope, [first, second]), 2);
	assert.equal((await start(main, scope, first)).length, 1);
	assert.equal(await count(main, scope, [first, second]), 1);
});

test("whose number cannot be opened any more stays under the old index, until they write again", async () => {
	const scope = await tenant(main);
	const [gone, stays] = [someone(), someone()];
	await stop(main, scope, gone, stays);
	await asBefore(scope);
	// Erased by the version before: no number, no key, and no index of its own.
	const { index } = addressKey(main.vault, scope, gone);
	await admin.run(
		"update suppressions set address_sealed = '' where tenant_id = $1 and address_index = $2",
		[scope.tenantId, index],
	);
	assert.deepEqual(await reindexing.walk(), { indexed: 1, left: 1 });
	assert.match(await metrics.text(), /^wx_suppressions_old_index 1$/m);
	const fresh = await open();
	assert.equal(await count(fresh, scope, [gone, stays]), 2);
	assert.deepEqual(await stop(fresh, scope, gone), [], "they are suppressed already");
	assert.deepEqual(await reindexing.walk(), { indexed: 0, left: 0 });
	assert.equal(await count(fresh, scope, [gone, stays]), 2);
	assert.equal((await start(fresh, scope, gone)).length, 1);
	assert.equal(await count(fresh, scope, [gone, stays]), 1);
});

test("a START ends a row of before whose number nobody can open", async () => {
	const scope = await tenant(main);
	const address = someone();
	await stop(main, scope, address);
	await asBefore(scope);
	assert.equal((await start(main, scope, address)).length, 1);
	assert.equal(await count(main, scope, [address]), 0);
});

for (const before of [false, true])
	test(`a STOP ${before ? "of before " : ""}outlives the erasure of its person, every rotation and a restart`, async () => {
		const scope = await tenant(main);
		const [gone, stays] = [someone(), someone()];
		await stop(main, scope, gone, stays);
		if (before) await asBefore(scope);
		const inForce = async (what: string) => {
			for (const by of [main, await open()])
				assert.equal(await count(by, scope, [gone, stays, someone()]), 2, what);
		};
		await inForce("at the start");
		const { index, suppressionIndex } = addressKey(main.vault, scope, gone);
		await erase(main, scope, gone);
		await inForce("erased");
		const erased = (await rowsOf(scope)).find(({ sealed }) => sealed.length === 0);
		assert.deepEqual(erased?.own, suppressionIndex);
		assert.deepEqual(erased?.old, index);
		await turn(main);
		await inForce("complete");
		const complete = (await rowsOf(scope)).find(({ sealed }) => sealed.length === 0);
		assert.deepEqual(complete?.own, suppressionIndex);
		assert.equal(complete?.old, null, "nothing links it to what else is known of the person");

		const work = (await open()).work();
		await work.rotateTenant(scope.tenantId);
		clock.advance(21 * minuteMs);
		await work.work();
		await inForce("the tenant's key and epoch rotated");
		const { newestRoot } = await work.status();
		await work.rotateRoot();
		await work.rewrap();
		await work.destroyRoot(newestRoot as string);
		await work.stop();
		await inForce("the root key rotated, and the old one destroyed");

		assert.deepEqual(await stop(main, scope, gone), [], "said again, it is one");
		assert.equal((await start(main, scope, gone)).length, 1);
		assert.equal(await count(main, scope, [gone, stays]), 1);
		assert.equal((await stop(main, scope, gone)).length, 1);
		await inForce("said anew");
	});

test("a database from before the erasure is erased again, and the STOP is in force over it", async () => {
	const scope = await tenant(main);
	const [gone, stays] = [someone(), someone()];
	await stop(main, scope, gone, stays);
	await asBefore(scope);
	await admin.run("create table kept as select * from suppressions where tenant_id = $1", [
		scope.tenantId,
	]);
	await erase(main, scope, gone);
	await turn(main);
	for (const table of ["suppressions", "contact_erasures"])
		await admin.run(`delete from ${table} where tenant_id = $1`, [scope.tenantId]);
	await admin.run("insert into suppressions select * from kept");
	const restarted = await open();
	assert.equal(await count(restarted, scope, [gone, stays]), 2);
	assert.equal((await restarted.erasures.replay()).erased, 1);
	assert.equal(await count(restarted, scope, [gone, stays]), 2);
	const old = (await rowsOf(scope)).filter((row) => row.old === null);
	assert.equal(old.length, 1);
	assert.equal(old[0]?.sealed.length, 0);
	await reindexing.walk();
	assert.equal(await count(restarted, scope, [gone, stays]), 2);
});

test("who revoked all consent is not written to after they were erased either", async () => {
	const scope = await tenant(main);
	const [refuses, agreed] = [someone(), someone()];
	const state = (address: string, granted: boolean) =>
		app.inTenant(scope, (tx) =>
			recordStatement(
				tx,
				main.vault,
				scope,
				{
					id: ids.next(),
					address,
					granted,
					coverage: "all",
					source: null,
					consentedAtMs: undefined,
				},
				clock.now(),
			),
		);
	await state(refuses, false);
	// Whose last word was yes leaves nothing behind.
	await state(agreed, false);
	clock.advance(minuteMs);
	await state(agreed, true);
	assert.equal(await count(main, scope, [refuses, agreed]), 1);
	assert.equal((await erase(main, scope, refuses)).suppressions, 1);
	assert.equal((await erase(main, scope, agreed)).suppressions, 0);
	assert.equal(await count(main, scope, [refuses, agreed]), 1);
	await turn(main);
	assert.equal(await count(await open(), scope, [refuses]), 1);
	assert.equal(await count(await open(), scope, [agreed]), 0);
});

test("while the key cannot be opened nobody can say who is suppressed: nothing goes", async () => {
	const scope = await tenant(main);
	await admin.run("update suppression_keys set wrapped = $2 where tenant_id = $1", [
		scope.tenantId,
		Buffer.alloc(80, 1),
	]);
	const fresh = await open();
	await fresh.vault.warm([scope.tenantId]);
	assert.throws(() => fresh.vault.suppressionIndex(scope.tenantId, "live", "+911"), VaultError);
	// What else the tenant has opens as before.
	assert.equal(fresh.vault.index(scope.tenantId, "live", "sms.address", "+911").length, 32);
});
