import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "#platform/clock.ts";
import { createIds, systemRandom } from "#platform/ids.ts";
import { createLog } from "#platform/log.ts";
import { testDatabase } from "../../tests/support/database.ts";
import { createRecorder } from "./recorder.ts";
import { sampleJudged } from "./sample-judged.ts";
import { insertJudged } from "./store.ts";

const { app, worker, admin } = await testDatabase();
const scope = { tenantId: "018f3a5e-0000-7000-8000-000000000001", environment: "live" } as const;
const id = (n: number): string => `01a203a0-0000-7000-8000-${String(n).padStart(12, "0")}`;
const nowMs = Date.parse("2026-11-22T12:00:00Z");
const recorder = createRecorder({
	worker,
	ids: createIds(systemClock, systemRandom()),
	clock: systemClock,
	log: createLog("silent"),
	onEvents: () => undefined,
});

const message = (n: number, batchId: string) =>
	sampleJudged(id(n), nowMs, { lane: { routeId: id(0), dueAtMs: nowMs, batchId } });

/** What waits in the lane, and the batches there are. */
const standing = async () => ({
	entries: await admin.run("select message_id, batch_id from lane_entries order by message_id"),
	batches: (await admin.run<{ id: string }>("select id from dispatch_batches order by id")).map(
		(row) => row.id,
	),
});

test("a batch whose lease ran out before it was started leaves its messages waiting, and nobody else's", async () => {
	const [ours, theirs, handed, lost] = [id(100), id(200), id(300), id(400)];
	const lease = { owner: id(7), untilMs: nowMs, startedIds: [] };
	await app.inTenant(scope, async (tx) => {
		const rows = [message(1, ours), message(2, theirs), message(3, handed), message(4, lost)];
		insertJudged(tx, nowMs, [{ scope, rows, digestId: id(99), events: [] }], lease);
	});
	// Two were leased from the table; of these the second was recovered, and is in another worker's hands. The
	// fourth was recovered too: its batch is gone.
	await admin.run(
		`insert into lane_entries (tenant_id, message_id, environment, route_id, class, due_at, expires_at, batch_id, seal)
		select b.tenant_id, b.message_ids[1], 'live', b.route_id, 1, now(), now(), b.id, decode(repeat('00', 32), 'hex')
		from dispatch_batches b where b.id = any ($1)`,
		[[ours, theirs]],
	);
	await admin.run(
		"update dispatch_batches set message_ids = null, tenant_id = null, route_id = null where id = any ($1)",
		[[ours, theirs]],
	);
	await admin.run("delete from dispatch_batches where id = $1", [lost]);
	for (const batchId of [ours, handed, lost]) {
		const released = { tenantId: scope.tenantId, batchId };
		recorder.open(batchId, 1);
		recorder.record({ batchId, effects: { released } });
	}
	await recorder.idle();
	assert.deepEqual(await standing(), {
		entries: [
			{ message_id: id(1), batch_id: null },
			{ message_id: id(2), batch_id: theirs },
			{ message_id: id(3), batch_id: null },
		],
		batches: [theirs],
	});
});

test("a message that was handed over waits in the lane again, unless its batch was lost meanwhile", async () => {
	await admin.run("delete from lane_entries; delete from dispatch_batches");
	const [kept, lost] = [id(500), id(600)];
	const lease = { owner: id(7), untilMs: nowMs, startedIds: [] };
	await app.inTenant(scope, async (tx) => {
		const rows = [message(5, kept), message(6, lost)];
		insertJudged(tx, nowMs, [{ scope, rows, digestId: id(98), events: [] }], lease);
	});
	await admin.run("delete from dispatch_batches where id = $1", [lost]);
	for (const [n, batchId] of [
		[5, kept],
		[6, lost],
	] as const) {
		const returned = {
			tenantId: scope.tenantId,
			messageId: id(n),
			routeId: id(1),
			dueAtMs: nowMs + 500,
			attempt: 1,
			possibleDuplicate: true,
			abandoned: false,
			apart: true,
		};
		recorder.open(batchId, 2);
		recorder.record({ batchId, effects: { returned } });
	}
	await recorder.idle();
	assert.deepEqual(await standing(), {
		entries: [{ message_id: id(5), batch_id: null }],
		batches: [kept],
	});
	assert.deepEqual(
		await admin.run(
			"select route_id, due_at, attempt, possible_duplicate, apart, seal from lane_entries",
		),
		[
			{
				route_id: id(1),
				due_at: new Date(nowMs + 500),
				attempt: 1,
				possible_duplicate: true,
				apart: true,
				seal: Buffer.alloc(32),
			},
		],
	);
});
