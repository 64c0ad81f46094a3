/**
 * What may be sent, over HTTP: each rule refuses or defers with its citation, the decision can be read
 * in full, and what a rule refused never reaches a carrier. Test keys reach the sandbox only.
 */
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { acceptGroup } from "#messages/accept.ts";
import { readDraft } from "#messages/draft.ts";
import { createSenderIndexes } from "#messages/prepare.ts";
import { createRouter } from "#messages/router.ts";
import { systemClock } from "#platform/clock.ts";
import { createIds, showId, systemRandom } from "#platform/ids.ts";
import { openConfiguredKeys } from "#processes/database.ts";
import { rulesInForce } from "#policy/catalogue.ts";
import { createVault } from "#vault/index.ts";
import type { Json } from "../support/http.ts";
import { numberEnding, send, settled } from "../support/messages.ts";
import { testPlatform } from "../support/platform.ts";
import { startOwnSmsc } from "../support/smsc.ts";

const smsc = await startOwnSmsc({ responseMs: 5_000, lateAnswerMs: 1_000 });
const platform = await testPlatform(smsc.settings);
const { dev, live, admin } = platform;
const { transactional, promotional } = dev.samples;
const noConsent = Object.fromEntries(
	Object.entries(promotional).filter(([key]) => key !== "consent"),
);

async function settings(change: Json): Promise<void> {
	const reply = await admin.patch("/v1/settings", change);
	assert.equal(reply.status, 200, reply.text);
}

interface Refusal {
	readonly what: string;
	readonly body: Json;
	readonly code: string;
	readonly rule: string;
}

const to = (): string => numberEnding("000001");
const refusals: readonly Refusal[] = [
	{
		what: "a sender that nobody registered",
		body: { ...transactional, from: "NOBODY" },
		code: "sender_unregistered",
		rule: "house/sender-registered",
	},
	{
		what: "another tenant's sender",
		body: { ...transactional, from: "WXOTHR" },
		code: "sender_unregistered",
		rule: "house/sender-registered",
	},
	{
		what: "the tenant's sender in another spelling",
		body: { ...transactional, from: "waxwng" },
		code: "sender_unregistered",
		rule: "house/sender-registered",
	},
	{
		what: "a country that the tenant did not open",
		body: { ...transactional, to: "+886912345678" },
		code: "destination_not_allowed",
		rule: "house/destination-country",
	},
	{
		what: "no DLT template",
		body: { ...transactional, dlt: {} },
		code: "registration_missing",
		rule: "in-dlt/template-id",
	},
	{
		what: "no DLT parameters at all",
		body: Object.fromEntries(Object.entries(transactional).filter(([key]) => key !== "dlt")),
		code: "registration_missing",
		rule: "in-dlt/template-id",
	},
	{
		what: "another's principal entity",
		body: {
			...transactional,
			dlt: { entity_id: "1101172974420819999", template_id: "1107161951486743588" },
		},
		code: "registration_missing",
		rule: "in-dlt/principal-entity",
	},
	{
		what: "promotion without consent",
		body: noConsent,
		code: "consent_missing",
		rule: "house/promotional-consent",
	},
];

describe("refused, with the rule and its citation", () => {
	for (const { what, body, code, rule } of refusals)
		test(what, async () => {
			const given = { ...body, ...(body["to"] === transactional.to ? { to: to() } : {}) };
			const before = smsc.sandbox.stats().submitted;
			const reply = await live.post("/v1/sms/messages", given);
			assert.equal(reply.status, 202, reply.text);
			const { id, status, last_error, decision } = reply.body as Record<string, Json>;
			assert.equal(status, "rejected", reply.text);
			assert.equal(last_error?.["code"], code);
			assert.equal(decision?.["outcome"], "refused");
			assert.equal(decision?.["rule"], rule);
			assert.ok((decision?.["cites"] as string[]).length > 0);
			const read = await live.get(`/v1/sms/messages/${id}`);
			assert.equal(read.body["status"], "rejected");
			const explained = (await live.get(`/v1/sms/messages/${id}/decision`)).data;
			assert.equal(explained.length, 1);
			const verdicts = explained[0]?.["verdicts"] as Json[];
			const refusing = verdicts.filter(({ verdict }) => verdict === "refuse");
			assert.ok(
				refusing.some((one) => one["rule"] === rule),
				JSON.stringify(refusing),
			);
			const { length } = await platform.database.admin.run(
				"select 1 from messages where id = $1 and seal is not null",
				[uuidOf(String(id))],
			);
			assert.equal(length, 0, "a refused message has no clearance");
			assert.equal(smsc.sandbox.stats().submitted, before, "and reached no carrier");
		});
});

function uuidOf(shown: string): string {
	const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";
	let value = 0n;
	for (const letter of shown.slice(4)) value = value * 32n + BigInt(alphabet.indexOf(letter));
	const hex = value.toString(16).padStart(32, "0");
	return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

test("what is cleared lists every rule in force, in order, each with its citations", async () => {
	const sent = await send(platform, to());
	assert.deepEqual(sent["decision"], { outcome: "cleared" });
	const [decision] = (await live.get(`/v1/sms/messages/${sent["id"]}/decision`)).data;
	assert.equal(decision?.["outcome"], "cleared");
	const verdicts = decision?.["verdicts"] as Json[];
	const expected = rulesInForce(Date.now()).rules.map(({ id, cites }) => [id, cites]);
	assert.deepEqual(
		verdicts.map(({ rule, cites }) => [rule, cites]),
		expected,
	);
	for (const one of verdicts) {
		assert.ok(["pass", "not_concerned"].includes(String(one["verdict"])), JSON.stringify(one));
		assert.ok(String(one["title"]).length > 10);
	}
});

describe("consent", () => {
	before(() => settings({ promotional_window: { from: null, until: null } }));

	test("stated with the send it goes on record, and the next send needs no more", async () => {
		const person = to();
		const first = await live.post("/v1/sms/messages", { ...promotional, to: person });
		assert.ok(["accepted", "scheduled"].includes(String(first.body["status"])), first.text);
		const [statement] = (await live.get(`/v1/preferences?handle=${encodeURIComponent(person)}`))
			.data;
		assert.equal(statement?.["status"], "granted");
		assert.equal(statement?.["source"], "web_form");
		const next = await live.post("/v1/sms/messages", { ...noConsent, to: person });
		assert.ok(["accepted", "scheduled"].includes(String(next.body["status"])), next.text);
	});

	test("recorded over the API it counts; revoked it does not, and an older yes cannot undo it", async () => {
		const person = to();
		const state = (status: string, consented_at?: string) =>
			live.post("/v1/preferences", {
				handle: person,
				channel: "sms",
				status,
				source: "shop counter",
				...(consented_at === undefined ? {} : { consented_at }),
			});
		assert.equal((await state("granted")).status, 201);
		const first = await live.post("/v1/sms/messages", { ...noConsent, to: person });
		assert.notEqual(first.body["status"], "rejected", first.text);
		assert.equal((await state("revoked")).status, 200);
		const refused = await live.post("/v1/sms/messages", { ...noConsent, to: person });
		assert.equal(refused.body["status"], "rejected");
		assert.equal((refused.body["decision"] as Json)["rule"], "house/promotional-consent");
		const old = await live.post("/v1/sms/messages", { ...promotional, to: person });
		assert.equal(old.body["status"], "rejected", "consent that is older than the revocation");
		// What is not promotion still goes.
		assert.equal((await send(platform, person))["status"], "accepted");
	});

	test("revoked for everything it stops everything", async () => {
		const person = to();
		const revoked = { handle: person, channel: "sms", status: "revoked", coverage: "all" };
		assert.equal((await live.post("/v1/preferences", revoked)).status, 201);
		assert.equal((await send(platform, person))["status"], "rejected");
	});
});

describe("India's promotional hours", () => {
	/** Minutes after midnight in India. */
	const minuteNow = (): number => Math.floor(Date.now() / 60_000 + 330) % 1440;
	const time = (minute: number): string =>
		`${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;

	/** A lawful window that the present minute, and the next ones, are not in. */
	async function closeNow(): Promise<number> {
		const [from, until] = minuteNow() < 14 * 60 ? [16 * 60, 17 * 60] : [11 * 60, 12 * 60];
		await settings({ promotional_window: { from: time(from), until: time(until) } });
		const midnight = Math.floor((Date.now() / 60_000 + 330) / 1440) * 1440 - 330;
		const today = (midnight + from) * 60_000;
		return today > Date.now() ? today : today + 86_400_000;
	}

	test("outside, `defer` waits for the next opening", async () => {
		const opening = await closeNow();
		await settings({ outside_window: "defer" });
		const before = smsc.sandbox.stats().submitted;
		const reply = await live.post("/v1/sms/messages", { ...promotional, to: to() });
		assert.equal(reply.body["status"], "scheduled", reply.text);
		const until = new Date(opening).toISOString();
		assert.equal(reply.body["scheduled_at"], until);
		assert.equal((reply.body["decision"] as Json)["outcome"], "deferred");
		assert.equal((reply.body["decision"] as Json)["until"], until);
		const { id } = reply.body;
		assert.equal((await live.get(`/v1/sms/messages/${id}`)).body["status"], "scheduled");
		const [decision] = (await live.get(`/v1/sms/messages/${id}/decision`)).data;
		assert.equal(decision?.["until"], until);
		const deferring = (decision?.["verdicts"] as Json[]).filter(
			({ verdict }) => verdict === "defer",
		);
		assert.deepEqual(
			deferring.map(({ rule }) => rule),
			["in-trai/promotional-window"],
		);
		await new Promise((resolve) => void setTimeout(resolve, 600));
		assert.equal(smsc.sandbox.stats().submitted, before);
		// What is no promotion does not wait.
		const other = await send(platform, to());
		assert.equal((await settled(live, other["id"]))["status"], "delivered");
	});

	test("outside, `refuse` refuses", async () => {
		await closeNow();
		await settings({ outside_window: "refuse" });
		const reply = await live.post("/v1/sms/messages", { ...promotional, to: to() });
		assert.equal(reply.body["status"], "rejected", reply.text);
		assert.equal((reply.body["last_error"] as Json)["code"], "outside_window");
		await settings({ outside_window: "defer" });
	});

	test("a message that ends before the opening is refused, not kept for nothing", async () => {
		await closeNow();
		const reply = await live.post("/v1/sms/messages", {
			...promotional,
			to: to(),
			validity_period: 60,
		});
		assert.equal(reply.body["status"], "rejected", reply.text);
		assert.equal((reply.body["last_error"] as Json)["code"], "expired_waiting");
	});

	test("a tenant may not widen the law's hours", async () => {
		for (const promotional_window of [
			{ from: "09:59" },
			{ until: "21:01" },
			{ from: "12:00", until: "12:00" },
		]) {
			const reply = await admin.patch("/v1/settings", {
				promotional_window: { from: null, until: null, ...promotional_window },
			});
			assert.equal(reply.status, 422, reply.text);
			assert.match(String(reply.error["param"]), /^promotional_window\./);
		}
	});
});

test("what changes while a message waits is judged again before it leaves", async () => {
	const person = to();
	const scheduled_at = new Date(Date.now() + 1_200).toISOString();
	const sent = await send(platform, person, { scheduled_at });
	assert.equal(sent["status"], "scheduled");
	assert.equal((await live.post("/v1/sms/suppressions", { destination: person })).status, 201);
	const message = await settled(live, sent["id"]);
	assert.equal(message["status"], "rejected", JSON.stringify(message));
	assert.equal((message["last_error"] as Json)["code"], "recipient_opted_out");
	const decisions = (await live.get(`/v1/sms/messages/${sent["id"]}/decision`)).data;
	assert.deepEqual(
		decisions.map(({ outcome }) => outcome),
		["cleared", "refused"],
	);
});

test("a sender that is deleted while a message waits does not send it", async () => {
	const registered = await admin.post("/v1/senders", { address: "BRIEFLY", kind: "alphanumeric" });
	assert.equal(registered.status, 201, registered.text);
	const scheduled_at = new Date(Date.now() + 1_000).toISOString();
	const sent = await send(platform, to(), { from: "BRIEFLY", scheduled_at });
	assert.equal((await admin.delete(`/v1/senders/${registered.body["id"]}`)).status, 204);
	const message = await settled(live, sent["id"]);
	assert.equal(message["status"], "rejected", JSON.stringify(message));
	assert.equal((message["last_error"] as Json)["code"], "sender_unregistered");
});

test("a sender, and what looks like it, belongs to one tenant", async () => {
	const theirs = await platform.operator.post("/v1/operator/tenants", { name: "Third" });
	const keys = theirs.body["admin_keys"] as { live: { key: string } };
	const { client } = await import("../support/http.ts");
	const third = client(platform.baseUrl, keys.live.key);
	for (const address of ["WAXWNG", "waxwng", "WXOTHR", "WX0THR"]) {
		const reply = await third.post("/v1/senders", { address, kind: "alphanumeric" });
		assert.equal(reply.status, 409, `${address} ${reply.text}`);
	}
});

test("test keys reach the sandbox and nothing else", async () => {
	const before = smsc.sandbox.stats().submitted;
	const ids = [];
	for (let i = 0; i < 5; i++) ids.push((await send(platform, to(), {}, platform.test))["id"]);
	for (const id of ids) assert.equal((await settled(platform.test, id))["status"], "delivered");
	assert.equal(smsc.sandbox.stats().submitted, before);
	const [one] = await platform.database.admin.run<{ environments: string[] }>(
		"select array_agg(distinct r.environment::text) as environments from submissions s join messages m on m.id = s.message_id join routes r on r.id = s.route_id where m.environment <> r.environment",
	);
	assert.equal(one?.environments, null);
	const sent = await send(platform, to());
	assert.equal((await settled(live, sent["id"]))["status"], "delivered");
	assert.equal(smsc.sandbox.stats().submitted, before + 1);
});

test("what every rule has passed and no route serves is rejected, and its decision says that it was cleared", async () => {
	const { app, worker, admin: root } = platform.database;
	const scope = { tenantId: uuidOf(dev.tenantId), environment: "live" } as const;
	const [key] = await root.run<{ id: string }>(
		"select id from api_keys where tenant_id = $1 and environment = 'live' and revoked_at is null limit 1",
		[scope.tenantId],
	);
	const random = systemRandom();
	const keys = await openConfiguredKeys(platform.config, random, false);
	const vault = createVault({ db: app, ...keys, random, clock: systemClock });
	const read = readDraft({ ...transactional, to: to() } as never, systemClock.now());
	assert.ok("draft" in read);
	const request = { scope, keyId: key?.id ?? "", drafts: [read.draft], idempotency: undefined };
	const parts = {
		worker,
		vault,
		ids: createIds(systemClock, random),
		clock: systemClock,
		router: createRouter([]),
		handover: undefined,
		senderIndexes: createSenderIndexes(vault),
		onEvents: () => undefined,
	};
	const [answer] = await acceptGroup(parts, [request]);
	assert.ok(answer?.kind === "accepted");
	const id = showId("msg", answer.messages[0]?.id ?? "");
	const { body } = await live.get(`/v1/sms/messages/${id}`);
	assert.equal(body["status"], "rejected");
	assert.equal((body["last_error"] as Json)["code"], "provider_unavailable");
	const [decision] = (await live.get(`/v1/sms/messages/${id}/decision`)).data;
	assert.equal(decision?.["outcome"], "cleared");
});
