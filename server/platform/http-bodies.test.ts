import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { after, test } from "node:test";
import { Type } from "typebox";
import { systemClock } from "./clock.ts";
import { route } from "./http.ts";
import { createHttp } from "./http-server.ts";
import { createIds, seededRandom } from "./ids.ts";
import { silentLog } from "./log.ts";
import { createMetrics } from "./metrics.ts";
import { createBodyAllowance } from "./http-bodies.ts";
import { Fault } from "./errors.ts";

const refused = (error: unknown): boolean =>
	error instanceof Fault && error.entry.status === 429 && error.name === "rate_limited";

test("large bodies share a bound; one alone may be larger; small ones are never refused", () => {
	const bodies = createBodyAllowance();
	assert.equal(bodies.take("5000000"), 5_000_000);
	assert.throws(() => bodies.take("20000"), refused);
	assert.equal(bodies.take("16384"), 0);
	assert.equal(bodies.take(undefined), 0);
	assert.equal(bodies.take("no number"), 0);
	bodies.giveBack(5_000_000);
	for (let i = 0; i < 91; i++) assert.equal(bodies.take("20000"), 20_000);
	assert.throws(() => bodies.take("20000"), refused);
	bodies.giveBack(20_000);
	assert.equal(bodies.take("20000"), 20_000);
});

const caller = {
	tenantId: "0198a000-0000-7000-8000-000000000001",
	environment: "test",
	keyId: "key_1",
	scopes: ["things:write"],
	operator: false,
} as const;

/** A server whose one route takes large bodies and answers when it is told to. */
async function largeBodies() {
	const held: (() => void)[] = [];
	const app = createHttp({
		routes: [
			route({
				method: "POST",
				path: "/large",
				operationId: "large",
				tag: "Things",
				summary: "…",
				permission: "things:write",
				idempotency: "none",
				audited: false,
				body: Type.Object(
					{ text: Type.String({ maxLength: 4_000_000 }) },
					{ additionalProperties: false },
				),
				bodyLimitBytes: 4_194_304,
				answers: { 200: { description: "Done" } },
				handle: async () => {
					await new Promise<void>((resolve) => void held.push(resolve));
					return { status: 200, body: {} };
				},
			}),
		],
		authenticate: async () => caller,
		once: (_call, execute) => execute(),
		ready: () => [],
		clock: systemClock,
		ids: createIds(systemClock, seededRandom(1)),
		log: silentLog,
		metrics: createMetrics(),
		openApi: () => ({}),
	});
	const url = new URL(await app.listen({ host: "127.0.0.1", port: 0 }));
	after(() => app.close());
	return { held, port: Number(url.port), url: `${url.origin}/large` };
}

const body = JSON.stringify({ text: "x".repeat(2_500_000) });
const head = `POST /large HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;

async function open(port: number): Promise<Socket> {
	const socket = connect(port, "127.0.0.1").on("error", () => undefined);
	await once(socket, "connect");
	return socket;
}

async function until(holds: () => boolean): Promise<void> {
	for (let tries = 0; !holds(); tries++) {
		assert.ok(tries < 500, "not within five seconds");
		await new Promise((resolve) => void setTimeout(resolve, 10));
	}
}

const send = (url: string): Promise<Response> =>
	fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });

test("a large body is given back when its client goes: in the middle of it, or before the answer", async () => {
	const { held, port, url } = await largeBodies();
	const status = async (): Promise<number> => {
		const before = held.length;
		const answer = send(url);
		await Promise.race([answer, until(() => held.length > before)]);
		for (const go of held.splice(0)) go();
		return (await answer).status;
	};
	for (let round = 0; round < 3; round++) {
		const half = await open(port);
		half.write(head + body.slice(0, 100_000));
		await new Promise((resolve) => void setTimeout(resolve, 50));
		half.resetAndDestroy();
		await once(half, "close");
		await new Promise((resolve) => void setTimeout(resolve, 50));
		assert.equal(await status(), 200, "after half a body");

		const whole = await open(port);
		whole.write(head + body);
		await until(() => held.length === 1);
		whole.resetAndDestroy();
		await once(whole, "close");
		assert.equal((await send(url)).status, 429, "what is worked on counts, whoever waits for it");
		for (const go of held.splice(0)) go();
		await new Promise((resolve) => void setTimeout(resolve, 50));
		assert.equal(await status(), 200, "after a whole one");
	}
});

test("too many requests: the answer is held back, and says when to come again; any other answer is not", async () => {
	const { held, url } = await largeBodies();
	const first = send(url);
	await until(() => held.length === 1);
	const timed = async (
		init: RequestInit,
	): Promise<[status: number, ms: number, again: unknown]> => {
		const beganMs = performance.now();
		const answer = await fetch(url, init);
		await answer.arrayBuffer();
		return [answer.status, performance.now() - beganMs, answer.headers.get("retry-after")];
	};
	const headers = { "content-type": "application/json" };
	const refused = await Promise.all([1, 2, 3].map(() => timed({ method: "POST", headers, body })));
	for (const [status, ms, again] of refused) {
		assert.equal(status, 429);
		assert.equal(again, "1");
		assert.ok(ms >= 450, `${ms} ms`);
	}
	const [status, ms] = await timed({ method: "POST", headers, body: "{" });
	assert.equal(status, 400);
	assert.ok(ms < 450, `${ms} ms`);
	for (const go of held.splice(0)) go();
	assert.equal((await first).status, 200);
});
