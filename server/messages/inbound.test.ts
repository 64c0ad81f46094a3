import assert from "node:assert/strict";
import { before, test } from "node:test";
import { createLedger } from "#audit/index.ts";
import type { DeliverSm } from "#channels/index.ts";
import { type AddressKey, suppressedAmong } from "#contacts/index.ts";
import { systemClock } from "#platform/clock.ts";
import { type Database, openDatabase, type Scope, type Tx } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import { createIds, seededRandom } from "#platform/ids.ts";
import { silentLog } from "#platform/log.ts";
import { registerSender } from "#templates/index.ts";
import { createVault } from "#vault/index.ts";
import { testDatabase } from "../../tests/support/database.ts";
import { until } from "../../tests/support/http.ts";
import { createInbound, type Inbound } from "./inbound.ts";
import { holdSets, type PartSet } from "./inbound-store.ts";
import type { Sealed } from "./parcel.ts";
import { placeOf } from "./prepare.ts";
import { states } from "./state.ts";

const { app, worker, admin, url } = await testDatabase();
const random = seededRandom(23);
const ids = createIds(systemClock, random);
const rootKey = Buffer.alloc(32, 5);
const vault = createVault({ db: app, rootKey, random, clock: systemClock });
const workerVault = createVault({ db: worker, rootKey, random, clock: systemClock });
const asha: Scope = { tenantId: ids.next(), environment: "live" };
const bram: Scope = { tenantId: ids.next(), environment: "live" };
const trial: Scope = { ...asha, environment: "test" };
const number = "+15550001111";
/** Bram has a short code; the carrier writes it as it stands. */
const shortCode = "55005";

before(async () => {
	for (const { tenantId } of [asha, bram])
		await admin.run("select wx.create_tenant($1, $2, $3, now())", [
			tenantId,
			Buffer.from("x"),
			(await vault.makeTenantKey(tenantId)).wrapped,
		]);
	await vault.warm([asha.tenantId, bram.tenantId]);
	await workerVault.warm([asha.tenantId, bram.tenantId]);
	for (const [scope, kind, address] of [
		[asha, "number", number],
		[trial, "number", number],
		[bram, "short_code", shortCode],
	] as const)
		await app.inTenant(scope, (tx) =>
			registerSender(tx, vault, scope, { id: ids.next(), kind, address, atMs: systemClock.now() }),
		);
});

interface Counts {
	transactions: number;
	statements: number;
}

/** The database, with a count of what is asked of it. */
function counting(db: Database): Database & { readonly counts: Counts } {
	const counts: Counts = { transactions: 0, statements: 0 };
	const one =
		<T>(work: (tx: Tx) => Promise<T>) =>
		(tx: Tx): Promise<T> => {
			counts.transactions++;
			return work({
				...tx,
				query: (statement, values) => {
					counts.statements++;
					return tx.query(statement, values);
				},
				post: (statement, values) => {
					counts.statements++;
					tx.post(statement, values);
				},
			});
		};
	return {
		counts,
		inTenant: (scope, work) => db.inTenant(scope, one(work)),
		inTenants: (tenantIds, work) => db.inTenants(tenantIds, one(work)),
		inPlatform: (work) => db.inPlatform(one(work)),
		close: () => db.close(),
	};
}

interface Gatherer extends Inbound {
	readonly counts: Counts;
	readonly told: { unowned: number; events: number; errors: number };
}

function gatherer(db: Database = worker): Gatherer {
	const counted = counting(db);
	const told = { unowned: 0, events: 0, errors: 0 };
	const inbound = createInbound({
		worker: counted,
		vault: workerVault,
		ledger: createLedger({ vault: workerVault, ids, clock: systemClock }),
		ids,
		clock: systemClock,
		log: { ...silentLog, warn: () => undefined, error: () => void told.errors++ },
		unowned: (texts) => void (told.unowned += texts),
		onEvents: () => void told.events++,
	});
	return { ...inbound, counts: counted.counts, told };
}

let lastPerson = 0;
/** A mobile number nobody else in this file has. */
function someone(): string {
	return `+9198${String(10_000_000 + lastPerson++)}`;
}

interface Words {
	readonly to?: string;
	readonly text?: string;
	/** [reference, total, part] in a user data header. */
	readonly part?: readonly [number, number, number];
	readonly ucs2?: Buffer;
	readonly changes?: Partial<DeliverSm>;
}

function deliver(from: string, { to = "15550001111", text = "", part, ucs2, changes }: Words) {
	const header = part === undefined ? Buffer.alloc(0) : Buffer.from([5, 0, 3, ...part]);
	const pdu: DeliverSm = {
		command: "deliver_sm",
		sequence: 1,
		serviceType: "",
		source: { ton: 1, npi: 1, address: from.slice(1) },
		destination: { ton: 1, npi: 1, address: to },
		esmClass: part === undefined ? 0 : 0x40,
		protocolId: 0,
		priority: 0,
		scheduleDeliveryTime: "",
		validityPeriod: "",
		registeredDelivery: 0,
		replaceIfPresent: 0,
		dataCoding: ucs2 === undefined ? 3 : 8,
		defaultMessageId: 0,
		shortMessage: Buffer.concat([header, ucs2 ?? Buffer.from(text, "latin1")]),
		tlvs: [],
		...changes,
	};
	return { environment: "live", pdu } as const;
}

interface StoredText {
	readonly scope: Scope;
	readonly person: string;
	readonly sender: string;
	readonly text: string;
	readonly segments: number;
	readonly status: number;
	readonly events: number;
}

/** Every inbound message there is, of these people, in the order of ids. */
async function storedOf(...people: readonly string[]): Promise<StoredText[]> {
	const rows = await admin.run<{
		tenant_id: string;
		environment: "live" | "test";
		id: string;
		index: Buffer;
		sealed: Buffer;
		segments: number;
		status: number;
		events: number;
	}>(
		`select tenant_id, environment, id, address_index as index, sealed, segments, status,
			(select count(*)::integer from message_events e where e.message_id = m.id) as events
		from messages m left join message_states s using (tenant_id, environment) where m.inbound and s.message_id = m.id order by id`,
	);
	const contacts = rows.map((row) => ({ ...row, tenantId: row.tenant_id }));
	const tenants = [asha.tenantId, ...new Set(rows.map((row) => row.tenant_id))];
	await workerVault.warm(tenants);
	const keys = await worker.inTenants(tenants, (tx) => workerVault.contacts.load(tx, contacts));
	return rows
		.map(({ tenant_id: tenantId, environment, id, index, sealed, ...rest }) => {
			const scope = { tenantId, environment };
			const key = keys.of({ ...scope, index });
			const [person, sender, text] = workerVault.openJsonFor<Sealed>(
				key,
				placeOf(scope, id),
				sealed,
			);
			return { scope, person, sender, text, ...rest };
		})
		.filter(({ person }) => people.includes(person));
}

function keyOf(scope: Scope, address: string): AddressKey {
	const { tenantId, environment } = scope;
	const index = vault.index(tenantId, environment, "sms.address", address);
	const suppressionIndex = vault.suppressionIndex(tenantId, environment, address);
	return { ...scope, index, suppressionIndex };
}

async function isSuppressed(scope: Scope, address: string): Promise<boolean> {
	const key = keyOf(scope, address);
	return app.inTenant(scope, async (tx) => (await suppressedAmong(tx, [key])).has(0));
}

async function partsOf(address: string): Promise<number> {
	const { index } = keyOf(asha, address);
	return (await admin.run("select 1 from inbound_parts where address_index = $1", [index])).length;
}

/** What became of each, in order: undefined when it was stored. */
async function outcomes(all: readonly Promise<void>[]): Promise<unknown[]> {
	const settled = await Promise.allSettled(all);
	return settled.map((one) => (one.status === "fulfilled" ? undefined : one.reason));
}

test("300 texts at once are two batches' work, each with its owner", async () => {
	const inbound = gatherer();
	const people = Array.from({ length: 300 }, someone);
	const sent = people.map((person, i) => {
		const isAsha = i % 3 !== 0;
		const words = { text: `text ${i}`, to: isAsha ? "15550001111" : shortCode };
		const environment = i % 3 === 1 ? "test" : "live";
		return inbound.receive({ ...deliver(person, words), environment });
	});
	assert.equal(inbound.waiting(), 300);
	assert.deepEqual(new Set(await outcomes(sent)), new Set([undefined]));
	await inbound.idle();
	assert.equal(inbound.waiting(), 0);
	// A batch: who owns what, then the writing.
	assert.equal(inbound.counts.transactions, 4);
	// A batch: owners in two environments, people's keys found and made, messages of three scopes by one, their states.
	assert.equal(inbound.counts.statements, 2 * (2 + 2 + 1 + 1));
	const stored = await storedOf(...people);
	assert.deepEqual(
		stored.map(({ person, text }) => [person, text]),
		people.map((person, i) => [person, `text ${i}`]),
	);
	for (const [i, { scope, sender, status, events, segments }] of stored.entries()) {
		assert.deepEqual(scope, [bram, trial, asha][i % 3]);
		assert.equal(sender, i % 3 === 0 ? shortCode : number);
		assert.deepEqual([status, events, segments], [states.received.rank, 1, 1]);
	}
	assert.deepEqual(inbound.told, { unowned: 0, events: 2, errors: 0 });
});

test("what comes while a batch is written is the next batch", async () => {
	const inbound = gatherer();
	const people = Array.from({ length: 40 }, someone);
	const [first = "", ...others] = people;
	const sent = inbound.receive(deliver(first, { text: "first" })).then(() => inbound.counts);
	await new Promise((resolve) => void setImmediate(resolve));
	const rest = others.map((person) => inbound.receive(deliver(person, { text: "later" })));
	assert.equal((await sent).transactions, 2);
	await Promise.all(rest);
	assert.equal(inbound.counts.transactions, 4);
	assert.equal((await storedOf(...people)).length, 40);
});

/** A person's suppressions of their own: how many, and how many are in force. */
async function stopsOf(scope: Scope, address: string): Promise<[all: number, inForce: number]> {
	const rows = await admin.run<{ ended_at: unknown }>(
		"select ended_at from suppressions where tenant_id = $1 and environment = $2 and address_index = $3 and reason = 'stop'",
		[scope.tenantId, scope.environment, keyOf(scope, address).index],
	);
	return [rows.length, rows.filter((row) => row.ended_at === null).length];
}

for (const [words, suppressed] of [
	["STOP", true],
	["START", false],
	["STOP START", false],
	["START STOP", true],
	["STOP STOP START", false],
	["STOP START START", false],
	["START START STOP STOP", true],
	["STOP START STOP", true],
	["START STOP START", false],
	["STOP hello START HELP", false],
] as const)
	for (const wasStopped of [false, true])
		test(`${words} in one batch ends as one by one${wasStopped ? ", after an earlier STOP" : ""}`, async () => {
			const inbound = gatherer();
			const [together, alone] = [someone(), someone()];
			const say = (person: string, text: string) => inbound.receive(deliver(person, { text }));
			if (wasStopped) await Promise.all([say(together, "STOP"), say(alone, "STOP")]);
			const all = words.split(" ");
			for (const word of all) await say(alone, word);
			const transactions = inbound.counts.transactions;
			await Promise.all(all.map((word) => say(together, word)));
			assert.equal(inbound.counts.transactions, transactions + 2, "it was one batch");
			assert.equal(await isSuppressed(asha, together), suppressed);
			assert.equal(await isSuppressed(asha, alone), suppressed);
			const [oneByOne, inOne] = [await stopsOf(asha, alone), await stopsOf(asha, together)];
			assert.equal(inOne[1], oneByOne[1]);
			// Of many changes of mind within one batch the last two are kept.
			const heeded = all.filter((word) => word === "STOP" || word === "START");
			const changes = heeded.filter((word, i) => word !== heeded[i - 1]);
			if (changes.length <= 2) assert.deepEqual(inOne, oneByOne);
			assert.equal((await storedOf(together)).length, all.length + (wasStopped ? 1 : 0));
		});

test("a person's words to two tenants, and in two environments, are words of their own", async () => {
	const inbound = gatherer();
	const person = someone();
	const say = (asha: string, bram: string, trial: string) =>
		Promise.all([
			inbound.receive(deliver(person, { text: asha })),
			inbound.receive(deliver(person, { text: bram, to: shortCode })),
			inbound.receive({ ...deliver(person, { text: trial }), environment: "test" }),
		]);
	const suppressed = () => Promise.all([asha, bram, trial].map((one) => isSuppressed(one, person)));
	await say("STOP", "START", "STOP");
	assert.deepEqual(await suppressed(), [true, false, true]);
	await say("START", "STOP", "START");
	assert.deepEqual(await suppressed(), [false, true, false]);
});

test("a STOP in the parts of a long message is heeded when it is whole", async () => {
	const inbound = gatherer();
	const person = someone();
	await inbound.receive(deliver(person, { text: "ST", part: [1, 2, 1] }));
	assert.equal(await isSuppressed(asha, person), false);
	await inbound.receive(deliver(person, { text: "OP", part: [1, 2, 2] }));
	assert.equal(await isSuppressed(asha, person), true);
});

/** The same items in another order. */
function shuffled<T>(items: readonly T[]): T[] {
	return items
		.map((item) => ({ item, place: random.fraction() }))
		.sort((a, b) => a.place - b.place)
		.map(({ item }) => item);
}

test("parts of long messages, shuffled over two processes, are each joined once", async () => {
	const [left, right] = [gatherer(), gatherer()];
	const people = Array.from({ length: 20 }, someone);
	const setsEach = 3;
	const total = 4;
	const parts = people.flatMap((person, p) =>
		Array.from({ length: setsEach * total }, (_, i) => {
			const [set, part] = [Math.floor(i / total), (i % total) + 1];
			const text = `${p}.${set}.${part};`;
			return deliver(person, {
				text,
				part: [set, total, part],
				to: set === 2 ? shortCode : number,
			});
		}),
	);
	const sent: Promise<void>[] = [];
	for (const [i, part] of shuffled(parts).entries()) {
		sent.push((random.fraction() < 0.5 ? left : right).receive(part));
		if (i % 30 === 29) await new Promise((resolve) => void setTimeout(resolve, 2));
	}
	assert.deepEqual(new Set(await outcomes(sent)), new Set([undefined]));
	const stored = await storedOf(...people);
	const expected = people.flatMap((_, p) =>
		Array.from({ length: setsEach }, (__, set) =>
			Array.from({ length: total }, (___, i) => `${p}.${set}.${i + 1};`).join(""),
		),
	);
	assert.deepEqual(stored.map(({ text }) => text).sort(), expected.sort());
	assert.ok(stored.every(({ segments }) => segments === total));
	assert.equal((await admin.run("select 1 from inbound_parts")).length, 0);
	assert.ok(left.counts.transactions + right.counts.transactions < parts.length);
	assert.deepEqual([left.told.errors, right.told.errors], [0, 0], "nothing had to be tried again");
});

test("two processes with parts of the same sets at once: each set is joined by the later of them", async () => {
	const [left, right] = [gatherer(), gatherer()];
	const people = Array.from({ length: 40 }, someone);
	for (let round = 0; round < 8; round++) {
		const first = people.map((person) => deliver(person, { text: "a", part: [round, 2, 1] }));
		const second = people.map((person) => deliver(person, { text: "b", part: [round, 2, 2] }));
		await Promise.all([
			...first.map((part) => left.receive(part)),
			...second.reverse().map((part) => right.receive(part)),
		]);
	}
	const stored = await storedOf(...people);
	assert.equal(stored.length, 8 * people.length);
	assert.ok(stored.every(({ text }) => text === "ab"));
	// Had they waited for each other in a circle, PostgreSQL would have ended one of them.
	assert.deepEqual([left.told.errors, right.told.errors], [0, 0]);
	assert.equal(left.counts.transactions + right.counts.transactions, 2 * 2 * 8);
});

test("sets are held in one order, so that two transactions cannot wait for each other", async () => {
	const sets = Array.from({ length: 24 }, (_, reference) => {
		const { index } = keyOf(asha, someone());
		return { ...asha, addressIndex: index, senderIndex: index, reference };
	});
	const hold = (some: readonly PartSet[], then: () => Promise<void>) =>
		worker.inTenants([asha.tenantId], async (tx) => {
			await holdSets(tx, some);
			await then();
		});
	const locks = (granted: boolean) =>
		admin.run<{ text: string }>(
			`select ((classid::bigint << 32) | objid::bigint)::text as text from pg_locks
			where locktype = 'advisory' and granted = $1 and pid <> pg_backend_pid()
				and database = (select oid from pg_database where datname = current_database())`,
			[granted],
		);
	let keys: bigint[] = [];
	await hold(sets, async () => {
		keys = (await locks(true)).map(({ text }) => BigInt(text)).sort((a, b) => (a < b ? -1 : 1));
	});
	assert.equal(keys.length, sets.length);
	await admin.run("begin");
	await admin.run(`select pg_advisory_xact_lock(${keys[12]})`);
	const held = hold(shuffled(sets), async () => undefined);
	await until(
		"it waits",
		() => locks(false),
		(found) => found.length === 1,
	);
	const before = (await locks(true)).map(({ text }) => BigInt(text));
	await admin.run("commit");
	await held;
	assert.deepEqual(new Set(before), new Set(keys.slice(0, 12)));
});

test("a long message whose parts are all in one batch is written as one message, and no part is", async () => {
	const inbound = gatherer();
	const person = someone();
	const parts = [3, 1, 2].map((part) => deliver(person, { text: `${part}`, part: [9, 3, part] }));
	await Promise.all(parts.map((part) => inbound.receive(part)));
	assert.deepEqual(
		(await storedOf(person)).map(({ text, segments }) => [text, segments]),
		[["123", 3]],
	);
	// Owners; the key, found and made; locks, parts; message, state.
	assert.equal(inbound.counts.statements, 7);
	assert.equal(await partsOf(person), 0);
});

for (const how of ["in one batch", "one by one"])
	test(`parts told again and references used again, ${how}`, async () => {
		const inbound = gatherer();
		const person = someone();
		const said: readonly (readonly [string, readonly [number, number, number]])[] = [
			["a", [7, 2, 1]],
			// Told again before the set is whole, with the same text and with another: the first counts.
			["a", [7, 2, 1]],
			["x", [7, 2, 1]],
			["b", [7, 2, 2]],
			// The same reference, a new message.
			["c", [7, 2, 1]],
			["d", [7, 2, 2]],
			// The last part told again waits for a first one that will not come, and is no message.
			["d", [7, 2, 2]],
		];
		const sent = said.map(([text, part]) => deliver(person, { text, part }));
		if (how === "one by one") for (const one of sent) await inbound.receive(one);
		else await Promise.all(sent.map((one) => inbound.receive(one)));
		assert.equal(inbound.counts.transactions, how === "one by one" ? 14 : 2);
		assert.deepEqual(
			(await storedOf(person)).map(({ text }) => text),
			["ab", "cd"],
		);
		assert.equal(await partsOf(person), 1);
	});

test("a character cut between two parts is whole again, also when the first part was stored", async () => {
	const inbound = gatherer();
	const person = someone();
	const octets = Buffer.from("hi 🐦!", "utf16le").swap16();
	await inbound.receive(deliver(person, { ucs2: octets.subarray(0, 8), part: [4, 2, 1] }));
	await inbound.receive(deliver(person, { ucs2: octets.subarray(8), part: [4, 2, 2] }));
	assert.deepEqual(
		(await storedOf(person)).map(({ text }) => text),
		["hi 🐦!"],
	);
});

test("a text that PostgreSQL refuses is refused alone", async () => {
	await admin.run("alter table messages add constraint poison check (characters <> 77)");
	const inbound = gatherer();
	const people = Array.from({ length: 50 }, someone);
	const poisonous = 20;
	const sent = people.map((person, i) =>
		inbound.receive(deliver(person, { text: i === poisonous ? "x".repeat(77) : `STOP ${i}` })),
	);
	const failed = await outcomes(sent);
	assert.match(String(failed[poisonous]), /violates check constraint "poison"/);
	assert.deepEqual(
		failed.flatMap((error, i) => (error === undefined ? [] : [i])),
		[poisonous],
	);
	const stored = await storedOf(...people);
	assert.equal(stored.length, 49);
	assert.equal(new Set(stored.map(({ person }) => person)).size, 49);
	assert.equal(await isSuppressed(asha, people[49] as string), true);
	await admin.run("alter table messages drop constraint poison");
	// Alone again it holds up nobody: what comes later is gathered as before.
	const { transactions } = inbound.counts;
	await Promise.all(people.map((person) => inbound.receive(deliver(person, { text: "later" }))));
	assert.ok(inbound.counts.transactions - transactions <= 12);
});

test("while the database is away a batch is refused at once, and the next is tried", async () => {
	const connectionString = url("wx_test_worker", "wx_test_worker");
	const away = openDatabase({ connectionString, max: 1, applicationName: "test" });
	await away.close();
	let isAway = true;
	const db: Database = {
		...worker,
		inPlatform: (work) => (isAway ? away : worker).inPlatform(work),
	};
	const inbound = gatherer(db);
	const people = Array.from({ length: 3 }, someone);
	const say = () => people.map((person) => inbound.receive(deliver(person, { text: "hello" })));
	const failed = await outcomes(say());
	assert.ok(failed.every((error) => error instanceof Fault));
	assert.equal(inbound.waiting(), 0);
	isAway = false;
	await Promise.all(say());
	assert.equal((await storedOf(...people)).length, 3);
	assert.equal(inbound.told.events, 1);
});

test("what is nobody's, has no number or is no text is counted and not sent again", async () => {
	const inbound = gatherer();
	const person = someone();
	await Promise.all([
		inbound.receive(deliver(person, { text: "to nobody", to: "15559999999" })),
		inbound.receive(deliver(person, { text: "octets", changes: { dataCoding: 4 } })),
		inbound.receive(deliver("+SENDER", { text: "from no number" })),
	]);
	assert.deepEqual(inbound.told, { unowned: 3, events: 0, errors: 0 });
	// A sender is its owner's in its own environment only, also when both stand in a batch.
	await Promise.all([
		inbound.receive(deliver(person, { text: "to nobody", to: "15559999999" })),
		inbound.receive(deliver(person, { text: "to somebody", to: shortCode })),
		inbound.receive({ ...deliver(person, { text: "trial", to: shortCode }), environment: "test" }),
	]);
	assert.deepEqual(inbound.told, { unowned: 5, events: 1, errors: 0 });
	assert.deepEqual(
		(await storedOf(person)).map(({ text }) => text),
		["to somebody"],
	);
});

test("a text is read when it comes: its octets are the socket's", async () => {
	const inbound = gatherer();
	const person = someone();
	const given = deliver(person, { text: "said before" });
	const stored = inbound.receive(given);
	given.pdu.shortMessage.fill("x");
	await stored;
	assert.deepEqual(
		(await storedOf(person)).map(({ text }) => text),
		["said before"],
	);
});

test("more than may wait is refused, and idle waits for the rest", async () => {
	const inbound = gatherer();
	const person = someone();
	const sent = Array.from({ length: 10_001 }, () =>
		inbound.receive(deliver(person, { text: "to nobody", to: "15559999999" })),
	);
	const last = sent.pop() as Promise<void>;
	await assert.rejects(last, /too many texts/);
	assert.ok(inbound.waiting() > 0);
	await inbound.idle();
	assert.equal(inbound.waiting(), 0);
	assert.equal(inbound.told.unowned, 10_000);
	await Promise.all(sent);
	assert.equal(inbound.counts.transactions, 40);
});
