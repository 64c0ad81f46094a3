/** Which suspects leave together, in which order, and which wait on in the table: over the real statements. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "#platform/clock.ts";
import { createIds, systemRandom } from "#platform/ids.ts";
import { testDatabase } from "../../tests/support/database.ts";
import { createSuspects, type Leased, setApart, suspectsMax } from "./apart.ts";
import { leaseEntries } from "./claim-store.ts";
import { makeBatches } from "./lane-store.ts";
import type { Batch, Parcel } from "./parcel.ts";
import { sampleJudged } from "./sample-judged.ts";
import { insertJudged } from "./store.ts";

const { app, worker, admin } = await testDatabase();
const scope = { tenantId: "018f3a5e-0000-7000-8000-000000000001", environment: "live" } as const;
const id = (n: number): string => `01a203a0-0000-7000-8000-${String(n).padStart(12, "0")}`;
const nowMs = Date.parse("2026-11-22T12:00:00Z");
const routeId = id(0);
const ids = createIds(systemClock, systemRandom());

interface Entry {
	readonly attempt: number;
	readonly apart: boolean;
}

/** Fills the lane with these entries, the first message number 1. */
async function fill(entries: readonly Entry[]): Promise<void> {
	await admin.run("delete from lane_entries; delete from dispatch_batches");
	await app.inTenant(scope, async (tx) =>
		insertJudged(
			tx,
			nowMs,
			[
				{
					scope,
					rows: entries.map((_, i) =>
						sampleJudged(id(offset + i), nowMs, {
							lane: { routeId, dueAtMs: nowMs + i, batchId: null },
						}),
					),
					digestId: ids.next(),
					events: [],
				},
			],
			{ owner: id(7), untilMs: nowMs, startedIds: [] },
		),
	);
	for (const [i, { attempt, apart }] of entries.entries())
		await admin.run(
			"update lane_entries set attempt = $2, apart = $3, possible_duplicate = $3 where message_id = $1",
			[id(offset + i), attempt, apart],
		);
}

let offset = 1;

/** Leases what is due, up to `most` for each of two batches, and sets suspects apart. */
async function claim(trialSize: number, inMemory: number, most: number): Promise<Leased[]> {
	return worker.inPlatform(async (tx) => {
		const { tenantId } = scope;
		const requests = [id(901), id(902)].map((batchId) => ({ tenantId, batchId }));
		const lane = { routeId, class: 1 };
		const found = await leaseEntries(tx, lane, requests, most, nowMs + 60_000);
		const leased = requests
			.map((request, i): Leased => ({ request, entries: found[i] ?? [], isApart: false }))
			.filter(({ entries }) => entries.length > 0);
		const parts = { ids, trialSize: () => trialSize };
		const set = setApart(parts, tx, routeId, leased, inMemory, nowMs);
		makeBatches(
			tx,
			set.map(({ request }) => request.batchId),
			id(7),
			nowMs + 20_000,
		);
		return set;
	});
}

/** As [apart, messages by number], each group under the batch that the table names too. */
async function shape(set: readonly Leased[]): Promise<[boolean, number[]][]> {
	const rows = await admin.run<{ message_id: string; batch_id: string | null }>(
		"select message_id, batch_id from lane_entries",
	);
	const batchOf = new Map(rows.map((row) => [row.message_id, row.batch_id]));
	return set.map(({ request, entries, isApart }) => {
		for (const { message_id } of entries)
			assert.equal(batchOf.get(message_id), request.batchId, "the table says so too");
		const numbers = entries.map(({ message_id }) => Number(message_id.slice(-6)) - offset + 1);
		return [isApart, numbers.toSorted((a, b) => a - b)];
	});
}

const ordinary = { attempt: 0, apart: false };
const lostOnce = { attempt: 1, apart: true };
const lostTwice = { attempt: 2, apart: true };

test("suspects leave their batch: one by one, or as many as are worth a trial; who was lost twice alone", async () => {
	const lane = [
		ordinary,
		lostOnce,
		lostOnce,
		lostTwice,
		ordinary,
		lostOnce,
		{ ...ordinary, attempt: 3 },
	];
	await fill(lane);
	const others = [false, [1, 5, 7]];
	const single = await shape(await claim(1, 0, 64));
	assert.deepEqual(single, [others, [true, [2]], [true, [3]], [true, [4]], [true, [6]]]);
	offset += 100;
	await fill(lane);
	const grouped = await shape(await claim(2, 0, 64));
	assert.deepEqual(grouped, [others, [true, [2, 3]], [true, [4]], [true, [6]]]);
	const batches = await admin.run("select id from dispatch_batches");
	assert.equal(batches.length, 4, "each is leased and started by itself");
});

test("a batch of suspects only is none any more, and suspects of two batches do not mix", async () => {
	offset += 100;
	await fill([lostOnce, lostOnce, lostOnce]);
	const set = await shape(await claim(16, 0, 2));
	assert.deepEqual(set, [
		[true, [1, 2]],
		[true, [3]],
	]);
});

test("more suspects than are kept in memory wait on, until about their turn", async () => {
	offset += 100;
	await fill([lostOnce, ordinary, lostOnce, lostOnce]);
	const set = await shape(await claim(1, suspectsMax - 1, 64));
	assert.deepEqual(set, [
		[false, [2]],
		[true, [1]],
	]);
	assert.deepEqual(
		await admin.run(
			"select message_id, due_at, attempt, apart, possible_duplicate from lane_entries where batch_id is null order by message_id",
		),
		[3, 4].map((n, i) => ({
			message_id: id(offset + n - 1),
			due_at: new Date(nowMs + (suspectsMax + i) * 40),
			attempt: 1,
			apart: true,
			possible_duplicate: true,
		})),
	);
});

test("a code is tried before others, and who has been tried less often before who was more often", () => {
	const suspects = createSuspects();
	const batch = (name: string, classNumber: number, attempt: number): Batch => ({
		id: name,
		routeId,
		class: classNumber,
		tenantId: scope.tenantId,
		parcels: [{ attempt } as Parcel],
		handed: false,
		started: false,
	});
	for (const one of [batch("often", 1, 3), batch("once", 1, 1), batch("code", 0, 4)])
		suspects.push(one);
	assert.deepEqual([suspects.waiting(routeId), suspects.waiting(routeId, 1)], [3, 2]);
	assert.equal(suspects.batchIds().length, 3);
	const order = Array.from({ length: 4 }, () => suspects.take(routeId)[0]?.id);
	assert.deepEqual(order, ["code", "once", "often", undefined]);
	suspects.push(batch("again", 1, 1));
	assert.deepEqual(
		suspects.drain().map((one) => one.id),
		["again"],
	);
	assert.equal(suspects.waiting(routeId), 0);
});
