import assert from "node:assert/strict";
import { test } from "node:test";
import { type IncomingReceipt, marksOf, matchAll, transitionsOf } from "./receipts.ts";
import { states } from "./state.ts";
import type { Match, MessageSegments } from "./submission-store.ts";

const at = new Date("2026-11-22T12:00:00Z");

function receipt(candidates: string[], messageState: number, errorCode?: string): IncomingReceipt {
	return { routeId: "r", candidates, messageState, errorCode };
}

function match(asked: string, change: Partial<Match> = {}): Match {
	return {
		asked,
		tenant_id: "t",
		message_id: "m",
		segment: 1,
		segments: 1,
		environment: "live",
		submitted_at: at,
		...change,
	};
}

test("the likeliest form of the id wins, of several submissions the newest", () => {
	const older = match("10", { message_id: "older", submitted_at: new Date(at.getTime() - 1000) });
	const newer = match("10", { message_id: "newer" });
	const { matched, unmatched } = matchAll(
		[receipt(["10", "16"], 2), receipt(["99"], 2)],
		[older, newer, match("16", { message_id: "hex" })],
	);
	assert.deepEqual(
		matched.map((one) => one.match.message_id),
		["newer"],
	);
	assert.deepEqual(
		unmatched.map((one) => one.candidates[0]),
		["99"],
	);
});

test("each message_state becomes a state, or nothing", () => {
	const expected: (keyof typeof states | undefined)[] = [
		undefined,
		undefined,
		"delivered",
		"expired",
		"failed",
		"undelivered",
		undefined,
		"uncertain",
		"failed",
		"failed",
	];
	for (const [messageState, name] of expected.entries()) {
		const { matched } = matchAll([receipt(["1"], messageState, "052")], [match("1")]);
		const [transition] = transitionsOf(matched, [], at.getTime(), () => "e");
		assert.equal(
			transition?.rank,
			name === undefined ? undefined : states[name].rank,
			String(messageState),
		);
		if (name !== undefined)
			assert.equal(transition?.carrierError, name === "delivered" ? null : "052");
	}
	const { matched } = matchAll([receipt(["1"], 77)], [match("1")]);
	assert.deepEqual(
		transitionsOf(matched, [], 0, () => "e"),
		[],
	);
});

test("a long message is delivered when all segments are, and failed when one is", () => {
	const first = match("1", { segments: 3 });
	const stands = (states_: number[]): MessageSegments[] => [
		{ tenant_id: "t", message_id: "m", segments: 3, submitted_at: at, states: states_ },
	];
	const { matched } = matchAll([receipt(["1"], 2)], [first]);
	assert.deepEqual(
		marksOf(matched).map((mark) => [mark.segment, mark.state]),
		[[1, 2]],
	);
	const rankFor = (list: number[]): number | undefined =>
		transitionsOf(matched, stands(list), 0, () => "e")[0]?.rank;
	assert.equal(rankFor([2, 0, 0]), undefined);
	assert.equal(rankFor([2, 2, 2]), states.delivered.rank);
	assert.equal(rankFor([2, 5, 0]), states.undelivered.rank);
	assert.equal(rankFor([2, 2]), undefined);
});
