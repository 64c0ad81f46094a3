import assert from "node:assert/strict";
import { test } from "node:test";
import { createAuthenticator, createOperatorKey } from "#access/index.ts";
import { manualClock } from "#platform/clock.ts";
import { createEgress } from "#platform/egress.ts";
import { Fault } from "#platform/errors.ts";
import { bodyCheck } from "#platform/http-input.ts";
import { createIds, readId, seededRandom } from "#platform/ids.ts";
import { createVault } from "#vault/index.ts";
import { testDatabase } from "../../tests/support/database.ts";
import { testLedger } from "../../tests/support/ledger.ts";
import { channelRoutes, keepRoute, readRoutes } from "./index.ts";

const { app, worker, admin } = await testDatabase();
const clock = manualClock(Date.parse("2026-11-22T12:00:00Z"));
const random = seededRandom(31);
const ids = createIds(clock, random);
const vault = createVault({ db: app, rootKey: Buffer.alloc(32, 6), random, clock });
const resolve = async (host: string): Promise<string[]> => {
	if (host === "inside.example") return ["10.1.2.3"];
	if (host === "nowhere.example") throw new Error("no such name");
	return ["93.184.215.14"];
};
const egress = createEgress({ allow: ["192.168.7.0/24"], clock, resolve });
const routes = channelRoutes({ db: app, vault, clock, ids, egress });
const authenticator = createAuthenticator({ db: app, clock });
const ledger = testLedger({ db: app, vault, clock, ids });
const key = await createOperatorKey(
	{ db: app, clock, ids, random },
	ledger.audit("operator_key.created"),
);
const operator = await authenticator.authenticate(`Bearer ${key.text.reveal()}`);

const password = "Canary-7f3a";
const url = `smpp://waxwing:${password}@smsc.example:2776?window=50&tps=30&binds=2`;
const good = { environment: "live", url, countries: ["IN"], priority: 10 };

type Body = Readonly<Record<string, unknown>>;

const idOf = (answer: { readonly body: Body }): string => String(answer.body["id"]);
const rowsOf = (answer: { readonly body: Body }): Body[] => answer.body["data"] as Body[];

async function call(operationId: string, body: object = {}, id = "", caller: unknown = operator) {
	const found = routes.find((route) => route.operationId === operationId);
	assert.ok(found !== undefined, operationId);
	try {
		const checked = found.body === undefined ? undefined : bodyCheck(found.body)(body);
		const given = { body: checked, params: { id }, query: {}, requestId: "req_test" };
		const scope = { tenantId: "", environment: "live" as const };
		const audit = ledger.auditOf(found, { ...scope, operator: true });
		const call = { ...given, scope, caller: caller as never, idempotency: undefined, audit };
		const answer = await found.handle(call);
		return { status: answer.status, body: (answer.body ?? {}) as Body };
	} catch (error) {
		if (!(error instanceof Fault)) throw error;
		const param = error.details[0]?.param;
		return { status: error.entry.status, body: { param, message: error.message } as Body };
	}
}

test("every route asks for an operator's key", async () => {
	assert.deepEqual([...new Set(routes.map((route) => route.permission))], ["operator"]);
	for (const { operationId } of routes) {
		const lookAlike = { ...operator, operator: true };
		assert.equal((await call(operationId, good, "", lookAlike)).status, 401, operationId);
	}
});

test("a route is shown by what it is, never by its password", async () => {
	const made = await call("route.create", good);
	assert.equal(made.status, 201, JSON.stringify(made.body));
	const { id, created_at, ...rest } = made.body;
	assert.ok(readId("rte", String(id)) !== undefined);
	assert.equal(created_at, "2026-11-22T12:00:00.000Z");
	assert.deepEqual(rest, {
		environment: "live",
		countries: ["IN"],
		priority: 10,
		host: "smsc.example",
		port: 2776,
		tls: false,
		system_id: "waxwing",
		dialect: "standard",
		binds: 2,
		window: 50,
		tps: 30,
		trouble: null,
	});
	const list = await call("route.list");
	assert.deepEqual(list.body["data"], [made.body]);
	assert.equal(JSON.stringify([made, list]).includes(password), false);
});

test("what is kept is sealed to its row, and opens again for the sender", async () => {
	const rows = await admin.run<{ id: string; config_sealed: Buffer }>(
		"select id, config_sealed from routes where enabled",
	);
	assert.equal(rows.length, 1);
	assert.equal(rows[0]?.config_sealed.includes(password), false);
	for (const db of [app, worker]) {
		const [stored] = await db.inPlatform((tx) => readRoutes(tx, vault));
		assert.ok(stored?.read.ok);
		assert.equal(stored.read.route.password.reveal(), password);
		assert.equal(JSON.stringify(stored).includes(password), false);
	}
	await admin.run("update routes set id = gen_random_uuid() where enabled");
	await assert.rejects(
		app.inPlatform((tx) => readRoutes(tx, vault)),
		/belongs elsewhere/,
	);
	await admin.run("update routes set id = $1", [rows[0]?.id]);
});

const refused: readonly [what: string, change: object, param: string][] = [
	["another scheme", { url: "http://smsc.example" }, "url"],
	["no systemId", { url: "smpp://smsc.example" }, "url"],
	["an unknown parameter", { url: `${url}&windw=3` }, "url"],
	["a name with a private address", { url: "smpp://a:b@inside.example" }, "url"],
	["a private address", { url: "smpp://a:b@10.0.0.1" }, "url"],
	["loopback", { url: "smpp://a:b@127.0.0.1:2775" }, "url"],
	["loopback in six", { url: "smpp://a:b@[::1]:2775" }, "url"],
	["cloud metadata", { url: "smpp://a:b@169.254.169.254" }, "url"],
	["the test environment", { environment: "test" }, "environment"],
	["no country", { countries: [] }, "countries"],
	["a country in small letters", { countries: ["in"] }, "countries[0]"],
	["* beside a country", { countries: ["*", "IN"] }, "countries"],
	["a priority below 0", { priority: -1 }, "priority"],
	["a field that is not known", { password: "x" }, "password"],
];
for (const [what, change, param] of refused)
	test(`${what} is refused, by the name of its parameter`, async () => {
		const answer = await call("route.create", { ...good, ...change });
		assert.equal(answer.status, 422, JSON.stringify(answer.body));
		assert.equal(answer.body["param"], param);
		assert.equal(JSON.stringify(answer.body).includes(password), false);
	});

test("a listed private address and a name that cannot be resolved now are accepted", async () => {
	for (const host of ["192.168.7.9", "nowhere.example"]) {
		const made = await call("route.create", { ...good, url: `smpps://a:b@${host}` });
		assert.equal(made.status, 201, host);
		assert.equal((await call("route.disable", {}, idOf(made))).status, 204);
	}
});

test("a disabled route is gone from the list, and cannot be disabled twice", async () => {
	const made = await call("route.create", { ...good, priority: undefined });
	assert.equal(made.body["priority"], 100);
	const before = rowsOf(await call("route.list")).length;
	assert.equal((await call("route.disable", {}, idOf(made))).status, 204);
	assert.equal(rowsOf(await call("route.list")).length, before - 1);
	for (const id of [idOf(made), "rte_x", "msg_01j0000000e008000000001m01"])
		assert.equal((await call("route.disable", {}, id)).status, 404, id);
});

test("a built-in route is neither listed nor disabled", async () => {
	const id = "01900000-0000-7000-8000-0000000000a1";
	const builtIn = { id, environment: "test", countries: ["*"], priority: 100 } as const;
	await app.inPlatform(async (tx) =>
		keepRoute(tx, vault, { ...builtIn, url: undefined, atMs: clock.now() }),
	);
	const shown = rowsOf(await call("route.list"));
	assert.ok(shown.length > 0 && shown.every((one) => readId("rte", String(one["id"])) !== id));
	assert.equal((await call("route.disable", {}, "rte_01j0000000e008000000000051")).status, 404);
});

test("the number of routes is bounded", async () => {
	let answer = await call("route.create", good);
	for (let i = 0; i < 100 && answer.status === 201; i++) answer = await call("route.create", good);
	assert.equal(answer.status, 409);
});
