import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Webhook } from "standardwebhooks";
import { type Scope, sql } from "#platform/db.ts";
import { showId } from "#platform/ids.ts";
import { createDeliverer } from "./deliver.ts";
import { fanOut } from "./fan-out.ts";
import {
	changeEndpoint,
	createEndpoint,
	removeEndpoint,
	rotateSecret,
	showEndpoint,
	oneEndpoint,
} from "./manage.ts";
import { retryDelaysMs } from "./schedule.ts";
import { startWebhooks } from "./start.ts";
import { testReceiver, testWorld } from "./test-world.ts";

const world = await testWorld();
const { clock, parts, manage } = world;
const { audit } = world.ledger;
const statements = {
	deliveries: sql(
		"webhooks.test.deliveries",
		"select * from webhook_deliveries where tenant_id = $1 order by id",
	),
	attempts: sql(
		"webhooks.test.attempts",
		"select * from webhook_attempts where tenant_id = $1 order by attempted_at, id",
	),
	outbox: sql("webhooks.test.outbox", "select count(*) as rows from outbox where tenant_id = $1"),
};
type Row = Record<string, unknown>;
const rowsOf = (which: keyof typeof statements, { tenantId }: Scope): Promise<Row[]> =>
	world.worker.inTenants([tenantId], (tx) => tx.query<Row>(statements[which], [tenantId]));

async function endpointAt(
	scope: Scope,
	url: string,
	events = ["sms.delivered"],
): Promise<{ id: string; secret: string }> {
	return (await createEndpoint(
		manage,
		scope,
		{ url, events },
		audit("webhook.created", scope),
	)) as { id: string; secret: string };
}

/** Fans out and delivers until nothing is due. */
async function deliverAll(): Promise<void> {
	const deliverer = createDeliverer(parts);
	while ((await fanOut(parts)).outboxRows > 0);
	while ((await deliverer.step()) > 0) await deliverer.settled();
}

const statusOf = async (scope: Scope, id: string): Promise<unknown> =>
	showEndpoint(manage.vault, await oneEndpoint(manage, scope, id))["status"];

describe("fan-out", () => {
	it("makes one delivery per event and subscribed endpoint of the same environment", async () => {
		const mine = await world.tenant();
		const other = await world.tenant();
		const wanted = await endpointAt(mine, "http://127.0.0.1:1/a");
		const both = await endpointAt(mine, "http://127.0.0.1:1/b", ["sms.sent", "sms.delivered"]);
		await endpointAt(mine, "http://127.0.0.1:1/c", ["sms.failed"]);
		await endpointAt({ ...mine, environment: "test" }, "http://127.0.0.1:1/d");
		await endpointAt(other, "http://127.0.0.1:1/e");
		const paused = await endpointAt(mine, "http://127.0.0.1:1/f");
		await changeEndpoint(
			manage,
			mine,
			paused.id,
			{ status: "paused" },
			audit("webhook.changed", mine),
		);
		const events = await world.happened(mine, 3);
		const result = await fanOut(parts);
		const nothingElse = { unknownTopics: 0, malformed: 0, isFull: false };
		assert.deepEqual(result, { outboxRows: 1, deliveries: 6, ...nothingElse });
		const made = await rowsOf("deliveries", mine);
		const shown = made.map(
			(row) => `${showId("whe", String(row["endpoint_id"]))} ${row["event_id"]}`,
		);
		const expected = [wanted, both].flatMap(({ id }) => events.map((event) => `${id} ${event}`));
		assert.deepEqual(shown.sort(), expected.sort());
		assert.deepEqual(await rowsOf("outbox", mine), [{ rows: 0 }]);
		assert.deepEqual(await rowsOf("deliveries", other), []);
		assert.equal((await fanOut(parts)).outboxRows, 0);
		for (const { id } of [wanted, both])
			await removeEndpoint(manage, mine, id, audit("webhook.deleted", mine));
		await deliverAll();
	});

	it("deletes and counts what nobody consumes, and references it cannot read", async () => {
		const scope = await world.tenant();
		await endpointAt(scope, "http://127.0.0.1:1/");
		await world.happened(scope, 2, 2, "nobody.listens");
		await world.happened(scope, 2, 99);
		const add = sql(
			"webhooks.test.add_bad",
			"insert into outbox (tenant_id, id, environment, topic, refs, created_at) values ($1, $2, 'live', 'sms.events', $3, now())",
		);
		const bad = JSON.stringify([["m", "not an id", 2], 7, null, []]);
		await world.app.inTenant(scope, async (tx) =>
			tx.post(add, [scope.tenantId, world.ids.next(), bad]),
		);
		const result = await fanOut(parts);
		const dropped = { unknownTopics: 1, malformed: 4, isFull: false };
		assert.deepEqual(result, { outboxRows: 3, deliveries: 0, ...dropped });
		assert.deepEqual(await rowsOf("outbox", scope), [{ rows: 0 }]);
	});

	it("takes hundreds of small rows in a step, as many tenants make them, and few large ones", async () => {
		const scope = await world.tenant();
		for (let i = 0; i < 410; i++) await world.happened(scope, 1);
		assert.partialDeepStrictEqual(await fanOut(parts), { outboxRows: 400, isFull: true });
		assert.partialDeepStrictEqual(await fanOut(parts), { outboxRows: 10, isFull: false });
		const listened = await world.tenant();
		await endpointAt(listened, "http://127.0.0.1:1/", ["sms.failed"]);
		for (let i = 0; i < 60; i++) await world.happened(listened, 1000);
		const large = await fanOut(parts);
		assert.equal(large.isFull, true);
		assert.ok(large.outboxRows > 40 && large.outboxRows < 60, `${large.outboxRows} rows`);
		assert.partialDeepStrictEqual(await fanOut(parts), {
			outboxRows: 60 - large.outboxRows,
			isFull: false,
		});
	});

	it("is cheap for tenants without endpoints: 50,000 events in one step", async () => {
		const scope = await world.tenant();
		for (let i = 0; i < 50; i++) await world.happened(scope, 1000);
		const began = performance.now();
		const result = await fanOut(parts);
		assert.partialDeepStrictEqual(result, { outboxRows: 50, deliveries: 0 });
		assert.ok(performance.now() - began < 5000, `${performance.now() - began} ms`);
	});
});

describe("delivery", () => {
	it("posts a payload that the peer library verifies, and forgets it", async () => {
		const scope = await world.tenant();
		const receiver = await testReceiver();
		const { secret } = await endpointAt(scope, `${receiver.url}/hook?x=1`);
		const [event] = await world.happened(scope, 1);
		await deliverAll();
		const [got, ...more] = receiver.received;
		assert.ok(got);
		assert.equal(more.length, 0);
		assert.equal(got.path, "/hook?x=1");
		assert.equal(got.headers["webhook-id"], showId("evt", event ?? ""));
		assert.equal(got.headers["content-type"], "application/json");
		const payload = new Webhook(secret).verify(got.body, got.headers) as Row;
		assert.deepEqual(Object.keys(payload), ["type", "timestamp", "data"]);
		assert.equal(payload["type"], "sms.delivered");
		assert.throws(() => new Webhook(secret).verify(got.body.replace("9810", "9811"), got.headers));
		assert.deepEqual(await rowsOf("deliveries", scope), []);
		assert.partialDeepStrictEqual(await rowsOf("attempts", scope), [
			{ delivered: true, response_status: 204, error: null, event_id: event },
		]);
	});

	it("signs with the old and the new secret for a day after rotation, then with the new one", async () => {
		const scope = await world.tenant();
		const receiver = await testReceiver();
		const { id, secret: old } = await endpointAt(scope, receiver.url);
		const fresh = await rotateSecret(manage, scope, id, audit("webhook.secret_rotated", scope));
		assert.notEqual(fresh, old);
		await world.happened(scope, 1);
		await deliverAll();
		const [during] = receiver.received.splice(0);
		assert.ok(during);
		for (const secret of [old, fresh]) new Webhook(secret).verify(during.body, during.headers);
		assert.equal(during.headers["webhook-signature"]?.split(" ").length, 2);
		clock.advance(24 * 3_600_000 + 1);
		await world.happened(scope, 1);
		await deliverAll();
		const [later] = receiver.received;
		assert.equal(later?.headers["webhook-signature"]?.split(" ").length, 1);
	});

	it("tries ten times over three days, each with the same id, then gives up", async () => {
		const scope = await world.tenant();
		const receiver = await testReceiver();
		receiver.answer = () => ({ status: 500, body: "canary of a failing receiver" });
		const { id } = await endpointAt(scope, receiver.url);
		const began = clock.now();
		await world.happened(scope, 1);
		await deliverAll();
		for (const [made, delay] of retryDelaysMs.entries()) {
			assert.equal(receiver.received.length, Math.max(1, made), `attempts before ${delay} ms`);
			if (made === 0) continue;
			const [row] = await rowsOf("deliveries", scope);
			const wait = (row?.["due_at"] as Date).getTime() - clock.now();
			assert.ok(wait >= 0.89 * delay && wait <= 1.11 * delay, `${wait} for ${delay}`);
			clock.advance(wait - 1);
			await deliverAll();
			assert.equal(receiver.received.length, made, "not a millisecond early");
			clock.advance(1);
			await deliverAll();
		}
		assert.equal(receiver.received.length, 10);
		assert.equal(new Set(receiver.received.map(({ headers }) => headers["webhook-id"])).size, 1);
		assert.equal(
			new Set(receiver.received.map(({ headers }) => headers["webhook-timestamp"])).size,
			10,
		);
		assert.deepEqual(await rowsOf("deliveries", scope), []);
		assert.equal((await rowsOf("attempts", scope)).length, 10);
		assert.equal(await statusOf(scope, id), "degraded");
		assert.ok(Math.abs(clock.now() - began - 272_105_000) < 27_300_000);
	});

	it("obeys Retry-After, and a success heals the endpoint", async () => {
		const scope = await world.tenant();
		const receiver = await testReceiver();
		receiver.answer = () => ({ status: 429, headers: { "retry-after": "3600" } });
		const { id } = await endpointAt(scope, receiver.url);
		await world.happened(scope, 1);
		await deliverAll();
		assert.equal(await statusOf(scope, id), "degraded");
		const [row] = await rowsOf("deliveries", scope);
		assert.equal((row?.["due_at"] as Date).getTime() - clock.now(), 3_600_000);
		receiver.answer = () => ({ status: 200 });
		clock.advance(3_600_000);
		await deliverAll();
		assert.equal(receiver.received.length, 2);
		assert.equal(await statusOf(scope, id), "active");
	});

	it("pauses at once on 410; waking it delivers what waited", async () => {
		const scope = await world.tenant();
		const receiver = await testReceiver();
		let answers = 0;
		receiver.answer = () => ({ status: answers++ === 0 ? 410 : 204 });
		const { id } = await endpointAt(scope, receiver.url);
		await world.happened(scope, 3);
		// One at a time, so that two still wait when the 410 comes.
		const deliverer = createDeliverer({ ...parts, endpointConcurrency: 1, globalConcurrency: 1 });
		await fanOut(parts);
		await deliverer.step();
		await deliverer.settled();
		assert.equal(await statusOf(scope, id), "paused");
		assert.equal(receiver.received.length, 1);
		assert.equal((await rowsOf("deliveries", scope)).length, 2);
		await deliverAll();
		assert.equal(receiver.received.length, 1);
		await world.happened(scope, 1);
		await deliverAll();
		await changeEndpoint(manage, scope, id, { status: "active" }, audit("webhook.changed", scope));
		await deliverAll();
		assert.equal(receiver.received.length, 3, "the two that waited, not what happened meanwhile");
		assert.equal(await statusOf(scope, id), "active");
	});

	it("pauses an endpoint that has failed for five days, and not before", async () => {
		const scope = await world.tenant();
		const receiver = await testReceiver();
		receiver.answer = () => ({ status: 503 });
		const { id } = await endpointAt(scope, receiver.url);
		await world.happened(scope, 1);
		await deliverAll();
		clock.advance(5 * 24 * 3_600_000 - 60_000);
		await deliverAll();
		assert.equal(await statusOf(scope, id), "degraded");
		clock.advance(60_000);
		await world.happened(scope, 1);
		await deliverAll();
		assert.equal(await statusOf(scope, id), "paused");
	});

	it("sends again what was sent and not recorded, under the same id", async () => {
		const scope = await world.tenant();
		const receiver = await testReceiver();
		await endpointAt(scope, receiver.url);
		await world.happened(scope, 1);
		await fanOut(parts);
		const dying = createDeliverer({
			...parts,
			db: {
				...parts.db,
				inTenants: (ids, work) =>
					receiver.received.length > 0
						? Promise.reject(new Error("killed"))
						: parts.db.inTenants(ids, work),
			},
		});
		await dying.step();
		await dying.stop(5_000);
		assert.equal(receiver.received.length, 1);
		await deliverAll();
		assert.equal(receiver.received.length, 1, "its lease holds");
		clock.advance(120_001);
		await deliverAll();
		assert.equal(receiver.received.length, 2);
		assert.equal(
			receiver.received[0]?.headers["webhook-id"],
			receiver.received[1]?.headers["webhook-id"],
		);
	});

	it("drops what has nothing left to tell and waits for an owner that cannot say", async () => {
		const scope = await world.tenant();
		const receiver = await testReceiver();
		await endpointAt(scope, receiver.url);
		const [source] = parts.sources;
		assert.ok(source);
		await world.happened(scope, 1);
		await fanOut(parts);
		const failing = createDeliverer({
			...parts,
			sources: [{ ...source, render: () => Promise.reject(new Error("down")) }],
		});
		assert.equal(await failing.step(), 1);
		assert.partialDeepStrictEqual(await rowsOf("deliveries", scope), [
			{ attempt: 0, lease_until: null },
		]);
		clock.advance(5_000);
		const erased = createDeliverer({
			...parts,
			sources: [{ ...source, render: async () => new Map() }],
		});
		assert.equal(await erased.step(), 1);
		assert.deepEqual(await rowsOf("deliveries", scope), []);
		assert.equal(receiver.received.length, 0);
	});
});

describe("fairness", () => {
	it("receivers that never answer do not hold up others", async () => {
		const good = await world.tenant();
		const receiver = await testReceiver();
		await endpointAt(good, `${receiver.url}/good`);
		const silent = await testReceiver();
		silent.answer = () => undefined;
		const bad = await Promise.all(Array.from({ length: 4 }, () => world.tenant()));
		for (const scope of bad)
			for (const path of ["1", "2", "3"]) await endpointAt(scope, `${silent.url}/${path}`);
		for (const scope of bad) await world.happened(scope, 200);
		await world.happened(good, 100);
		const started = startWebhooks(parts);
		const began = performance.now();
		while (receiver.received.length < 100 && performance.now() - began < 5_000)
			await new Promise((done) => setTimeout(done, 10));
		const took = performance.now() - began;
		await started.stop(0);
		assert.equal(receiver.received.length, 100);
		assert.ok(took < 4_000, `${took} ms while each silent receiver takes 5,000 ms`);
		// Stopped in the middle: what was broken off or waiting can be had again at once.
		for (const scope of bad)
			for (const row of await rowsOf("deliveries", scope)) assert.equal(row["lease_until"], null);
	});

	it("keeps up: 3,000 deliveries to one endpoint", async () => {
		const scope = await world.tenant();
		const receiver = await testReceiver();
		await endpointAt(scope, receiver.url);
		await world.happened(scope, 1000);
		await world.happened(scope, 1000);
		await world.happened(scope, 1000);
		const started = startWebhooks(parts);
		const began = performance.now();
		while (receiver.received.length < 3000 && performance.now() - began < 20_000)
			await new Promise((done) => setTimeout(done, 10));
		const took = performance.now() - began;
		await started.stop();
		assert.equal(receiver.received.length, 3000);
		assert.equal(new Set(receiver.received.map(({ headers }) => headers["webhook-id"])).size, 3000);
		assert.deepEqual(await rowsOf("deliveries", scope), []);
		assert.ok(took < 15_000, `${took} ms`);
	});
});

it("nothing a tenant wrote or a receiver answered is in the database in clear", async () => {
	const scope = await world.tenant();
	const receiver = await testReceiver();
	receiver.answer = () => ({ status: 500, body: "canary-answer-51c" });
	const input = {
		url: `${receiver.url}/canary-url-51c`,
		events: ["sms.delivered"],
		description: "canary-description-51c",
	};
	const { secret } = (await createEndpoint(
		manage,
		scope,
		input,
		audit("webhook.created", scope),
	)) as { secret: string };
	await world.happened(scope, 1);
	await deliverAll();
	const key = Buffer.from(secret.slice(6), "base64");
	for (const table of [
		"webhook_endpoints",
		"webhook_deliveries",
		"webhook_attempts",
		"ledger_entries",
	]) {
		const rows = (await world.admin.run(
			`select t::text as text from ${table} t where tenant_id = '${scope.tenantId}'`,
		)) as Row[];
		assert.ok(rows.length > 0, table);
		for (const { text } of rows)
			for (const canary of [
				"canary",
				Buffer.from("canary").toString("hex"),
				secret.slice(6),
				key.toString("hex"),
				"9810000001",
			])
				assert.ok(!String(text).includes(canary), `${table} holds ${canary}`);
	}
});

it("forgets attempts after 14 days and what nobody took after ten", async () => {
	const scope = await world.tenant();
	const receiver = await testReceiver();
	receiver.answer = () => ({ status: 500 });
	await endpointAt(scope, receiver.url);
	await world.happened(scope, 1);
	await deliverAll();
	const purgeAfter = async (days: number): Promise<number[]> => {
		const at = new Date(clock.now() + days * 24 * 3_600_000 + 1000).toISOString();
		await world.admin.run(`select wx.purge_rows('${at}', 1000000)`);
		return [(await rowsOf("deliveries", scope)).length, (await rowsOf("attempts", scope)).length];
	};
	assert.deepEqual(await purgeAfter(9), [1, 1]);
	assert.deepEqual(await purgeAfter(10), [0, 1]);
	assert.deepEqual(await purgeAfter(14), [0, 0]);
});
