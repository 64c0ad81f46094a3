/** The pages for people, and what a request leaves behind in the log and the metrics. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { Type } from "typebox";
import { manualClock } from "./clock.ts";
import { catalogue } from "./errors.ts";
import { route } from "./http.ts";
import { openApiOf } from "./http-openapi.ts";
import { createHttp } from "./http-server.ts";
import { createIds, seededRandom } from "./ids.ts";
import type { Log } from "./log.ts";
import { createMetrics } from "./metrics.ts";

const clock = manualClock(1_000);
const echo = route({
	method: "GET",
	path: "/v1/echo/:id",
	operationId: "echo",
	tag: "Echo",
	summary: "Echo",
	permission: "echo",
	idempotency: "none",
	audited: false,
	params: Type.Object({ id: Type.String() }, { additionalProperties: false }),
	query: Type.Object({ to: Type.Optional(Type.String()) }, { additionalProperties: false }),
	answers: { 200: { description: "Done" } },
	handle: async ({ query }) => {
		if (query.to === "slow") clock.advance(600);
		if (query.to === "boom") throw new Error("broken");
		return { status: 200, body: {} };
	},
});

const events: [level: string, event: Record<string, unknown>][] = [];
const write = (level: string) => (event: object) => {
	events.push([level, { ...event }]);
};
const log = Object.fromEntries(
	["debug", "info", "warn", "error", "fatal"].map((level) => [level, write(level)]),
) as unknown as Log;
const metrics = createMetrics();
const app = createHttp({
	routes: [echo],
	authenticate: async () => ({
		tenantId: "tenant-1",
		environment: "live",
		keyId: "key-1",
		scopes: ["echo"],
		operator: false,
	}),
	once: (_call, execute) => execute(),
	ready: () => [],
	clock,
	ids: createIds(clock, seededRandom(1)),
	log,
	metrics,
	openApi: () => openApiOf([echo], { title: "Echo API", version: "1", description: "" }),
});
after(() => app.close());

test("the reference asks no other host for anything", async () => {
	const page = await app.inject("/docs");
	assert.equal(page.statusCode, 200);
	assert.ok(!/https?:\/\//.test(page.payload), "the page names another host");
	assert.ok(!/<script>/.test(page.payload), "an inline script");
	const policy = String(page.headers["content-security-policy"]);
	for (const rule of ["default-src 'none'", "script-src 'self'", "connect-src 'self'"])
		assert.ok(policy.split("; ").includes(rule), rule);
	for (const path of ["/docs/start.js", "/docs/page.css", "/openapi.json"])
		assert.ok(!/https?:\/\//.test((await app.inject(path)).payload), path);
	const script = await app.inject("/docs/scalar.js");
	assert.match(gunzipSync(script.rawPayload).toString(), /createApiReference/);
});

test("every error of the catalogue is on its page", async () => {
	const { payload } = await app.inject("/docs/errors");
	for (const { code } of Object.values(catalogue))
		assert.ok(payload.includes(`id="${code}"`), code);
});

test("HEAD is answered as GET without a body", async () => {
	const answer = await app.inject({ method: "HEAD", url: "/healthz" });
	assert.deepEqual([answer.statusCode, answer.payload], [200, ""]);
});

test("a request leaves one event: route, codes and durations, never its address or query", async () => {
	const cases: [to: string, level: string, status: number][] = [
		["%2B919876543210", "debug", 200],
		["slow", "info", 200],
		["boom", "info", 500],
	];
	for (const [to, level, status] of cases) {
		events.length = 0;
		const url = `/v1/echo/canary-id?to=${to}`;
		const { headers } = await app.inject({ url, headers: { authorization: "Bearer canary-key" } });
		const [last, ...before] = events.toReversed();
		assert.deepEqual(
			before.map(([one]) => one),
			status === 500 ? ["error"] : [],
		);
		assert.deepEqual(last, [
			level,
			{
				requestId: headers["x-request-id"],
				method: "GET",
				route: "/v1/echo/:id",
				status,
				ms: to === "slow" ? 600 : 0,
				tenantId: "tenant-1",
				keyId: "key-1",
				failure: status === 500 ? "internal" : undefined,
			},
		]);
		assert.ok(!/canary|91987/.test(JSON.stringify(events)));
	}
});

test("requests are counted by route, strangers under one name", async () => {
	for (const path of ["/a", "/b", "/c"]) await app.inject(path);
	const text = await metrics.text();
	assert.match(text, /wx_http_requests_total\{method="GET",route="none",status="404"\} 3/);
	assert.match(
		text,
		/wx_http_requests_total\{method="GET",route="\/v1\/echo\/:id",status="200"\} 2/,
	);
});
