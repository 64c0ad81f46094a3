/**
 * The key service is away: whose keys were opened lately goes on for exactly the stated time, everybody else and then
 * everybody is refused with 503 and W05006, nothing is stored, and it comes back by itself. The routes, the vault, the
 * provider and PostgreSQL are real; the service answers on loopback, and the clock is the test's.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, test } from "node:test";
import { contactRoutes } from "#contacts/index.ts";
import { messageRoutes, startAccepting } from "#messages/index.ts";
import { manualClock } from "#platform/clock.ts";
import { readConfig } from "#platform/config.ts";
import type { Scope } from "#platform/db.ts";
import type { Caller } from "#platform/http.ts";
import { openApiOf } from "#platform/http-openapi.ts";
import { createHttp } from "#platform/http-server.ts";
import { createIds, systemRandom } from "#platform/ids.ts";
import { silentLog } from "#platform/log.ts";
import { createMetrics } from "#platform/metrics.ts";
import { createVault, openKeys } from "#vault/index.ts";
import { startTransit } from "../../server/vault/providers/test-transit.ts";
import { testDatabase } from "../support/database.ts";
import { testLedger } from "../support/ledger.ts";

const { app: db, worker, admin } = await testDatabase();
const clock = manualClock(Date.parse("2026-11-27T09:00:00Z"));
const random = systemRandom();
const ids = createIds(clock, random);
const metrics = createMetrics();
const dataDir = mkdtempSync(join(tmpdir(), "waxwing-away-"));
after(() => rmSync(dataDir, { recursive: true, force: true }));
const service = await startTransit("waxwing");
const settings = readConfig({
	WAXWING_KEY_PROVIDER: "transit",
	WAXWING_KEY_URL: service.url,
	WAXWING_KEY_NAME: "waxwing",
	WAXWING_KEY_CREDENTIAL: service.token,
	WAXWING_KEY_NETWORKS: "127.0.0.0/8",
}).keys;
const keys = await openKeys({ settings, dataDir, mayCreate: true, random, clock });
after(() => keys.close());
const vault = createVault({ db, ...keys, random, clock });
const routeId = ids.next();
const { acceptor } = startAccepting({
	worker,
	vault,
	ids,
	clock,
	metrics,
	routes: [{ id: routeId, environment: "live", countries: ["*"], priority: 0 }],
});
const readNumber = (text: string) => ({ ok: true as const, e164: text, country: "IN" });
const shared = { db, vault, clock, ids, acceptor, readNumber };
const routes = [...messageRoutes(shared), ...contactRoutes(shared)];
const scopes = routes.map((route) => String(route.permission));
const callers = new Map<string, Caller>();
const ledger = testLedger(shared);
const http = createHttp({
	routes,
	clock,
	ids,
	log: silentLog,
	metrics,
	authenticate: async (header) => callers.get(String(header)) as Caller,
	once: (_, execute) => execute(),
	auditing: ledger.auditing,
	ready: () => [],
	openApi: () => openApiOf(routes, { title: "", version: "", description: "" }),
});
after(() => http.close());

async function tenant(): Promise<Scope> {
	const scope: Scope = { tenantId: ids.next(), environment: "live" };
	const { wrapped } = await vault.makeTenantKey(scope.tenantId);
	const name = Buffer.from("x");
	await admin.run("select wx.create_tenant($1, $2, $3, now())", [scope.tenantId, name, wrapped]);
	const keyId = ids.next();
	await admin.run(
		"insert into api_keys (tenant_id, id, environment, secret_hash, scopes, created_at) values ($1, $2, 'live', $3, $4, now())",
		[scope.tenantId, keyId, randomBytes(32), scopes],
	);
	callers.set(scope.tenantId, { ...scope, keyId, scopes, operator: false });
	return scope;
}

async function ask({ tenantId }: Scope, url: string, payload?: object) {
	const reply = await http.inject({
		method: payload === undefined ? "GET" : "POST",
		url,
		headers: { authorization: tenantId, "content-type": "application/json" },
		...(payload !== undefined && { payload: JSON.stringify(payload) }),
	});
	const body = JSON.parse(reply.payload) as Record<string, unknown>;
	return { status: reply.statusCode, body, headers: reply.headers };
}

const message = {
	to: "+919812345678",
	from: "WAXWNG",
	category: "transactional",
	text: "Your parcel is out for delivery today.",
};
const suppression = { destination: "+919812345679" };

/** Everything that needs a tenant's keys: writing, finding, and opening what is under a person's key. */
async function statuses(scope: Scope, messageId: string): Promise<number[]> {
	const replies = [
		await ask(scope, "/v1/sms/messages", message),
		await ask(scope, `/v1/sms/messages/${messageId}`),
		await ask(scope, "/v1/sms/messages"),
		await ask(scope, "/v1/sms/suppressions", suppression),
		await ask(scope, `/v1/sms/suppressions?destination=${encodeURIComponent("+919812345679")}`),
	];
	for (const { status, body, headers } of replies)
		if (status === 503) {
			assert.equal((body["error"] as Record<string, unknown>)["code"], "W05006");
			assert.equal(headers["retry-after"], "5");
		}
	return replies.map(({ status }) => status);
}

const works = [202, 200, 200, 200, 200];
const refused = [503, 503, 503, 503, 503];
const minuteMs = 60_000;
const away = { status: 503, body: "" };

/** The tenant's keys are opened now. */
async function opened(scope: Scope): Promise<string> {
	const sent = await ask(scope, "/v1/sms/messages", message);
	assert.equal(sent.status, 202, JSON.stringify(sent.body));
	assert.equal((await ask(scope, "/v1/sms/suppressions", suppression)).status < 300, true);
	return String(sent.body["id"]);
}

const countRows = async ({ tenantId }: Scope): Promise<unknown> =>
	admin.run(
		`select (select count(*) from messages where tenant_id = $1) as messages,
			(select count(*) from suppressions where tenant_id = $1) as suppressions`,
		[tenantId],
	);

beforeEach(() => void (service.answer = undefined));

test("away at once after its keys were opened: a tenant goes on for twenty minutes, to the millisecond", async () => {
	const scope = await tenant();
	const id = await opened(scope);
	service.answer = away;
	for (let minute = 0; minute < 19; minute++) {
		clock.advance(minuteMs);
		assert.deepEqual(await statuses(scope, id), works, `minute ${minute + 1}`);
	}
	clock.advance(minuteMs - 1);
	assert.deepEqual(await statuses(scope, id), works, "a millisecond before");
	const before = await countRows(scope);
	clock.advance(1);
	assert.deepEqual(await statuses(scope, id), refused);
	clock.advance(60 * minuteMs);
	assert.deepEqual(await statuses(scope, id), refused);
	assert.deepEqual(await countRows(scope), before, "nothing was stored");
	service.answer = undefined;
	assert.deepEqual(await statuses(scope, id), works, "it came back by itself");
});

test("away just before its keys would have been opened anew: it goes on for ten minutes at least", async () => {
	const scope = await tenant();
	const id = await opened(scope);
	clock.advance(10 * minuteMs - 1);
	assert.deepEqual(await statuses(scope, id), works);
	service.answer = away;
	clock.advance(10 * minuteMs);
	assert.deepEqual(await statuses(scope, id), works);
	clock.advance(1);
	assert.deepEqual(await statuses(scope, id), refused);
});

test("who was not in memory is refused at once, beside those who go on", async () => {
	const [known, cold, fresh] = [await tenant(), await tenant(), await tenant()];
	const coldId = await opened(cold);
	clock.advance(21 * minuteMs);
	const knownId = await opened(known);
	const before = await countRows(cold);
	service.answer = away;
	assert.deepEqual(await statuses(cold, coldId), refused);
	assert.deepEqual(await statuses(known, knownId), works);
	assert.equal((await ask(fresh, "/v1/sms/messages", message)).status, 503);
	assert.deepEqual(await countRows(cold), before);
	assert.deepEqual(await countRows(fresh), [{ messages: "0", suppressions: "0" }]);
	service.answer = undefined;
	assert.deepEqual(await statuses(cold, coldId), works);
});

test("while the service hangs, who is in memory goes on beside those who are not, and those are answered in the end", async () => {
	const [known, cold] = [await tenant(), await tenant()];
	await opened(known);
	const before = await countRows(cold);
	const { promise, resolve } = Promise.withResolvers<void>();
	service.answer = { ...away, after: promise };
	// Keys are due to be fetched anew, and are held for ten minutes more.
	clock.advance(11 * minuteMs);
	let coldAnswered = false;
	const waiting = ask(cold, "/v1/sms/messages", message).finally(() => (coldAnswered = true));
	const sends = Array.from({ length: 5 }, () => ask(known, "/v1/sms/messages", message));
	for (const { status } of await Promise.all(sends)) assert.equal(status, 202);
	assert.equal(coldAnswered, false, "it still waits");
	resolve();
	const { status, headers } = await waiting;
	assert.deepEqual([status, headers["retry-after"]], [503, "5"]);
	assert.deepEqual(await countRows(cold), before);
});
