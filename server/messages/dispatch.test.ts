/** What dispatch does with batches that are no longer its own; the rest is for the journeys and the simulation. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { segment } from "#channels/index.ts";
import { manualClock } from "#platform/clock.ts";
import type { Database, Statement } from "#platform/db.ts";
import { createIds, seededRandom } from "#platform/ids.ts";
import { silentLog } from "#platform/log.ts";
import { createSuspects } from "./apart.ts";
import { createDispatcher, type DispatchParts, type Outlet } from "./dispatch.ts";
import { createLanes } from "./lanes.ts";
import type { Parcel } from "./parcel.ts";
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

test("a message of a lost batch that has come back in another is decided of once", async () => {
	const results: Result[] = [];
	const lanes = createLanes();
	const pool = { room: () => 10, commonRoom: () => 10, trialRoom: () => 0 };
	const outletOf = () => ({ pool, dialect: {} }) as unknown as Outlet;
	const tx = {
		query: async ({ name }: Statement) => (name === "lanes.start_batches" ? [{ id: held }] : []),
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
