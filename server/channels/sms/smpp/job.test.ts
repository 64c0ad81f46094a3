import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
	abandon,
	createJob,
	recordAnswer,
	recordLateAnswer,
	settleWhenDone,
	type SubmitOutcome,
} from "./job.ts";
import { submitSm } from "./pdu.ts";
import type { Answer } from "./session.ts";

const address = { ton: 1, npi: 1, address: "919812345678" };
const pdu = submitSm({ source: address, destination: address });
type Part = Exclude<Answer, { kind: "late" }>;

const id = (messageId: string): Part => ({
	kind: "response",
	pdu: { command: "submit_sm_resp", sequence: 1, status: 0, messageId, tlvs: [] },
});
const no = (status: number): Part => ({
	kind: "response",
	pdu: { command: "submit_sm_resp", sequence: 1, status, messageId: "", tlvs: [] },
});
const nack = (status: number): Part => ({
	kind: "response",
	pdu: { command: "generic_nack", sequence: 1, status },
});
const timeout: Part = { kind: "timeout" };
const lost: Part = { kind: "lost" };
const unsent: Part = { kind: "unsent" };

/** All parts are sent, then answered in this order; undefined: the part was never sent. */
function outcome(answers: readonly (Part | undefined)[]): SubmitOutcome | undefined {
	const outcomes: SubmitOutcome[] = [];
	const job = createJob(
		"m1",
		answers.map(() => pdu),
		(one) => outcomes.push(one),
	);
	const sent = answers.filter((answer) => answer !== undefined);
	job.next = job.due = sent.length;
	sent.forEach((answer, part) => {
		recordAnswer(job, part, answer, new Map());
	});
	if (outcomes.length === 0) {
		abandon(job);
		settleWhenDone(job);
	}
	assert.ok(outcomes.length <= 1, "settled twice");
	return outcomes[0];
}

describe("the outcome of a message from what became of its parts", () => {
	const refused = (
		name: string,
		commandStatus: number,
		disposition: string,
		...carrierIds: string[]
	) => ({ kind: "refused", commandStatus, name, disposition, carrierIds });
	const unknown = (reason: string, ...carrierIds: string[]) => ({
		kind: "unknown",
		reason,
		carrierIds,
	});
	const cases: readonly (readonly [string, readonly (Part | undefined)[], object])[] = [
		["accepted", [id("a")], { kind: "accepted", carrierIds: ["a"] }],
		["all accepted", [id("a"), id(""), id("c")], { kind: "accepted", carrierIds: ["a", "", "c"] }],
		["refused", [no(0x0b)], refused("ESME_RINVDSTADR", 0x0b, "permanent")],
		["an unknown code", [no(0x4ff)], refused("0x000004ff", 0x4ff, "permanent")],
		["throttled", [no(0x58)], refused("ESME_RTHROTTLED", 0x58, "throttled")],
		[
			"the bind's own trouble is the route's",
			[no(0x04)],
			refused("ESME_RINVBNDSTS", 0x04, "route"),
		],
		["generic_nack", [nack(3)], refused("ESME_RINVCMDID", 3, "permanent")],
		["a nack that says nothing is wrong", [nack(0)], unknown("contradiction")],
		[
			"the second part refused",
			[id("a"), no(0x58)],
			refused("ESME_RTHROTTLED", 0x58, "throttled", "a"),
		],
		[
			"refused for good outweighs throttled",
			[no(0x58), no(0x0a)],
			refused("ESME_RINVSRCADR", 0x0a, "permanent"),
		],
		[
			"the first refusal counts",
			[no(0x58), no(0x08)],
			refused("ESME_RTHROTTLED", 0x58, "throttled"),
		],
		["timeout", [timeout], unknown("timeout")],
		["one part's timeout", [id("a"), timeout], unknown("timeout", "a")],
		["lost", [lost], unknown("connection_lost")],
		["lost and unsent", [lost, unsent], unknown("connection_lost")],
		["accepted and unsent", [id("a"), unsent], unknown("connection_lost", "a")],
		["accepted and never sent", [id("a"), undefined], unknown("connection_lost", "a")],
		[
			"a doubt outweighs a refusal that invites another try",
			[no(0x58), timeout],
			unknown("timeout"),
		],
		[
			"refused for good outweighs a doubt",
			[timeout, no(0x0b)],
			refused("ESME_RINVDSTADR", 0x0b, "permanent"),
		],
		["nothing left", [unsent, unsent], { kind: "unsent" }],
		["nothing sent", [undefined, undefined], { kind: "unsent" }],
	];
	for (const [name, answers, wanted] of cases)
		test(name, () => assert.deepEqual(outcome(answers), wanted));
});

test("after the first trouble no further part is sent", () => {
	for (const trouble of [no(0x58), timeout, lost, unsent]) {
		const job = createJob("m1", [pdu, pdu, pdu], () => {});
		job.next = job.due = 1;
		recordAnswer(job, 0, trouble, new Map());
		assert.equal(job.next, 3);
	}
});

describe("a late answer to a part that was given up", () => {
	const late = (...others: readonly Part[]): SubmitOutcome | undefined => {
		const outcomes: SubmitOutcome[] = [];
		const parts = [timeout, ...others];
		const job = createJob(
			"m1",
			parts.map(() => pdu),
			(one) => outcomes.push(one),
		);
		job.next = job.due = parts.length;
		recordAnswer(job, 0, timeout, new Map());
		assert.equal(recordLateAnswer(job, 0, "a"), true);
		others.forEach((answer, i) => recordAnswer(job, i + 1, answer, new Map()));
		assert.equal(recordLateAnswer(job, 0, "b"), false, "it has its outcome");
		assert.equal(outcomes.length, 1);
		return outcomes[0];
	};
	test("makes the message whole", () =>
		assert.deepEqual(late(id("b")), { kind: "accepted", carrierIds: ["a", "b"] }));
	test("is told beside another part's doubt", () =>
		assert.deepEqual(late(lost), { kind: "unknown", reason: "timeout", carrierIds: ["a"] }));
});
