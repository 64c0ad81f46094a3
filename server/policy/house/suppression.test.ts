import assert from "node:assert/strict";
import { test } from "node:test";
import { exerciseRule } from "../conformance.ts";
import { messageClasses } from "../facts.ts";
import { sampleFacts } from "../sample-facts.ts";
import { suppression } from "./suppression.ts";

exerciseRule(suppression);

for (const name of messageClasses) {
	test(`an opt-out stops ${name} messages`, () => {
		const verdict = suppression.judge(sampleFacts({ class: name, suppressed: true }));
		assert.equal(verdict.kind === "refuse" && verdict.code, "recipient_opted_out");
		assert.equal(suppression.judge(sampleFacts({ class: name })).kind, "pass");
	});
}

test("anything but a plain false is an opt-out", () => {
	for (const value of [null, 0, "", "no"])
		assert.equal(suppression.judge(sampleFacts({ suppressed: value as never })).kind, "refuse");
});
