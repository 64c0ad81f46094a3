/** Reading by ids: an id is answered once however often it is asked for, and nobody else's is. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Scope } from "#platform/db.ts";
import { testDatabase } from "../../tests/support/database.ts";
import { decisionsOf, eventsByIds, messagesByIds } from "./read-store.ts";
import { sampleJudged } from "./sample-judged.ts";
import { states } from "./state.ts";
import { insertJudged } from "./store.ts";
import { messageReader } from "./stored-facts-store.ts";
import { applyTransitions } from "./transition-store.ts";

const { app, worker } = await testDatabase();
const nowMs = Date.parse("2026-11-22T12:00:00Z");
const id = (n: number): string => `01a203a0-0000-7000-8000-${String(n).padStart(12, "0")}`;
const scope: Scope = { tenantId: "018f3a5e-0000-7000-8000-000000000001", environment: "live" };

await app.inTenant(scope, async (tx) => {
	const rows = [1, 2, 3].map((n) => sampleJudged(id(n), nowMs, {}));
	insertJudged(tx, nowMs, [{ scope, rows, digestId: id(900), events: [] }], undefined);
	const sent = { ...scope, rank: states.sent.rank, atMs: nowMs + 1_000, error: null };
	applyTransitions(tx, nowMs, [
		{ ...sent, messageId: id(2), carrierError: null, possibleDuplicate: false, eventId: id(802) },
	]);
});

test("messages, decisions, events and facts are there once each", async () => {
	const asked = [id(2), id(1), id(2), id(77)];
	const found = await app.inTenant(scope, async (tx) => ({
		messages: (await messagesByIds(tx, scope, asked)).map((one) => one.id),
		decisions: (await decisionsOf(tx, scope, asked)).map((one) => one.message_id),
		events: (await eventsByIds(tx, scope, asked, [id(802), id(802)])).map((one) => one.id),
		facts: (await messageReader.facts(tx, scope.tenantId, asked)).map((one) => one.id),
	}));
	assert.deepEqual(
		{
			...found,
			messages: found.messages.toSorted(),
			decisions: found.decisions.toSorted(),
			facts: found.facts.toSorted(),
		},
		{
			messages: [id(1), id(2)],
			decisions: [id(1), id(2)],
			events: [id(802)],
			facts: [id(1), id(2)],
		},
	);
});

test("what another tenant, or the other environment, asks for is not there", async () => {
	const others: Scope[] = [
		{ ...scope, environment: "test" },
		{ tenantId: "018f3a5e-0000-7000-8000-000000000002", environment: "live" },
	];
	for (const other of others)
		assert.deepEqual(
			await app.inTenant(other, async (tx) => [
				await messagesByIds(tx, other, [id(1)]),
				await decisionsOf(tx, other, [id(1)]),
				await eventsByIds(tx, other, [id(2)], [id(802)]),
				await messageReader.facts(tx, other.tenantId, [id(1)]),
			]),
			[[], [], [], []],
		);
});

test("a worker sees the rows of the tenants in hand, whichever a statement names", async () => {
	const find = (tenantIds: readonly string[]) =>
		worker.inTenants(tenantIds, async (tx) => [
			...(await messagesByIds(tx, scope, [id(1)])),
			...(await messageReader.facts(tx, scope.tenantId, [id(1)])),
			...(await eventsByIds(tx, scope, [id(2)], [id(802)])),
		]);
	const other = "018f3a5e-0000-7000-8000-000000000002";
	assert.equal((await find([other, scope.tenantId])).length, 3);
	assert.deepEqual(await find([other]), []);
});
