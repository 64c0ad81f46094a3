/** STOP and START by text, in the ledger of the tenant whose number it went to. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { createLedger } from "#audit/index.ts";
import { systemClock as clock } from "#platform/clock.ts";
import type { Database, Scope, Tx } from "#platform/db.ts";
import { createIds, seededRandom, showId } from "#platform/ids.ts";
import { registerSender } from "#templates/index.ts";
import { createVault } from "#vault/index.ts";
import { testDatabase } from "../../tests/support/database.ts";
import type { InboundText } from "./inbound-text.ts";
import { writeTexts } from "./inbound-write.ts";

const { app, worker, admin } = await testDatabase();
const ids = createIds(clock, seededRandom(29));
const vault = createVault({
	db: app,
	rootKey: Buffer.alloc(32, 5),
	random: seededRandom(31),
	clock,
});
const tenants = [ids.next(), ids.next()] as const;
const numbers = ["+15550001111", "+15550002222"] as const;

before(async () => {
	for (const [i, tenantId] of tenants.entries()) {
		const { wrapped } = await vault.makeTenantKey(tenantId);
		const values = [tenantId, Buffer.from("x"), wrapped];
		await admin.run("select wx.create_tenant($1, $2, $3, now())", values);
		await vault.warm([tenantId]);
		const scope: Scope = { tenantId, environment: "live" };
		const address = numbers[i] as string;
		const sender = { id: ids.next(), kind: "number", address, atMs: clock.now() } as const;
		await app.inTenant(scope, (tx) => registerSender(tx, vault, scope, sender));
	}
});

let statements = 0;
const counted: Database = {
	...worker,
	inTenants: (list, work) =>
		worker.inTenants(list, (tx) => {
			const counting: Tx = {
				...tx,
				query: (...asked) => (statements++, tx.query(...asked)),
				post: (...asked) => (statements++, tx.post(...asked)),
			};
			return work(counting);
		}),
};
const ledger = createLedger({ vault, ids, clock });

/** All in one batch; every fourth writes to the second tenant. Returns how many statements the writing took. */
async function say(people: readonly string[], text: string): Promise<number> {
	const texts = people.map(
		(address, i): InboundText => ({
			environment: "live",
			address,
			forms: [numbers[i % 4 === 3 ? 1 : 0] as string],
			text,
			encoding: "GSM_7BIT",
			part: undefined,
		}),
	);
	statements = 0;
	const { messages } = await writeTexts({ worker: counted, vault, ledger, ids, clock }, texts);
	assert.equal(messages, people.length);
	return statements;
}

interface Recorded {
	readonly tenant_id: string;
	readonly action: string;
	readonly actor: string;
	readonly says: string;
	readonly detail_sealed: Buffer | null;
}

const recorded = () =>
	admin.run<Recorded>(
		"select tenant_id, action, actor, convert_from(entry, 'UTF8') as says, detail_sealed from ledger_entries order by id",
	);

const peopleFrom = (start: number, count: number): string[] =>
	Array.from({ length: count }, (_, i) => `+4917${String(60_000_000 + start + i)}`);

test("what a batch changes is recorded by one statement, in each tenant's log, with nothing personal", async () => {
	const people = peopleFrom(0, 40);
	const [stops, stopsAgain, starts] = [
		await say(people, "STOP"),
		await say(people, "Stop"),
		await say(people, "START"),
	];
	const entries = await recorded();
	assert.deepEqual(
		entries.map(({ action }) => action),
		[...people.map(() => "suppression.added"), ...people.map(() => "suppression.ended")],
		"a STOP that changes nothing is no entry",
	);
	const four = peopleFrom(100, 4);
	assert.deepEqual(
		[await say(four, "STOP"), await say(four, "STOP"), await say(four, "START")],
		[stops, stopsAgain, starts],
	);
	assert.equal(entries.filter((one) => one.tenant_id === tenants[1]).length, 20);
	const rows = await admin.run<{ id: string; tenant_id: string }>(
		"select id, tenant_id from suppressions where ended_reason = 'start'",
	);
	const tenantOf = new Map(rows.map((one) => [showId("sup", one.id), one.tenant_id]));
	for (const { says, actor, detail_sealed, tenant_id } of entries) {
		const { targets, environment } = JSON.parse(says) as { targets: string[]; environment: string };
		assert.deepEqual([actor, detail_sealed, environment], ["person", null, "live"]);
		assert.equal(tenantOf.get(targets[0] ?? ""), tenant_id);
		for (const person of people) assert.ok(!says.includes(person.slice(1)));
	}
});

test("of several words in one batch, each that changed something is recorded", async () => {
	const [person = ""] = peopleFrom(200, 1);
	await say([person], "STOP");
	const seen = (await recorded()).length;
	await say([person, person], "START");
	assert.deepEqual(
		(await recorded()).slice(seen).map(({ action }) => action),
		["suppression.ended"],
	);
});

test("a STOP that cannot be recorded is not taken, and not half in force", async () => {
	const [person = ""] = peopleFrom(300, 1);
	const inForce = () =>
		admin.run(
			"select from suppressions where ended_at is null and created_at > now() - interval '1 hour'",
		);
	const seen = (await inForce()).length;
	await admin.run("revoke insert on ledger_entries from waxwing_worker");
	try {
		await assert.rejects(say([person], "STOP"), { name: "audit_unavailable" });
		assert.equal((await inForce()).length, seen);
	} finally {
		await admin.run("grant insert on ledger_entries to waxwing_worker");
	}
	await say([person], "STOP");
	assert.equal((await inForce()).length, seen + 1);
});
