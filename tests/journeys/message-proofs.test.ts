/**
 * Messages in the ledger, from outside: each has a proof that anybody checks; what a superuser changes is found by the
 * check and gets no proof; over the whole life of messages there is no false alarm.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { createLedger, createMessageCheck } from "#audit/index.ts";
import { messageReader } from "#messages/index.ts";
import { systemClock } from "#platform/clock.ts";
import { createIds, readId, systemRandom } from "#platform/ids.ts";
import { silentLog } from "#platform/log.ts";
import { createVault } from "#vault/index.ts";
import { type Client, type Json, type Reply, until } from "../support/http.ts";
import { runVerifier } from "../support/ledger-texts.ts";
import { numberEnding, send, settled } from "../support/messages.ts";
import { testPlatform } from "../support/platform.ts";

const platform = await testPlatform({ WAXWING_LEDGER_NAME: "ledger.test" });
const { admin, live, operator, test: testKey, dev, database } = platform;
const { run } = database.admin;
const origin = `ledger.test/audit/${dev.tenantId}/e1`;
const pinned = (): string[] => {
	const key = readFileSync(join(platform.dataDir, "ledger", "signer.pub"), "utf8").trim();
	return ["--origin", origin, "--key", key];
};

const proofOf = (id: unknown, as: Client = admin): Promise<Reply> =>
	until(
		`a proof of ${String(id)}`,
		() => as.get(`/v1/audit/messages/${String(id)}/proof`),
		(reply) => reply.status !== 409 || reply.error["code"] !== "W03005",
	);
const verify = (proof: string) => runVerifier(["message", ...pinned()], proof);

// A check of the test's own, which does not rest. The platform's goes on beside it; both tell the same ledger.
const random = systemRandom();
const ids = createIds(systemClock, random);
const clock = systemClock;
const vault = createVault({ db: database.app, rootKey: platform.rootKey, random, clock });
const ledger = createLedger({ vault, clock, ids });
const { worker: db } = database;
const check = createMessageCheck({ db, ledger, clock, log: silentLog, messages: messageReader });

/** Everything that entered the ledger is compared, from the beginning. */
async function compareAll(): Promise<void> {
	await until(
		"every message is in an entry",
		() => run("select from message_digests where entry_id is null"),
		(rows) => rows.length === 0,
	);
	await run("delete from message_checks");
	await until(
		"a round has ended",
		async () => {
			await check.step(100_000, 0);
			return run(
				"select from message_checks having count(*) > 0 and bool_and(entry_id is null and digest_id is null)",
			);
		},
		(rows) => rows.length === 1,
	);
}

interface Found {
	readonly why: unknown;
	readonly targets: readonly string[];
}

/** What the tenant reads of it. */
async function findings(): Promise<Found[]> {
	const { data } = await admin.get("/v1/audit/entries?type=control.failed&limit=100");
	return data.map((one) => {
		const { control, why } = one["data"] as Json;
		assert.equal(control, "messages.digests");
		assert.equal(one["outcome"], "failed");
		return { why, targets: one["targets"] as string[] };
	});
}

async function entered(id: unknown): Promise<boolean> {
	const rows = await run(
		"select from message_digests where $1::uuid = any (message_ids) and entry_id is not null",
		[readId("msg", String(id))],
	);
	return rows.length === 1;
}

async function sendMany(count: number): Promise<string[]> {
	const messages = Array.from({ length: count }, () => ({
		...dev.samples.transactional,
		to: numberEnding("000001"),
	}));
	const reply = await live.post("/v1/sms/batches", { messages });
	assert.equal(reply.status, 202, reply.text);
	return (reply.body["data"] as Json[]).map((one) => String(one["id"]));
}

describe("a message", () => {
	test("is proven offline, alone in its commit and among many", async () => {
		const one = await send(platform, numberEnding("000001"));
		const many = await sendMany(70);
		for (const id of [one["id"], many[0], many[40], many[69]]) {
			const reply = await proofOf(id);
			assert.equal(reply.status, 200, reply.text);
			const { status, answer } = verify(reply.text);
			assert.equal(status, 0, JSON.stringify(answer));
			const facts = answer["message"] as Json;
			assert.deepEqual(
				[facts["message_id"], facts["direction"], facts["environment"], facts["country"]],
				[id, "outbound", "live", "IN"],
			);
			assert.match(String(facts["verdicts"]), /^[pn]+$/);
			assert.equal((answer["entry"] as Json)["action"], "messages.accepted");
		}
	});

	test("a proof with anything changed is not accepted", async () => {
		const [id] = await sendMany(40);
		const reply = await proofOf(id);
		const proof = JSON.parse(reply.text) as Record<string, unknown> & { path: Step[] };
		const bytes = Buffer.from(String(proof["message"]), "base64");
		let refused = 0;
		for (let n = 0; n < 24; n++) {
			const flipped = Buffer.from(bytes);
			const at = Math.floor((n * bytes.length) / 24);
			flipped[at] = (flipped[at] as number) ^ (1 << (n % 8));
			const text = JSON.stringify({ ...proof, message: flipped.toString("base64") });
			if (verify(text).status === 1) refused++;
		}
		assert.equal(refused, 24);
		const [step] = proof.path as [Step];
		const others: object[] = [
			{ leaf: "00".repeat(32) },
			{ message_id: (await send(platform, numberEnding("000001")))["id"] },
			{ path: [] },
			{ path: [{ ...step, position: step.position + 1 }, ...proof.path.slice(1)] },
			{ path: [{ ...step, hashes: step.hashes.slice(1) }, ...proof.path.slice(1)] },
			{ path: [{ ...step, hashes: step.hashes.toReversed() }, ...proof.path.slice(1)] },
		];
		for (const other of others)
			assert.equal(verify(JSON.stringify({ ...proof, ...other })).status, 1, JSON.stringify(other));
	});

	test("of another tenant or environment, or none at all, is not found; the scope is asked for", async () => {
		const mine = await send(platform, numberEnding("000001"));
		const tried = await send(platform, numberEnding("000001"), {}, testKey);
		assert.equal((await admin.get(`/v1/audit/messages/${String(tried["id"])}/proof`)).status, 404);
		assert.equal((await live.get(`/v1/audit/messages/${String(mine["id"])}/proof`)).status, 403);
		assert.equal((await admin.get(`/v1/audit/messages/msg_${"0".repeat(26)}/proof`)).status, 404);
		const foreign = await platform.other.post("/v1/sms/messages", {
			...dev.samples.transactional,
			to: numberEnding("000001"),
		});
		const path = `/v1/audit/messages/${String(foreign.body["id"])}/proof`;
		assert.equal((await admin.get(path)).status, 404);
	});

	test("that was stored before messages entered the ledger: the answer says so", async () => {
		const { id } = await send(platform, numberEnding("000001"));
		await until("it is in the ledger", () => entered(id), Boolean);
		await run(
			"update message_digests set message_ids = array[gen_random_uuid()] || message_ids[2:] where $1::uuid = any (message_ids) and cardinality(message_ids) = 1",
			[readId("msg", String(id))],
		);
		const reply = await admin.get(`/v1/audit/messages/${String(id)}/proof`);
		assert.equal(reply.status, 404);
		assert.match(String(reply.error["message"]), /before messages entered/);
		await run(
			"update message_digests set message_ids = array[$1::uuid] where id = (select d.id from message_digests d left join messages m on m.id = d.message_ids[1] where m.id is null)",
			[readId("msg", String(id))],
		);
		assert.equal((await proofOf(id)).status, 200);
	});
});

interface Step {
	readonly position: number;
	readonly hashes: readonly string[];
}

test("the whole life of messages raises no alarm", async () => {
	const lives: [string, Readonly<Record<string, unknown>>, Client][] = [
		["000001", {}, live],
		["000001", {}, testKey],
		["000010", {}, live],
		["000011", {}, live],
		["000020", {}, live],
		["000041", {}, live],
		["000050", {}, live],
		["000053", {}, live],
		["000001", { tags: [{ name: "order", value: "77" }], metadata: { a: 1 } }, live],
		["000001", { text: "x".repeat(400), category: "service" }, testKey],
	];
	const sent: [Json, Client][] = [];
	for (const [ending, changes, as] of lives)
		sent.push([await send(platform, numberEnding(ending), changes, as), as]);
	for (const [message, as] of sent) await settled(as, message["id"]);
	const promotional = await live.post("/v1/sms/messages", {
		...dev.samples.promotional,
		to: numberEnding("000001"),
	});
	assert.equal(promotional.status, 202);
	const scheduled_at = new Date(Date.now() + 3_600_000).toISOString();
	const later = await send(platform, numberEnding("000001"), { scheduled_at });
	assert.equal((await live.post(`/v1/sms/messages/${String(later["id"])}/cancel`)).status, 200);
	const twice = await send(platform, numberEnding("000033"));
	await until(
		"one is sent again",
		async () => (await live.get(`/v1/sms/messages/${String(twice["id"])}`)).body,
		(message) => message["possible_duplicate"] === true,
	);
	const gone = numberEnding("000001");
	const erased = await send(platform, gone);
	await settled(live, erased["id"]);
	assert.equal((await admin.post("/v1/contacts/erasures", { destination: gone })).status, 201);

	await compareAll();
	assert.deepEqual(await findings(), []);
	for (const [message, as] of [...sent, [later, live], [twice, live], [erased, live]] as const) {
		if (as !== live) continue;
		const reply = await proofOf(message["id"]);
		assert.equal(verify(reply.text).status, 0, reply.text);
	}
	const inbound = (await live.get("/v1/sms/messages?direction=inbound")).data;
	assert.ok(inbound.length >= 2);
	for (const message of inbound) {
		const { status, answer } = verify((await proofOf(message["id"])).text);
		assert.equal(status, 0);
		assert.equal((answer["message"] as Json)["direction"], "inbound");
	}
});

describe("as superuser,", () => {
	const changed = (set: string) => (id: string) =>
		run(`update messages set ${set} where id = $1`, [id]);
	const edits: Readonly<Record<string, (id: string) => Promise<unknown>>> = {
		"the content edited": changed("sealed = set_byte(sealed, 40, 255 - get_byte(sealed, 40))"),
		"a verdict edited": changed(
			"verdicts = overlay(verdicts placing 'n' from position('p' in verdicts) for 1)",
		),
		"the clearance's seal edited": changed("seal = set_byte(seal, 0, 255 - get_byte(seal, 0))"),
		"the clearance prolonged": changed("clear_until = clear_until + interval '1 second'"),
		"the class edited": changed("class = 0"),
		"the time edited by a microsecond": changed(
			"created_at = created_at + interval '1 microsecond'",
		),
		"the recipient edited": changed("address_index = sha256(address_index)"),
		"the environment edited": changed("environment = 'test'"),
		"a column emptied that may not be": async (id) => {
			await run("alter table messages alter country drop not null");
			await run("update messages set country = null where id = $1", [id]);
		},
		"the tenant edited": (id) =>
			run("update messages set tenant_id = $2 where id = $1", [
				id,
				readId("ten", dev.otherTenant.tenantId),
			]),
		deleted: (id) => run("delete from messages where id = $1", [id]),
	};
	const expected: Found[] = [];
	const tell = (shown: string, why: string): void => void expected.push({ why, targets: [shown] });
	const same = (): Promise<unknown> =>
		findings().then((found) => {
			const flat = (list: readonly Found[]): string[] =>
				[
					...new Set(
						list.flatMap(({ why, targets }) => targets.map((one) => `${String(why)} ${one}`)),
					),
				].sort();
			assert.deepEqual(flat(found), flat(expected));
		});

	for (const [what, edit] of Object.entries(edits))
		test(`${what}: found, and not proven`, async () => {
			const [shown = ""] = await sendMany(3);
			await until("it is in the ledger", () => entered(shown), Boolean);
			await edit(readId("msg", shown) as string);
			const isGone = ["deleted", "the tenant edited"].includes(what);
			tell(shown, isGone ? "message_missing" : "message_changed");
			await compareAll();
			await same();
			const reply = await admin.get(`/v1/audit/messages/${shown}/proof`);
			assert.equal(reply.status, 409, reply.text);
			assert.equal(reply.error["code"], "W03008");
		});

	test("the contents of two exchanged: both found", async () => {
		const [a = "", b = ""] = await sendMany(2);
		await until("they are in the ledger", () => entered(b), Boolean);
		const both = [a, b].map((shown) => readId("msg", shown));
		await run(
			"update messages m set sealed = o.sealed from messages o where m.id = any ($1::uuid[]) and o.id = any ($1::uuid[]) and m.id <> o.id",
			[both],
		);
		for (const shown of [a, b]) tell(shown, "message_changed");
		await compareAll();
		await same();
	});

	const digestOf = "id = (select id from message_digests where $1::uuid = any (message_ids))";
	const forgeries: Readonly<Record<string, string>> = {
		"a message and its hash edited together":
			"update message_digests set leaves = set_byte(leaves, 0, 255 - get_byte(leaves, 0)) where id = $1",
		"a digest's root edited": "update message_digests set root = sha256(root) where id = $1",
		"a digest deleted": "delete from message_digests where id = $1",
		"a digest taken out of its entry": "update message_digests set entry_id = null where id = $1",
	};
	for (const [what, statement] of Object.entries(forgeries))
		test(`${what}: found`, async () => {
			const [shown] = await sendMany(3);
			await until("it is in the ledger", () => entered(shown), Boolean);
			const [digest] = await run<{ id: string; entry_id: string }>(
				`select id, entry_id from message_digests where ${digestOf}`,
				[readId("msg", String(shown))],
			);
			await run(statement, [digest?.id]);
			await compareAll();
			const before = new Set(expected.flatMap(({ targets }) => targets));
			const fresh = (await findings()).flatMap((one) =>
				one.targets.some((t) => before.has(t)) ? [] : [one],
			);
			assert.ok(
				fresh.some(({ why }) => why === "digest_changed"),
				JSON.stringify(fresh),
			);
			expected.push(...fresh);
		});

	test("the operator reads of it in the platform's log, and metrics say so", async () => {
		const { data } = await operator.get("/v1/operator/audit/entries?type=control.failed&limit=100");
		assert.ok(data.length >= expected.length / 2);
		await run("delete from message_checks");
		await until(
			"the platform's own check has come by",
			async () => (await fetch(dev.metricsUrl)).text(),
			(text) =>
				/^wx_messages_checked_total [1-9]/m.test(text) && /^wx_messages_altered [1-9]/m.test(text),
		);
	});

	test("a month that was dropped as a whole is no alarm, and is counted", async () => {
		const before = (await findings()).length;
		const names = await run<{ name: string }>(
			"select inhrelid::regclass::text as name from pg_inherits where inhparent in ('messages'::regclass, 'message_digests'::regclass)",
		);
		assert.ok(names.length >= 8);
		const month = new Date().toISOString().slice(0, 7).replace("-", "");
		await platform.stop();
		await run(`drop table messages_${month}`);
		await run("delete from message_checks");
		while ((await check.step(100_000, 60_000)) > 0);
		assert.ok(check.gone > 100, String(check.gone));
		await run(`drop table message_digests_${month}`);
		await run("delete from message_checks");
		while ((await check.step(100_000, 60_000)) > 0);
		const after = await run(
			"select from ledger_entries where action = 'control.failed' and tenant_id = $1",
			[readId("ten", dev.tenantId)],
		);
		assert.equal(after.length, before);
	});
});
