/**
 * A tenant sees its own rows only, over every route, with every wrong key and every foreign id; and each
 * of the two layers that see to it, the application's check and row-level security, holds by itself.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createAuthenticator } from "#access/index.ts";
import { systemClock } from "#platform/clock.ts";
import type { Database, Scope } from "#platform/db.ts";
import { createEgress } from "#platform/egress.ts";
import type { Caller, Route } from "#platform/http.ts";
import { createHttp } from "#platform/http-server.ts";
import { createIds, readId, systemRandom } from "#platform/ids.ts";
import { silentLog } from "#platform/log.ts";
import { createMetrics } from "#platform/metrics.ts";
import { declaredRoutes, routesOf } from "#processes/routes.ts";
import { createVault } from "#vault/index.ts";
import { type Client, client, type Json, type Reply, until } from "../support/http.ts";
import { testLedger } from "../support/ledger.ts";
import { numberEnding } from "../support/messages.ts";
import { testPlatform } from "../support/platform.ts";

const platform = await testPlatform();
const { baseUrl, dev, operator, nobody, database } = platform;
const routes = declaredRoutes();

interface Tenant {
	readonly id: string;
	readonly live: Client;
	readonly test: Client;
}

async function newTenant(name: string): Promise<Tenant> {
	const { body, text, status } = await operator.post("/v1/operator/tenants", { name });
	assert.equal(status, 201, text);
	const keys = body["admin_keys"] as Record<"live" | "test", { key: string }>;
	const live = client(baseUrl, keys.live.key);
	const settings = { countries: ["IN"], dlt: { entity_id: "1101172974420810003" } };
	assert.equal((await live.patch("/v1/settings", settings)).status, 200);
	return { id: String(body["id"]), live, test: client(baseUrl, keys.test.key) };
}

const a = await newTenant("A");
const b = await newTenant("B");

/** Something of tenant A's behind every path that has an id: made once, never changed by anybody else. */
async function own(tenant: Tenant, from: string): Promise<Readonly<Record<string, string>>> {
	const make = async (path: string, body: unknown): Promise<string> => {
		const reply = await tenant.live.post(path, body);
		assert.ok(reply.status < 300, `${path} ${reply.text}`);
		return String(reply.body["id"]);
	};
	const handle = numberEnding("000001");
	const sender = await make("/v1/senders", { address: from, kind: "alphanumeric" });
	const scheduled_at = new Date(Date.now() + 3_600_000).toISOString();
	const message = { ...dev.samples.transactional, to: handle, from, scheduled_at };
	await tenant.live.post("/v1/preferences", { handle, channel: "sms", status: "granted" });
	const messageId = await make("/v1/sms/messages", message);
	return {
		"/v1/sms/messages/:id": messageId,
		"/v1/audit/messages/:id": messageId,
		"/v1/webhooks/:id": await make("/v1/webhooks", {
			url: "http://127.0.0.1:9/",
			events: ["sms.sent"],
		}),
		"/v1/sms/suppressions/:id": await make("/v1/sms/suppressions", {
			destination: numberEnding("000001"),
		}),
		"/v1/contacts/erasures/:id": await make("/v1/contacts/erasures", {
			destination: numberEnding("000001"),
		}),
		"/v1/senders/:id": sender,
		"/v1/api-keys/:id": await make("/v1/api-keys", { name: "own", scopes: ["sms:read"] }),
		"/v1/operator/tenants/:id": tenant.id,
		"/v1/audit/entries/:id": await newestEntry(tenant.live, "/v1/audit/entries"),
		"/v1/operator/audit/entries/:id": await newestEntry(operator, "/v1/operator/audit/entries"),
	};
}

async function newestEntry(as: Client, path: string): Promise<string> {
	return String((await as.get(`${path}?limit=1`)).data[0]?.["id"]);
}

const ofA = await own(a, "TENANTA");
await own(b, "OTHERTEN");

const smsRoute = { environment: "live", url: "smpp://a:b@127.0.0.1:9", countries: ["ZW"] };
/** Of the operator; tenants may not even ask. */
const ofPlatform = await operator.post("/v1/operator/routes", smsRoute);

/** A body that each route would accept, so that nothing but the key or the id can be what refuses it. */
const bodies: Readonly<Record<string, unknown>> = {
	"POST /v1/sms/messages": { ...dev.samples.transactional, from: "TENANTA" },
	"POST /v1/sms/batches": { messages: [{ ...dev.samples.transactional, from: "TENANTA" }] },
	"POST /v1/webhooks": { url: "http://127.0.0.1:9/", events: ["sms.sent"] },
	"PATCH /v1/webhooks/:id": { description: "changed" },
	"POST /v1/webhooks/:id/test": {},
	"POST /v1/preferences": { handle: "+919812345678", channel: "sms", status: "granted" },
	"POST /v1/sms/suppressions": { destination: "+919812345678" },
	"POST /v1/contacts/erasures": { destination: "+919812345679" },
	"POST /v1/operator/keys/rotate": { tenant_id: "ten_01k9f8z3e6fxbt2v3n4p5q6r7s" },
	"POST /v1/operator/keys/destroy": { root: "root:00000000" },
	"POST /v1/senders": { address: "SWEEPER", kind: "alphanumeric" },
	"PATCH /v1/settings": { outside_window: "refuse" },
	"POST /v1/api-keys": { name: "sweep", scopes: ["sms:read"] },
	"POST /v1/operator/tenants": { name: "sweep" },
	"POST /v1/operator/routes": smsRoute,
};

const nameOf = ({ method, path }: Route): string => `${method} ${path}`;

function idOf(route: Route, ids: Readonly<Record<string, string>>): string | undefined {
	const [, base = ""] = /^(.*?\/:id)/.exec(route.path) ?? [];
	return base === "/v1/operator/routes/:id" ? String(ofPlatform.body["id"]) : ids[base];
}

async function call(route: Route, as: Client, id = ""): Promise<Reply> {
	const path = route.path.replace(":id", id);
	const body = bodies[nameOf(route)];
	switch (route.method) {
		case "GET":
			return as.get(path);
		case "DELETE":
			return as.delete(path);
		case "POST":
			return as.post(path, body);
		case "PATCH":
			return as.patch(path, body);
	}
}

test("every route is in the sweep: with an id for its parameter, and a body if it takes one", () => {
	assert.ok(routes.length >= 20);
	for (const route of routes) {
		if (route.path.includes(":")) assert.ok(idOf(route, ofA), `${nameOf(route)}: no id`);
		assert.equal(bodies[nameOf(route)] !== undefined, route.body !== undefined, nameOf(route));
		assert.deepEqual(route.path.match(/:\w+/g) ?? [], route.path.includes(":") ? [":id"] : []);
	}
	const known = new Set(routes.map(nameOf));
	assert.deepEqual(
		Object.keys(bodies).filter((name) => !known.has(name)),
		[],
		"left over",
	);
});

describe("every route × every key that must not open it", async () => {
	const scoped = async (scope: string): Promise<Client> => {
		const { body } = await a.live.post("/v1/api-keys", { name: scope, scopes: [scope] });
		return client(baseUrl, String(body["key"]));
	};
	const [reader, lister, suppressed] = [
		await scoped("sms:read"),
		await scoped("keys:read"),
		await newTenant("S"),
	];
	const doomed = await a.live.post("/v1/api-keys", { name: "revoked", scopes: ["*"] });
	await a.live.delete(`/v1/api-keys/${doomed.body["id"]}`);
	await operator.post(`/v1/operator/tenants/${suppressed.id}/suspend`);
	const wrongKeys: readonly (readonly [string, Client, number])[] = [
		["no key", nobody, 401],
		["garbage", client(baseUrl, "garbage"), 401],
		["empty", client(baseUrl, ""), 401],
		["a key that does not exist", client(baseUrl, `${dev.apiKey.slice(0, -6)}AAAAAA`), 401],
		["a revoked key", client(baseUrl, String(doomed.body["key"])), 401],
		["a suspended tenant's key", suppressed.live, 403],
	];
	for (const route of routes.filter(({ permission }) => permission !== "public")) {
		const id = idOf(route, ofA);
		test(nameOf(route), async () => {
			for (const [what, as, status] of wrongKeys) {
				const reply = await call(route, as, id);
				assert.equal(reply.status, status, `${what}: ${reply.text}`);
				if (status === 401) assert.ok(reply.headers.get("www-authenticate") !== "", what);
			}
			const scopeless = route.permission === "sms:read" ? lister : reader;
			for (const as of [scopeless, route.permission === "operator" ? a.live : operator]) {
				const reply = await call(route, as, id);
				assert.equal(reply.status, 403, reply.text);
				assert.equal(reply.error["type"], "permission_error");
			}
		});
	}
});

/** The routes where a tenant could name another's object. */
const byId = routes.filter(
	({ path, permission }) => path.includes(":id") && permission !== "operator",
);
const lists = routes.filter(
	({ method, path, permission }) =>
		method === "GET" &&
		!path.includes(":id") &&
		permission !== "operator" &&
		// Not a list: it asks for two sizes.
		path !== "/v1/audit/consistency",
);

/** Everything of A's that it can read, to see that nobody changed it; the ledger grows by being read. */
async function snapshot(): Promise<readonly string[]> {
	const readable = routes.filter(
		({ method, permission }) =>
			method === "GET" && !["operator", "public", "audit:read"].includes(permission),
	);
	return Promise.all(
		readable.map(async (route) => (await call(route, a.live, idOf(route, ofA))).text),
	);
}

async function sweepForeignIds(): Promise<void> {
	const before = await snapshot();
	for (const route of byId)
		for (const [who, as] of [
			["tenant B", b.live],
			["B's test key", b.test],
			["A's own test key", a.test],
		] as const) {
			const reply = await call(route, as, idOf(route, ofA));
			// A test key reads no ledger at all; a message's proof is of its own environment.
			const ofLedger = route.permission === "audit:read" && !route.path.includes("/messages/");
			const refused = ofLedger && as !== b.live ? 403 : 404;
			assert.equal(reply.status, refused, `${nameOf(route)} by ${who}: ${reply.text}`);
			assert.ok(!reply.text.includes(String(idOf(route, ofA))));
		}
	for (const route of lists) {
		const reply = await call(route, b.live);
		assert.equal(reply.status, 200, reply.text);
		for (const id of Object.values(ofA))
			assert.ok(!reply.text.includes(id), `${nameOf(route)} shows ${id}`);
		assert.ok(!reply.text.includes("TENANTA"), nameOf(route));
	}
	assert.deepEqual(await snapshot(), before);
}

test(
	"another tenant's ids, and the other environment's, are not found, and nothing changed",
	sweepForeignIds,
);

test("ids that do not exist or are no ids are not found, and say nothing", async () => {
	for (const route of byId) {
		const prefix = String(idOf(route, ofA)).slice(0, 4);
		for (const id of [
			`${prefix}01k9f8z3e6fxbt2v3n4p5q6r7s`,
			`xxx_${String(idOf(route, ofA)).slice(4)}`,
			"%27%20or%201=1--",
			"%00",
		]) {
			const reply = await call(route, a.live, id);
			assert.ok(
				[404, 422, 400].includes(reply.status),
				`${nameOf(route)} ${id}: ${reply.status} ${reply.text}`,
			);
		}
	}
});

test("cursors of another tenant give nothing of it", async () => {
	const message = ofA["/v1/sms/messages/:id"];
	for (const name of ["starting_after", "ending_before"]) {
		const { data } = await b.live.get(`/v1/sms/messages?${name}=${message}`);
		assert.ok(data.every(({ id }) => id !== message));
	}
});

async function tenantTables(partitionsToo: boolean): Promise<string[]> {
	const rows = await database.admin.run<{ name: string }>(
		`select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where n.nspname = 'public' and c.relkind in ('r', 'p') and ($1 or not c.relispartition)
			and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id') order by 1`,
		[partitionsToo],
	);
	return rows.map(({ name }) => name);
}

describe("two layers, each with the other off", () => {
	test("without row-level security the application still keeps tenants apart", async () => {
		const tables = await tenantTables(true);
		const alter = (what: string) =>
			database.admin.run(
				tables.map((table) => `alter table ${table} ${what} row level security;`).join(""),
			);
		await alter("disable");
		try {
			await sweepForeignIds();
		} finally {
			await alter("enable");
		}
	});

	test("with an application that asks for the wrong tenant, row-level security refuses", async () => {
		const uuid = (shown: string): string => readId("ten", shown) as string;
		const wrong = mistaken(database.app, uuid(b.id));
		const wrongWorker = mistaken(database.worker, uuid(b.id));
		const app = await misledPlatform(wrong, wrongWorker, {
			tenantId: uuid(a.id),
			environment: "live",
		});
		const before = await snapshot();
		const ask = async (route: Route): Promise<{ status: number; text: string }> => {
			const body = bodies[nameOf(route)];
			const answer = await app.inject({
				method: route.method,
				url: route.path.replace(":id", idOf(route, ofA) ?? ""),
				headers: { authorization: "Bearer anything" },
				...(body === undefined ? {} : { payload: body as object }),
			});
			return { status: answer.statusCode, text: answer.body };
		};
		for (const route of routes.filter(({ permission }) => permission !== "operator")) {
			const { status, text } = await ask(route);
			// A log's origin names the tenant that asks: that is no row of A's.
			const own = route.permission === "audit:read" ? a.id : undefined;
			for (const id of Object.values(ofA).filter((one) => one !== own))
				assert.ok(!text.includes(id), `${nameOf(route)} shows ${id}`);
			if (route.path.includes(":id"))
				assert.ok(status === 404 || status === 500, `${nameOf(route)}: ${status} ${text}`);
			else if (route.path === "/v1/audit/consistency") assert.equal(status, 422);
			else if (route.method === "GET")
				assert.ok(status === 200 || status === 500, `${nameOf(route)}: ${status} ${text}`);
			else assert.ok(status === 500 || status === 401, `${nameOf(route)}: ${status} ${text}`);
		}
		await app.close();
		assert.deepEqual(await snapshot(), before);
	});
});

/** A database whose transactions are held to one tenant, whatever the application believes. */
function mistaken(real: Database, tenantId: string): Database {
	return {
		...real,
		inTenant: (scope, work) => real.inTenant({ ...scope, tenantId }, work),
		inTenants: (_, work) => real.inTenants([tenantId], work),
	};
}

/** The API over that database, for a caller who is taken for somebody else. */
async function misledPlatform(db: Database, worker: Database, scope: Scope) {
	const [clock, random] = [systemClock, systemRandom()];
	const ids = createIds(clock, random);
	const vault = createVault({ db: database.app, rootKey: platform.rootKey, random, clock });
	const caller: Caller = {
		...scope,
		keyId: ids.next(),
		scopes: [...new Set(routes.map(({ permission }) => permission))],
		operator: false,
	};
	const authenticator = createAuthenticator({ db, clock });
	const { startAccepting } = await import("#messages/accepting.ts");
	const parts = { db, vault, ids, clock, random, authenticator, log: silentLog };
	const { acceptor } = startAccepting({ ...parts, worker, metrics: createMetrics(), routes: [] });
	const egress = createEgress({ allow: ["127.0.0.0/8"], clock });
	const erasures = {
		erase: () => Promise.reject(new Error("none here")),
		find: () => Promise.reject(new Error("none here")),
	};
	const declared = routesOf({
		...parts,
		egress,
		acceptor,
		ledgerName: "waxwing.local",
		erasures,
		erasureWindowDays: 7,
		keyWork: {} as never,
	});
	const { auditing } = testLedger(parts);
	return createHttp({
		routes: declared,
		authenticate: async () => caller,
		once: (_call, execute) => execute(),
		auditing,
		ready: () => [],
		clock,
		ids,
		log: silentLog,
		metrics: createMetrics({ process: false }),
		openApi: () => ({}),
	});
}

/** Makes sure that every table of a tenant has a row of A's: what journeys do not leave is put there. */
async function fillTables(tenantId: string): Promise<void> {
	const { admin } = database;
	const key = "00000000-0000-7000-8000-000000000001";
	const bytes = Buffer.alloc(32, 1);
	const statements: Readonly<Record<string, readonly [string, readonly unknown[]]>> = {
		idempotency_keys: [
			"insert into idempotency_keys values ($1, 'live', $2, $2, 202, null, null, now())",
			[tenantId, bytes],
		],
		message_checks: [
			"insert into message_checks values ($1, null, null, now()) on conflict do nothing",
			[tenantId],
		],
		ledger_cosignatures: [
			"insert into ledger_cosignatures values ($1, 1, 1, 'witness', 'a line of a note', now())",
			[tenantId],
		],
		contact_epochs: ["insert into contact_epochs values ($1, 1, now())", [tenantId]],
		contact_keys: [
			"insert into contact_keys values ($1, 'live', $2::bytea, 1, $2::bytea || $2::bytea, now())",
			[tenantId, bytes],
		],
		contact_erasures: [
			"insert into contact_erasures values ($1, $3, 'live', $2, 1, null, 0, 0, 0, now(), null)",
			[tenantId, bytes, key],
		],
		contact_erasure_counts: ["insert into contact_erasure_counts values ($1, 1)", [tenantId]],
		decisions: [
			"insert into decisions (tenant_id, message_id, environment, ruleset, verdicts, outcome, judged_at) select $1, id, 'live', 'sweep', 'p', 'cleared', now() from messages where tenant_id = $1 limit 1",
			[tenantId],
		],
		dispatch_batches: [
			"insert into dispatch_batches (id, owner, lease_until, tenant_id, route_id, message_ids) values ($2, $2, now(), $1, $2, array[$2::uuid])",
			[tenantId, key],
		],
		submissions: [
			"insert into submissions (tenant_id, message_id, segment, segments, route_id, carrier_id, submitted_at) values ($1, $2, 1, 1, $2, '1', now())",
			[tenantId, key],
		],
		inbound_parts: [
			"insert into inbound_parts values ($1, 'live', $2, $2, 1, 1, 2, $2, now())",
			[tenantId, bytes],
		],
		message_states: [
			"insert into message_states (tenant_id, message_id, environment, status, changed_at, event_id) values ($1, $2, 'live', 20, now(), $2)",
			[tenantId, key],
		],
		message_events: [
			"insert into message_events (tenant_id, message_id, id, environment, status, occurred_at) select $1, id, id, 'live', 20, now() from messages where tenant_id = $1 limit 1",
			[tenantId],
		],
		outbox: [
			"insert into outbox (tenant_id, id, environment, topic, refs, created_at) values ($1, $2, 'live', 'sweep', '[]', now())",
			[tenantId, key],
		],
		webhook_deliveries: [
			"insert into webhook_deliveries (tenant_id, id, environment, endpoint_id, event_id, event_type, topic, ref, due_at, created_at) values ($1, $2, 'live', $2, $2, 'sms.sent', 'sweep', '[]', now() + interval '1 day', now())",
			[tenantId, key],
		],
		webhook_attempts: [
			"insert into webhook_attempts (tenant_id, id, environment, endpoint_id, event_id, event_type, delivered, duration_ms, attempted_at) values ($1, $2, 'live', $2, $2, 'sms.sent', true, 1, now())",
			[tenantId, key],
		],
	};
	for (const table of await tenantTables(false)) {
		const [found] = await admin.run(`select 1 from ${table} where tenant_id = $1 limit 1`, [
			tenantId,
		]);
		const [text, values] = statements[table] ?? [];
		if (found === undefined && text !== undefined) await admin.run(text, values);
	}
}

test("table sweep: B's transaction sees, changes and makes nothing of A's, in any table or partition", async () => {
	const [tenantA, tenantB] = [readId("ten", a.id) as string, readId("ten", b.id) as string];
	await until(
		"A's message is stored",
		() => a.live.get("/v1/sms/messages"),
		({ data }) => data.length > 0,
	);
	// It would take what we put into its queues for work.
	await platform.stop();
	await fillTables(tenantA);
	const asB = { tenantId: tenantB, environment: "live" } as const;
	const outcome = async (text: string, values: readonly unknown[]): Promise<string> => {
		try {
			const rows = await database.app.inTenant(asB, (tx) => tx.query({ name: "", text }, values));
			return `${rows.length} rows`;
		} catch (error) {
			return String((error as { code?: string }).code ?? error);
		}
	};
	let cells = 0;
	for (const table of await tenantTables(true)) {
		const columns = await database.admin.run<{ name: string }>(
			"select attname as name from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped order by attnum",
			[table],
		);
		const [row] = await database.admin.run<Json>(
			`select * from ${table} where tenant_id = $1 limit 1`,
			[tenantA],
		);
		const [parent] = await database.admin.run<{ is: boolean }>(
			"select relispartition as is from pg_class where oid = $1::regclass",
			[table],
		);
		if (parent?.is !== true)
			assert.ok(row, `${table} has no row of A's: put one there in fillTables`);
		const names = columns.map(({ name }) => name);
		const denied = ["0 rows", "42501"];
		const attempts: readonly (readonly [string, readonly unknown[]])[] = [
			[`select 1 from ${table} where tenant_id = $1`, [tenantA]],
			[`update ${table} set tenant_id = tenant_id where tenant_id = $1 returning 1`, [tenantA]],
			[`delete from ${table} where tenant_id = $1 returning 1`, [tenantA]],
			...(row === undefined
				? []
				: ([
						[
							`insert into ${table} (${names.join()}) select ${names.join()} from jsonb_populate_record(null::${table}, $1) returning 1`,
							[JSON.stringify(row)],
						],
					] as [string, unknown[]][])),
		];
		for (const [text, values] of attempts) {
			const found = await outcome(text, values);
			const verb = text.split(" ", 1)[0];
			if (parent?.is === true)
				assert.equal(found, "42501", `${table} ${verb}: a partition has no grants`);
			else if (verb === "insert") assert.equal(found, "42501", `${table} ${verb}`);
			else assert.ok(denied.includes(found), `${table} ${verb}: ${found}`);
			cells++;
		}
		// And without any tenant: loud.
		const unset = database.app.inPlatform((tx) =>
			tx.query({ name: "", text: `select 1 from ${table}` }),
		);
		await assert.rejects(unset, /no tenant is set|permission denied/, table);
	}
	assert.ok(cells > 80, String(cells));
});
