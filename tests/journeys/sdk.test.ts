/**
 * The official SDK, unmodified, with only `baseUrl` and a key: what its users do works here. It is
 * somebody else's idea of our API, so it is the oracle for shapes, pages, errors and signatures.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
	BirdAPIError,
	BirdAuthError,
	BirdClient,
	BirdNotFoundError,
	BirdPermissionError,
	BirdValidationError,
	BirdWebhookVerificationError,
	type SmsMessage,
	type SmsSendParams,
} from "@messagebird/sdk";
import { Webhook } from "standardwebhooks";
import { until } from "../support/http.ts";
import { numberEnding } from "../support/messages.ts";
import { testPlatform } from "../support/platform.ts";
import { startReceiver } from "../support/receiver.ts";

const { dev, baseUrl } = await testPlatform();
const receiver = await startReceiver();
const bird = new BirdClient({ apiKey: dev.apiKey, baseUrl, maxRetries: 0 });

/** The sample has fields that the SDK does not know (`dlt`); it passes them on. */
function sample(changes: Readonly<Record<string, unknown>> = {}): SmsSendParams {
	const to = numberEnding("000001");
	return { ...dev.samples.transactional, to, ...changes };
}

async function delivered(id: string): Promise<SmsMessage> {
	const read = () => bird.sms.get(id);
	return until(`${id} is delivered`, read, ({ status }) => status === "delivered");
}

async function failure(act: PromiseLike<unknown>): Promise<unknown> {
	try {
		await act;
	} catch (error) {
		return error;
	}
	return assert.fail("it did not fail");
}

test("send, read, events", async () => {
	const sent = await bird.sms.send(sample({ metadata: { order: "A-7" } }));
	assert.match(sent.id, /^msg_[0-9a-z]{26}$/);
	assert.equal(sent.status, "accepted");
	assert.deepEqual(sent.metadata, { order: "A-7" });
	const read = await delivered(sent.id);
	assert.equal(read.direction, "outbound");
	assert.equal(read.to, sent.to);
	assert.equal(read.text, dev.samples.transactional["text"]);
	assert.equal(read.segments.count, 1);
	assert.ok(Date.parse(String(read.delivered_at)) >= Date.parse(read.created_at));
	const { data } = await bird.sms.listEvents(sent.id);
	assert.deepEqual(
		data.map((event) => event.type),
		["sms.accepted", "sms.sent", "sms.delivered"],
	);
});

test("a batch, then a list that pages through it", async () => {
	const tag = { name: "sdk", value: "batch" };
	const messages = Array.from({ length: 7 }, () => sample({ tags: [tag] }));
	const batch = await bird.sms.sendBatch(messages);
	assert.equal(batch.summary.accepted_count, 7);
	const ids = batch.data.map((message) => message.id);
	const listed: string[] = [];
	for await (const message of bird.sms.list({ limit: 3, tag: ["sdk:batch"] }))
		listed.push(message.id);
	assert.deepEqual(listed, ids.toReversed());
	const page = await bird.sms.list({ limit: 3, tag: ["sdk"] });
	assert.equal(page.data.length, 3);
});

test("suppressions: add, list, get, remove", async () => {
	const destination = numberEnding("000001");
	const added = await bird.smsSuppressions.add({ destination, originator: "WAXWNG" });
	const [listed] = (await bird.smsSuppressions.list({ destination })).data;
	assert.equal(listed?.id, added.id);
	const sent = await bird.sms.send(sample({ to: destination }));
	assert.equal(sent.status, "rejected");
	assert.equal(sent.last_error?.code, "recipient_opted_out");
	await bird.smsSuppressions.remove(added.id);
	assert.equal((await bird.smsSuppressions.get(added.id)).blocking, false);
	assert.equal((await bird.sms.send(sample({ to: destination }))).status, "accepted");
});

test("a webhook is created, told, and verified by two independent verifiers", async () => {
	const created = await bird.webhooks.create({
		url: receiver.url,
		events: ["sms.accepted", "sms.delivered"],
	});
	const sent = await bird.sms.send(sample({ tags: [{ name: "order", value: "9" }] }));
	const hook = await receiver.find(
		"sms.delivered at the receiver",
		({ body }) =>
			body["type"] === "sms.delivered" && (body["data"] as { sms_id?: string }).sms_id === sent.id,
	);
	const { secret } = created;
	const event = bird.webhooks.unwrap(hook.raw, hook.headers, { secret });
	assert.equal(event.type, "sms.delivered");
	assert.equal((event.data as { sms_id: string }).sms_id, sent.id);
	assert.deepEqual(new Webhook(secret).verify(hook.raw, hook.headers), hook.body);
	assert.deepEqual(Object.keys(hook.body), ["type", "timestamp", "data"]);

	const forged = hook.raw.replace(sent.id, [...sent.id].toReversed().join(""));
	assert.notEqual(forged, hook.raw);
	const verify = () => bird.webhooks.unwrap(forged, hook.headers, { secret });
	assert.throws(verify, BirdWebhookVerificationError);
	const late = { ...hook.headers, "webhook-timestamp": "1700000000" };
	assert.throws(() => new Webhook(secret).verify(hook.raw, late));
	const other = await bird.webhooks.create({ url: receiver.url, events: ["sms.failed"] });
	assert.throws(() => new Webhook(other.secret).verify(hook.raw, hook.headers));
});

test("webhooks: list, get, update, rotate, test, attempts, delete", async () => {
	const created = await bird.webhooks.create({ url: receiver.url, events: ["sms.received"] });
	const { id } = created;
	assert.equal((await bird.webhooks.get(id)).url, receiver.url);
	const ids: string[] = [];
	for await (const endpoint of bird.webhooks.list({ limit: 1 })) ids.push(endpoint.id);
	assert.ok(ids.includes(id));
	assert.equal(new Set(ids).size, ids.length);
	const changed = await bird.webhooks.update(id, { events: ["sms.sent"] });
	assert.deepEqual(changed.events, ["sms.sent"]);
	const rotated = await bird.webhooks.rotateSecret(id);
	assert.notEqual(rotated.secret, created.secret);
	const trial = await bird.webhooks.test(id, { event_type: "sms.sent" });
	assert.equal(trial.status, "delivered", JSON.stringify(trial));
	assert.equal(trial.response_status_code, 204);
	const hook = await receiver.find("the trial", ({ body }) => body["type"] === "sms.sent");
	// For a day both secrets sign, so a receiver may change over when it likes.
	for (const secret of [created.secret, rotated.secret])
		assert.deepEqual(new Webhook(secret).verify(hook.raw, hook.headers), hook.body);
	await bird.sms.send(sample());
	await until(
		"an attempt is listed",
		async () => (await bird.webhooks.attempts(id)).data,
		(data) => data.some((attempt) => attempt.status === "delivered"),
	);
	await bird.webhooks.delete(id);
	assert.ok((await failure(bird.webhooks.get(id))) instanceof BirdNotFoundError);
});

test("failures arrive as the SDK's own classes, with details and request id", async () => {
	const invalid = await failure(bird.sms.send(sample({ to: "12345", text: "" })));
	assert.ok(invalid instanceof BirdValidationError, String(invalid));
	assert.equal(invalid.statusCode, 422);
	assert.ok(
		invalid.details?.some(({ param }) => param === "text"),
		JSON.stringify(invalid.details),
	);
	assert.match(String(invalid.requestId), /^req_/);

	const stranger = new BirdClient({ apiKey: `${dev.apiKey.slice(0, -4)}zzzz`, baseUrl });
	const unauthorised = await failure(stranger.sms.list());
	assert.ok(unauthorised instanceof BirdAuthError, String(unauthorised));

	const forbidden = await failure(bird.request({ method: "GET", path: "/v1/api-keys" }));
	assert.ok(forbidden instanceof BirdPermissionError, String(forbidden));

	const missing = await failure(bird.sms.get("msg_01k9f8z3e6fxbt2v3n4p5q6r7s"));
	assert.ok(missing instanceof BirdNotFoundError, String(missing));
	assert.equal(missing.code, "W03001");

	const key = { idempotencyKey: "sdk-reuse" };
	await bird.sms.send(sample(), key);
	const reused = await failure(bird.sms.send(sample({ text: "Another text. -WAXWNG" }), key));
	assert.ok(reused instanceof BirdAPIError, String(reused));
	assert.equal(reused.code, "E01005");
});
