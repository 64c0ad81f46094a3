/** What dispatch does with batches that are no longer its own, and how much it does at once; the rest is for the journeys and the simulation. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { segment } from "#channels/index.ts";
import { manualClock } from "#platform/clock.ts";
import type { Database, Statement } from "#platform/db.ts";
import { createIds, seededRandom } from "#platform/ids.ts";
import { silentLog } from "#platform/log.ts";
import { createSuspects } from "./apart.ts";
import { createDispatcher, type Dispatcher, type DispatchParts, type Outlet } from "./dispatch.ts";
import { createLanes, type Lanes } from "./lanes.ts";
import type { Batch, Parcel } from "./parcel.ts";
import type { Result } from "./recorder.ts";
import { createRoom } from "./room.ts";

const tenantId = "018f3a5e-0000-7000-8000-000000000001";
const routeId = "018f3a5e-0000-7000-8000-000000000002";
const [lost, held] = [
	"018f3a5e-0000-7000-8000-00000000000a",
	"018f3a5e-0000-7000-8000-00000000000b",
];
const clock = manualClock(Date.parse("2026-11-22T12:00:00Z"));

/** It has expired: whoever may decide of it says so, and nothing leaves. */
function expiredParcel(messageId: string): Parcel {
	const segmented = segment("hello");
	assert.ok(segmented.ok);
	return {
		tenantId,
		environment: "live",
		messageId,
		class: 1,
		routeId,
		to: "+919812345678",
		from: "WAXWNG",
		segmented,
		country: "IN",
		dlt: undefined,
		addressIndex: Buffer.alloc(32),
		suppressionIndex: Buffer.alloc(32),
		senderIndex: Buffer.alloc(32),
		bodyDigest: Buffer.alloc(32),
		clearance: {} as Parcel["clearance"],
		expiresAtMs: clock.now() - 1,
		inTable: true,
		attempt: 0,
		possibleDuplicate: false,
		abandoned: false,
		apart: false,
	};
}

interface Stage {
	readonly results: Result[];
	readonly lanes: Lanes;
	readonly dispatcher: Dispatcher;
	/** Batches of each transaction that started some, in order. */
	readonly starts: (readonly string[])[];
}

/** A dispatcher over lanes of its own. `held`: which batches the database says are ours; all unless told. */
function setUp(restMs: () => number = () => 0, held: (id: string) => boolean = () => true): Stage {
	const results: Result[] = [];
	const starts: (readonly string[])[] = [];
	const lanes = createLanes();
	const pool = { room: () => 1_000, commonRoom: () => 1_000, trialRoom: () => 0 };
	const outletOf = () => ({ pool, dialect: {} }) as unknown as Outlet;
	const tx = {
		query: async ({ name }: Statement, [ids]: [string[]]) => {
			if (name !== "lanes.start_batches") return [];
			starts.push(ids);
			return ids.filter(held).map((id) => ({ id }));
		},
		post: () => undefined,
		enter: () => undefined,
		enterTenants: () => undefined,
	};
	const dispatcher = createDispatcher({
		worker: {
			inTenants: (_: unknown, work: (with_: typeof tx) => unknown) => work(tx),
		} as unknown as Database,
		vault: { warm: async () => undefined } as unknown as DispatchParts["vault"],
		clock,
		ids: createIds(clock, seededRandom(1)),
		random: seededRandom(2),
		log: silentLog,
		room: createRoom(lanes, createSuspects(), outletOf),
		restraint: { restMs },
		recorder: {
			open: () => undefined,
			record: (result: Result) => void results.push(result),
		} as unknown as DispatchParts["recorder"],
		router: {} as DispatchParts["router"],
		lateAnswers: {} as DispatchParts["lateAnswers"],
		owner: "018f3a5e-0000-7000-8000-000000000003",
		unknownReconcileMs: 1_000,
		outletOf,
		onTaken: () => undefined,
	});
	return { results, lanes, dispatcher, starts };
}

test("a message of a lost batch that has come back in another is decided of once", async () => {
	const { results, lanes, dispatcher } = setUp(undefined, (id) => id === held);
	const parcel = expiredParcel("018f3a5e-0000-7000-8000-000000000004");
	const batch = { routeId, class: 1, tenantId, parcels: [parcel], handed: false, started: false };
	for (const id of [lost, held]) lanes.push({ id, ...batch });
	dispatcher.wake(routeId);
	await dispatcher.stop();
	assert.deepEqual(
		results.map(({ batchId, effects }) => [batchId, Object.keys(effects)]),
		[
			[lost, ["released"]],
			[held, ["transition", "finished"]],
		],
	);
});

let made = 0;
function expiredBatch(messages: number, classNumber: number): Batch {
	const parcels = Array.from({ length: messages }, () => expiredParcel(uuid(++made)));
	const shared = { routeId, tenantId, handed: false, started: false };
	return { ...shared, id: uuid(++made), class: classNumber, parcels };
}

function uuid(n: number): string {
	return `018f3a5e-0000-7000-8000-${n.toString(16).padStart(12, "0")}`;
}

/** Lets promises settle, without a turn of the event loop as the mocked timers see it. */
async function settle(): Promise<void> {
	for (let i = 0; i < 50; i++) await Promise.resolve();
}

test("a message whose tenant's keys do not open waits, and the others go on", async () => {
	const { results, lanes, dispatcher } = setUp();
	const closed = {
		...expiredParcel(uuid(++made)),
		get clearance(): never {
			throw new Error("the keys of this tenant are not in memory");
		},
		expiresAtMs: clock.now() + 60_000,
	};
	const batch = { ...expiredBatch(3, 3), id: held };
	lanes.push({ ...batch, parcels: [batch.parcels[0], closed, batch.parcels[2]] as Parcel[] });
	dispatcher.wake(routeId);
	await dispatcher.stop();
	assert.deepEqual(
		results.map(({ effects }) => Object.keys(effects)),
		[["transition", "finished"], ["returned"], ["transition", "finished"]],
	);
	assert.equal(results[1]?.effects.returned?.dueAtMs, clock.now() + 5_000);
	assert.equal(results[1]?.effects.returned?.attempt, closed.attempt, "nothing of it left");
});

test("no turn of the event loop sends more than its share, and a code comes in between", async (context) => {
	const { results, lanes, dispatcher } = setUp();
	context.mock.timers.enable({ apis: ["setImmediate"] });
	for (let i = 0; i < 4; i++) lanes.push(expiredBatch(50, 3));
	dispatcher.wake(routeId);
	const perTurn: number[] = [];
	let seen = 0;
	for (let turn = 0; turn < 20 && seen < 200; turn++) {
		await settle();
		perTurn.push(results.length - seen);
		seen = results.length;
		if (turn === 1) {
			const code = expiredBatch(1, 0);
			lanes.push(code);
			dispatcher.wake(routeId);
			await settle();
			assert.equal(results.at(-1)?.batchId, code.id, "it does not wait for the others");
			results.pop();
		}
		context.mock.timers.tick(0);
	}
	assert.deepEqual(perTurn, [32, 32, 32, 32, 32, 32, 8]);
});

test("while codes come late, other classes go batch by batch with a rest, and codes as ever", async (context) => {
	const { lanes, dispatcher, starts } = setUp(() => 40);
	context.mock.timers.enable({ apis: ["setImmediate", "setTimeout"] });
	const turns = async (): Promise<void> => {
		for (let i = 0; i < 10; i++) {
			await settle();
			context.mock.timers.tick(0);
		}
	};
	for (let i = 0; i < 3; i++) lanes.push(expiredBatch(64, 3));
	dispatcher.wake(routeId);
	await turns();
	dispatcher.wake(routeId);
	await turns();
	assert.deepEqual(
		starts.map((ids) => ids.length),
		[1],
		"it rests, whoever wakes it",
	);
	for (let i = 0; i < 2; i++) lanes.push(expiredBatch(1, 0));
	dispatcher.wake(routeId);
	await turns();
	assert.deepEqual(
		starts.map((ids) => ids.length),
		[1, 2],
	);
	context.mock.timers.tick(39);
	await turns();
	assert.equal(starts.length, 2);
	context.mock.timers.tick(1);
	await turns();
	assert.deepEqual(
		starts.map((ids) => ids.length),
		[1, 2, 1],
	);
	context.mock.timers.tick(40);
	await turns();
	assert.equal(lanes.waiting(routeId), 0);
});
