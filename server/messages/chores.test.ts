/** Chores beside many rows: each looks at so many, goes on from there, and comes to all of them. */
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { Database, Tx } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import { createMetrics } from "#platform/metrics.ts";
import { createIds, seededRandom } from "#platform/ids.ts";
import { testDatabase } from "../../tests/support/database.ts";
import { presumeUnheard, purgeOld } from "./aging.ts";
import { sweepOften, sweepSeldom, type SweepParts } from "./sweep.ts";

const { worker, admin } = await testDatabase();
const tenantId = "018f3a5e-0000-7000-8000-000000000001";
const route = "018f3a5e-0000-7000-8000-0000000000aa";
const hourMs = 3_600_000;
let nowMs = Date.parse("2026-11-22T12:00:00Z");
const clock = { now: () => nowMs, elapsed: () => 0 };
let told = 0;
const partsOf = (over: Partial<SweepParts> = {}) => ({
	worker,
	clock,
	ids: createIds(clock, seededRandom(1)),
	unknownReconcileMs: 1,
	owner: "018f3a5e-0000-7000-8000-0000000000bb",
	router: { candidates: () => [] },
	heldIds: () => [],
	unservedRouteIds: () => [],
	places: { lanes: new Map() },
	onEvents: () => void told++,
	metrics: createMetrics(),
	...over,
});

interface Sent {
	readonly count: number;
	/** Of the last one; each is a second older than the one before. */
	readonly ageMs: number;
	readonly status?: number;
	/** States of the segments, 0 without a receipt. */
	readonly segments?: readonly number[];
}
let sentSoFar = 0;
/** Messages handed over, with their states. */
async function sent({ count, ageMs, status = 20, segments = [0] }: Sent): Promise<void> {
	const from = sentSoFar + 1;
	sentSoFar += count;
	const ids = `('01a203a0-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid`;
	await admin.run(
		`insert into submissions (tenant_id, message_id, segment, segments, route_id, carrier_id, state, submitted_at)
		select $1, ${ids}, s.i, cardinality($7::smallint[]), $2, 'c' || n || '-' || s.i, s.state, to_timestamp($5::float8 / 1000) - (n - $3) * interval '1 second'
		from generate_series($3::integer, $4::integer) as n cross join unnest($7::smallint[]) with ordinality as s (state, i)
		where $6::integer > 0`,
		[tenantId, route, from, sentSoFar, nowMs - ageMs, status, segments],
	);
	await admin.run(
		`insert into message_states (tenant_id, message_id, environment, status, changed_at, event_id)
		select $1, ${ids}, 'live', $4, now(), gen_random_uuid() from generate_series($2::integer, $3::integer) as n`,
		[tenantId, from, sentSoFar, status],
	);
}
const counted = async (text: string): Promise<number> =>
	Number((await admin.run<{ count: string }>(`select count(*) ${text}`))[0]?.count);
const inState = (status: number) => counted(`from message_states where status = ${status}`);
const fresh = async (): Promise<void> => {
	for (const table of [
		"submissions",
		"message_states",
		"message_events",
		"outbox",
		"parked_receipts",
	])
		await admin.run(`delete from ${table}`);
	await admin.run(
		"update chore_places set done_until = case name when 'purge' then '2026-01-01Z' else 'epoch' end::timestamptz",
	);
};
async function stepsOf(step: () => Promise<boolean>): Promise<number> {
	for (let steps = 1; steps < 200; steps++) if (!(await step())) return steps;
	return assert.fail("it does not end");
}

before(async () => {
	await admin.run(
		"insert into tenants (tenant_id, name_sealed, created_at) values ($1, '', now())",
		[tenantId],
	);
	await admin.run(
		"insert into routes (id, environment, countries, priority, config_sealed, created_at, enabled) values ($1, 'live', '{*}', 1, '', now(), true)",
		[route],
	);
});

describe("messages without news", () => {
	test("are presumed failed after three days, however many, and no others", async () => {
		await fresh();
		await sent({ count: 4_500, ageMs: 72 * hourMs + 1_000 });
		await sent({ count: 500, ageMs: 72 * hourMs + 1_000, status: 40 });
		await sent({ count: 500, ageMs: 71 * hourMs });
		const step = presumeUnheard(partsOf());
		assert.ok((await stepsOf(step)) > 3, "so many at a step");
		assert.deepEqual([await inState(30), await inState(40), await inState(20)], [4_500, 500, 500]);
		assert.equal(await step(), false);
		// Where it came to is kept: another process goes on from there, and finds what has come of age since.
		nowMs += 2 * hourMs;
		assert.ok((await stepsOf(presumeUnheard(partsOf()))) > 0);
		assert.deepEqual([await inState(30), await inState(20)], [5_000, 0]);
	});

	test("are one process's to look for", async () => {
		await fresh();
		await sent({ count: 10, ageMs: 73 * hourMs });
		const step = presumeUnheard(partsOf());
		await admin.run("begin");
		await admin.run("select from chore_places for update");
		assert.equal(await step(), false);
		assert.equal(await inState(30), 0);
		await admin.run("rollback");
		await stepsOf(step);
		assert.equal(await inState(30), 10);
	});

	test("that were not looked for while nobody ran are, also after more than a day", async () => {
		await fresh();
		await stepsOf(presumeUnheard(partsOf()));
		await sent({ count: 10, ageMs: 71 * hourMs });
		nowMs += 60 * hourMs;
		await stepsOf(presumeUnheard(partsOf()));
		assert.equal(await inState(30), 10);
	});
});

test("a walk's stretches adapt to what they take, between a tenth of a second and a month", async () => {
	let [placeMs, elapsedMs, tookMs] = [nowMs - 100 * 24 * hourMs, 0, 1];
	let failing = false;
	const stretches: number[] = [];
	const tx = {
		query: ({ name }: { name: string }, [since, until]: number[]) => {
			if (name === "chores.place") return Promise.resolve([{ done_ms: placeMs }]);
			stretches.push((until as number) - (since as number));
			elapsedMs += tookMs;
			return failing ? Promise.reject(new Error("too slow")) : Promise.resolve([]);
		},
		post: (_: object, values: number[]) => void (placeMs = values[1] as number),
	} as unknown as Tx;
	const inPlatform: Database["inPlatform"] = (work) => work(tx);
	const step = presumeUnheard({
		...partsOf({ worker: { ...worker, inPlatform } }),
		clock: { now: () => nowMs, elapsed: () => elapsedMs },
	});
	assert.ok((await stepsOf(step)) < 25);
	assert.equal(Math.max(...stretches), 30 * 24 * hourMs);
	// What is cut short by the present says nothing of what a longer one would take.
	for (let i = 0; i < 2_000; i++) {
		nowMs += 300_000;
		await step();
	}
	nowMs += 300 * 24 * hourMs;
	failing = true;
	stretches.length = 0;
	for (let i = 0; i < 14; i++) await assert.rejects(step(), /too slow/);
	assert.deepEqual(
		stretches.slice(0, 2).map((ms) => ms / hourMs),
		[720, 90],
	);
	assert.equal(stretches.at(-1), 100);
	[failing, tookMs] = [false, 201];
	await step();
	await step();
	assert.equal(stretches.at(-1), 100, "no shorter");
});

test("submissions go after ten days, however many, and no others", async () => {
	await fresh();
	await sent({ count: 5_500, ageMs: 240 * hourMs + 1_000 });
	await sent({ count: 50, ageMs: 300 * 24 * hourMs });
	await sent({ count: 500, ageMs: 239 * hourMs });
	await stepsOf(purgeOld(partsOf()));
	assert.equal(await counted("from submissions"), 500);
	nowMs += 2 * hourMs;
	await stepsOf(purgeOld(partsOf()));
	assert.equal(await counted("from submissions"), 0);
});

test("other old rows go, however many, and no others", async () => {
	await fresh();
	await admin.run(
		`insert into parked_receipts (id, route_id, carrier_id, state, received_at)
		select gen_random_uuid(), $1, n::text, 2, to_timestamp($2::float8 / 1000) - case when n > 10 then interval '73 hours' else interval '71 hours' end
		from generate_series(1, 4510) as n`,
		[route, nowMs],
	);
	await stepsOf(purgeOld(partsOf()));
	assert.equal(await counted("from parked_receipts"), 10);
});

describe("long messages of which only the last segment was reported", () => {
	test("are delivered, however many others there are, newest and oldest", async () => {
		await fresh();
		await sent({ count: 1, ageMs: 11_000, segments: [0, 2] });
		await sent({ count: 12_000, ageMs: 12_000, segments: [2, 2], status: 40 });
		await sent({ count: 1, ageMs: 20 * hourMs, segments: [0, 0, 2] });
		await sent({ count: 1, ageMs: 19 * hourMs, segments: [0, 1, 2] });
		await sent({ count: 1, ageMs: 9_000, segments: [0, 2] });
		const parts = partsOf();
		await sweepOften(parts);
		assert.equal(await inState(20), 3, "the newest at once");
		for (let i = 0; i < 3; i++) await sweepOften(parts);
		assert.equal(await inState(20), 2, "one has a receipt for another segment, one is too young");
	});
});

test("a retry of a clock that ran ahead waits as long as any, and nothing else is brought forward", async () => {
	await fresh();
	const dayMs = 24 * hourMs;
	const entries = [
		{ name: "unknown, sent again", attempt: 1, class: 1, inMs: dayMs, comes: true },
		{
			name: "unknown, not sent again",
			attempt: 1,
			class: 3,
			abandoned: true,
			inMs: 300 * dayMs,
			comes: true,
		},
		{ name: "unknown, batched", attempt: 1, class: 1, inMs: dayMs, batch: route, comes: false },
		{ name: "a retry in its time", attempt: 4, class: 0, inMs: 79_000, comes: false },
		{ name: "a retry that waits for a window", attempt: 1, class: 3, inMs: dayMs, comes: false },
		{ name: "scheduled", attempt: 0, class: 1, inMs: dayMs, comes: false },
	];
	const ids = `('01a203a0-0000-7000-8000-' || lpad($2::text, 12, '0'))::uuid`;
	for (const [i, entry] of entries.entries())
		await admin.run(
			`insert into lane_entries (tenant_id, message_id, environment, route_id, class, due_at, expires_at, attempt, abandoned, batch_id, seal)
			values ($1, ${ids}, 'live', $3, $4, to_timestamp($5::float8 / 1000), to_timestamp($5::float8 / 1000), $6, $7, $8, decode(repeat('00', 32), 'hex'))`,
			[
				tenantId,
				i,
				route,
				entry.class,
				nowMs + entry.inMs,
				entry.attempt,
				entry.abandoned === true,
				entry.batch,
			],
		);
	await sweepOften(partsOf({ unknownReconcileMs: 30_000 }));
	const due = await admin.run<{ ms: number }>(
		"select (extract(epoch from due_at) * 1000)::float8 as ms from lane_entries order by message_id",
	);
	for (const [i, { name, inMs, comes }] of entries.entries())
		assert.equal((due[i]?.ms ?? 0) - nowMs, comes ? 30_000 : inMs, name);
	await admin.run("delete from lane_entries");
});

describe("parked receipts", () => {
	test("find their submission, however many others are parked", async () => {
		await fresh();
		await sent({ count: 2, ageMs: 1_000 });
		const [first, last] = [sentSoFar - 1, sentSoFar].map((n) => `c${n}-1`);
		await admin.run(
			`insert into parked_receipts (id, route_id, carrier_id, state, error_code, received_at)
			select ('01a203a0-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, $1, case n when 1 then $2 when 12000 then $3 else 'x' || n end, 2, '000', now()
			from generate_series(1, 12000) as n`,
			[route, first, last],
		);
		told = 0;
		const parts = partsOf();
		await sweepOften(parts);
		assert.deepEqual([await inState(40), told], [1, 1]);
		for (let i = 0; i < 2; i++) await sweepOften(parts);
		assert.deepEqual([await inState(40), told], [2, 2]);
		assert.equal(await counted("from parked_receipts"), 11_998);
		// Once at the end, it begins again.
		await sent({ count: 1, ageMs: 1_000 });
		await admin.run("update parked_receipts set carrier_id = $1 where carrier_id = 'x7'", [
			`c${sentSoFar}-1`,
		]);
		for (let i = 0; i < 3; i++) await sweepOften(parts);
		assert.equal(await inState(40), 3);
	});
});

describe("a chore that fails", () => {
	/** A database whose first transactions fail. */
	const failing = (times: number, error: Error): { worker: Database; calls: () => number } => {
		let calls = 0;
		const inPlatform: Database["inPlatform"] = (work) =>
			++calls <= times ? Promise.reject(error) : worker.inPlatform(work);
		return { worker: { ...worker, inPlatform }, calls: () => calls };
	};

	test("keeps no other from its turn", async () => {
		await fresh();
		await sent({ count: 1, ageMs: 11_000, segments: [0, 2] });
		const away = failing(1, new Error("of the leases"));
		const parts = partsOf({ worker: away.worker, heldIds: () => [route] });
		await assert.rejects(sweepOften(parts), /of the leases/);
		assert.equal(await inState(40), 1);
	});

	test("is told beside the others that fail with it", async () => {
		const away = failing(2, new Error("of two"));
		const parts = partsOf({ worker: away.worker, heldIds: () => [route] });
		await assert.rejects(sweepOften(parts), ({ errors }: AggregateError) => errors.length === 2);
	});

	test("is the last for now when the database is away: a stop does not wait for each", async () => {
		const away = failing(9, Fault.of("database_unavailable"));
		const parts = partsOf({ worker: away.worker, heldIds: () => [route] });
		await assert.rejects(sweepOften(parts), { name: "database_unavailable" });
		assert.equal(away.calls(), 1);
	});

	test("is not why the coming months have no partitions", async () => {
		nowMs = Date.parse("2027-01-15T00:00:00Z");
		const there = () => counted("from pg_class where relname = 'messages_202703'");
		assert.equal(await there(), 0);
		const away = failing(1, new Error("of the first chore"));
		await assert.rejects(sweepSeldom(partsOf({ worker: away.worker })), /of the first chore/);
		await sweepSeldom(partsOf());
		assert.equal(await there(), 1);
	});
});
