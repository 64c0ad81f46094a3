import assert from "node:assert/strict";
import { test } from "node:test";
import { exerciseRule } from "../conformance.ts";
import type { Facts } from "../facts.ts";
import { sampleFacts } from "../sample-facts.ts";
import { factsComplete } from "./facts-complete.ts";

exerciseRule(factsComplete);

const wrong: { [name in keyof Facts]?: unknown[] } = {
	now: [Number.NaN, Number.POSITIVE_INFINITY],
	tenantId: [""],
	messageId: [""],
	environment: ["production", ""],
	channel: ["pigeon", ""],
	class: ["marketing", "constructor", ""],
	recipient: [Buffer.alloc(0), Buffer.alloc(31)],
	bodyDigest: [Buffer.alloc(0), Buffer.alloc(33)],
	country: ["in", "IND", "001", ""],
};
for (const [name, values] of Object.entries(wrong)) {
	test(`${name} must be of the known kind`, () => {
		for (const value of values) {
			const verdict = factsComplete.judge(sampleFacts({ [name]: value }));
			assert.equal(verdict.kind === "refuse" && verdict.code, "fact_missing");
			assert.match(verdict.kind === "refuse" ? verdict.sentence : "", new RegExp(`\\b${name}\\b`));
		}
	});
}

test("a complete message passes", () => {
	assert.equal(factsComplete.judge(sampleFacts()).kind, "pass");
});
