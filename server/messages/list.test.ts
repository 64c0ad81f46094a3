/** Lists in a tenant with many messages: a page looks at so many and no more, and pages together are complete. */
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { Scope } from "#platform/db.ts";
import { readId } from "#platform/ids.ts";
import { lookMax, showPage } from "#platform/page.ts";
import { testDatabase } from "../../tests/support/database.ts";
import { listMessages, type ListFilter } from "./read-store.ts";
import { sampleJudged } from "./sample-judged.ts";
import { insertInbound, insertJudged, type JudgedMessage } from "./store.ts";

const { app, admin } = await testDatabase();
const tenantId = "018f3a5e-0000-7000-8000-000000000001";
const scopes = {
	live: { tenantId, environment: "live" },
	test: { tenantId, environment: "test" },
} as const;
const nowMs = Date.parse("2026-11-22T12:00:00Z");
const many = 2 * lookMax + 500;
/** Older than all of them: from a person, in the other environment. */
const oldest = "01a20390-0000-7000-8000-000000000001";
const id = (n: number): string => `01a203a0-0000-7000-8000-${String(n).padStart(12, "0")}`;

function message(n: number): JudgedMessage {
	// Every 7th is of another class; the 5th, and none beside it, of yet another.
	return sampleJudged(id(n), nowMs, {
		class: n === 5 ? 3 : n % 7 === 0 ? 2 : 1,
		addressIndex: Buffer.alloc(32, n % 250),
	});
}

async function add(scope: Scope, numbers: readonly number[]): Promise<void> {
	const digestId = id(900_000 + (numbers[0] ?? 0));
	await app.inTenant(scope, async (tx) =>
		insertJudged(
			tx,
			nowMs,
			[{ scope, rows: numbers.map(message), digestId, events: [] }],
			undefined,
		),
	);
}

interface Page {
	readonly ids: readonly string[];
	readonly next: string | undefined;
	readonly previous: string | undefined;
}

async function page(
	scope: Scope,
	filter: Partial<ListFilter>,
	{
		limit = 20,
		from,
		backwards = false,
	}: { limit?: number; from?: string; backwards?: boolean } = {},
): Promise<Page> {
	const whole: ListFilter = {
		before: backwards ? undefined : from,
		after: backwards ? from : undefined,
		backwards,
		limit: limit + 1,
		inbound: undefined,
		class: undefined,
		ranks: undefined,
		errors: undefined,
		addressIndex: undefined,
		senderIndex: undefined,
		tags: [],
		nowMs,
		...filter,
	};
	const listed = await app.inTenant(scope, (tx) => listMessages(tx, scope, whole));
	const asked = backwards ? { after: undefined, before: from } : { after: from, before: undefined };
	const query = { ...asked, size: limit, limit: limit + 1 };
	const shown = showPage("msg", query, listed, (row) => row.id);
	const read = (cursor: string | null): string | undefined =>
		cursor === null ? undefined : readId("msg", cursor);
	return { ids: shown.data, next: read(shown.next_cursor), previous: read(shown.prev_cursor) };
}

async function pages(
	scope: Scope,
	filter: Partial<ListFilter>,
	limit: number,
	backwards = false,
): Promise<string[][]> {
	const found: string[][] = [];
	let from: string | undefined = backwards ? id(0) : undefined;
	do {
		const one: Page = await page(scope, filter, {
			limit,
			backwards,
			...(from !== undefined && { from }),
		});
		found.push([...one.ids]);
		from = backwards ? one.previous : one.next;
		assert.ok(found.length <= many, "it ends");
	} while (from !== undefined);
	return found;
}

const numbersWhere = (fits: (n: number) => boolean): string[] =>
	Array.from({ length: many }, (_, i) => many - i)
		.filter(fits)
		.map(id);

describe("a list of a tenant with many messages", () => {
	before(async () => {
		await add(
			scopes.live,
			Array.from({ length: many }, (_, i) => i + 1),
		);
		// What another tenant has, newer than all, is neither looked at nor named.
		const neighbour = {
			tenantId: "018f3a5e-0000-7000-8000-000000000002",
			environment: "live",
		} as const;
		await add(
			neighbour,
			Array.from({ length: many }, (_, i) => many + i + 1),
		);
		const row = sampleJudged(oldest, nowMs, {});
		await app.inTenant(scopes.test, async (tx) =>
			insertInbound(tx, nowMs, [{ scope: scopes.test, rows: [row], digestId: row.id }]),
		);
		await admin.run("analyze messages");
	});

	test("without a filter pages are full", async () => {
		const found = await pages(scopes.live, {}, 100);
		assert.equal(found.length, many / 100);
		assert.deepEqual(
			found.flat(),
			numbersWhere(() => true),
		);
	});

	test("what few fit is found by looking at a thousand at a time", async () => {
		assert.deepEqual(await pages(scopes.live, { class: 3 }, 20), [[], [], [id(5)]]);
		assert.deepEqual(await pages(scopes.live, { class: 0 }, 20), [[], [], []]);
		assert.deepEqual(await pages(scopes.live, { class: 3 }, 20, true), [[id(5)], [], []]);
	});

	test("pages of a filter are complete, in order, without repeats, in both directions", async () => {
		for (const limit of [7, 99]) {
			const wanted = numbersWhere((n) => n % 7 === 0);
			assert.deepEqual((await pages(scopes.live, { class: 2 }, limit)).flat(), wanted);
			const back = await pages(scopes.live, { class: 2 }, limit, true);
			assert.deepEqual(back.toReversed().flat(), wanted);
		}
	});

	test("a page that holds nothing leads on in both directions", async () => {
		const first = await page(scopes.live, { class: 3 });
		assert.deepEqual(
			[first.ids, first.next, first.previous],
			[[], id(many - lookMax + 1), undefined],
		);
		const second = await page(scopes.live, { class: 3 }, { from: first.next as string });
		assert.deepEqual(second.ids, []);
		assert.equal(second.next, id(many - 2 * lookMax + 1));
		assert.equal(second.previous, second.next);
		const back = await page(scopes.live, { class: 3 }, { from: id(6), backwards: true });
		assert.deepEqual([back.ids, back.previous], [[], id(6 + lookMax)]);
		assert.equal(back.next, back.previous);
	});

	test("a look that reaches the end says so, however many it was", async () => {
		const from = id(lookMax + 1);
		assert.equal((await page(scopes.live, { class: 0 }, { from })).next, id(1));
		const fewer = id(lookMax);
		assert.equal((await page(scopes.live, { class: 0 }, { from: fewer })).next, undefined);
	});

	test("the other environment's messages are walked past, and not shown", async () => {
		const found = await pages(scopes.test, {}, 20);
		assert.deepEqual(found, [[], [], [oldest]]);
	});

	test("messages from people are found at once", async () => {
		assert.deepEqual(await pages(scopes.test, { inbound: true }, 20), [[oldest]]);
		assert.deepEqual(await pages(scopes.live, { inbound: true }, 20), [[]]);
		assert.deepEqual(await pages(scopes.test, { inbound: true }, 20, true), [[]]);
	});

	test("a number's messages are found at once, in both directions", async () => {
		const wanted = numbersWhere((n) => n % 250 === 40);
		const addressIndex = Buffer.alloc(32, 40);
		assert.deepEqual((await pages(scopes.live, { addressIndex }, 100))[0], wanted);
		assert.deepEqual((await pages(scopes.live, { addressIndex }, 100, true))[0], wanted);
	});

	test("what went wrong is found by its events, a thousand of each state at a time", async () => {
		// All have failed but every 600th, which was rejected; the newest has been delivered since.
		await admin.run(
			`insert into message_events (tenant_id, message_id, id, environment, status, occurred_at)
			select m.tenant_id, m.id, gen_random_uuid(), 'live', case when n % 600 = 0 then 43 else 42 end, now()
			from generate_series(1, $2::integer) as n join messages m on m.tenant_id = $1
				and m.id = ('01a203a0-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid`,
			[tenantId, many],
		);
		await admin.run(
			`insert into message_states (tenant_id, message_id, environment, status, changed_at, event_id)
			select e.tenant_id, e.message_id, e.environment, case when e.message_id = $2 then 40 else e.status end, now(), e.id
			from message_events e where e.tenant_id = $1`,
			[tenantId, id(many)],
		);
		const rejected = numbersWhere((n) => n % 600 === 0);
		const wrong = numbersWhere((n) => n < many);
		assert.deepEqual(await pages(scopes.live, { ranks: [43] }, 20), [rejected]);
		assert.deepEqual((await pages(scopes.live, { ranks: [43, 42] }, 300)).flat(), wrong);
		const few = { ranks: [42, 43], class: 3 };
		const found = await pages(scopes.live, few, 20);
		assert.deepEqual(found, [[], [], [id(5)]]);
	});
});
