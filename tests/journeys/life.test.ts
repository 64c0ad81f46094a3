/**
 * The life of a message, for everything a carrier and a person may do: each number of the sandbox's
 * table, over the API, through PostgreSQL and SMPP, to the final state, its events and its webhook.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { magicNumbers } from "#channels/index.ts";
import { longReply } from "#channels/sms/sandbox/magic-numbers.ts";
import { readId } from "#platform/ids.ts";
import { type Json, until } from "../support/http.ts";
import { eventsOf, numberEnding, send, settled } from "../support/messages.ts";
import { testPlatform } from "../support/platform.ts";
import { startReceiver } from "../support/receiver.ts";
import { startOwnSmsc } from "../support/smsc.ts";

const smsc = await startOwnSmsc({ responseMs: 700, lateAnswerMs: 1_500 });
const platform = await testPlatform(smsc.settings);
const { live } = platform;
const receiver = await startReceiver();
const events = ["sms.delivered", "sms.undelivered", "sms.failed", "sms.expired", "sms.received"];
assert.equal((await live.post("/v1/webhooks", { url: receiver.url, events })).status, 201);

interface Expected {
	readonly digits: string;
	readonly status: string;
	readonly events: readonly string[];
	readonly error?: string;
	readonly carrierError?: string;
	readonly duplicate?: true;
	readonly changes?: Json;
	readonly withinMs?: number;
}

const delivered = ["sms.accepted", "sms.sent", "sms.delivered"];
const longGsm = { text: "All work and no play makes Jack a dull boy. ".repeat(8) };
const service = { category: "service" };

const table: readonly Expected[] = [
	{ digits: "000001", status: "delivered", events: delivered },
	{
		digits: "000010",
		status: "failed",
		events: ["sms.accepted", "sms.failed"],
		error: "invalid_destination",
		carrierError: "ESME_RINVDSTADR",
	},
	{
		digits: "000011",
		status: "undelivered",
		events: ["sms.accepted", "sms.sent", "sms.undelivered"],
		error: "unreachable",
		carrierError: "001",
	},
	{
		digits: "000012",
		status: "expired",
		events: ["sms.accepted", "sms.sent", "sms.expired"],
		error: "unreachable",
		carrierError: "004",
	},
	{
		digits: "000013",
		status: "failed",
		events: ["sms.accepted", "sms.sent", "sms.failed"],
		error: "blocked_by_carrier",
		carrierError: "008",
	},
	{
		digits: "000014",
		status: "failed",
		events: ["sms.accepted", "sms.sent", "sms.failed"],
		error: "blocked_by_carrier",
		carrierError: "633",
	},
	{
		digits: "000016",
		status: "failed",
		events: ["sms.accepted", "sms.sent", "sms.failed"],
		error: "blocked_by_carrier",
		carrierError: "005",
	},
	{ digits: "000030", status: "delivered", events: delivered },
	// Never answered: sent again and again, then given up; or never sent again.
	{
		digits: "000031",
		status: "failed",
		events: ["sms.accepted", "sms.unknown", "sms.failed"],
		error: "unknown",
		duplicate: true,
		withinMs: 25_000,
	},
	{
		digits: "000031",
		status: "failed",
		events: ["sms.accepted", "sms.unknown", "sms.failed"],
		error: "unknown",
		changes: service,
	},
	// Delivered, yet never answered: the receipt names an id that we were never told.
	{
		digits: "000034",
		status: "failed",
		events: ["sms.accepted", "sms.unknown", "sms.failed"],
		error: "unknown",
		changes: service,
	},
	{ digits: "000040", status: "delivered", events: delivered },
	{ digits: "000041", status: "delivered", events: delivered },
	{ digits: "000043", status: "delivered", events: delivered },
	{ digits: "000044", status: "delivered", events: delivered, changes: longGsm, withinMs: 20_000 },
	{ digits: "000045", status: "delivered", events: delivered },
	{ digits: "000046", status: "delivered", events: delivered },
	{ digits: "000001", status: "delivered", events: delivered, changes: longGsm },
	{
		digits: "000011",
		status: "undelivered",
		events: ["sms.accepted", "sms.sent", "sms.undelivered"],
		error: "unreachable",
		changes: longGsm,
	},
];

/** A carrier writes its code as "001" in a receipt's text and as the number 1 in its TLV. */
function sameCode(code: unknown): string {
	return String(code).replace(/^0+(?=[0-9])/, "");
}

describe("what becomes of a message", { concurrency: true }, () => {
	for (const expected of table) {
		const { digits, changes, withinMs } = expected;
		test(`${digits} ${JSON.stringify(changes ?? {}).slice(0, 40)}: ${expected.status}`, async () => {
			const sent = await send(platform, numberEnding(digits), changes);
			const message = await settled(live, sent["id"], withinMs);
			assert.equal(message["status"], expected.status, JSON.stringify(message));
			const error = message["last_error"] as Json | undefined;
			assert.equal(error?.["code"], expected.error);
			if (expected.carrierError !== undefined)
				assert.equal(sameCode(error?.["carrier_error_code"]), sameCode(expected.carrierError));
			assert.equal(message["possible_duplicate"], expected.duplicate === true);
			const seen = await eventsOf(live, sent["id"]);
			assert.deepEqual([...new Set(seen)], expected.events, seen.join());
			const type = `sms.${expected.status}`;
			const hook = await receiver.find(
				`${type} for ${digits}`,
				({ body }) => body["type"] === type && (body["data"] as Json)["sms_id"] === sent["id"],
			);
			assert.equal(
				((hook.body["data"] as Json)["error"] as Json | undefined)?.["code"],
				expected.error,
			);
		});
	}
});

test("every number of the table with an outcome of its own is in a journey", () => {
	const elsewhere = [
		"000020",
		"000021",
		"000015",
		"000017",
		"000032",
		"000033",
		"000042",
		"000050",
		"000051",
		"000052",
		"000053",
		"000054",
	];
	const covered = new Set([...table.map(({ digits }) => digits), ...elsewhere]);
	assert.deepEqual(
		magicNumbers.map(({ digits }) => digits).filter((digits) => !covered.has(digits)),
		[],
	);
});

test("a receipt that does not know leaves the message unknown, not failed", async () => {
	const sent = await send(platform, numberEnding("000015"));
	const read = async (): Promise<Json> => (await live.get(`/v1/sms/messages/${sent["id"]}`)).body;
	await until("unknown", read, ({ status }) => status === "unknown");
	assert.deepEqual(await eventsOf(live, sent["id"]), ["sms.accepted", "sms.sent", "sms.unknown"]);
});

test("without a receipt it stays sent", async () => {
	const sent = await send(platform, numberEnding("000042"));
	const read = async (): Promise<Json> => (await live.get(`/v1/sms/messages/${sent["id"]}`)).body;
	await until("sent", read, ({ status }) => status === "sent");
	await new Promise((resolve) => void setTimeout(resolve, 300));
	assert.equal((await read())["status"], "sent");
});

test("a carrier in trouble is tried again later, not blamed on the message", async () => {
	const sent = await send(platform, numberEnding("000017"));
	await new Promise((resolve) => void setTimeout(resolve, 600));
	const { body } = await live.get(`/v1/sms/messages/${sent["id"]}`);
	assert.equal(body["status"], "accepted");
	assert.deepEqual(await eventsOf(live, sent["id"]), ["sms.accepted"]);
});

test("the segments of a long message are counted as they are billed", async () => {
	const cases = [
		{ text: "a".repeat(160), count: 1, encoding: "GSM_7BIT" },
		{ text: "a".repeat(161), count: 2, encoding: "GSM_7BIT" },
		{ text: "a".repeat(305), count: 3, encoding: "GSM_7BIT" },
		{ text: "€".repeat(80), count: 1, encoding: "GSM_7BIT" },
		{ text: "€".repeat(81), count: 2, encoding: "GSM_7BIT" },
		{ text: "न".repeat(70), count: 1, encoding: "UCS2" },
		{ text: "न".repeat(71), count: 2, encoding: "UCS2" },
		{ text: "न".repeat(133), count: 3, encoding: "UCS2" },
		{ text: `${"😀".repeat(35)}`, count: 1, encoding: "UCS2" },
		{ text: `${"😀".repeat(36)}`, count: 2, encoding: "UCS2" },
	];
	for (const { text, count, encoding } of cases) {
		const sent = await send(platform, numberEnding("000001"), { text });
		assert.deepEqual(
			sent["segments"],
			{ count, encoding, characters: [...text].length },
			text.slice(0, 3),
		);
		assert.equal((await settled(live, sent["id"]))["status"], "delivered");
	}
});

async function inboundFrom(person: string): Promise<readonly Json[]> {
	return (await live.get(`/v1/sms/messages?direction=inbound&from=${encodeURIComponent(person)}`))
		.data;
}

test("STOP holds for the very next send, in every class, until START", async () => {
	const person = numberEnding("000050");
	const sent = await send(platform, person);
	await until(
		"the STOP is here",
		() => inboundFrom(person),
		(list) => list.length === 1,
	);
	for (const category of ["authentication", "transactional", "service"]) {
		const next = await send(platform, person, { category });
		assert.equal(next["status"], "rejected", category);
		assert.equal((next["last_error"] as Json)["code"], "recipient_opted_out");
	}
	const [suppression] = (
		await platform.admin.get(`/v1/sms/suppressions?destination=${encodeURIComponent(person)}`)
	).data;
	assert.equal(suppression?.["reason"], "keyword_stop");
	assert.equal(suppression?.["originator"], sent["from"]);
	// The tenant cannot overrule the person.
	const lifted = await platform.admin.delete(`/v1/sms/suppressions/${suppression?.["id"]}`);
	assert.equal(lifted.status, 422, lifted.text);
});

test("START lifts what STOP began, and nothing that the tenant suppressed", async () => {
	for (const [reason, status] of [
		["stop", "accepted"],
		["manual", "rejected"],
	] as const) {
		const person = await suppressedBeforeStart(reason);
		assert.equal((await send(platform, person))["status"], status, reason);
	}
});

/**
 * No number of the sandbox says STOP and later START. So: a person who answers START is suppressed in the
 * tenth of a second between our message and their answer. Tried again when their answer was quicker.
 */
async function suppressedBeforeStart(reason: "stop" | "manual"): Promise<string> {
	const { admin } = platform.database;
	for (let attempt = 0; attempt < 10; attempt++) {
		const person = numberEnding("000051");
		const sent = await send(platform, person);
		const read = async (): Promise<Json> => (await live.get(`/v1/sms/messages/${sent["id"]}`)).body;
		await until("it is handed over", read, ({ status }) => status !== "accepted");
		const { body } = await live.post("/v1/sms/suppressions", { destination: person });
		const id = readId("sup", String(body["id"]));
		await admin.run("update suppressions set reason = $1 where id = $2", [reason, id]);
		const suppressedAt = Date.now();
		const said = await until(
			"the START is here",
			() => inboundFrom(person),
			(list) => list.length === 1,
		);
		if (Date.parse(String(said[0]?.["created_at"])) > suppressedAt) return person;
	}
	return assert.fail("the person always answered first");
}

test("HELP is an ordinary inbound message and suppresses nothing", async () => {
	const person = numberEnding("000052");
	await send(platform, person);
	const [said] = await until(
		"the HELP is here",
		() => inboundFrom(person),
		(list) => list.length === 1,
	);
	assert.equal(said?.["text"], "HELP");
	assert.equal((await send(platform, person))["status"], "accepted");
});

for (const [digits, how] of [
	["000053", "in order"],
	["000054", "out of order, one part twice"],
] as const)
	test(`a long answer in parts, ${how}, is one inbound message and one webhook`, async () => {
		const person = numberEnding(digits);
		const sent = await send(platform, person);
		const list = await until(
			"the answer is here",
			() => inboundFrom(person),
			(found) => found.length > 0,
		);
		assert.equal(list.length, 1);
		const [said] = list;
		assert.equal(said?.["text"], longReply);
		assert.equal(said?.["direction"], "inbound");
		assert.equal(said?.["status"], "received");
		assert.equal(said?.["from"], person);
		assert.equal(said?.["to"], sent["from"]);
		assert.deepEqual(said?.["segments"], {
			count: 3,
			encoding: "UCS2",
			characters: [...longReply].length,
		});
		assert.deepEqual(await eventsOf(live, said?.["id"]), ["sms.received"]);
		const hook = await receiver.find(
			"sms.received",
			({ body }) =>
				body["type"] === "sms.received" && (body["data"] as Json)["sms_id"] === said?.["id"],
		);
		assert.equal((hook.body["data"] as Json)["text"], longReply);
		assert.equal((hook.body["data"] as Json)["from"], person);
	});

test("an answer that comes late is no second delivery", async () => {
	const sent = await send(platform, numberEnding("000032"), service);
	const message = await settled(live, sent["id"], 10_000);
	assert.equal(message["status"], "delivered", JSON.stringify(message));
	assert.equal(message["possible_duplicate"], false);
});

for (const digits of ["000020", "000021"])
	test(`${digits}: a carrier that is too busy is slowed down for, and then takes it`, async () => {
		// On the route of test keys: the slower pace is not felt by the other tests.
		const sent = await send(platform, numberEnding(digits), {}, platform.test);
		const read = async (): Promise<Json> =>
			(await platform.test.get(`/v1/sms/messages/${sent["id"]}`)).body;
		const seen = new Set<unknown>();
		const look = async (): Promise<Json> => {
			const message = await read();
			seen.add(message["status"]);
			return message;
		};
		const message = await until("delivered", look, ({ status }) => status === "delivered", 15_000);
		assert.equal(message["possible_duplicate"], false);
		assert.deepEqual(await eventsOf(platform.test, sent["id"]), delivered);
		assert.ok(!seen.has("scheduled"), "a message that waits for a retry is not shown as scheduled");
	});

// Last: it takes the bind down.
test("a bind that drops: unknown, then sent again or given up, as the class says", async () => {
	const { submitted } = smsc.sandbox.stats();
	const once = await send(platform, numberEnding("000033"), service);
	const often = await send(platform, numberEnding("000033"));
	const given = await settled(live, once["id"], 60_000);
	assert.equal(given["status"], "failed");
	assert.equal((given["last_error"] as Json)["code"], "unknown");
	assert.equal(given["possible_duplicate"], false);
	assert.deepEqual(await eventsOf(live, once["id"]), ["sms.accepted", "sms.unknown", "sms.failed"]);
	const tries = (): number => smsc.sandbox.stats().submitted - submitted;
	await until("submitted again", tries, (count) => count >= 3, 60_000);
	assert.ok(!(await eventsOf(live, often["id"])).includes("sms.delivered"));
	const after = await send(platform, numberEnding("000001"));
	assert.equal((await settled(live, after["id"], 90_000))["status"], "delivered");
});
