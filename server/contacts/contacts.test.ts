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
import {
	type AddressKey,
	consentAmong,
	contactRoutes,
	type Keyword,
	type ReadNumber,
	recordStarts,
	recordStops,
	suppressedAmong,
} from "./index.ts";

/** Indian mobile numbers are all this test needs; the real reader is the channels'. */
const readNumber: ReadNumber = (text) =>
	/^\+91[6-9]\d{9}$/.test(text)
		? { ok: true, e164: text, country: "IN" }
		: { ok: false, why: "The number is not an Indian mobile number." };

const { app, worker, admin } = await testDatabase();
const clock = manualClock(Date.parse("2026-11-22T12:00:00Z"));
const random = seededRandom(11);
const ids = createIds(clock, random);
const vault = createVault({ db: app, rootKey: Buffer.alloc(32, 3), random, clock });
const workerVault = createVault({ db: worker, rootKey: Buffer.alloc(32, 3), random, clock });
const routes = contactRoutes({ db: app, vault, clock, ids, readNumber });
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
	await workerVault.warm([asha.tenantId, bram.tenantId]);
});

// biome-ignore lint/suspicious/noExplicitAny: answers are read field by field
type Body = any;

/** Calls a route as the server does: input checked against its schema, faults as their status. */
async function call(scope: Scope, operationId: string, input: object = {}, id?: string) {
	const found = routes.find((route) => route.operationId === operationId);
	assert.ok(found !== undefined, operationId);
	const isRead = found.method === "GET";
	const query = queryCheck(found.query)(isRead && id === undefined ? asText(input) : {});
	try {
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

function asText(input: object): object {
	return Object.fromEntries(Object.entries(input).map(([name, value]) => [name, String(value)]));
}

let nextPerson = 0;
/** A mobile number nobody else in this file has. */
function someone(): string {
	return `+9198${String(10_000_000 + nextPerson++)}`;
}

function keyOf(scope: Scope, address: string): AddressKey {
	const index = vault.index(scope.tenantId, scope.environment, "sms.address", address);
	const suppressionIndex = vault.suppressionIndex(scope.tenantId, scope.environment, address);
	return { ...scope, index, suppressionIndex };
}

/** What both roles say of an address; they must agree. */
async function facts(scope: Scope, address: string) {
	const key = keyOf(scope, address);
	const look = async (tx: Parameters<typeof suppressedAmong>[0]) => ({
		suppressed: (await suppressedAmong(tx, [key])).has(0),
		consent: (await consentAmong(tx, [key])).get(0),
	});
	const seenByApp = await app.inTenant(scope, look);
	assert.deepEqual(await worker.inTenants([scope.tenantId], look), seenByApp);
	return seenByApp;
}

function said(scope: Scope, address: string): Keyword {
	return { ...scope, id: ids.next(), address, originator: "+15550001111", atMs: clock.now() };
}

const stop = (...keywords: Keyword[]) =>
	worker.inTenants([asha.tenantId, bram.tenantId], (tx) => recordStops(tx, workerVault, keywords));
const start = (...keywords: Keyword[]) =>
	worker.inTenants([asha.tenantId, bram.tenantId], (tx) => recordStarts(tx, workerVault, keywords));

test("a STOP holds for the next question, for its tenant and environment only, until START", async () => {
	const address = someone();
	assert.equal((await facts(asha, address)).suppressed, false);
	assert.equal((await stop(said(asha, address))).length, 1);
	assert.equal((await facts(asha, address)).suppressed, true);
	assert.equal((await facts(trial, address)).suppressed, false);
	assert.equal((await facts(bram, address)).suppressed, false);
	assert.equal((await start(said(asha, address))).length, 1);
	assert.equal((await facts(asha, address)).suppressed, false);
});

test("a STOP is seen inside its own transaction", async () => {
	const address = someone();
	const key = keyOf(asha, address);
	await worker.inTenants([asha.tenantId], async (tx) => {
		await recordStops(tx, workerVault, [said(asha, address)]);
		assert.ok((await suppressedAmong(tx, [key])).has(0));
	});
});

test("stops and starts may be repeated, also within a batch, and none is deleted", async () => {
	const address = someone();
	assert.equal((await stop(said(asha, address), said(asha, address))).length, 1);
	assert.equal((await stop(said(asha, address))).length, 0);
	assert.equal((await start(said(asha, address), said(asha, address))).length, 1);
	assert.equal((await start(said(asha, address))).length, 0);
	assert.equal((await stop(said(asha, address))).length, 1);
	assert.equal((await facts(asha, address)).suppressed, true);
	const index = keyOf(asha, address).index;
	const rows = await admin.run("select 1 from suppressions where address_index = $1", [index]);
	assert.equal(rows.length, 2);
});

test("a batch of people of two tenants is two statements' work", async () => {
	const people = Array.from({ length: 300 }, someone);
	const scopes = [asha, bram];
	const keywords = people.map((address, i) => said(scopes[i % 2] as Scope, address));
	assert.equal((await stop(...keywords)).length, 300);
	const keys = people.flatMap((address) => scopes.map((scope) => keyOf(scope, address)));
	const tenantIds = scopes.map(({ tenantId }) => tenantId);
	const found = await worker.inTenants(tenantIds, (tx) => suppressedAmong(tx, keys));
	assert.equal(found.size, 300);
	for (const i of people.keys()) assert.ok(found.has(2 * i + (i % 2)));
});

test("no keys, no query", async () => {
	const [suppressed, consent] = await app.inTenant(asha, (tx) =>
		Promise.all([suppressedAmong(tx, []), consentAmong(tx, [])]),
	);
	assert.deepEqual([suppressed.size, consent.size], [0, 0]);
});

test("a worker sees only the tenants of its batch", async () => {
	const address = someone();
	await stop(said(bram, address));
	const found = await worker.inTenants([asha.tenantId], (tx) =>
		suppressedAmong(tx, [keyOf(bram, address)]),
	);
	assert.equal(found.size, 0);
});

test("a tenant suppresses, reads, lists and ends", async () => {
	const destination = someone();
	const made = await call(asha, "createSmsSuppression", { destination, originator: "WAXWNG" });
	assert.equal(made.status, 201);
	assert.match(made.body.id, /^sup_/);
	assert.equal(made.body.destination, destination);
	assert.equal(made.body.originator, "WAXWNG");
	assert.equal(made.body.reason, "manual");
	assert.equal(made.body.blocking, true);
	assert.equal((await facts(asha, destination)).suppressed, true);
	const again = await call(asha, "createSmsSuppression", { destination });
	assert.deepEqual([again.status, again.body.id], [200, made.body.id]);
	const listed = await call(asha, "listSmsSuppressions", { destination });
	assert.deepEqual(listed.body.data, [made.body]);
	assert.equal((await call(bram, "getSmsSuppression", {}, made.body.id)).status, 404);
	assert.equal((await call(bram, "deleteSmsSuppression", {}, made.body.id)).status, 404);
	assert.equal((await call(trial, "deleteSmsSuppression", {}, made.body.id)).status, 404);
	assert.equal((await call(asha, "deleteSmsSuppression", {}, made.body.id)).status, 204);
	assert.equal((await facts(asha, destination)).suppressed, false);
	assert.equal((await call(asha, "listSmsSuppressions", { destination })).body.data.length, 0);
	const ended = await call(asha, "getSmsSuppression", {}, made.body.id);
	assert.deepEqual([ended.body.blocking, ended.body.ended_reason], [false, "api_key"]);
	assert.equal((await call(asha, "deleteSmsSuppression", {}, made.body.id)).status, 204);
});

test("a person's STOP is not the tenant's to end, also when the tenant had suppressed them", async () => {
	const destination = someone();
	const made = await call(asha, "createSmsSuppression", { destination });
	await stop(said(asha, destination));
	await call(asha, "deleteSmsSuppression", {}, made.body.id);
	assert.equal((await facts(asha, destination)).suppressed, true);
	const { body } = await call(asha, "listSmsSuppressions", { destination });
	const theirs = body.data.find((row: Body) => row.reason === "keyword_stop");
	const refused = await call(asha, "deleteSmsSuppression", {}, theirs.id);
	assert.deepEqual([refused.status, refused.body.param], [422, "id"]);
	assert.equal((await facts(asha, destination)).suppressed, true);
});

test("START does not end what the tenant suppressed", async () => {
	const destination = someone();
	await call(asha, "createSmsSuppression", { destination });
	assert.equal((await start(said(asha, destination))).length, 0);
	assert.equal((await facts(asha, destination)).suppressed, true);
});

const statement = (handle: string, status: "granted" | "revoked", more: object = {}) =>
	call(asha, "recordPreference", { handle, channel: "sms", status, ...more });

test("consent is what the newest statement says", async () => {
	const handle = someone();
	assert.deepEqual(await facts(asha, handle), { suppressed: false, consent: undefined });
	const first = await statement(handle, "granted", { source: "web form" });
	assert.equal(first.status, 201);
	assert.equal(first.body.applied, true);
	assert.match(first.body.transition_id, /^cns_/);
	assert.equal(first.body.preference.handle, handle);
	assert.equal(first.body.preference.source, "web form");
	assert.equal(first.body.preference.coverage, "non_transactional");
	assert.deepEqual(await facts(asha, handle), { suppressed: false, consent: true });
	assert.equal((await facts(bram, handle)).consent, undefined);
	assert.equal((await facts(trial, handle)).consent, undefined);
	clock.advance(1);
	assert.equal((await statement(handle, "revoked")).status, 200);
	assert.deepEqual(await facts(asha, handle), { suppressed: false, consent: false });
	clock.advance(1);
	await statement(handle, "granted", { coverage: "all" });
	assert.deepEqual(await facts(asha, handle), { suppressed: false, consent: true });
});

test("an opt-out from everything stops transactional messages too, until consent is given anew", async () => {
	const handle = someone();
	await statement(handle, "revoked", { coverage: "all" });
	assert.deepEqual(await facts(asha, handle), { suppressed: true, consent: false });
	clock.advance(1);
	await statement(handle, "granted");
	assert.deepEqual(await facts(asha, handle), { suppressed: false, consent: true });
});

test("an older grant does not undo a newer opt-out", async () => {
	const handle = someone();
	await statement(handle, "revoked");
	for (const consented_at of ["2026-11-01T00:00:00Z", new Date(clock.now()).toISOString()]) {
		const late = await statement(handle, "granted", { consented_at });
		assert.equal(late.status, 200);
		assert.equal(late.body.applied, false);
		assert.equal(late.body.transition_id, null);
		assert.equal(late.body.preference.status, "revoked");
	}
	assert.equal((await facts(asha, handle)).consent, false);
});

test("an opt-out holds whatever the clock says", async () => {
	const handle = someone();
	await statement(handle, "granted");
	clock.advance(-60_000);
	const revoked = await statement(handle, "revoked");
	clock.advance(60_000);
	assert.equal(revoked.body.applied, true);
	assert.equal((await facts(asha, handle)).consent, false);
});

test("opt-out and grant at once: whichever comes first, the opt-out of the same moment holds", async () => {
	const handle = someone();
	await Promise.all(
		Array.from({ length: 8 }, (_, i) => statement(handle, i % 2 === 0 ? "granted" : "revoked")),
	);
	assert.equal((await facts(asha, handle)).consent, false);
	const { body } = await call(asha, "listPreferences", { channel: "sms", handle });
	assert.equal(body.data.length, 1);
	assert.equal(body.data[0].status, "revoked");
});

test("a repeated statement is recorded once", async () => {
	const handle = someone();
	const first = await statement(handle, "granted");
	const again = await statement(handle, "granted");
	assert.deepEqual([again.status, again.body.applied, again.body.transition_id], [200, true, null]);
	assert.equal(again.body.preference.id, first.body.preference.id);
});

const refusals: { name: string; input: object; param: string }[] = [
	{ name: "a number that is none", input: { handle: "+91981234" }, param: "handle" },
	{ name: "a channel we lack", input: { channel: "email" }, param: "channel" },
	{ name: "a status nobody knows", input: { status: "maybe" }, param: "status" },
	{ name: "a field nobody knows", input: { colour: "red" }, param: "colour" },
	{ name: "a time that is none", input: { consented_at: "soon" }, param: "consented_at" },
	{ name: "the future", input: { consented_at: "2027-01-01T00:00:00Z" }, param: "consented_at" },
	{ name: "1970", input: { consented_at: "1970-01-01T00:00:00Z" }, param: "consented_at" },
];
for (const { name, input, param } of refusals) {
	test(`a statement with ${name} is refused by name`, async () => {
		const { status, body } = await statement(someone(), "granted", input);
		assert.deepEqual([status, body.param], [422, param]);
	});
}

test("lists go forward and back by cursor", async () => {
	const handles = Array.from({ length: 5 }, someone);
	for (const handle of handles)
		await call(bram, "recordPreference", { handle, channel: "sms", status: "granted" });
	const newest = handles.toReversed();
	const page = async (query: object) => {
		const { body } = await call(bram, "listPreferences", { limit: 2, ...query });
		return { ...body, handles: body.data.map((row: Body) => row.handle) };
	};
	const first = await page({});
	assert.deepEqual([first.handles, first.prev_cursor], [newest.slice(0, 2), null]);
	const second = await page({ starting_after: first.next_cursor });
	assert.deepEqual(second.handles, newest.slice(2, 4));
	const third = await page({ starting_after: second.next_cursor });
	assert.deepEqual([third.handles, third.next_cursor], [newest.slice(4), null]);
	assert.deepEqual((await page({ ending_before: third.prev_cursor })).handles, second.handles);
	const back = await page({ ending_before: second.prev_cursor });
	assert.deepEqual([back.handles, back.prev_cursor], [first.handles, null]);
	for (const query of [{ starting_after: "nonsense" }, { starting_after: "sup_0" }])
		assert.equal((await call(bram, "listPreferences", query)).status, 422);
});

test("no number is stored in clear", async () => {
	const handle = someone();
	await statement(handle, "granted", { source: "canary-in-source" });
	await call(asha, "createSmsSuppression", { destination: handle, originator: "CANARYFROM" });
	for (const table of ["consent_statements", "suppressions"]) {
		const rows = await admin.run<{ row: string; raw: Buffer }>(
			`select t::text as row from ${table} t`,
		);
		const texts = rows.map(({ row }) =>
			row.replace(/\\x([0-9a-f]+)/g, (_, hex) => Buffer.from(hex, "hex").toString("latin1")),
		);
		assert.ok(texts.length > 0);
		for (const text of texts)
			for (const canary of [handle.slice(1), "canary-in-source", "CANARYFROM"])
				assert.ok(!text.includes(canary), `${canary} is in ${table}`);
	}
});
