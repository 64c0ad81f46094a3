/** Tenants and keys over HTTP and PostgreSQL, with the rights the server has in production. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Clock, manualClock } from "#platform/clock.ts";
import type { Database, Scope } from "#platform/db.ts";
import { openApiOf } from "#platform/http-openapi.ts";
import { createHttp } from "#platform/http-server.ts";
import { createIds, readId, systemRandom } from "#platform/ids.ts";
import { silentLog } from "#platform/log.ts";
import { createMetrics } from "#platform/metrics.ts";
import { createVault, hashSecret } from "#vault/index.ts";
import { testDatabase } from "../../tests/support/database.ts";
import { testLedger } from "../../tests/support/ledger.ts";
import {
	type AccessParts,
	accessRoutes,
	createApiKey,
	createAuthenticator,
	createOperatorKey,
	createTenant,
	keysStillValid,
} from "./index.ts";

const { app: db, worker, admin } = await testDatabase();
const clock = manualClock(1_760_000_000_000);
const rootKey = Buffer.alloc(32, 42);

/** One process of the server over the shared database. */
function newProcess(over: Database = db, at: Clock = clock) {
	const random = systemRandom();
	const ids = createIds(at, random);
	const vault = createVault({ db: over, rootKey, random, clock: at });
	const parts: AccessParts = { db: over, vault, clock: at, ids, random };
	const { auditing, audit } = testLedger(parts);
	const authenticator = createAuthenticator({ db: over, clock: at });
	const routes = accessRoutes({ ...parts, authenticator });
	const http = createHttp({
		routes,
		authenticate: authenticator.authenticate,
		once: (_call, execute) => execute(),
		auditing,
		ready: () => [],
		clock: at,
		ids,
		log: silentLog,
		metrics: createMetrics(),
		openApi: () => openApiOf(routes, { title: "Test", version: "1", description: "" }),
		checkAnswers: true,
	});
	after(() => http.close());
	const call = async (
		method: "GET" | "POST" | "DELETE",
		url: string,
		key: string,
		body?: object,
	) => {
		const answer = await http.inject({
			method,
			url,
			headers: { authorization: `Bearer ${key}` },
			...(body === undefined ? {} : { payload: body }),
		});
		return { status: answer.statusCode, body: answer.body === "" ? {} : answer.json() };
	};
	return { parts, authenticator, call, audit };
}

const { parts, authenticator, call, audit } = newProcess();
const keyAudit = (scope: Scope) => audit("api_key.created", scope);
const operator = (await createOperatorKey(parts, audit("operator_key.created"))).text.reveal();

async function newTenant(name = "Tenant") {
	const { tenant, adminKeys } = await createTenant(parts, { name }, audit("tenant.created"));
	return { id: tenant.id, live: adminKeys.live.text.reveal(), test: adminKeys.test.text.reveal() };
}

test("the operator makes a tenant whose admin keys work, each in its environment", async () => {
	const made = await call("POST", "/v1/operator/tenants", operator, { name: "Ærø Bank" });
	assert.equal(made.status, 201, JSON.stringify(made.body));
	const { id, name, status, admin_keys } = made.body;
	assert.deepEqual([name, status], ["Ærø Bank", "active"]);
	for (const environment of ["live", "test"] as const) {
		assert.match(admin_keys[environment].key, new RegExp(`^wx_${environment}_`));
		const actor = await authenticator.authenticate(`Bearer ${admin_keys[environment].key}`);
		assert.equal(actor.environment, environment);
		assert.equal(actor.tenantId, readId("ten", id));
	}
	const listed = await call("GET", "/v1/operator/tenants?limit=1", operator);
	assert.deepEqual(listed.body.data, [
		{ id, name, status, created_at: "2025-10-09T08:53:20.000Z", suspended_at: null },
	]);
});

test("a tenant is made whole or not at all, and once", async () => {
	const { id } = await newTenant("First");
	await assert.rejects(createTenant(parts, { id, name: "Second" }, audit("tenant.created")), {
		name: "conflict",
	});
	const [row] = await admin.run<{ keys: number }>(
		"select count(*)::integer as keys from api_keys where tenant_id = $1",
		[id],
	);
	assert.equal(row?.keys, 2);
	await parts.vault.warm([id]);
	const listed = await call("GET", "/v1/operator/tenants", operator);
	assert.ok(listed.body.data.some((tenant: { name: string }) => tenant.name === "First"));
});

test("only the operator's key opens operator routes, and it opens no tenant's", async () => {
	const { live } = await newTenant();
	assert.equal((await call("GET", "/v1/operator/tenants", live)).status, 403);
	assert.equal((await call("POST", "/v1/operator/tenants", live, { name: "x" })).status, 403);
	assert.equal((await call("GET", "/v1/api-keys", operator)).status, 403);
});

test("a key is shown once, listed without its text, and stored as a hash and sealed name only", async () => {
	const { live } = await newTenant();
	const request = { name: "Kanarienvogel 7791", scopes: ["sms:send", "sms:read"] };
	const made = await call("POST", "/v1/api-keys", live, request);
	assert.equal(made.status, 201, JSON.stringify(made.body));
	const { key, ...shown } = made.body;
	assert.match(key, /^wx_live_[0-9a-z]{26}_[A-Za-z0-9_-]{43}$/);
	assert.deepEqual(shown.scopes, request.scopes);
	const listed = await call("GET", "/v1/api-keys", live);
	assert.deepEqual(listed.body.data[0], shown);
	assert.equal(JSON.stringify(listed.body).includes(key.slice(-43)), false);

	const dumped = await admin.run<{ row: string }>("select k::text as row from api_keys k");
	const stored = dumped.map(({ row }) => row).join("\n");
	for (const canary of [key.slice(-43), request.name])
		for (const form of [canary, Buffer.from(canary).toString("hex")])
			assert.equal(stored.includes(form), false);
	assert.ok(stored.includes(hashSecret(key.slice(-43)).toString("hex")));
});

test("a key gives no scope that it lacks", async () => {
	const { live } = await newTenant();
	const limited = await call("POST", "/v1/api-keys", live, {
		name: "limited",
		scopes: ["keys:write", "sms:read"],
	});
	const give = (scopes: string[]) =>
		call("POST", "/v1/api-keys", limited.body.key, { name: "child", scopes });
	assert.equal((await give(["sms:read"])).status, 201);
	assert.equal((await give(["keys:write", "sms:read"])).status, 201);
	for (const scopes of [["sms:send"], ["*"], ["sms:read", "keys:read"]])
		assert.equal((await give(scopes)).status, 403, scopes.join());
	for (const scopes of [["operator"], [], ["sms:fly"], ["sms:read", "sms:read"]])
		assert.equal((await give(scopes)).status, 422, scopes.join());
	// And without keys:write it makes and revokes none; without keys:read it lists none.
	const reader = (await give(["sms:read"])).body;
	assert.equal(
		(await call("POST", "/v1/api-keys", reader.key, { name: "x", scopes: ["sms:read"] })).status,
		403,
	);
	assert.equal((await call("DELETE", `/v1/api-keys/${reader.id}`, reader.key)).status, 403);
	assert.equal((await call("GET", "/v1/api-keys", limited.body.key)).status, 403);
});

test("a revoked key is refused at once, for good", async () => {
	const { live } = await newTenant();
	const made = await call("POST", "/v1/api-keys", live, { name: "x", scopes: ["keys:read"] });
	const { id, key } = made.body;
	assert.equal((await call("GET", "/v1/api-keys", key)).status, 200);
	assert.equal((await call("DELETE", `/v1/api-keys/${id}`, live)).status, 204);
	assert.equal((await call("GET", "/v1/api-keys", key)).status, 401);
	clock.advance(1_000);
	assert.equal((await call("DELETE", `/v1/api-keys/${id}`, live)).status, 204);
	const [shown] = (await call("GET", "/v1/api-keys", live)).body.data;
	assert.equal(shown.id, id);
	assert.equal(Date.parse(shown.revoked_at), clock.now() - 1_000);
});

test("what another process revokes is refused at the next send, and within a second everywhere", async () => {
	const { id: tenantId, live } = await newTenant();
	const scope = { tenantId, environment: "live" } as const;
	const key = await createApiKey(
		parts,
		scope,
		{ name: "x", scopes: ["keys:read"] },
		keyAudit(scope),
	);
	const other = newProcess();
	const valid = () =>
		db.inTenant(scope, (tx) => keysStillValid(tx, [{ scope, id: key.id }], clock.now()));
	assert.equal((await other.call("GET", "/v1/api-keys", key.text.reveal())).status, 200);
	assert.deepEqual(await valid(), [{ scope, id: key.id }]);
	const shown = (await call("GET", "/v1/api-keys", live)).body.data[0].id;
	assert.equal((await call("DELETE", `/v1/api-keys/${shown}`, live)).status, 204);
	assert.deepEqual(await valid(), []);
	clock.advance(1_000);
	assert.equal((await other.call("GET", "/v1/api-keys", key.text.reveal())).status, 401);
});

function sendingKey(at: Scope, expiresAtMs?: number) {
	return createApiKey(parts, at, { name: "x", scopes: ["sms:send"], expiresAtMs }, keyAudit(at));
}

test("keysStillValid knows expiry, suspension, environment and tenant", async () => {
	const [mine, theirs] = [await newTenant(), await newTenant()];
	const scope = { tenantId: mine.id, environment: "live" } as const;
	const lasting = await sendingKey(scope);
	const expiring = await sendingKey(scope, clock.now() + 10);
	const elsewhere = await sendingKey({ ...scope, environment: "test" });
	const foreign = await sendingKey({ ...scope, tenantId: theirs.id });
	const ids = [lasting, expiring, elsewhere, foreign].map((key) => key.id);
	const there = { tenantId: theirs.id, environment: "live" } as const;
	const ask = (at: Scope, nowMs = clock.now()) =>
		worker.inTenants([mine.id, theirs.id], async (tx) => {
			const keys = ids.map((id) => ({ scope: at, id }));
			return (await keysStillValid(tx, keys, nowMs)).map(({ id }) => id).sort();
		});
	const valid = (nowMs?: number) => ask(scope, nowMs);
	assert.deepEqual(await valid(), [lasting.id, expiring.id].sort());
	assert.deepEqual(await valid(clock.now() + 10), [lasting.id]);
	assert.deepEqual(await ask(there), [foreign.id]);
	const shown = (await call("GET", "/v1/operator/tenants", operator)).body.data.find(
		(tenant: { id: string }) => readId("ten", tenant.id) === mine.id,
	);
	await call("POST", `/v1/operator/tenants/${shown.id}/suspend`, operator);
	assert.deepEqual(await valid(), []);
});

test("an expired key is refused", async () => {
	const { live } = await newTenant();
	const make = (expires_at: string) =>
		call("POST", "/v1/api-keys", live, { name: "x", scopes: ["keys:read"], expires_at });
	const made = await make(new Date(clock.now() + 500).toISOString());
	assert.equal((await call("GET", "/v1/api-keys", made.body.key)).status, 200);
	clock.advance(500);
	assert.equal((await call("GET", "/v1/api-keys", made.body.key)).status, 401);
	for (const wrong of [new Date(clock.now()).toISOString(), "tomorrow", "2030-01-01"]) {
		const refused = await make(wrong);
		assert.deepEqual([refused.status, refused.body.error?.param], [422, "expires_at"], wrong);
	}
});

test("another tenant's key, and the other environment's, are not there", async () => {
	const [mine, theirs] = [await newTenant(), await newTenant()];
	const foreign = (await call("GET", "/v1/api-keys", theirs.live)).body.data[0];
	for (const key of [mine.live, mine.test, theirs.test]) {
		assert.equal((await call("DELETE", `/v1/api-keys/${foreign.id}`, key)).status, 404);
		const listed = (await call("GET", "/v1/api-keys", key)).body.data;
		assert.equal(
			listed.some((one: { id: string }) => one.id === foreign.id),
			false,
		);
	}
	for (const id of ["key_00000000000000000000000000", "key_zzzzzzzzzzzzzzzzzzzzzzzzzz", "x"])
		assert.equal((await call("DELETE", `/v1/api-keys/${id}`, mine.live)).status, 404);
	assert.equal((await call("GET", "/v1/api-keys", theirs.live)).status, 200);
});

test("row-level security alone hides other tenants' keys, and a worker reads no secret", async () => {
	const [mine, theirs] = [await newTenant(), await newTenant()];
	const everything = { name: "access.test.all", text: "select tenant_id from api_keys" };
	const scope = { tenantId: mine.id, environment: "live" } as const;
	const seen = await db.inTenant(scope, (tx) => tx.query<{ tenant_id: string }>(everything));
	assert.deepEqual([...new Set(seen.map((row) => row.tenant_id))], [mine.id]);
	const asWorker = await worker.inTenants([mine.id], (tx) =>
		tx.query<{ tenant_id: string }>(everything),
	);
	assert.deepEqual([...new Set(asWorker.map((row) => row.tenant_id))], [mine.id]);
	const secrets = { name: "access.test.secrets", text: "select secret_hash from api_keys" };
	await assert.rejects(
		worker.inTenants([mine.id, theirs.id], (tx) => tx.query(secrets)),
		/permission denied/,
	);
	await assert.rejects(
		db.inTenant(scope, (tx) =>
			tx.query(
				{
					name: "access.test.foreign",
					text: "insert into api_keys (tenant_id, id, environment, secret_hash, scopes, created_at) values ($1, $1, 'live', $2, '{}', now())",
				},
				[theirs.id, Buffer.alloc(32)],
			),
		),
		/row-level security/,
	);
});

test("a suspended tenant is refused at once and works again when resumed", async () => {
	const { id, live, test: testKey } = await newTenant("Sus");
	const shown = (await call("GET", "/v1/operator/tenants", operator)).body.data.find(
		(tenant: { id: string }) => readId("ten", tenant.id) === id,
	);
	assert.equal((await call("GET", "/v1/api-keys", live)).status, 200);
	const suspended = await call("POST", `/v1/operator/tenants/${shown.id}/suspend`, operator);
	assert.deepEqual([suspended.status, suspended.body.status], [200, "suspended"]);
	for (const key of [live, testKey]) {
		const refused = await call("GET", "/v1/api-keys", key);
		assert.deepEqual([refused.status, refused.body.error.name], [403, "tenant_suspended"]);
	}
	const resumed = await call("POST", `/v1/operator/tenants/${shown.id}/resume`, operator);
	assert.deepEqual([resumed.status, resumed.body.suspended_at], [200, null]);
	assert.equal((await call("GET", "/v1/api-keys", live)).status, 200);
	const nobody = "ten_00000000000000000000000000";
	assert.equal(
		(await call("POST", `/v1/operator/tenants/${nobody}/suspend`, operator)).status,
		404,
	);
});

function names(body: { data: { name: string }[] }): string[] {
	return body.data.map((one) => one.name);
}

test("lists are paged both ways", async () => {
	const { live } = await newTenant();
	for (let n = 0; n < 4; n++)
		await call("POST", "/v1/api-keys", live, { name: `key ${n}`, scopes: ["sms:read"] });
	const page = async (query: string) => (await call("GET", `/v1/api-keys?${query}`, live)).body;
	const first = await page("limit=2");
	assert.deepEqual(names(first), ["key 3", "key 2"]);
	assert.equal(first.prev_cursor, null);
	const second = await page(`limit=2&starting_after=${first.next_cursor}`);
	assert.deepEqual(names(second), ["key 1", "key 0"]);
	const third = await page(`limit=2&starting_after=${second.next_cursor}`);
	assert.deepEqual(names(third), ["Admin"]);
	assert.equal(third.next_cursor, null);
	assert.deepEqual(names(await page(`limit=2&ending_before=${third.prev_cursor}`)), [
		"key 1",
		"key 0",
	]);
	const back = await page(`limit=3&ending_before=${third.prev_cursor}`);
	assert.deepEqual(names(back), ["key 2", "key 1", "key 0"]);
	assert.equal(back.prev_cursor, back.data[0].id);
	const newest = await page(`ending_before=${first.refresh_cursor}`);
	assert.deepEqual([newest.data, newest.next_cursor], [[], null]);
	const both = await call(
		"GET",
		`/v1/api-keys?starting_after=${first.next_cursor}&ending_before=${first.next_cursor}`,
		live,
	);
	assert.equal(both.status, 422);
	for (const wrong of ["limit=0", "limit=101", "starting_after=key_1", "other=1"])
		assert.equal((await call("GET", `/v1/api-keys?${wrong}`, live)).status, 422, wrong);
});

test("a tenant has at most a hundred usable keys per environment", async () => {
	const { id: tenantId, live } = await newTenant();
	const scope = { tenantId, environment: "live" } as const;
	for (let n = 0; n < 99; n++)
		await createApiKey(parts, scope, { name: "x", scopes: ["sms:read"] }, keyAudit(scope));
	const request = { name: "one more", scopes: ["sms:read"] };
	const refused = await call("POST", "/v1/api-keys", live, request);
	assert.deepEqual([refused.status, refused.body.error.name], [409, "limit_reached"]);
	const [last] = (await call("GET", "/v1/api-keys?limit=1", live)).body.data;
	await call("DELETE", `/v1/api-keys/${last.id}`, live);
	assert.equal((await call("POST", "/v1/api-keys", live, request)).status, 201);
});
