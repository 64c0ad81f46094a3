/** Whose turn it is when many tenants wait in a lane, and how much is looked at to find that out. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { manualClock } from "#platform/clock.ts";
import type { Database } from "#platform/db.ts";
import { createIds, seededRandom } from "#platform/ids.ts";
import { silentLog } from "#platform/log.ts";
import { type Vault, VaultError } from "#vault/index.ts";
import { testDatabase } from "../../tests/support/database.ts";
import { createSuspects } from "./apart.ts";
import { claimLane, type ClaimParts, waitingLanes } from "./claim.ts";
import { createLanes } from "./lanes.ts";

const { worker, admin } = await testDatabase();
const nowMs = Date.parse("2026-11-22T12:00:00Z");
const clock = manualClock(nowMs);
const ids = createIds(clock, seededRandom(3));
const tenant = (n: number): string => `018f3a5e-0000-7000-8000-${String(n).padStart(12, "0")}`;
const newRoute = (): string => ids.next();

/** Entries of these tenants, `each` of each, due after so long. */
async function wait(
	route: string,
	from: number,
	until: number,
	each: number,
	dueInMs = 0,
): Promise<void> {
	await admin.run(
		`insert into lane_entries (tenant_id, message_id, environment, route_id, class, due_at, expires_at, seal)
		select ('018f3a5e-0000-7000-8000-' || lpad(t::text, 12, '0'))::uuid, gen_random_uuid(), 'live', $1, 3, to_timestamp($5::float8 / 1000),
			to_timestamp($5::float8 / 1000) + interval '1 day', decode(repeat('00', 32), 'hex')
		from generate_series($2::integer, $3::integer) as t, generate_series(1, $4::integer)`,
		[route, from, until, each, nowMs + dueInMs],
	);
}

/** Keys are not at hand: what was leased stays leased, and is not opened. */
function claimer(over: Database = worker): ClaimParts {
	const vault = {
		warm: async () => undefined,
		contacts: { load: async () => ({ of: () => undefined }) },
		openJsonFor: () => {
			throw VaultError.of("not_warm", "no keys here");
		},
	};
	return {
		worker: over,
		vault: vault as unknown as Vault,
		ids,
		clock,
		log: silentLog,
		lanes: createLanes(),
		suspects: createSuspects(),
		trialSize: () => 1,
		owner: ids.next(),
		recorder: { record: () => undefined },
		turns: new Map(),
	};
}

/** How many of each tenant's entries are leased, by tenant's number. */
async function leased(route: string): Promise<Map<number, number>> {
	const rows = await admin.run<{ n: string; count: number }>(
		`select right(tenant_id::text, 12) as n, count(*)::integer as count from lane_entries
		where route_id = $1 and batch_id is not null group by tenant_id`,
		[route],
	);
	return new Map(rows.map(({ n, count }) => [Number(n), count]));
}

test("tenants are served in turn: the last ones do not wait until the first have nothing more", async () => {
	const route = newRoute();
	await wait(route, 1, 150, 40);
	const parts = claimer();
	const seen: number[] = [];
	for (let claims = 0; claims < 3; claims++) {
		assert.equal(await claimLane(parts, route, 3), true);
		seen.push((await leased(route)).size);
	}
	assert.deepEqual(seen, [64, 128, 150]);
	const counts = [...(await leased(route)).values()];
	assert.deepEqual(
		[Math.min(...counts), Math.max(...counts)],
		[16, 32],
		"the round has begun again",
	);
});

test("a tenant alone has as many batches as a claim carries, each of 64 and none with another's", async () => {
	const route = newRoute();
	await wait(route, 1, 1, 1_100);
	await wait(route, 2, 2, 3, 1_000);
	const parts = claimer();
	assert.equal(await claimLane(parts, route, 3), true);
	const batches = await admin.run<{ count: number }>(
		`select count(*)::integer as count from lane_entries where route_id = $1 and batch_id is not null group by batch_id`,
		[route],
	);
	assert.deepEqual(
		batches.map(({ count }) => count),
		Array<number>(16).fill(64),
	);
	assert.equal(await claimLane(parts, route, 3), true);
	assert.deepEqual(await leased(route), new Map([[1, 1_100]]));
	assert.equal(await claimLane(parts, route, 3), false, "what is scheduled for later is not due");
	const [row] = await admin.run<{ n: number }>(
		`select count(*)::integer as n from lane_entries e join dispatch_batches b on b.id = e.batch_id and b.owner = $2 where e.route_id = $1`,
		[route, parts.owner],
	);
	assert.equal(row?.n, 1_100, "each batch is held by who claimed");
});

test("the oldest of a tenant leave first, whatever batch they are in", async () => {
	const route = newRoute();
	for (const ms of [-3_000, -1_000, -2_000]) await wait(route, 7, 7, 512, ms);
	await claimLane(claimer(), route, 3);
	const [row] = await admin.run<{ latest: Date; earliest: Date }>(
		`select max(due_at) filter (where batch_id is not null) as latest, min(due_at) filter (where batch_id is null) as earliest
		from lane_entries where route_id = $1`,
		[route],
	);
	assert.deepEqual(
		[row?.latest.getTime(), row?.earliest.getTime()],
		[nowMs - 2_000, nowMs - 1_000],
	);
});

test("thousands of tenants with nothing due yet are looked at in pieces, and hide nobody's due message", async () => {
	const route = newRoute();
	await wait(route, 1, 5_000, 1, 86_400_000);
	await admin.run("vacuum analyze lane_entries");
	const lanesDue = async () => [...(await waitingLanes({ worker, clock }, [route]))];
	assert.deepEqual(await lanesDue(), []);
	await wait(route, 4_999, 4_999, 1);
	assert.deepEqual(await lanesDue(), [`${route}/3`]);
	let looks = 0;
	const counting: Database = {
		...worker,
		inPlatform: (work) =>
			worker.inPlatform((tx) =>
				work({
					...tx,
					query: (statement, values) => {
						if (statement.name === "lanes.tenants") looks++;
						return tx.query(statement, values);
					},
				}),
			),
	};
	const parts = claimer(counting);
	let claims = 1;
	while ((await claimLane(parts, route, 3)) && (await leased(route)).size === 0) claims++;
	assert.deepEqual(await leased(route), new Map([[4_999, 1]]));
	assert.ok(claims <= 3 && looks <= 24, `${claims} claims, ${looks} looks`);
	// Whether anything is due is one look into an index, however many wait for later. The first call reads the catalogue too.
	const blocks: number[] = [];
	for (let call = 0; call < 2; call++) {
		const rows = await admin.run<{ "QUERY PLAN": [{ Plan: { "Shared Hit Blocks": number } }] }>(
			`explain (analyze, buffers, format json) select * from wx.lanes_due(array['${route}']::uuid[], to_timestamp(${nowMs / 1_000 - 1}))`,
		);
		blocks.push(rows[0]?.["QUERY PLAN"][0].Plan["Shared Hit Blocks"] ?? 0);
	}
	assert.ok((blocks[1] ?? 0) < 30, `${blocks.join(", ")} blocks`);
});

test("two who claim at once share what is due", async () => {
	const route = newRoute();
	await wait(route, 1, 20, 10);
	await Promise.all([claimer(), claimer()].map((parts) => claimLane(parts, route, 3)));
	const [row] = await admin.run<{ n: number; batches: number }>(
		"select count(*)::integer as n, count(distinct batch_id)::integer as batches from lane_entries where route_id = $1 and batch_id is not null",
		[route],
	);
	assert.equal(row?.n, 200);
	assert.equal((await leased(route)).get(Number(tenant(1).slice(-12))), 10);
});
