/** The negative controls: the judge of all fault tests finds what each of them looks for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Evidence, problemsIn, type Sent, type Shown } from "./ledger.ts";

const sound: Shown = { status: "delivered", possibleDuplicate: false, isOwn: true };

function evidence(sent: Sent, times: number, shown: Shown | undefined): Evidence {
	return {
		sent: [sent],
		submits: new Map(times === 0 ? [] : [[sent.token, times]]),
		shown: new Map(shown === undefined || sent.id === undefined ? [] : [[sent.id, shown]]),
	};
}

const transactional: Sent = { token: "T1", class: "transactional", id: "msg_1" };
const service: Sent = { token: "T1", class: "service", id: "msg_1" };

test("sound evidence has no problems", () => {
	const cases: [Sent, number, Shown | undefined][] = [
		[transactional, 1, sound],
		[service, 1, sound],
		[transactional, 2, { ...sound, possibleDuplicate: true }],
		[service, 0, { ...sound, status: "failed" }],
		[{ ...service, id: undefined }, 1, undefined],
		[{ ...service, id: undefined }, 0, undefined],
	];
	for (const [sent, times, shown] of cases)
		assert.deepEqual(problemsIn(evidence(sent, times, shown)), []);
});

test("every kind of loss and doubling is found", () => {
	const cases: [Sent, number, Shown | undefined, RegExp][] = [
		[transactional, 1, undefined, /is gone/],
		[transactional, 1, { ...sound, status: "accepted" }, /stays accepted/],
		[service, 0, { ...sound, status: "unknown" }, /stays unknown/],
		[transactional, 1, { ...sound, status: "failed" }, /ended as failed/],
		[service, 2, { ...sound, possibleDuplicate: true }, /at_most_once\) was submitted 2/],
		[{ ...service, id: undefined }, 2, undefined, /at_most_once\) was submitted 2/],
		[transactional, 3, sound, /not flagged/],
		[service, 0, sound, /never left/],
		[transactional, 1, { ...sound, isOwn: false }, /another message/],
	];
	for (const [sent, times, shown, expected] of cases)
		assert.match(problemsIn(evidence(sent, times, shown)).join("\n"), expected);
	assert.match(
		problemsIn({ sent: [], submits: new Map([["T9", 1]]), shown: new Map() }).join(),
		/never sent to us/,
	);
});
