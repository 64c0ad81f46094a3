/** Lists of consent and of suppressions in a tenant with many: complete, in order, each environment's own. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { lookMax, type PageQuery } from "#platform/page.ts";
import { testDatabase } from "../../tests/support/database.ts";
import { pagesOf } from "../../tests/support/pages.ts";
import { listCurrent } from "./consent-store.ts";
import { listSuppressions, type SuppressionFilter, suppressionReasons } from "./store.ts";

const { app, admin } = await testDatabase();
const tenantId = "01900000-0000-7000-8000-000000000001";
const neighbour = "01900000-0000-7000-8000-000000000002";
const live = { tenantId, environment: "live" } as const;
const trial = { tenantId, environment: "test" } as const;
const id = (n: number): string => `01900000-0000-7000-8000-${String(n).padStart(12, "0")}`;
const index = (n: number): Buffer => Buffer.alloc(32, n);
const many = 2 * lookMax + 500;
const numbers = Array.from({ length: many }, (_, i) => i + 1);

await admin.run(
	`insert into tenants (tenant_id, name_sealed, created_at) values ($1, '', now()), ($2, '', now())`,
	[tenantId, neighbour],
);
// What another tenant has, newer than all, is neither looked at nor named.
await admin.run(
	`insert into consent_statements (tenant_id, id, environment, address_index, channel, coverage, granted, consented_at, sealed, recorded_at)
	select $1, ('01900000-0000-7000-9000-' || lpad(n::text, 12, '0'))::uuid, 'live', sha256(int4send(n)), 'sms', 'all', true, now(), '', now()
	from generate_series(1, $2::integer) as n`,
	[neighbour, many],
);
await admin.run(
	`insert into suppressions (tenant_id, id, environment, channel, address_index, suppression_index, address_sealed, reason, created_at)
	select $1, ('01900000-0000-7000-9000-' || lpad(n::text, 12, '0'))::uuid, 'live', 'sms', sha256(int4send(n)), sha256(int4send(-n)), '', 'stop', now()
	from generate_series(1, $2::integer) as n`,
	[neighbour, many],
);

describe("consent", async () => {
	// One person changes their mind all the time; every 500th is somebody else's word. The oldest is of the other environment.
	await admin.run(
		`insert into consent_statements (tenant_id, id, environment, address_index, channel, coverage, granted, consented_at, sealed, recorded_at)
		select $1, ('01900000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, case when n = 0 then 'test' else 'live' end,
			decode(repeat(lpad(to_hex(case when n % 500 = 0 then 100 + n / 500 else 1 end), 2, '0'), 32), 'hex'),
			'sms', 'all', true, to_timestamp(n), '', now() from generate_series(0, $2::integer) as n`,
		[tenantId, many],
	);
	const list = (page: PageQuery, of?: Buffer) =>
		app.inTenant(live, (tx) => listCurrent(tx, live, of, page));
	const current = [2500, 2499, 2000, 1500, 1000, 500].map(id);

	test("what holds is listed to the end, over pages that hold little of it", async () => {
		for (const size of [1, 2, 20]) {
			const pages = await pagesOf(list, size);
			assert.deepEqual(pages.flat(), current);
			for (const page of pages) assert.ok(page.length <= size);
		}
		assert.deepEqual(await pagesOf(list, 20), [
			[2500, 2499, 2000].map(id),
			[1500, 1000].map(id),
			[id(500)],
		]);
	});

	test("and back", async () => {
		for (const size of [1, 20]) {
			const pages = await pagesOf(list, size, id(0));
			assert.deepEqual(pages.toReversed().flat(), current);
		}
	});

	test("a person's is found at once, on the page where it belongs", async () => {
		const of = (n: number) => (page: PageQuery) => list(page, index(n));
		assert.deepEqual(await pagesOf(of(1), 20), [[id(2499)]]);
		assert.deepEqual(await pagesOf(of(101), 20), [[id(500)]]);
		assert.deepEqual(await pagesOf(of(101), 20, id(499)), [[id(500)]]);
		assert.deepEqual(await pagesOf(of(101), 20, id(500)), [[]]);
		assert.deepEqual(await pagesOf(of(99), 20), [[]]);
	});

	test("the other environment's is found by a look at a thousand at a time", async () => {
		const other = (page: PageQuery) =>
			app.inTenant(trial, (tx) => listCurrent(tx, trial, undefined, page));
		assert.deepEqual(await pagesOf(other, 20), [[], [], [id(0)]]);
	});
});

describe("suppressions", async () => {
	// Every tenth has ended, every 700th was a complaint, every 800th by hand; the oldest is of the other environment.
	await admin.run(
		`insert into suppressions (tenant_id, id, environment, channel, address_index, suppression_index, address_sealed, reason, created_at, ended_at)
		select $1, ('01900000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, case when n = 0 then 'test' else 'live' end, 'sms',
			sha256(int4send(n)), case when n <> 9 then sha256(int4send(-n)) end, '',
			case when n % 700 = 0 then 'complaint' when n % 800 = 0 then 'manual' else 'stop' end, now(), case when n % 10 = 1 then now() end
		from generate_series(0, $2::integer) as n`,
		[tenantId, many],
	);
	const hash = async (n: number): Promise<Buffer> =>
		(await admin.run<{ h: Buffer }>("select sha256(int4send($1::integer)) as h", [n]))[0]
			?.h as Buffer;
	const list = (page: PageQuery, filter: SuppressionFilter = {}) =>
		app.inTenant(live, (tx) => listSuppressions(tx, live, filter, page));
	const inForce = numbers.filter((n) => n % 10 !== 1).toReversed();
	const reasonOf = (n: number) => (n % 700 === 0 ? "complaint" : n % 800 === 0 ? "manual" : "stop");

	test("all in force are listed, of all reasons in one order, both ways", async () => {
		assert.deepEqual((await pagesOf(list, 99)).flat(), inForce.map(id));
		const back = await pagesOf(list, 99, id(0));
		assert.deepEqual(back.toReversed().flat(), inForce.map(id));
	});

	test("those of one reason", async () => {
		for (const reason of suppressionReasons) {
			const pages = await pagesOf((page) => list(page, { reason }), 40);
			assert.deepEqual(pages.flat(), inForce.filter((n) => reasonOf(n) === reason).map(id));
		}
	});

	test("those of one person, also by the index of before, and none that has ended", async () => {
		const cases: [n: number, reason: SuppressionFilter["reason"], found: string[]][] = [
			[1400, undefined, [id(1400)]],
			[1400, "complaint", [id(1400)]],
			[1400, "stop", []],
			[9, undefined, [id(9)]],
			[11, undefined, []],
		];
		for (const [n, reason, found] of cases) {
			const address = { ...live, index: await hash(n), suppressionIndex: await hash(-n) };
			assert.deepEqual(
				await pagesOf((page) => list(page, { address, reason }), 20),
				[found],
				`${n}`,
			);
		}
	});

	test("the other environment's, by a look at a thousand at a time", async () => {
		const other = (page: PageQuery) =>
			app.inTenant(trial, (tx) => listSuppressions(tx, trial, {}, page));
		assert.deepEqual(await pagesOf(other, 20), [[], [], [id(0)]]);
	});
});
