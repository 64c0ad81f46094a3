/** How much of what is handed over is read at once; what becomes of it is for the journeys and the simulation. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { manualClock } from "#platform/clock.ts";
import type { Vault } from "#vault/index.ts";
import { createLanes } from "./lanes.ts";
import { takeOver, type TakeOverParts } from "./take-over.ts";

const clock = manualClock(Date.parse("2026-11-22T12:00:00Z"));
const untilMs = clock.now() + 20_000;

/** A batch as it is handed over, without messages: nothing of it needs a key. */
function text(id: string, classNumber: number): string {
	const shared = { routeId: "r", tenantId: "t", started: false, settings: undefined };
	return JSON.stringify({ ...shared, id, class: classNumber, messages: [] });
}

async function settle(): Promise<void> {
	for (let i = 0; i < 20; i++) await Promise.resolve();
}

test("one batch is read in a turn, so that a code that is handed over meanwhile comes in between", async (context) => {
	context.mock.timers.enable({ apis: ["setImmediate"] });
	const order: string[] = [];
	const lanes = createLanes();
	const parts: TakeOverParts = {
		vault: { warm: async () => undefined } as unknown as Vault,
		clock,
		lanes: { ...lanes, push: ({ id }) => void order.push(id) },
		room: { fits: () => true },
		restraint: { codeLeft: () => undefined },
		onLeft: () => undefined,
	};
	const dispatcher = { sendStarted: () => undefined, wake: () => void order.push("wake") };
	const heap = ["a", "b", "c"].map((id) => text(id, 3));
	const heapTaken = takeOver(parts, dispatcher, { kind: "handed", batches: heap, untilMs });
	await settle();
	assert.deepEqual(order, ["a"]);
	const batches = [text("code", 0)];
	await takeOver(parts, dispatcher, { kind: "handed", batches, untilMs });
	assert.deepEqual(order, ["a", "code", "wake"]);
	context.mock.timers.tick(0);
	await settle();
	assert.deepEqual(order.slice(3), ["b"]);
	context.mock.timers.tick(0);
	await heapTaken;
	assert.deepEqual(order.slice(4), ["c", "wake"]);
});
