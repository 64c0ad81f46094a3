import assert from "node:assert/strict";
import { test } from "node:test";
import { exerciseRule } from "../conformance.ts";
import { sampleFacts } from "../sample-facts.ts";
import { senderRegistered } from "./sender-registered.ts";

exerciseRule(senderRegistered);

const cases = [
	{ registered: true, active: true, expected: "pass" },
	{ registered: true, active: false, expected: "sender_inactive" },
	{ registered: false, active: false, expected: "sender_unregistered" },
	{ registered: false, active: true, expected: "sender_unregistered" },
];
for (const { registered, active, expected } of cases) {
	test(`registered ${registered}, active ${active}: ${expected}`, () => {
		const verdict = senderRegistered.judge(sampleFacts({ sender: { registered, active } }));
		assert.equal(verdict.kind === "refuse" ? verdict.code : verdict.kind, expected);
	});
}
