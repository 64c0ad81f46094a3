import assert from "node:assert/strict";
import { test } from "node:test";
import { sqlState } from "#platform/db.ts";
import { testDatabase } from "../../tests/support/database.ts";
import { sampleJudged } from "./sample-judged.ts";
import { insertJudged, type JudgedMessage } from "./store.ts";

const { app, worker, admin } = await testDatabase();
const scope = { tenantId: "018f3a5e-0000-7000-8000-000000000001", environment: "live" } as const;
const id = (n: number): string => `01a203a0-0000-7000-8000-${String(n).padStart(12, "0")}`;
const nowMs = Date.parse("2026-11-22T12:00:00Z");
const message = (n: number, change: Partial<JudgedMessage> = {}): JudgedMessage =>
	sampleJudged(id(n), nowMs, {
		lane: { routeId: id(0), dueAtMs: nowMs, batchId: null },
		...change,
	});
const add = (...rows: JudgedMessage[]): Promise<void> =>
	app.inTenant(scope, async (tx) =>
		insertJudged(tx, nowMs, [{ scope, rows, digestId: id(99), events: [] }], undefined),
	);
const count = async (): Promise<number[]> =>
	(
		await admin.run<{ n: number }>(
			"select count(*)::int as n from lane_entries union all select count(*)::int from messages",
		)
	).map((row) => row.n);

test("nothing stands in a lane without a clearance", async () => {
	const refused =
		(...codes: string[]) =>
		(error: unknown) =>
			codes.includes(sqlState(error) ?? "");
	await assert.rejects(add(message(1, { clearance: undefined })), refused("23502"));
	await assert.rejects(add(message(2), message(3, { clearance: undefined })), refused("23502"));
	const short = { untilMs: nowMs, seal: Buffer.alloc(31) };
	await assert.rejects(add(message(4, { clearance: short })), refused("23514"));
	assert.deepEqual(await count(), [0, 0], "nor is its message stored");
	await add(message(5), message(6, { clearance: undefined, lane: undefined }), message(7));
	assert.deepEqual(await count(), [2, 3]);
});

test("verdicts and seals cannot be changed, nor an entry given another message", async () => {
	const forbidden = (error: unknown): boolean => sqlState(error) === "42501";
	const statements = [
		"delete from messages",
		"update messages set seal = seal",
		"update messages set verdicts = 'pp'",
		"update lane_entries set seal = seal",
		`update lane_entries set message_id = '${id(9)}'`,
	];
	for (const [i, text] of statements.entries()) {
		await assert.rejects(
			app.inTenant(scope, (tx) => tx.query({ name: `app${i}`, text })),
			forbidden,
		);
		await assert.rejects(
			worker.inTenants([scope.tenantId], (tx) => tx.query({ name: `worker${i}`, text })),
			forbidden,
		);
	}
});
