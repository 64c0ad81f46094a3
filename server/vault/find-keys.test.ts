/** Contact keys among several processes: a turned epoch, an erasure, forged epochs, what was stored before, the plan. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { manualClock } from "#platform/clock.ts";
import { declaredStatements, type Scope } from "#platform/db.ts";
import { systemRandom } from "#platform/ids.ts";
import { contactKey, contactNonceBytes, materialBytes } from "./contact-key.ts";
import type { ContactRef } from "./contact-store.ts";
import { epochLabel, readEpochs } from "./contact-epochs.ts";
import { epochKey, openContact, wrapContact, wrappedBytes } from "./stored-key.ts";
import { lostToAnother } from "./contacts.ts";
import { testKeys } from "./test-keys.ts";
import { VaultError } from "./vault-error.ts";

const clock = manualClock(Date.parse("2026-11-27T00:00:00Z"));
const world = await testKeys(clock);
const { app, admin } = world.database;
const random = systemRandom();
const minuteMs = 60_000;
type Opened = Awaited<ReturnType<typeof world.open>>;

function contactOf({ vault }: Opened, scope: Scope, number: string): ContactRef {
	const index = vault.index(scope.tenantId, scope.environment, "sms.address", number);
	return { ...scope, index };
}

function placeOf(scope: Scope) {
	const row = "0190a000-0000-7000-8000-000000000001";
	return { ...scope, table: "messages", column: "sealed", row };
}

interface Sealing {
	/** Whose keys are made in the same transaction. */
	readonly others: readonly ContactRef[];
	readonly sure: boolean;
	/** Called between the look and the writing. */
	readonly loaded: () => Promise<void>;
}

/** Seals as the message path does: keys of one group, stored in its transaction. */
async function seal(
	by: Opened,
	scope: Scope,
	contact: ContactRef,
	text: string,
	{ others = [], sure = false, loaded = async () => undefined }: Partial<Sealing> = {},
): Promise<Buffer> {
	await by.vault.warm([scope.tenantId]);
	const group = by.vault.contacts.group(sure);
	const sealed = await app.inTenant(scope, async (tx) => {
		await group.load(tx, [contact, ...others]);
		await loaded();
		for (const other of others) group.of(other);
		const bytes = by.vault.sealFor(group.of(contact), placeOf(scope), Buffer.from(text));
		group.store(tx);
		return bytes;
	});
	group.committed();
	return sealed;
}

async function open(
	by: Opened,
	scope: Scope,
	contact: ContactRef,
	sealed: Buffer,
): Promise<string> {
	await by.vault.warm([scope.tenantId]);
	const keys = await app.inTenant(scope, (tx) => by.vault.contacts.load(tx, [contact]));
	try {
		return String(by.vault.openFor(keys.of(contact), placeOf(scope), sealed));
	} catch (error) {
		if (error instanceof VaultError) return error.reason;
		throw error;
	}
}

/** What a process read of its key files and asked of its key service. */
function counted(by: Opened) {
	const counts = { reads: 0, unwraps: 0 };
	const { read } = by.files;
	const { unwrap } = by.wrapping;
	Object.assign(by.files, { read: (name: string) => (counts.reads++, read(name)) });
	Object.assign(by.wrapping, {
		unwrap: (...asked: Parameters<typeof unwrap>) => (counts.unwraps++, unwrap(...asked)),
	});
	return counts;
}

test("a key under an epoch that another process made just now is opened at the first attempt", async () => {
	const [first, second] = [await world.open(), await world.open()];
	const scope = await world.tenant(first);
	const [known, fresh] = ["+911", "+912"].map((number) => contactOf(first, scope, number)) as [
		ContactRef,
		ContactRef,
	];
	const old = await seal(first, scope, known, "old");
	assert.equal(await open(second, scope, known, old), "old");
	const work = world.work(first);
	await work.rotateTenant(scope.tenantId);
	const made = await seal(first, scope, fresh, "new");
	const [row] = await admin.run<{ epoch: number }>(
		"select epoch from contact_keys where contact_index = $1",
		[fresh.index],
	);
	assert.equal(row?.epoch, 2);
	assert.equal(await open(second, scope, fresh, made), "new");
	clock.advance(21 * minuteMs);
	await work.work();
	assert.equal((await work.status()).tenantsTurning, 0);
	for (const by of [first, second, await world.open()]) {
		assert.equal(await open(by, scope, known, old), "old");
		assert.equal(await open(by, scope, fresh, made), "new");
	}
});

test("epochs that are made up cause no read of key files and no question to the key service", async () => {
	const by = await world.open();
	const scope = await world.tenant(by);
	const contact = contactOf(by, scope, "+913");
	const sealed = await seal(by, scope, contact, "text");
	const other = await world.open();
	assert.equal(await open(other, scope, contact, sealed), "text");
	const counts = counted(other);
	for (let epoch = 2; epoch < 40; epoch++) {
		clock.advance(10_000);
		await admin.run("update contact_keys set epoch = $1 where tenant_id = $2", [
			epoch,
			scope.tenantId,
		]);
		await admin.run(
			`insert into contact_erasure_counts values ($1, $2)
			on conflict (tenant_id) do update set erasures = excluded.erasures`,
			[scope.tenantId, epoch],
		);
		assert.equal(await open(other, scope, contact, sealed), "unknown_key");
	}
	assert.deepEqual(counts, { reads: 0, unwraps: 0 });
	const forged = other.vault.seal(placeOf(scope), Buffer.from("tenant's"));
	forged.writeUInt32BE(77, 1);
	for (let i = 0; i < 20; i++) {
		await other.vault.warm([scope.tenantId]);
		assert.throws(() => other.vault.open(placeOf(scope), forged), /epoch 77 is not known/);
		clock.advance(1_000);
	}
	// Once for the first, if the keys were not fetched within half a minute, and not again for half a minute.
	// The tenant's key, the one for suppressions and the contact epoch's: no more of any.
	assert.deepEqual(counts, { reads: 2, unwraps: 3 });
});

test("an epoch that is destroyed while its key is being opened does not come back", async () => {
	const [first, second] = [await world.open(), await world.open()];
	const scope = await world.tenant(first);
	const contact = contactOf(first, scope, "+914");
	const sealed = await seal(first, scope, contact, "text");
	await second.vault.warm([scope.tenantId]);
	const work = world.work(first);
	await work.rotateTenant(scope.tenantId);
	const [before] = await admin.run<{ wrapped: Buffer }>(
		"select wrapped from contact_keys where tenant_id = $1",
		[scope.tenantId],
	);
	// The second process reads both epochs, and its key service answers only when the turn is done.
	const { promise: turned, resolve } = Promise.withResolvers<void>();
	const { unwrap } = second.wrapping;
	let asked = 0;
	Object.assign(second.wrapping, {
		async unwrap(...of: Parameters<typeof unwrap>) {
			if (of[1].table === "contact_epochs" && asked++ < 2) await turned;
			return unwrap(...of);
		},
	});
	second.vault.forgetTenant(scope.tenantId);
	const warming = second.vault.warm([scope.tenantId]);
	clock.advance(21 * minuteMs);
	await work.work();
	assert.equal((await work.status()).tenantsTurning, 0);
	resolve();
	await warming;
	assert.equal(await open(second, scope, contact, sealed), "text");
	// What a backup holds of before opens for nobody, also where both epochs were at hand.
	await admin.run("update contact_keys set epoch = 1, wrapped = $1 where tenant_id = $2", [
		before?.wrapped,
		scope.tenantId,
	]);
	await admin.run("insert into contact_erasure_counts values ($1, 1)", [scope.tenantId]);
	assert.equal(await open(second, scope, contact, sealed), "unknown_key");
});

test("whoever was erased by one process is erased for the other at once, which held the key", async () => {
	const [first, second] = [await world.open(), await world.open()];
	const scope = await world.tenant(first);
	const [gone, stays] = ["+915", "+916"].map((number) => contactOf(first, scope, number)) as [
		ContactRef,
		ContactRef,
	];
	const [lost, kept] = [
		await seal(second, scope, gone, "gone"),
		await seal(second, scope, stays, "stays"),
	];
	// Held in memory: it opens without the database's row.
	const hide = `update contact_keys set contact_index = sha256(contact_index) where contact_index = $1`;
	await admin.run(hide, [gone.index]);
	assert.equal(await open(second, scope, gone, lost), "gone");
	await admin.run("update contact_keys set contact_index = $1 where contact_index = sha256($1)", [
		gone.index,
	]);
	await first.vault.warm([scope.tenantId]);
	await first.erasures.erase(
		scope,
		{ index: gone.index, suppressionIndex: gone.index },
		async () => undefined,
	);
	assert.equal(await open(second, scope, gone, lost), "erased");
	assert.equal(await open(second, scope, stays, kept), "stays");
	// Sealed by the other process from now on under a key of its own, which everybody opens.
	clock.advance(1_000);
	const again = await seal(second, scope, gone, "came back");
	assert.equal(await open(first, scope, gone, again), "came back");
	assert.equal(await open(second, scope, gone, lost), "erased");
});

test("keys that were wrapped before secrets were stored open as they did, and go through a turn", async () => {
	const by = await world.open();
	const scope = await world.tenant(by);
	const contact = contactOf(by, scope, "+917");
	const [record] = readEpochs(by.files, scope.tenantId);
	assert.ok(record !== undefined);
	const bytes = await by.wrapping.unwrap(record.wrapped, epochLabel(scope.tenantId, 1));
	const under = epochKey(bytes);
	const material = random.bytes(materialBytes);
	const wrapped = wrapContact(under, 1, contact, random.bytes(contactNonceBytes), material);
	assert.equal(wrapped.length, wrappedBytes);
	await admin.run("insert into contact_keys values ($1, $2, $3, 1, $4, now())", [
		scope.tenantId,
		scope.environment,
		contact.index,
		wrapped,
	]);
	const sealed = by.vault.sealFor(contactKey(material), placeOf(scope), Buffer.from("of before"));
	assert.equal(await open(by, scope, contact, sealed), "of before");
	const derived = contactOf(by, scope, "+918");
	const text = await seal(by, scope, derived, "derived");
	const lengths = () =>
		admin.run<{ epoch: number; bytes: number }>(
			"select epoch, length(wrapped) as bytes from contact_keys where tenant_id = $1 order by 2",
			[scope.tenantId],
		);
	assert.deepEqual(await lengths(), [
		{ epoch: 1, bytes: 49 },
		{ epoch: 1, bytes: 64 },
	]);
	const work = world.work(by);
	await work.rotateTenant(scope.tenantId);
	clock.advance(21 * minuteMs);
	await work.work();
	assert.deepEqual(await lengths(), [
		{ epoch: 2, bytes: 64 },
		{ epoch: 2, bytes: 64 },
	]);
	const fresh = await world.open();
	assert.equal(await open(fresh, scope, contact, sealed), "of before");
	assert.equal(await open(fresh, scope, derived, text), "derived");
	for (let bit = 0; bit < wrappedBytes * 8; bit++) {
		const changed = Buffer.from(wrapped);
		changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
		assert.equal(openContact(under, 1, contact, changed), undefined);
	}
});

/** As the product's logins plan (server/platform/migrate.ts). */
const planning = ["enable_seqscan", "enable_hashjoin", "enable_mergejoin"];
const find = declaredStatements().find(({ name }) => name === "vault.find_contact_keys");

async function planFor(role: string): Promise<string[]> {
	await admin.run("begin");
	await admin.run(`set local role ${role}`);
	for (const setting of planning) await admin.run(`set local ${setting} = off`);
	await admin.run("set local plan_cache_mode = force_generic_plan");
	await admin.run(`prepare finding as ${find?.text}`);
	const rows = await admin.run<{ "QUERY PLAN": string }>(
		"explain (verbose) execute finding (null, null, null, null)",
	);
	await admin.run("rollback; deallocate finding");
	return rows.map((row) => row["QUERY PLAN"]);
}

for (const [contacts, statistics] of [
	[0, false],
	[100_000, false],
	[100_000, true],
] as const)
	test(`of ${contacts} contacts, ${statistics ? "with" : "without"} statistics, each is found by its index`, async () => {
		await admin.run("alter table contact_keys set (autovacuum_enabled = false)");
		// The third finds those of the second.
		const added = statistics ? 0 : contacts;
		await admin.run(
			`insert into contact_keys select '01900000-0000-7000-8000-000000000001', 'live', sha256(int4send(n)), 1, sha256('') || substr(sha256(''), 1, 17), now()
			from generate_series(1, $1::integer) as n`,
			[added],
		);
		if (statistics) await admin.run("analyze contact_keys, contact_erasure_counts");
		for (const role of ["waxwing_app", "waxwing_worker"]) {
			const plan = await planFor(role);
			const conditions = plan.filter((line) => /Index Cond: .*contact_index/.test(line));
			assert.equal(conditions.length, 1, plan.join("\n"));
			assert.match(conditions[0] as string, /tenant_id = .*environment.* = .*contact_index = /);
			assert.ok(
				plan.some((line) => /Index (Only )?Scan using contact_erasure_counts_pkey/.test(line)),
				plan.join("\n"),
			);
		}
	});

test("a transaction that lost one key to another is not lost to another again, whoever else is in it", async () => {
	const [first, second] = [await world.open(), await world.open()];
	const scope = await world.tenant(first);
	const people = ["+31612300001", "+31612300002", "+31612300003"];
	const [a, b, c] = people.map((number) => contactOf(first, scope, number)) as [
		ContactRef,
		ContactRef,
		ContactRef,
	];
	const others = [b, c];
	const theirs: Promise<Buffer>[] = [];
	await assert.rejects(
		seal(first, scope, a, "ours", {
			others,
			loaded: async () => void (await seal(second, scope, b, "theirs")),
		}),
		lostToAnother,
	);
	// Each time it is somebody else's key: that of the third while the second attempt is under way.
	const ours = await seal(first, scope, a, "ours", {
		others,
		sure: true,
		loaded: async () => {
			theirs.push(seal(second, scope, c, "theirs"));
			theirs[0]?.catch(() => undefined);
			await new Promise((resolve) => setTimeout(resolve, 200));
		},
	});
	await assert.rejects(theirs[0] as Promise<Buffer>, lostToAnother);
	const again = await seal(second, scope, c, "theirs", { sure: true });
	for (const by of [first, second]) {
		assert.equal(await open(by, scope, a, ours), "ours");
		assert.equal(await open(by, scope, c, again), "theirs");
	}
});
