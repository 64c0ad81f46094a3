import assert from "node:assert/strict";
import { before, test } from "node:test";
import { manualClock } from "#platform/clock.ts";
import type { Scope } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import { bodyCheck, queryCheck } from "#platform/http-input.ts";
import { createIds, seededRandom } from "#platform/ids.ts";
import { createVault } from "#vault/index.ts";
import { testDatabase } from "../../tests/support/database.ts";
import { testLedger } from "../../tests/support/ledger.ts";
import { type ReadNumber, termsAmong, templateRoutes } from "./index.ts";

const readNumber: ReadNumber = (text) =>
	/^\+1[2-9]\d{9}$/.test(text)
		? { ok: true, e164: text, country: "US" }
		: { ok: false, why: "The number is not in E.164." };

const { app, worker, admin } = await testDatabase();
const clock = manualClock(Date.parse("2026-11-22T12:00:00Z"));
const random = seededRandom(12);
const ids = createIds(clock, random);
const vault = createVault({ db: app, rootKey: Buffer.alloc(32, 4), random, clock });
const routes = templateRoutes({ db: app, vault, clock, ids, readNumber });
const ledger = testLedger({ db: app, vault, clock, ids });
const asha: Scope = { tenantId: ids.next(), environment: "live" };
const bram: Scope = { tenantId: ids.next(), environment: "live" };
const trial: Scope = { ...asha, environment: "test" };

before(async () => {
	for (const { tenantId } of [asha, bram])
		await admin.run("select wx.create_tenant($1, $2, $3, now())", [
			tenantId,
			Buffer.from("x"),
			(await vault.makeTenantKey(tenantId)).wrapped,
		]);
	await vault.warm([asha.tenantId, bram.tenantId]);
});

// biome-ignore lint/suspicious/noExplicitAny: answers are read field by field
type Body = any;

/** Calls a route as the server does: input checked against its schema, faults as their status. */
async function call(scope: Scope, operationId: string, input: object = {}, id?: string) {
	const found = routes.find((route) => route.operationId === operationId);
	assert.ok(found !== undefined, operationId);
	const texts = Object.entries(input).map(([name, value]) => [name, String(value)]);
	try {
		const query = queryCheck(found.query)(found.method === "GET" ? Object.fromEntries(texts) : {});
		const body = found.body === undefined ? undefined : bodyCheck(found.body)(input);
		const given = { scope, body, query, params: { id }, requestId: "req_test" };
		const audit = ledger.auditOf(found, scope);
		const call = { ...given, caller: {} as never, idempotency: undefined, audit };
		const answer = await found.handle(call);
		return { status: answer.status, body: answer.body as Body };
	} catch (error) {
		if (!(error instanceof Fault)) throw error;
		return { status: error.entry.status, body: { param: error.details[0]?.param } as Body };
	}
}

/** What both roles know of a sender; they must agree. */
async function known(scope: Scope, address: string) {
	const { tenantId, environment } = scope;
	const key = { ...scope, index: vault.index(tenantId, environment, "sms.sender", address) };
	const look = async (tx: Parameters<typeof termsAmong>[0]) =>
		(await termsAmong(tx, [key]))[0]?.sender;
	const seenByApp = await app.inTenant(scope, look);
	assert.deepEqual(await worker.inTenants([tenantId], look), seenByApp);
	return seenByApp;
}

test("a sender is known to its tenant and environment, in its exact case, until deleted", async () => {
	assert.equal(await known(asha, "WaxWng"), undefined);
	const made = await call(asha, "registerSender", { address: "WaxWng", kind: "alphanumeric" });
	assert.equal(made.status, 201);
	assert.match(made.body.id, /^snd_/);
	assert.deepEqual(await known(asha, "WaxWng"), { active: true });
	assert.equal(await known(asha, "WAXWNG"), undefined);
	assert.equal(await known(bram, "WaxWng"), undefined);
	assert.equal(await known(trial, "WaxWng"), undefined);
	assert.deepEqual((await call(asha, "listSenders")).body.data, [made.body]);
	assert.deepEqual((await call(bram, "listSenders")).body.data, []);
	assert.equal((await call(bram, "deleteSender", {}, made.body.id)).status, 404);
	assert.equal((await call(trial, "deleteSender", {}, made.body.id)).status, 404);
	assert.equal((await call(asha, "deleteSender", {}, made.body.id)).status, 204);
	assert.equal((await call(asha, "deleteSender", {}, made.body.id)).status, 404);
	assert.equal(await known(asha, "WaxWng"), undefined);
});

test("a sender that is taken, or looks like one that is, is refused to others", async () => {
	const made = await call(asha, "registerSender", { address: "PAYPAL", kind: "alphanumeric" });
	assert.equal(made.status, 201);
	for (const scope of [bram, asha])
		for (const address of ["PAYPAL", "PayPal", "PAYPA1", "PAYPAI"]) {
			const refused = await call(scope, "registerSender", { address, kind: "alphanumeric" });
			assert.deepEqual([refused.status, refused.body.param], [409, "address"]);
		}
	assert.equal(await known(bram, "PAYPA1"), undefined);
	// The other environment is another world, and what its owner gives up is free again.
	const elsewhere = await call(trial, "registerSender", {
		address: "PAYPAL",
		kind: "alphanumeric",
	});
	assert.equal(elsewhere.status, 201);
	await call(asha, "deleteSender", {}, made.body.id);
	const freed = await call(bram, "registerSender", { address: "PAYPA1", kind: "alphanumeric" });
	assert.equal(freed.status, 201);
});

test("two tenants asking at once: one gets it", async () => {
	const answers = await Promise.all(
		[asha, bram, asha, bram].map((scope) =>
			call(scope, "registerSender", { address: "+12025550123", kind: "number" }),
		),
	);
	assert.deepEqual(answers.map(({ status }) => status).sort(), [201, 409, 409, 409]);
});

test("a number's owner is found by what it is sent to", async () => {
	const rows = await ownersOf("+12025550123");
	assert.equal(rows.length, 1);
	assert.ok([asha.tenantId, bram.tenantId].includes(rows[0]?.tenant_id ?? ""));
});

function ownersOf(address: string) {
	const index = vault.platformIndex("live", "sms.sender", address);
	return admin.run<{ tenant_id: string }>("select * from wx.owners_of_senders('live', $1)", [
		[index],
	]);
}

test("a thousand senders are enough", async () => {
	const many: Scope = { tenantId: ids.next(), environment: "live" };
	await admin.run("select wx.create_tenant($1, $2, $3, now())", [
		many.tenantId,
		Buffer.from("x"),
		(await vault.makeTenantKey(many.tenantId)).wrapped,
	]);
	await admin.run(
		`insert into senders (tenant_id, environment, id, address_index, address_sealed, kind, created_at)
		select $1, 'live', gen_random_uuid(), sha256(n::text::bytea), '', 'number', now() from generate_series(1, 1000) n`,
		[many.tenantId],
	);
	const refused = await call(many, "registerSender", { address: "ONEMORE", kind: "alphanumeric" });
	assert.equal(refused.status, 409);
});

test("no sender is stored in clear", async () => {
	await call(asha, "registerSender", { address: "CANARYFROM", kind: "alphanumeric" });
	for (const table of ["senders", "sender_owners"]) {
		const rows = await admin.run<{ row: string }>(`select t::text as row from ${table} t`);
		assert.ok(rows.length > 0);
		for (const { row } of rows) {
			const bytes = row.replace(/\\x([0-9a-f]+)/g, (_, hex) =>
				Buffer.from(hex, "hex").toString("latin1"),
			);
			assert.ok(!/CANARY/i.test(bytes), table);
		}
	}
});

/** Settings as the message path asks for them: with a sender, here one that is not registered. */
function settingsOf(...scopes: readonly Scope[]) {
	const keys = scopes.map((scope) => ({ ...scope, index: Buffer.alloc(32) }));
	return async (tx: Parameters<typeof termsAmong>[0]) =>
		(await termsAmong(tx, keys)).map(({ settings }) => settings);
}

test("a tenant that has set nothing has opened no country", async () => {
	const found = await worker.inTenants([asha.tenantId, bram.tenantId], settingsOf(trial, bram));
	assert.deepEqual(
		found.map((settings) => settings.countries),
		[[], []],
	);
	const { body } = await call(bram, "getSettings");
	assert.deepEqual(body.promotional_window.law.from, "10:00");
	assert.deepEqual(body.promotional_window.law.dispatch_until, "20:45");
	assert.match(body.promotional_window.law.cites[0], /TCCCPR 2018/);
});

test("settings are changed in part, read back, and seen by both roles", async () => {
	await call(asha, "updateSettings", { countries: ["IN", "DE"], outside_window: "refuse" });
	const changed = await call(asha, "updateSettings", {
		promotional_window: { from: "11:30" },
		dlt: { entity_id: "1101172974420810001", telemarketers: ["1101172974420830004"] },
	});
	assert.equal(changed.status, 200);
	assert.deepEqual(changed.body, (await call(asha, "getSettings")).body);
	assert.deepEqual(changed.body.countries, ["DE", "IN"]);
	assert.equal(
		changed.body.dlt.chain_hash,
		"c0c951afca257c5b87c3da535c09112080483f35b7e6faf35e2428b3b526b694",
	);
	const [seen, untouched] = await worker.inTenants([asha.tenantId], settingsOf(asha, trial));
	assert.deepEqual(seen, {
		countries: ["DE", "IN"],
		promotionalFrom: 690,
		promotionalUntil: null,
		outsideWindow: "refuse",
		dltEntityId: "1101172974420810001",
		dltTelemarketers: ["1101172974420830004"],
	});
	assert.deepEqual(untouched?.countries, []);
});

test("changes at the same time both hold", async () => {
	await Promise.all([
		call(bram, "updateSettings", { countries: ["FR"] }),
		call(bram, "updateSettings", { outside_window: "refuse" }),
		call(bram, "updateSettings", { promotional_window: { until: "20:00" } }),
	]);
	const { body } = await call(bram, "getSettings");
	assert.deepEqual(
		[body.countries, body.outside_window, body.promotional_window.until],
		[["FR"], "refuse", "20:00"],
	);
});

test("a refused change changes nothing and names its parameter", async () => {
	const earlier = (await call(bram, "getSettings")).body;
	const refused = await call(bram, "updateSettings", {
		countries: ["US"],
		promotional_window: { from: "09:00" },
	});
	assert.deepEqual([refused.status, refused.body.param], [422, "promotional_window.from"]);
	assert.deepEqual((await call(bram, "getSettings")).body, earlier);
	assert.equal((await call(bram, "updateSettings", { window: {} })).body.param, "window");
});
