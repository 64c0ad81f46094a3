/** Contact keys, erasure by destroying them, also in backups, and rotations under load: over PostgreSQL and real files. */
import assert from "node:assert/strict";
import { appendFileSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Fault } from "#platform/errors.ts";
import { inspect } from "node:util";
import { manualClock } from "#platform/clock.ts";
import type { Scope } from "#platform/db.ts";
import type { ContactRef } from "./contact-store.ts";
import { testKeys } from "./test-keys.ts";
import { VaultError, type VaultReason } from "./vault-error.ts";

const clock = manualClock(Date.parse("2026-11-27T00:00:00Z"));
const world = await testKeys(clock);
const { database, ids } = world;
const { app, admin } = database;
const main = await world.open();
type Opened = typeof main;

const minuteMs = 60_000;
const dayMs = 86_400_000;
const refuses =
	(reason: VaultReason) =>
	(error: unknown): boolean =>
		error instanceof VaultError && error.reason === reason;

function contactOf({ vault }: Opened, scope: Scope, number: string): ContactRef {
	const index = vault.index(scope.tenantId, scope.environment, "sms.address", number);
	return { ...scope, index };
}

function placeOf(scope: Scope, row: string) {
	return { ...scope, table: "messages", column: "sealed", row };
}

/** By both indexes of the address; what suppressions do with theirs is tested in contacts. */
function whoOf({ contact }: Pick<Sealed, "contact">) {
	const { tenantId, environment, index } = contact;
	const suppressionIndex = main.vault.suppressionIndex(
		tenantId,
		environment,
		index.toString("hex"),
	);
	return { index, suppressionIndex };
}

interface Sealed {
	readonly contact: ContactRef;
	readonly row: string;
	readonly bytes: Buffer;
}

/** Seals one text for each number, in one transaction, as a process does. */
async function sealAll(by: Opened, scope: Scope, numbers: readonly string[]): Promise<Sealed[]> {
	await by.vault.warm([scope.tenantId]);
	const contacts = numbers.map((number) => contactOf(by, scope, number));
	const keys = await app.inTenant(scope, (tx) => by.vault.contacts.ensure(tx, contacts));
	return contacts.map((contact, i) => {
		const key = keys.of(contact);
		assert.ok(key !== undefined);
		const row = ids.next();
		const text = Buffer.from(`text for ${numbers[i]}`);
		return { contact, row, bytes: by.vault.sealFor(key, placeOf(contact, row), text) };
	});
}

/** How many open, and what becomes of the others. */
async function openAll(by: Opened, scope: Scope, values: readonly Sealed[]) {
	await by.vault.warm([scope.tenantId]);
	const refs = values.map((value) => value.contact);
	const keys = await app.inTenant(scope, (tx) => by.vault.contacts.load(tx, refs));
	const outcomes = new Map<string, number>();
	for (const { contact, row, bytes } of values) {
		let outcome = "open";
		try {
			by.vault.openFor(keys.of(contact), placeOf(contact, row), bytes);
		} catch (error) {
			if (!(error instanceof VaultError)) throw error;
			outcome = error.reason;
		}
		outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
	}
	return Object.fromEntries(outcomes);
}

const fileOfNow = (): string =>
	join(
		world.dataDir,
		"keyring",
		`erasures-${new Date(clock.now()).toISOString().slice(0, 7).replace("-", "")}.log`,
	);

const people = (count: number, from = 0): string[] =>
	Array.from({ length: count }, (_, i) => `+9198${String(10_000_000 + from + i)}`);

/** The act is put on record: what the ledger does is tested there. */
const recorded = async (): Promise<void> => undefined;

test("what is sealed for a contact opens at its place only; moved or changed it does not", async () => {
	const [scope, other] = [await world.tenant(main), await world.tenant(main)];
	const [value] = (await sealAll(main, scope, ["+911"])) as [Sealed];
	const trial: Scope = { ...scope, environment: "test" };
	await sealAll(main, other, ["+911"]);
	await sealAll(main, trial, ["+911"]);
	const { vault } = main;
	const load = (at: Scope, number: string) => {
		const contact = contactOf(main, at, number);
		return app.inTenant(at, async (tx) => (await vault.contacts.load(tx, [contact])).of(contact));
	};
	const place = placeOf(scope, value.row);
	const key = await load(scope, "+911");
	assert.equal(String(vault.openFor(key, place, value.bytes)), "text for +911");
	assert.equal(value.bytes.length, "text for +911".length + 33);
	const moved = [
		{ row: ids.next() },
		{ column: "address_sealed" },
		{ table: "suppressions" },
		{ tenantId: other.tenantId },
		{ environment: "test" as const },
	];
	for (const change of moved)
		assert.throws(
			() => vault.openFor(key, { ...place, ...change }, value.bytes),
			refuses("not_authentic"),
			JSON.stringify(change),
		);
	// With the other tenant's, environment's or contact's own key it is not even that key's.
	await sealAll(main, scope, ["+912"]);
	const others = [
		[other, "+911"],
		[trial, "+911"],
		[scope, "+912"],
	] as const;
	for (const [at, number] of others) {
		const wrong = await load(at, number);
		assert.ok(wrong !== undefined);
		assert.throws(() => vault.openFor(wrong, place, value.bytes), refuses("erased"));
	}
	assert.throws(() => vault.openFor(undefined, place, value.bytes), refuses("erased"));
	for (let bit = 0; bit < value.bytes.length * 8; bit++) {
		const changed = Buffer.from(value.bytes);
		changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
		assert.throws(() => vault.openFor(key, place, changed), VaultError, `bit ${bit}`);
	}
	const old = vault.seal(place, Buffer.from("from before contacts had keys"));
	assert.equal(String(vault.openFor(undefined, place, old)), "from before contacts had keys");
});

test("a wrapped contact key moved to another contact, tenant, environment or epoch does not open", async () => {
	const [scope, other] = [await world.tenant(main), await world.tenant(main)];
	await sealAll(main, scope, ["+911", "+912"]);
	await sealAll(main, other, ["+911"]);
	const at = contactOf(main, scope, "+911");
	const steal = async (from: ContactRef, to: ContactRef): Promise<void> => {
		await admin.run(
			`update contact_keys t set wrapped = f.wrapped from contact_keys f
			where f.tenant_id = $1 and f.contact_index = $2 and t.tenant_id = $3 and t.contact_index = $4`,
			[from.tenantId, from.index, to.tenantId, to.index],
		);
		const fresh = await world.open();
		await fresh.vault.warm([to.tenantId]);
		const { tenantId, environment } = to;
		const load = app.inTenant({ tenantId, environment }, (tx) =>
			fresh.vault.contacts.load(tx, [to]),
		);
		const keys = await load;
		assert.throws(() => keys.of(to), refuses("not_authentic"));
	};
	await steal(at, contactOf(main, scope, "+912"));
	await steal(at, contactOf(main, other, "+911"));
});

test("two who meet a new contact at once agree on its key", async () => {
	const scope = await world.tenant(main);
	const second = await world.open();
	const values = await Promise.all(
		[main, second, main, second].map((by) => sealAll(by, scope, people(20))),
	);
	const fresh = await world.open();
	assert.deepEqual(await openAll(fresh, scope, values.flat()), { open: 80 });
	const [row] = await admin.run<{ count: number }>(
		"select count(*)::int as count from contact_keys where tenant_id = $1",
		[scope.tenantId],
	);
	assert.equal(row?.count, 20);
});

test("erased contacts are gone at once; others, and the person when they come back, are not", async () => {
	const scope = await world.tenant(main);
	const values = await sealAll(main, scope, people(3));
	const [first] = values as [Sealed];
	const erased = await main.erasures.erase(scope, whoOf(first), recorded);
	assert.equal(erased.completedAt, null);
	assert.equal(erased.keyDigest?.length, 32);
	assert.deepEqual(await openAll(main, scope, values), { erased: 1, open: 2 });
	clock.advance(minuteMs * 2);
	const again = await sealAll(main, scope, people(1));
	const all = [...values, ...again];
	for (const by of [main, await world.open()])
		assert.deepEqual(await openAll(by, scope, all), { erased: 1, open: 3 });
	const back = await main.erasures.find(scope, erased.id);
	assert.deepEqual(back, erased);
	// Replaying it at a start does not touch the key that was made since.
	const next = await world.open();
	assert.deepEqual(await next.erasures.replay(), { erased: 0, broughtBack: 0, unreadable: 0 });
	assert.deepEqual(await openAll(next, scope, all), { erased: 1, open: 3 });
});

test("100 of 1,000 erased, then every backup restored: 0 can be read, 900 are as they were", async () => {
	const scope = await world.tenant(main);
	const values = await sealAll(main, scope, people(1_000));
	const gone = values.slice(0, 100);
	await world.backup();
	const certificates: string[] = [];
	for (const { contact } of gone)
		certificates.push((await main.erasures.erase(scope, whoOf({ contact }), recorded)).id);

	// Restored before the epoch was turned: the list erases again before anybody is served.
	await world.restore();
	const early = await world.open();
	assert.deepEqual(
		await openAll(early, scope, values),
		{ open: 1_000 },
		"the backup itself could be read",
	);
	const restarted = await world.open();
	assert.equal((await restarted.erasures.replay()).erased >= 100, true);
	assert.deepEqual(await openAll(restarted, scope, values), { erased: 100, open: 900 });
	const status = async (): Promise<number> => {
		const rows = await Promise.all(certificates.map((id) => restarted.erasures.find(scope, id)));
		return rows.filter((row) => row.completedAt !== null).length;
	};
	assert.equal(await status(), 0);

	// Turned within the window, by itself.
	const work = world.work(restarted);
	await work.work();
	assert.match(await work.metrics.text(), /wx_erasures_waiting 1\d\d\n/);
	clock.advance(3.6 * dayMs);
	await work.work();
	assert.equal(await status(), 0, "the new epoch must settle first");
	clock.advance(21 * minuteMs);
	await work.work();
	assert.equal(await status(), 100);
	assert.deepEqual(await openAll(await world.open(), scope, values), { erased: 100, open: 900 });

	// The same backup again, now without the list: its keys open for nobody, and the survivors' come back.
	await world.restore();
	const list = join(world.dataDir, "keyring", "erasures-202611.log");
	const text = readFileSync(list);
	rmSync(list);
	const attacker = await world.open();
	const tried = await openAll(attacker, scope, values);
	assert.equal(tried["open"] ?? 0, 0, "no key that is left opens what the backup holds");
	const late = await world.open();
	// And the three of the test before, whose epoch was turned too.
	assert.deepEqual(await late.erasures.replay(), { erased: 0, broughtBack: 903, unreadable: 0 });
	assert.deepEqual(await openAll(late, scope, values), { erased: 100, open: 900 });
	appendFileSync(list, text);
	await late.erasures.replay();
});

test("who could not be put on record is not erased, now or after a restore", async () => {
	const scope = await world.tenant(main);
	const values = await sealAll(main, scope, people(2));
	const [first, second] = values as [Sealed, Sealed];
	const refuse = () => Promise.reject(Fault.of("audit_unavailable", { retryAfterSeconds: 5 }));
	await assert.rejects(main.erasures.erase(scope, whoOf(first), refuse), {
		name: "audit_unavailable",
	});
	await main.erasures.erase(scope, whoOf(second), recorded);
	assert.deepEqual(await openAll(main, scope, values), { erased: 1, open: 1 });
	await admin.run("delete from contact_erasures where tenant_id = $1", [scope.tenantId]);
	const next = await world.open();
	assert.equal((await next.erasures.replay()).erased, 1);
	assert.deepEqual(await openAll(next, scope, values), { erased: 1, open: 1 });
});

test("a line that a crash cut off is left out, and the next one is whole", async () => {
	const scope = await world.tenant(main);
	const [value] = (await sealAll(main, scope, people(1))) as [Sealed];
	appendFileSync(fileOfNow(), '{"id":"0190');
	await main.erasures.erase(scope, whoOf(value), recorded);
	await admin.run("delete from contact_erasures where tenant_id = $1", [scope.tenantId]);
	assert.deepEqual(await (await world.open()).erasures.replay(), {
		erased: 1,
		broughtBack: 0,
		unreadable: 1,
	});
});

test("keys rotate under load and nothing is refused: root, tenant, contact epoch", {
	timeout: 60_000,
}, async (t) => {
	const loaded = await world.open();
	const work = world.work(loaded);
	const scopes = [
		await world.tenant(loaded),
		await world.tenant(loaded),
		await world.tenant(loaded),
	];
	const values = new Map(scopes.map((scope) => [scope, [] as Sealed[]]));
	const seen: Record<string, number> = {};
	let stop = false;
	let rounds = 0;
	const other = await world.open();
	let gate: Promise<void> = Promise.resolve();
	let active = 0;
	const load = async (by: Opened): Promise<void> => {
		while (!stop) {
			await gate;
			active++;
			for (const scope of scopes) {
				const all = values.get(scope) as Sealed[];
				const outcomes = await sealAll(by, scope, people(5, rounds++ * 3)).then(
					(fresh) => openAll(by, scope, (all.push(...fresh), all).slice(-50)),
					(error: Error) => ({ [error.message]: 1 }),
				);
				for (const [outcome, count] of Object.entries(outcomes))
					seen[outcome] = (seen[outcome] ?? 0) + count;
			}
			active--;
		}
	};
	/** Time leaps for nobody who is in the middle of something: no transaction lasts for minutes. */
	const advance = async (ms: number): Promise<void> => {
		const { promise, resolve } = Promise.withResolvers<void>();
		gate = promise;
		while (active > 0) await new Promise((tick) => void setTimeout(tick, 5));
		clock.advance(ms);
		resolve();
	};
	const goOn = async (more: number): Promise<void> => {
		const until = rounds + more;
		while (rounds < until) await new Promise((tick) => void setTimeout(tick, 5));
	};
	const busy = [load(loaded), load(other)];
	t.after(() => void (stop = true));
	const before = (await work.status()).newestRoot as string;
	await work.rotateRoot();
	await work.rewrap();
	for (const { tenantId } of scopes) await work.rotateTenant(tenantId);
	// Both processes meet what the first has sealed under an epoch that the second has not heard of.
	await goOn(20);
	await advance(21 * minuteMs);
	await work.work();
	const after = await work.status();
	assert.notEqual(after.newestRoot, before);
	assert.equal(after.keysByRoot.get(before) ?? 0, 0);
	assert.equal(after.tenantsTurning, 0);
	await work.destroyRoot(before);
	await goOn(20);
	stop = true;
	await Promise.all(busy);
	const { open, ...others } = seen;
	assert.deepEqual(others, {}, JSON.stringify(seen));
	assert.ok((open as number) > 500, String(open));
	const fresh = await world.open();
	for (const [scope, all] of values)
		assert.deepEqual(await openAll(fresh, scope, all), { open: all.length });
	const epochs = await admin.run<{ epoch: number }>(
		"select distinct epoch from contact_keys where tenant_id = any ($1)",
		[scopes.map((scope) => scope.tenantId)],
	);
	assert.deepEqual(epochs, [{ epoch: 2 }]);
});

test("a rotation that was stopped goes on at the next start", async () => {
	const first = await world.open();
	for (let i = 0; i < 5; i++) await world.tenant(first);
	await first.wrapping.current.rotate();
	const second = await world.open();
	const work = world.work(second);
	await work.rewrap();
	const { keysByRoot, newestRoot } = await work.status();
	assert.deepEqual([...keysByRoot.keys()], [newestRoot]);
	await assert.rejects(work.destroyRoot(newestRoot as string), /still wrapped by/);
});

test("what is due raises an alarm", async () => {
	const opened = await world.open();
	await world.tenant(opened);
	const work = world.work(opened, 30);
	await work.work();
	assert.match(await work.metrics.text(), /^wx_keys_due 0$/m);
	clock.advance(31 * dayMs);
	await work.work();
	const found = /^wx_keys_due (\d+)$/m.exec(await work.metrics.text());
	assert.ok(Number(found?.[1]) > 1, found?.[0]);
});

test("a keyring that is gone is told as such; what was sealed before contacts had keys still opens", async () => {
	const scope = await world.tenant(main);
	const values = await sealAll(main, scope, people(1));
	const place = placeOf(scope, ids.next());
	const old = main.vault.seal(place, Buffer.from("old"));
	const file = join(world.dataDir, "keyring", `${scope.tenantId}.epochs`);
	const text = readFileSync(file);
	rmSync(file);
	const fresh = await world.open();
	await fresh.vault.warm([scope.tenantId]);
	assert.equal(String(fresh.vault.open(place, old)), "old");
	await assert.rejects(sealAll(fresh, scope, people(1, 5)), /put the folder back from its backup/);
	appendFileSync(file, text);
	const back = await world.open();
	assert.deepEqual(await openAll(back, scope, values), { open: 1 });
});

test("no key shows: not in files, rows, inspection or errors", async () => {
	const scope = await world.tenant(main);
	const contact = contactOf(main, scope, "+911");
	const { key, row } = main.vault.contacts.make(contact);
	const shown = inspect(
		{ key, row, contacts: main.vault.contacts, main },
		{ depth: 12, showHidden: true },
	);
	assert.equal(/KeyObject|Cipher/.test(shown), false);
	const folder = join(world.dataDir, "keyring");
	for (const name of readdirSync(folder))
		if (name.endsWith(".epochs"))
			assert.match(readFileSync(join(folder, name), "utf8"), /"wrapped": "Ag[A-Za-z0-9+/=]+"/);
});
