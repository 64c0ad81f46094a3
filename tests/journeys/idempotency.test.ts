/**
 * A request that is sent again is executed once, whatever goes wrong in between: the key, the messages
 * and the answer are one commit, per tenant and environment.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Client, Json, Reply } from "../support/http.ts";
import { numberEnding } from "../support/messages.ts";
import { testPlatform } from "../support/platform.ts";

const platform = await testPlatform();
const { dev, live, database } = platform;
const path = "/v1/sms/messages";

let lastKey = 0;
function newKey(): Record<string, string> {
	return { "idempotency-key": `journey-${++lastKey}` };
}

function body(changes: Json = {}): Json {
	return { ...dev.samples.transactional, to: numberEnding("000001"), ...changes };
}

async function countTo(to: unknown, as: Client = live): Promise<number> {
	return (await as.get(`${path}?to=${encodeURIComponent(String(to))}&limit=100`)).data.length;
}

const replayed = (reply: Reply): boolean => reply.headers.get("idempotent-replayed") === "true";

test("the same key and body: the same answer, marked as replayed", async () => {
	const [key, request] = [newKey(), body()];
	const first = await live.post(path, request, key);
	assert.equal(first.status, 202, first.text);
	assert.equal(replayed(first), false);
	for (let again = 0; again < 3; again++) {
		const reply = await live.post(path, request, key);
		assert.equal(reply.status, 202, reply.text);
		assert.equal(replayed(reply), true);
		assert.deepEqual(reply.body, first.body);
	}
	assert.equal(await countTo(request["to"]), 1);
});

test("the order of the body's members does not matter", async () => {
	const [key, request] = [newKey(), body()];
	const first = await live.post(path, request, key);
	const turned = Object.fromEntries(Object.entries(request).reverse());
	const reply = await live.post(path, turned, key);
	assert.equal(replayed(reply), true);
	assert.equal(reply.body["id"], first.body["id"]);
});

test("another body under the same key is refused, and nothing is stored", async () => {
	const [key, request] = [newKey(), body()];
	assert.equal((await live.post(path, request, key)).status, 202);
	const other = body();
	const reply = await live.post(path, other, key);
	assert.equal(reply.status, 422);
	assert.equal(reply.error["code"], "E01005");
	assert.equal(await countTo(other["to"]), 0);
	const elsewhere = await live.post("/v1/sms/batches", { messages: [request] }, key);
	assert.equal(elsewhere.error["code"], "E01005", elsewhere.text);
});

test("32 at once with one key: exactly one message; each answer is it, or says wait", async () => {
	const [key, request] = [newKey(), body()];
	const replies = await Promise.all(
		Array.from({ length: 32 }, () => live.post(path, request, key)),
	);
	const accepted = replies.filter(({ status }) => status === 202);
	const waiting = replies.filter(({ status }) => status === 409);
	assert.equal(accepted.length + waiting.length, 32);
	assert.equal(accepted.filter((reply) => !replayed(reply)).length, 1);
	assert.equal(new Set(accepted.map((reply) => reply.body["id"])).size, 1);
	for (const reply of waiting) {
		assert.equal(reply.error["code"], "E01004");
		assert.equal(reply.error["retryable"], true);
		assert.ok(Number(reply.headers.get("retry-after")) >= 1);
	}
	assert.equal(await countTo(request["to"]), 1);
	const last = await live.post(path, request, key);
	assert.equal(last.body["id"], accepted[0]?.body["id"]);
});

test("32 at once with 32 keys: 32 messages", async () => {
	const request = body();
	const replies = await Promise.all(
		Array.from({ length: 32 }, () => live.post(path, request, newKey())),
	);
	assert.equal(new Set(replies.map((reply) => reply.body["id"])).size, 32);
	assert.equal(await countTo(request["to"]), 32);
});

test("a batch is replayed whole and in order", async () => {
	const key = newKey();
	const messages = Array.from({ length: 5 }, () => body());
	const first = await live.post("/v1/sms/batches", { messages }, key);
	assert.equal(first.status, 202, first.text);
	const reply = await live.post("/v1/sms/batches", { messages }, key);
	assert.equal(replayed(reply), true);
	assert.deepEqual(reply.body, first.body);
});

test("a refusal by a rule is an answer too, and is replayed as it was", async () => {
	const [key, request] = [newKey(), body({ from: "NOTOURS" })];
	const first = await live.post(path, request, key);
	assert.equal(first.body["status"], "rejected");
	const reply = await live.post(path, request, key);
	assert.equal(replayed(reply), true);
	assert.equal(reply.body["id"], first.body["id"]);
	assert.equal(reply.body["status"], "rejected");
	assert.deepEqual(
		(reply.body["decision"] as Json)["outcome"],
		(first.body["decision"] as Json)["outcome"],
	);
});

test("a key belongs to its tenant and environment", async () => {
	const [key, request] = [newKey(), body()];
	const first = await live.post(path, request, key);
	const inTest = await platform.test.post(path, request, key);
	const elsewhere = await platform.other.post(path, { ...request, from: "WXOTHR" }, key);
	for (const reply of [inTest, elsewhere]) {
		assert.equal(reply.status, 202, reply.text);
		assert.equal(replayed(reply), false);
		assert.notEqual(reply.body["id"], first.body["id"]);
	}
	assert.equal(await countTo(request["to"], platform.test), 1);
	assert.equal(await countTo(request["to"], platform.other), 1);
});

test("a validation failure is not kept: the corrected request may use the key", async () => {
	const key = newKey();
	const wrong = await live.post(path, body({ to: "+4912" }), key);
	assert.equal(wrong.status, 422);
	const right = await live.post(path, body(), key);
	assert.equal(right.status, 202, right.text);
	assert.equal(replayed(right), false);
	for (const [name, says] of [
		["", "empty"],
		["x".repeat(256), "too long"],
		["clé", "not ASCII"],
	] as const) {
		const headers = { "idempotency-key": Buffer.from(name).toString("latin1") };
		const reply = await live.post(path, body(), headers);
		assert.equal(reply.status, 422, says);
		assert.equal(reply.error["param"], "Idempotency-Key", says);
	}
});

test("other routes keep their whole answer, secrets included, and only sealed", async () => {
	const key = newKey();
	const request = { url: "http://127.0.0.1:9/hook", events: ["sms.sent"] };
	const first = await live.post("/v1/webhooks", request, key);
	assert.equal(first.status, 201, first.text);
	const reply = await live.post("/v1/webhooks", request, key);
	assert.equal(replayed(reply), true);
	assert.deepEqual(reply.body, first.body);
	assert.equal((await live.get("/v1/webhooks")).data.length, 1);
	const rows = await database.admin.run<{ text: string }>(
		"select k::text as text from idempotency_keys k",
	);
	assert.ok(rows.length > 0);
	const all = rows.map((row) => row.text).join("\n");
	const { secret } = first.body as { secret: string };
	for (const clear of [secret, secret.slice(6), "journey-", "127.0.0.1:9"]) {
		assert.ok(!all.includes(clear), clear);
		assert.ok(!all.includes(Buffer.from(clear).toString("hex")), clear);
	}
});

test("a failure leaves the key free: the next try is executed", async () => {
	const key = newKey();
	const missing = await live.post(
		"/v1/sms/messages/msg_01k9f8z3e6fxbt2v3n4p5q6r7s/cancel",
		undefined,
		key,
	);
	assert.equal(missing.status, 404);
	const again = await live.post(
		"/v1/sms/messages/msg_01k9f8z3e6fxbt2v3n4p5q6r7s/cancel",
		undefined,
		key,
	);
	assert.equal(again.status, 404);
	assert.equal(replayed(again), false);
});
