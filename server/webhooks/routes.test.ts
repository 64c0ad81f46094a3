/** `/v1/webhooks` over HTTP, with the official SDK as the client. */
import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { BirdClient } from "@messagebird/sdk";
import { Webhook } from "standardwebhooks";
import type { Caller } from "#platform/http.ts";
import { createHttp } from "#platform/http-server.ts";
import { createEgress } from "#platform/egress.ts";
import { readId } from "#platform/ids.ts";
import { silentLog } from "#platform/log.ts";
import { createMetrics } from "#platform/metrics.ts";
import { createDeliverer } from "./deliver.ts";
import { fanOut } from "./fan-out.ts";
import { webhookRoutes } from "./routes.ts";
import { testReceiver, testWorld } from "./test-world.ts";

const world = await testWorld();
const routes = webhookRoutes(world.manage);

async function serve(served: typeof routes): Promise<string> {
	const http = createHttp({
		routes: served,
		authenticate: async (authorization): Promise<Caller> => {
			const [, environment, tenantId] =
				/^Bearer (live|test)\/(.+)$/.exec(authorization ?? "") ?? [];
			const scopes = ["webhooks:read", "webhooks:write"];
			return {
				tenantId: tenantId ?? "",
				environment: environment === "test" ? "test" : "live",
				keyId: world.ids.next(),
				scopes,
				operator: false,
			};
		},
		once: (_call, execute) => execute(),
		auditing: world.ledger.auditing,
		ready: () => [],
		clock: world.clock,
		ids: world.ids,
		log: silentLog,
		metrics: createMetrics(),
		openApi: () => ({}),
		checkAnswers: true,
	});
	after(() => http.close());
	return http.listen({ port: 0, host: "127.0.0.1" });
}

const baseUrl = await serve(routes);
async function client(environment = "live", tenantId?: string): Promise<BirdClient> {
	const id = tenantId ?? (await world.tenant()).tenantId;
	return new BirdClient({ apiKey: `${environment}/${id}`, baseUrl, maxRetries: 0 });
}
const fails = (work: Promise<unknown>): Promise<Record<string, unknown>> =>
	work.then(
		() => assert.fail("it succeeded"),
		(error: Record<string, unknown>) => error,
	);

describe("the SDK", () => {
	it("creates, lists, reads, changes, rotates and deletes an endpoint", async () => {
		const bird = await client();
		const url = "http://127.0.0.1:9/hook";
		const made = await bird.webhooks.create({
			url,
			events: ["sms.sent"],
			description: "Änderungen",
		});
		assert.match(made.id, /^whe_[0-9a-z]{26}$/);
		assert.match(made.secret, /^whsec_/);
		const { secret, ...endpoint } = made;
		assert.deepEqual(await bird.webhooks.get(made.id), endpoint);
		assert.partialDeepStrictEqual(endpoint, {
			url,
			events: ["sms.sent"],
			description: "Änderungen",
			status: "active",
		});
		const second = await bird.webhooks.create({ url, events: ["sms.failed"] });
		const listed: string[] = [];
		for await (const one of bird.webhooks.list({ limit: 1 })) {
			assert.ok(!("secret" in one));
			listed.push(one.id);
		}
		assert.deepEqual(listed, [second.id, made.id]);
		const changed = await bird.webhooks.update(made.id, {
			events: ["sms.sent", "sms.delivered"],
			status: "paused",
		});
		assert.partialDeepStrictEqual(changed, {
			url,
			events: ["sms.sent", "sms.delivered"],
			status: "paused",
		});
		assert.equal((await bird.webhooks.update(made.id, { status: "active" })).status, "active");
		const rotated = await bird.webhooks.rotateSecret(made.id);
		assert.notEqual(rotated.secret, secret);
		await bird.webhooks.delete(made.id);
		assert.equal((await fails(bird.webhooks.get(made.id)))["statusCode"], 404);
	});

	it("sends a trial event that its receiver can verify, and tells what was answered", async () => {
		const bird = await client();
		const receiver = await testReceiver();
		receiver.answer = () => ({ status: 202, body: "thanks" });
		const { id, secret } = await bird.webhooks.create({ url: receiver.url, events: ["sms.sent"] });
		const result = await bird.webhooks.test(id);
		assert.partialDeepStrictEqual(result, {
			status: "delivered",
			response_status_code: 202,
			response_body: "thanks",
		});
		const [got] = receiver.received;
		assert.ok(got);
		assert.deepEqual(new Webhook(secret).verify(got.body, got.headers), result.event_payload);
		assert.equal(bird.webhooks.unwrap(got.body, got.headers, { secret }).type, "sms.sent");
		const chosen = await bird.webhooks.test(id, { event_type: "sms.failed" });
		assert.equal(chosen.event_payload?.type, "sms.failed");
		await bird.webhooks.update(id, { url: "http://127.0.0.1:9/" });
		const refused = await bird.webhooks.test(id);
		assert.partialDeepStrictEqual(refused, {
			status: "failed",
			response_status_code: null,
			error: "No connection could be made.",
		});
	});

	it("lists attempts, newest first, with what a failing receiver said and where it was then", async () => {
		const scope = await world.tenant();
		const bird = await client("live", scope.tenantId);
		const receiver = await testReceiver();
		const { id } = await bird.webhooks.create({
			url: `${receiver.url}/old`,
			events: ["sms.delivered"],
		});
		receiver.answer = () => ({ status: 500, body: "no room" });
		const [event] = await world.happened(scope, 1);
		const deliver = async (): Promise<void> => {
			const deliverer = createDeliverer(world.parts);
			await fanOut(world.parts);
			await deliverer.step();
			await deliverer.settled();
		};
		await deliver();
		const between = new Date(world.clock.now() + 1).toISOString();
		world.clock.advance(6_000);
		await bird.webhooks.update(id, { url: `${receiver.url}/new` });
		receiver.answer = () => ({ status: 204 });
		await deliver();
		const { data } = await bird.webhooks.attempts(id);
		assert.partialDeepStrictEqual(data, [
			{
				status: "delivered",
				response_status_code: 204,
				url: `${receiver.url}/new`,
				event_type: "sms.delivered",
			},
			{
				status: "failed",
				response_status_code: 500,
				response_body: "no room",
				url: `${receiver.url}/old`,
			},
		]);
		assert.equal(readId("evt", data[0]?.event_id ?? ""), event);
		assert.equal(data[0]?.event_id, data[1]?.event_id);
		assert.equal((await bird.webhooks.attempts(id, { before: between })).data.length, 1);
		assert.equal(
			(await bird.webhooks.attempts(id, { after: between, limit: 1 })).data[0]?.status,
			"delivered",
		);
	});
});

describe("what is refused", () => {
	const wrong: [what: string, body: object, param: string][] = [
		["a private address", { url: "https://10.0.0.1/", events: ["sms.sent"] }, "url"],
		[
			"the metadata service",
			{ url: "http://169.254.169.254/latest/meta-data/", events: ["sms.sent"] },
			"url",
		],
		["credentials", { url: "https://a:b@good.test/", events: ["sms.sent"] }, "url"],
		["another scheme", { url: "gopher://good.test/", events: ["sms.sent"] }, "url"],
		["a long URL", { url: `https://good.test/${"a".repeat(2048)}`, events: ["sms.sent"] }, "url"],
		[
			"an unknown event",
			{ url: "http://127.0.0.1/", events: ["sms.sent", "sms.sung"] },
			"events[1]",
		],
		["no event", { url: "http://127.0.0.1/", events: [] }, "events"],
		[
			"a field nobody knows",
			{ url: "http://127.0.0.1/", events: ["sms.sent"], colour: "red" },
			"colour",
		],
		[
			"a long description",
			{ url: "http://127.0.0.1/", events: ["sms.sent"], description: "x".repeat(257) },
			"description",
		],
	];
	for (const [what, body, param] of wrong)
		it(`${what}: 422 names ${param}`, async () => {
			const { tenantId } = await world.tenant();
			const answer = await fetch(`${baseUrl}/v1/webhooks`, {
				method: "POST",
				headers: { authorization: `Bearer live/${tenantId}`, "content-type": "application/json" },
				body: JSON.stringify(body),
			});
			const { error } = (await answer.json()) as { error: { details: { param: string }[] } };
			assert.equal(answer.status, 422);
			assert.deepEqual(
				error.details.map((detail) => detail.param),
				[param],
			);
		});

	it("a name that resolves to a private address, at creation and at change", async () => {
		const names: Record<string, string[]> = {
			"inside.test": ["10.0.0.1"],
			"good.test": ["93.184.215.14"],
		};
		const resolve = async (host: string): Promise<string[]> => names[host] ?? [];
		const egress = createEgress({ allow: [], clock: world.clock, resolve });
		const base = await serve(webhookRoutes({ ...world.manage, egress }));
		const bird = new BirdClient({
			apiKey: `live/${(await world.tenant()).tenantId}`,
			baseUrl: base,
			maxRetries: 0,
		});
		const create = (url: string): Promise<{ id: string }> =>
			bird.webhooks.create({ url, events: ["sms.sent"] });
		assert.equal((await fails(create("https://inside.test/")))["statusCode"], 422);
		const { id } = await create("https://good.test/");
		await create("https://not-there-yet.test/");
		await fails(bird.webhooks.update(id, { url: "https://inside.test/" }));
		assert.equal((await bird.webhooks.get(id)).url, "https://good.test/");
	});

	it("the twenty-first endpoint of an environment, also when many come at once", async () => {
		const { tenantId } = await world.tenant();
		const bird = await client("live", tenantId);
		const create = (one: BirdClient): Promise<unknown> =>
			one.webhooks.create({ url: "http://127.0.0.1:9/", events: ["sms.sent"] });
		const results = await Promise.allSettled(Array.from({ length: 25 }, () => create(bird)));
		assert.equal(results.filter(({ status }) => status === "fulfilled").length, 20);
		await create(await client("test", tenantId));
	});

	it("another tenant's or environment's endpoint does not exist, whatever is tried", async () => {
		const { tenantId } = await world.tenant();
		const owner = await client("live", tenantId);
		const { id } = await owner.webhooks.create({
			url: "http://127.0.0.1:9/",
			events: ["sms.sent"],
		});
		for (const other of [await client(), await client("test", tenantId)]) {
			const tries = [
				() => other.webhooks.get(id),
				() => other.webhooks.update(id, { status: "paused" }),
				() => other.webhooks.rotateSecret(id),
				() => other.webhooks.test(id),
				() => other.webhooks.attempts(id),
				() => other.webhooks.delete(id),
			];
			for (const attempt of tries) assert.equal((await fails(attempt()))["statusCode"], 404);
		}
		assert.equal((await owner.webhooks.get(id)).status, "active");
	});
});

it("has a permission of its own kind on every route, and audits every change", () => {
	assert.deepEqual(
		routes.map(
			({ method, path, permission, audited }) =>
				`${method} ${path} ${permission}${audited === false ? "" : ` ${audited}`}`,
		),
		[
			"POST /v1/webhooks webhooks:write webhook.created",
			"GET /v1/webhooks webhooks:read",
			"GET /v1/webhooks/:id webhooks:read",
			"PATCH /v1/webhooks/:id webhooks:write webhook.changed",
			"DELETE /v1/webhooks/:id webhooks:write webhook.deleted",
			"POST /v1/webhooks/:id/rotate-secret webhooks:write webhook.secret_rotated",
			"POST /v1/webhooks/:id/test webhooks:write webhook.tested",
			"GET /v1/webhooks/:id/attempts webhooks:read",
		],
	);
});
