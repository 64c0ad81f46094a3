/** How much of what is handed over is read at once; what becomes of it is for the journeys and the simulation. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { manualClock } from "#platform/clock.ts";
import type { Vault } from "#vault/index.ts";
import { turnMax } from "./dispatch.ts";
import { createLanes } from "./lanes.ts";
import { takeOver, type TakeOverParts } from "./take-over.ts";

const clock = manualClock(Date.parse("2026-11-22T12:00:00Z"));
const untilMs = clock.now() + 20_000;

/** A batch as it is handed over, without messages: nothing of it needs a key. */
function text(id: string, classNumber: number, tenantId = "t"): string {
	const shared = { routeId: "r", tenantId, started: false, settings: undefined };
	return JSON.stringify({ ...shared, id, class: classNumber, messages: [] });
}

interface Stage {
	/** Ids of batches as they enter the lanes, and "wake". */
	readonly order: string[];
	take(...batches: string[]): Promise<void>;
}

function stage(warm: Vault["warm"] = async () => undefined): Stage {
	const order: string[] = [];
	const lanes = createLanes();
	const parts: TakeOverParts = {
		vault: { warm } as unknown as Vault,
		clock,
		lanes: { ...lanes, push: ({ id }) => void order.push(id) },
		room: { fits: () => true },
		restraint: { codeLeft: () => undefined },
		onLeft: () => undefined,
	};
	const dispatcher = { sendStarted: () => undefined, wake: () => void order.push("wake") };
	const take = (...batches: string[]): Promise<void> =>
		takeOver(parts, dispatcher, { kind: "handed", batches, untilMs });
	return { order, take };
}

async function settle(): Promise<void> {
	for (let i = 0; i < 20; i++) await Promise.resolve();
}

test("a batch of many is read in a turn of its own, so that a code that is handed over meanwhile comes in between", async (context) => {
	context.mock.timers.enable({ apis: ["setImmediate"] });
	const { order, take } = stage();
	// Batches that cannot be read are as long as others.
	const large = (id: string): string =>
		text(id, 3).replace('"messages":[]', `"messages":[${Array(turnMax).fill("{}").join()}]`);
	const heapTaken = take(large("a"), text("b", 3), large("c"), text("d", 3)).catch(String);
	await settle();
	assert.deepEqual(order, []);
	await take(text("code", 0));
	assert.deepEqual(order, ["code", "wake"]);
	context.mock.timers.tick(0);
	await settle();
	assert.deepEqual(order.slice(2), ["b"]);
	context.mock.timers.tick(0);
	assert.match(String(await heapTaken), /not taken over/);
	assert.deepEqual(order.slice(3), ["d", "wake"]);
});

test("small batches of many tenants share a turn", async (context) => {
	context.mock.timers.enable({ apis: ["setImmediate"] });
	const { order, take } = stage();
	const taken = take(...["a", "b", "c"].map((id) => text(id, 1, id)));
	await settle();
	assert.deepEqual(order, ["a", "b", "c", "wake"]);
	await taken;
});

test("nobody waits for the keys of another tenant, which are waited for", async (context) => {
	context.mock.timers.enable({ apis: ["setImmediate", "setTimeout"] });
	let away = true;
	const { order, take } = stage(async ([tenantId]) => {
		if (tenantId === "slow" && away) throw new Error("the database is away");
	});
	const taken = take(text("a", 1, "slow"), text("b", 1, "quick"));
	await settle();
	assert.deepEqual(order, ["b", "wake"]);
	away = false;
	context.mock.timers.tick(250);
	await taken;
	assert.deepEqual(order, ["b", "wake", "a", "wake"]);
});

test("what cannot be read at all is told of, and not waited for; the others are taken over", async (context) => {
	context.mock.timers.enable({ apis: ["setImmediate"] });
	let here = false;
	const { order, take } = stage(async (_, patienceMs) => {
		if (patienceMs === undefined) here = true;
	});
	// Read without keys, as a vault refuses it, and read with them.
	const unread = text("a", 1, "slow").replace('"messages":[]', '"messages":[{"octets":""}]');
	const taken = take(unread, text("b", 1, "quick"));
	await assert.rejects(taken, AggregateError);
	assert.deepEqual(order, ["b", "wake"]);
	assert.equal(here, false, "what cannot be read at all is not waited for");
});

test("a batch that came late and cannot be taken is told of in the end, while others are still read", async (context) => {
	context.mock.timers.enable({ apis: ["setImmediate"] });
	let asked = 0;
	const { order, take } = stage(async ([tenantId]) => {
		if (tenantId === "slow" && asked++ === 0) throw new Error("the database is away");
	});
	const unreadable = text("a", 1, "slow").replace('"messages":[]', '"messages":[{"octets":""}]');
	const large = text("b", 3).replace(
		'"messages":[]',
		`"messages":[${Array(turnMax).fill("{}").join()}]`,
	);
	const taken = take(unreadable, large, text("c", 1, "quick"));
	const told = assert.rejects(taken, (error: AggregateError) => error.errors.length === 2);
	// Its failure is there before the next turn, and nobody has asked for it yet.
	await settle();
	await new Promise((resolve) => void setTimeout(resolve, 5));
	assert.deepEqual(order, []);
	context.mock.timers.tick(0);
	await told;
	assert.deepEqual(order, ["c", "wake", "wake"]);
});
