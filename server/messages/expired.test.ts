/** Entries that expire on a route that stands still are all found, however long the lane, a few at a look. */
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { createIds, seededRandom } from "#platform/ids.ts";
import { testDatabase } from "../../tests/support/database.ts";
import {
	expiredEntries,
	type LanePlace,
	laneStart,
	type LookedAt,
	strandedEntries,
} from "./lane-store.ts";
import { sampleJudged } from "./sample-judged.ts";
import { insertJudged, type JudgedMessage } from "./store.ts";
import { sweepOften } from "./sweep.ts";

const { app, worker, admin } = await testDatabase();
const tenants = [
	"018f3a5e-0000-7000-8000-000000000001",
	"018f3a5e-0000-7000-8000-000000000002",
] as const;
const id = (n: number): string => `01a203a0-0000-7000-8000-${String(n).padStart(12, "0")}`;
const [route, otherRoute] = [id(900_001), id(900_002)];
const nowMs = Date.parse("2026-11-22T12:00:00Z");
const many = 1_500;

/** Many are due at the same moment; every 50th has expired, and so have some that do not count. */
function message(n: number): JudgedMessage {
	return sampleJudged(id(n), nowMs, {
		class: n % 4,
		expiresAtMs: n % 50 === 0 ? nowMs - 1 : nowMs + 1,
		lane: {
			routeId: n % 300 === 0 ? otherRoute : route,
			dueAtMs: n % 100 === 0 ? nowMs + 1 : nowMs - (n % 3),
			batchId: null,
		},
	});
}

async function walk(look: number): Promise<{ expired: string[]; looks: number }> {
	const expired: LookedAt[] = [];
	let looks = 0;
	for (let after: LanePlace | undefined = laneStart; after !== undefined; looks++) {
		const rows: LookedAt[] = await worker.inPlatform((tx) =>
			expiredEntries(tx, route, nowMs, look, after as LanePlace),
		);
		expired.push(...rows.filter((row) => row.expired));
		after = rows.at(-1);
		assert.ok(looks <= many, "it ends");
	}
	return { expired: expired.map((row) => row.message_id).toSorted(), looks };
}

describe("a route that stands still", () => {
	before(async () => {
		for (const [i, tenantId] of tenants.entries()) {
			const scope = { tenantId, environment: "live" } as const;
			const rows = Array.from({ length: many / 2 }, (_, n) => message(2 * n + 1 + i));
			await app.inTenant(scope, async (tx) =>
				insertJudged(
					tx,
					nowMs,
					[{ scope, rows, digestId: id(900_010 + i), events: [] }],
					undefined,
				),
			);
		}
		// What a worker holds is not anybody else's to end.
		await admin.run("update lane_entries set batch_id = message_id where message_id = $1", [
			id(50),
		]);
	});

	test("gives all that expired and is due, once, whatever is looked at in one go", async () => {
		const wanted = Array.from({ length: many }, (_, n) => n + 1)
			.filter((n) => n % 50 === 0 && n % 100 !== 0 && n !== 50)
			.map(id);
		for (const look of [1, 7, 100, 10_000])
			assert.deepEqual((await walk(look)).expired, wanted, `look ${look}`);
	});

	test("is looked at in as many goes as it has entries for", async () => {
		const due = many - many / 100 - 1;
		assert.equal((await walk(100)).looks, Math.ceil(due / 100) + 1);
	});

	test("ends what expired a look a second, from where the last look ended, and then again from the start", async () => {
		const standing = id(900_003);
		const scope = { tenantId: tenants[0], environment: "live" } as const;
		const add = async (from: number, count: number, expiresAtMs = nowMs - 1): Promise<void> => {
			const rows = Array.from({ length: count }, (_, n) =>
				sampleJudged(id(from + n), nowMs, {
					expiresAtMs,
					lane: { routeId: standing, dueAtMs: nowMs - 2, batchId: null },
				}),
			);
			await app.inTenant(scope, async (tx) =>
				insertJudged(tx, nowMs, [{ scope, rows, digestId: id(from - 1), events: [] }], undefined),
			);
		};
		const left = async (): Promise<number> => {
			const text = "select count(*)::int as n from lane_entries where route_id = $1";
			return (await admin.run<{ n: number }>(text, [standing]))[0]?.n ?? 0;
		};
		const clock = { now: () => nowMs, elapsed: () => 0 };
		const parts = {
			worker,
			clock,
			ids: createIds(clock, seededRandom(1)),
			unknownReconcileMs: 1,
			owner: id(900_004),
			router: { candidates: () => [] },
			heldIds: () => [],
			unservedRouteIds: () => [standing],
			places: { lanes: new Map<string, LanePlace>() },
			onEvents: () => undefined,
		};
		await add(100_001, 6_000);
		await sweepOften(parts);
		assert.equal(await left(), 1_000);
		await sweepOften(parts);
		assert.equal(await left(), 0);
		const states = await admin.run(
			"select distinct status, error from message_states where message_id between $1 and $2",
			[id(100_001), id(200_000)],
		);
		assert.equal(states.length, 1);
		// Before the place where the last look ended: found once the end was reached.
		await add(50_001, 1);
		await sweepOften(parts);
		await sweepOften(parts);
		assert.equal(await left(), 0);
		// Behind as many as one look takes that have not expired.
		await add(60_001, 5_000, nowMs + 1);
		await add(70_001, 1);
		await sweepOften(parts);
		await sweepOften(parts);
		assert.equal(await left(), 5_000);
	});

	test("gives what waits there to others once it is switched off, and nothing before", async () => {
		const stranded = (most: number) => worker.inPlatform((tx) => strandedEntries(tx, most));
		await admin.run(
			`insert into routes (id, environment, countries, priority, config_sealed, created_at, enabled)
			values ($1, 'live', '{*}', 1, '', now(), true), ($2, 'live', '{*}', 1, '', now(), true)`,
			[route, otherRoute],
		);
		assert.deepEqual(await stranded(10), []);
		await admin.run("update routes set enabled = false where id = $1", [otherRoute]);
		const found = await stranded(10_000);
		assert.deepEqual(
			found.map((row) => row.message_id).toSorted(),
			[300, 600, 900, 1_200, 1_500].map(id),
		);
		assert.ok(found.every((row) => row.route_id === otherRoute));
		assert.equal((await stranded(2)).length, 2);
		await admin.run("update routes set enabled = false");
		assert.equal((await stranded(10_000)).length, many - 1);
	});
});
