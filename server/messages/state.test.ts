import assert from "node:assert/strict";
import { test } from "node:test";
import { refusalCodes } from "#policy/index.ts";
import {
	errorOfRefusal,
	eventTypes,
	mayMove,
	messageErrors,
	numberOfError,
	ranksOf,
	type StateName,
	settledRank,
	stateOfRank,
	states,
} from "./state.ts";

test("states only move forward, and never out of a final one but for a presumption", () => {
	const moves: [from: StateName, to: StateName, allowed: boolean][] = [
		["accepted", "sent", true],
		["sent", "delivered", true],
		["accepted", "delivered", true],
		["delivered", "sent", false],
		["delivered", "undelivered", false],
		["undelivered", "delivered", false],
		["sent", "accepted", false],
		["sent", "sent", false],
		["unknown", "sent", true],
		["sent", "unknown", false],
		["sent", "uncertain", true],
		["uncertain", "delivered", true],
		["presumed", "delivered", true],
		["presumed", "sent", false],
		["presumed", "unknown", false],
		["rejected", "sent", false],
		["canceled", "delivered", false],
		["expired", "delivered", false],
	];
	for (const [from, to, allowed] of moves)
		assert.equal(mayMove(states[from].rank, states[to].rank), allowed, `${from} → ${to}`);
});

test("a state's rank names it, and finals other than presumed failure are settled", () => {
	for (const [name, state] of Object.entries(states)) {
		assert.equal(stateOfRank(state.rank), state);
		assert.equal(state.rank >= settledRank, state.final && name !== "presumed", name);
	}
	assert.throws(() => stateOfRank(99));
	assert.deepEqual(ranksOf("failed"), [states.presumed.rank, states.failed.rank]);
	assert.deepEqual(ranksOf("no such status"), []);
});

test("every event type that customers may subscribe to is some state's", () => {
	const caused = new Set(
		Object.values(states).flatMap((state) => ("event" in state ? [state.event] : [])),
	);
	for (const type of eventTypes) assert.ok(caused.has(type as never), type);
});

test("error numbers and codes are unique, and every refusal has one", () => {
	assert.equal(new Set(messageErrors.map((error) => error.number)).size, messageErrors.length);
	assert.equal(new Set(messageErrors.map((error) => error.code)).size, messageErrors.length);
	for (const code of refusalCodes) assert.ok(numberOfError(errorOfRefusal[code]) > 0, code);
});
