import assert from "node:assert/strict";
import { test } from "node:test";
import { sqlState } from "#platform/db.ts";
import { testDatabase } from "../../tests/support/database.ts";
import { insertClearances, insertLaneEntries } from "./store.ts";

const { app, worker, admin } = await testDatabase();
const scope = { tenantId: "018f3a5e-0000-7000-8000-000000000001", environment: "live" } as const;
const id = (n: number): string => `01a203a0-0000-7000-8000-${String(n).padStart(12, "0")}`;
const nowMs = Date.parse("2026-11-22T12:00:00Z");
const entry = (n: number) => ({
	messageId: id(n),
	routeId: id(0),
	class: 1,
	dueAtMs: nowMs,
	expiresAtMs: nowMs + 1,
	batchId: null,
});
const clearance = (n: number) => ({
	messageId: id(n),
	ruleset: "r-1",
	verdicts: "pn",
	untilMs: null,
	validUntilMs: nowMs,
	seal: Buffer.alloc(32),
});

test("nothing stands in a lane without a clearance", async () => {
	const add = (clearances: number[], entries: number[]): Promise<void> =>
		app.inTenant(scope, async (tx) => {
			insertClearances(tx, scope, nowMs, clearances.map(clearance));
			insertLaneEntries(tx, scope, entries.map(entry));
		});
	await assert.rejects(add([], [1]), (error) => sqlState(error) === "23503");
	await assert.rejects(add([2], [2, 3]), (error) => sqlState(error) === "23503");
	await add([4, 5], [4, 5]);
	assert.equal((await admin.run("select 1 from lane_entries")).length, 2);
});

test("a clearance cannot be deleted, and an entry cannot be given another message", async () => {
	const forbidden = (error: unknown): boolean => sqlState(error) === "42501";
	const take = { name: "t1", text: "delete from clearances" };
	const move = { name: "t2", text: `update lane_entries set message_id = '${id(9)}'` };
	await assert.rejects(
		app.inTenant(scope, (tx) => tx.query(take)),
		forbidden,
	);
	await assert.rejects(
		worker.inTenants([scope.tenantId], (tx) => tx.query(take)),
		forbidden,
	);
	await assert.rejects(
		worker.inTenants([scope.tenantId], (tx) => tx.query(move)),
		forbidden,
	);
});
