/**
 * The API at its edges: bad input is refused with a sentence that names it, lists page without gaps or
 * repeats, filters find what they should, and a scheduled message can be called back.
 */
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { Json, Reply } from "../support/http.ts";
import { numberEnding, send, settled } from "../support/messages.ts";
import { testPlatform } from "../support/platform.ts";

const platform = await testPlatform();
const { dev, live, nobody, baseUrl } = platform;
const path = "/v1/sms/messages";
const sample = dev.samples.transactional;

function refused(reply: Reply, status: number, code: string, param?: string): void {
	assert.equal(reply.status, status, reply.text);
	const { error } = reply;
	assert.equal(error["code"], code, reply.text);
	if (param !== undefined) assert.equal(error["param"], param, reply.text);
	assert.match(String(error["request_id"]), /^req_/);
	assert.equal(reply.headers.get("x-request-id"), error["request_id"]);
	for (const name of ["type", "name", "message", "doc_url", "remediation"])
		assert.ok(String(error[name] ?? "").length > 0, name);
	assert.equal(typeof error["retryable"], "boolean");
}

describe("a body that cannot be read", () => {
	const authorization = `Bearer ${dev.apiKey}`;
	const raw = (body: string, contentType = "application/json"): Promise<Reply> =>
		live.raw(path, {
			method: "POST",
			headers: { authorization, "content-type": contentType },
			body,
		});

	test("is malformed: 400", async () => {
		for (const body of ['{"to":', "", "{'to': 1}", '{"to": "+91"} x', "\u0000", "[1,]"])
			refused(await raw(body), 400, "W01001");
	});
	test("has half a character: 400", async () => {
		const half = JSON.stringify({ ...sample, text: "hello \ud83d" });
		refused(await raw(half), 400, "W01001");
	});
	test("is not an object, is null, is too deep", async () => {
		for (const body of ["[]", "null", "1", '"x"']) refused(await raw(body), 422, "W01005");
		const deep = await raw(`{"metadata":${'{"a":'.repeat(500)}1${"}".repeat(500)}}`);
		assert.ok([400, 422].includes(deep.status), deep.text);
	});
	test("is too large: 413, for one message and for a batch", async () => {
		refused(await raw(JSON.stringify({ ...sample, text: "x".repeat(70_000) })), 413, "W01004");
		const messages = Array.from({ length: 3 }, () => ({
			...sample,
			metadata: { x: "x".repeat(1_500_000) },
		}));
		refused(await live.post("/v1/sms/batches", { messages }), 413, "W01004");
	});
	test("is of another type: 415", async () => {
		for (const type of [
			"text/plain",
			"application/x-www-form-urlencoded",
			"application/json; charset=latin1",
			"multipart/form-data",
		])
			refused(await raw(JSON.stringify(sample), type), 415, "W01002");
	});
	test("names a member twice or tampers with prototypes", async () => {
		const poisoned = await raw(
			JSON.stringify(sample).replace("{", '{"__proto__":{"category":"service"},'),
		);
		assert.ok([400, 422].includes(poisoned.status), poisoned.text);
		assert.equal(({} as Json)["category"], undefined);
	});
});

describe("a parameter that is not acceptable is named", () => {
	const without = (name: string): Json =>
		Object.fromEntries(Object.entries(sample).filter(([key]) => key !== name));
	const cases: readonly (readonly [string, Json, string])[] = [
		["an unknown field", { ...sample, colour: "red" }, "colour"],
		["an unknown field inside", { ...sample, dlt: { templat_id: "1" } }, "dlt.templat_id"],
		["no number", without("to"), "to"],
		["no text", without("text"), "text"],
		["no category", without("category"), "category"],
		["another category", { ...sample, category: "spam" }, "category"],
		["a number without its plus", { ...sample, to: "919812345678" }, "to"],
		["a number with a letter", { ...sample, to: "+9198123X5678" }, "to"],
		["a number that is too short", { ...sample, to: "+91981" }, "to"],
		["a number of no country", { ...sample, to: "+99912345678" }, "to"],
		["a number of another type", { ...sample, to: 919812345678 }, "to"],
		["an empty text", { ...sample, text: "" }, "text"],
		["a text that is too long", { ...sample, text: "a".repeat(2_001) }, "text"],
		["a time without offset", { ...sample, scheduled_at: "2030-01-01T10:00:00" }, "scheduled_at"],
		["a time too far ahead", { ...sample, scheduled_at: "2099-01-01T10:00:00Z" }, "scheduled_at"],
		["a validity that is too short", { ...sample, validity_period: 59 }, "validity_period"],
		["a validity that is a text", { ...sample, validity_period: "60" }, "validity_period"],
		[
			"too many tags",
			{ ...sample, tags: Array.from({ length: 21 }, (_, i) => ({ name: `t${i}`, value: "x" })) },
			"tags",
		],
		["a tag with a colon", { ...sample, tags: [{ name: "a:b", value: "x" }] }, "tags[0].name"],
		["metadata that is too large", { ...sample, metadata: { x: "x".repeat(2_100) } }, "metadata"],
		[
			"a template id of 18 digits",
			{ ...sample, dlt: { template_id: "1".repeat(18) } },
			"dlt.template_id",
		],
		[
			"consent of tomorrow",
			{ ...sample, consent: { source: "x", consented_at: "2099-01-01T00:00:00Z" } },
			"consent.consented_at",
		],
	];
	for (const [what, body, param] of cases)
		test(`${what}: ${param}`, async () => {
			const reply = await live.post(path, body);
			refused(reply, 422, "W01005");
			const details = reply.error["details"] as { param: string }[];
			assert.ok(
				details.some((one) => one.param === param),
				JSON.stringify(reply.error),
			);
		});

	test("text that does not fit says how many segments it needs", async () => {
		const gsm = await live.post(path, { ...sample, text: "a".repeat(1_600) });
		refused(gsm, 422, "W01005", "text");
		assert.match(String(gsm.error["message"]), /11 segments/);
		const ucs2 = await live.post(path, { ...sample, text: "न".repeat(700) });
		assert.match(String(ucs2.error["message"]), /11 segments/);
		assert.equal((await live.post(path, { ...sample, text: "a".repeat(1_520) })).status, 202);
	});

	test("in a batch, with its place; and then nothing of the batch is stored", async () => {
		const to = numberEnding("000001");
		const messages = [
			{ ...sample, to },
			{ ...sample, to: "+1" },
			{ ...sample, to, text: "न".repeat(700) },
		];
		const reply = await live.post("/v1/sms/batches", { messages });
		refused(reply, 422, "W01005", "messages[1].to");
		const params = (reply.error["details"] as { param: string }[]).map(({ param }) => param);
		assert.deepEqual(params, ["messages[1].to", "messages[2].text"]);
		assert.equal((await live.get(`${path}?to=${encodeURIComponent(to)}`)).data.length, 0);
	});

	test("a batch of none, and of too many", async () => {
		refused(await live.post("/v1/sms/batches", { messages: [] }), 422, "W01005", "messages");
		const messages = Array.from({ length: 1_001 }, () => sample);
		refused(await live.post("/v1/sms/batches", { messages }), 422, "W01005", "messages");
	});

	test("no failure repeats what it was given", async () => {
		const reply = await live.post(path, {
			...sample,
			to: "+91987612345678",
			from: "X".repeat(21),
			category: "s3cret-value",
		});
		assert.equal(reply.status, 422);
		for (const given of ["987612345678", "XXXX", "s3cret"])
			assert.ok(!reply.text.includes(given), reply.text);
	});

	test("of a query", async () => {
		for (const [query, param] of [
			["limit=0", "query.limit"],
			["limit=101", "query.limit"],
			["limit=x", "query.limit"],
			["status=gone", "query.status"],
			["nonsense=1", "query.nonsense"],
			["starting_after=xyz", "query.starting_after"],
			["created_after=yesterday", "query.created_after"],
			["direction=sideways", "query.direction"],
			["category=spam", "query.category"],
		] as const) {
			const reply = await live.get(`${path}?${query}`);
			refused(reply, 422, "W01005");
			const details = reply.error["details"] as { param: string }[];
			assert.ok(
				details.some((one) => one.param === param),
				`${query}: ${reply.text}`,
			);
		}
	});
});

test("404 for what is nowhere, 405 with Allow for what is not done there", async () => {
	refused(await live.get("/v1/nothing"), 404, "W01006");
	refused(await live.get("/v1/sms/messages/a/b/c"), 404, "W01006");
	const reply = await live.delete("/v1/sms/messages");
	refused(reply, 405, "W01007");
	assert.deepEqual(reply.headers.get("allow")?.split(", "), ["GET", "HEAD", "POST"]);
});

describe("lists", () => {
	const tag = { name: "journey", value: "list" };
	const people = [numberEnding("000001"), numberEnding("000011"), numberEnding("000010")] as const;
	let sent: readonly string[] = [];
	let middle = "";

	before(async () => {
		const messages = Array.from({ length: 63 }, (_, i) => ({
			...sample,
			to: people[i % 3],
			tags: [tag, { name: "parity", value: i % 2 === 0 ? "even" : "odd" }],
		}));
		const first = await live.post("/v1/sms/batches", { messages: messages.slice(0, 30) });
		await new Promise((resolve) => void setTimeout(resolve, 20));
		middle = new Date().toISOString();
		await new Promise((resolve) => void setTimeout(resolve, 20));
		const second = await live.post("/v1/sms/batches", { messages: messages.slice(30) });
		sent = [...first.data, ...second.data].map(({ id }) => String(id));
		for (const id of sent) await settled(live, id);
	});

	const tagged = "tag=journey:list";
	const list = async (query: string): Promise<string[]> =>
		(await live.get(`${path}?${tagged}&limit=100&${query}`)).data.map(({ id }) => String(id));
	const wanted = (fits: (i: number) => boolean): string[] =>
		sent.filter((_, i) => fits(i)).toReversed();

	test("pages forward and back, complete, in order, without repeats", async () => {
		for (const limit of [1, 7, 20, 21, 62, 63, 64]) {
			const forward: string[] = [];
			let cursor: unknown = "";
			let last: Reply | undefined;
			while (cursor !== null) {
				const after: string = cursor === "" ? "" : `&starting_after=${cursor}`;
				last = await live.get(`${path}?${tagged}&limit=${limit}${after}`);
				assert.ok(last.data.length <= limit);
				forward.push(...last.data.map(({ id }) => String(id)));
				cursor = last.body["next_cursor"];
				assert.ok(forward.length <= 63, "it ends");
			}
			assert.deepEqual(forward, sent.toReversed(), `limit ${limit}`);
			const back: string[] = (last as Reply).data.map(({ id }) => String(id));
			cursor = (last as Reply).body["prev_cursor"];
			while (cursor !== null) {
				const page: Reply = await live.get(
					`${path}?${tagged}&limit=${limit}&ending_before=${cursor}`,
				);
				assert.ok(page.data.length <= limit, `${page.data.length} on a page of ${limit}`);
				back.unshift(...page.data.map(({ id }) => String(id)));
				cursor = page.body["prev_cursor"];
				assert.ok(back.length <= 63, "it ends");
			}
			assert.deepEqual(back, sent.toReversed(), `back, limit ${limit}`);
		}
	});

	test("filters", async () => {
		assert.deepEqual(
			await list("status=delivered"),
			wanted((i) => i % 3 === 0),
		);
		assert.deepEqual(
			await list("status=undelivered"),
			wanted((i) => i % 3 === 1),
		);
		assert.deepEqual(
			await list("status=failed"),
			wanted((i) => i % 3 === 2),
		);
		assert.deepEqual(
			await list("status=failed&status=undelivered"),
			wanted((i) => i % 3 !== 0),
		);
		assert.deepEqual(await list("status=sent"), []);
		assert.deepEqual(
			await list("error_code=invalid_destination"),
			wanted((i) => i % 3 === 2),
		);
		assert.deepEqual(
			await list(`to=${encodeURIComponent(people[1])}`),
			wanted((i) => i % 3 === 1),
		);
		assert.deepEqual(
			await list(`to=${encodeURIComponent(people[1])}&tag=parity:odd`),
			wanted((i) => i % 3 === 1 && i % 2 === 1),
		);
		assert.deepEqual(
			await list("tag=parity:even"),
			wanted((i) => i % 2 === 0),
		);
		assert.deepEqual(
			await list("tag=parity"),
			wanted(() => true),
		);
		assert.deepEqual(await list("tag=parity:neither"), []);
		assert.deepEqual(
			await list(`created_after=${middle}`),
			wanted((i) => i >= 30),
		);
		assert.deepEqual(
			await list(`created_before=${middle}`),
			wanted((i) => i < 30),
		);
		assert.deepEqual(
			await list("from=WAXWNG"),
			wanted(() => true),
		);
		assert.deepEqual(await list("from=56767"), []);
		assert.deepEqual(
			await list("direction=outbound"),
			wanted(() => true),
		);
		assert.deepEqual(await list("direction=inbound"), []);
		assert.deepEqual(
			await list("category=transactional"),
			wanted(() => true),
		);
		assert.deepEqual(await list("category=marketing"), []);
	});

	test("filtered pages are complete too", async () => {
		const found: string[] = [];
		let cursor: unknown = "";
		while (cursor !== null) {
			const after: string = cursor === "" ? "" : `&starting_after=${cursor}`;
			const page = await live.get(`${path}?${tagged}&status=failed&limit=4${after}`);
			found.push(...page.data.map(({ id }) => String(id)));
			cursor = page.body["next_cursor"];
		}
		assert.deepEqual(
			found,
			wanted((i) => i % 3 === 2),
		);
	});
});

describe("a scheduled message", () => {
	test("waits, is listed as scheduled, leaves when it is time", async () => {
		const scheduled_at = new Date(Date.now() + 1_500).toISOString();
		const sent = await send(platform, numberEnding("000001"), { scheduled_at });
		assert.equal(sent["status"], "scheduled");
		assert.equal(sent["scheduled_at"], scheduled_at);
		const { data } = await live.get(`${path}?status=scheduled`);
		assert.ok(data.some(({ id }) => id === sent["id"]));
		const message = await settled(live, sent["id"]);
		assert.equal(message["status"], "delivered");
		assert.ok(Date.parse(String(message["sent_at"])) >= Date.parse(scheduled_at));
	});

	test("is canceled once, and never leaves", async () => {
		const scheduled_at = new Date(Date.now() + 800).toISOString();
		const sent = await send(platform, numberEnding("000001"), { scheduled_at });
		const cancel = () => live.post(`${path}/${sent["id"]}/cancel`);
		const [one, two] = await Promise.all([cancel(), cancel()]);
		assert.deepEqual([one.status, two.status].sort(), [200, 409], `${one.text} ${two.text}`);
		const reply = one.status === 200 ? one : two;
		assert.equal(reply.body["status"], "canceled");
		await new Promise((resolve) => void setTimeout(resolve, 1_300));
		const read = (await live.get(`${path}/${sent["id"]}`)).body;
		assert.equal(read["status"], "canceled");
		assert.equal(read["sent_at"], null);
		refused(await cancel(), 409, "W03003");
	});

	test("that has left cannot be canceled", async () => {
		const sent = await send(platform, numberEnding("000001"));
		await settled(live, sent["id"]);
		refused(await live.post(`${path}/${sent["id"]}/cancel`), 409, "W03003");
	});
});

describe("around the API", () => {
	test("/healthz, /openapi.json, /docs, /metrics", async () => {
		assert.deepEqual((await nobody.get("/healthz")).body, { status: "ok" });
		const openApi = (await nobody.get("/openapi.json")).body;
		assert.match(String(openApi["openapi"]), /^3\.1/);
		assert.ok(Object.hasOwn(openApi["paths"] as Json, "/v1/sms/messages"));
		const docs = await nobody.get("/docs");
		assert.ok(
			docs.status === 200 || (docs.status >= 300 && docs.status < 400),
			String(docs.status),
		);
		const metrics = await (await fetch(dev.metricsUrl)).text();
		assert.match(metrics, /^wx_http_requests_total\{/m);
		for (const clear of [sample.to, dev.apiKey, dev.tenantId]) assert.ok(!metrics.includes(clear));
		assert.equal((await nobody.get("/metrics")).status, 404);
	});

	test("dev.json keeps the outside contract and is its owner's only", async () => {
		const { statSync } = await import("node:fs");
		assert.equal(statSync(`${platform.dataDir}/dev.json`).mode & 0o777, 0o600);
		assert.equal(dev.baseUrl, baseUrl);
		for (const name of ["transactional", "authentication"] as const) {
			const reply = await live.post(path, { ...dev.samples[name], to: numberEnding("000001") });
			assert.equal(reply.body["status"], "accepted", reply.text);
			assert.equal((await settled(live, reply.body["id"]))["status"], "delivered");
		}
		const promotional = await live.post(path, {
			...dev.samples.promotional,
			to: numberEnding("000001"),
		});
		assert.ok(
			["accepted", "scheduled"].includes(String(promotional.body["status"])),
			promotional.text,
		);
	});

	test("a one-time code cannot be read back", async () => {
		const sent = await live.post(path, {
			...dev.samples.authentication,
			to: numberEnding("000001"),
		});
		const read = await live.get(`${path}/${sent.body["id"]}`);
		for (const reply of [sent, read]) assert.ok(!reply.text.includes("482913"), reply.text);
	});
});
