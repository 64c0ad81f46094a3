import assert from "node:assert/strict";
import { test } from "node:test";
import { exerciseRule } from "../conformance.ts";
import { sampleFacts } from "../sample-facts.ts";
import { templateId } from "./template-id.ts";

exerciseRule(templateId);

const entity = "1101172974420810001";
const cases: { id: string | null; expected: string }[] = [
	{ id: "1107161951486743588", expected: "pass" },
	{ id: null, expected: "dlt_template_missing" },
	{ id: "", expected: "dlt_template_malformed" },
	{ id: "110716195148674358", expected: "dlt_template_malformed" },
	{ id: "11071619514867435880", expected: "dlt_template_malformed" },
	{ id: "110716195148674358x", expected: "dlt_template_malformed" },
	{ id: "1107161951486743588\n", expected: "dlt_template_malformed" },
];
for (const { id, expected } of cases) {
	test(`template ${JSON.stringify(id)}: ${expected}`, () => {
		const dlt = { entityId: null, registeredEntityId: entity, templateId: id };
		const verdict = templateId.judge(sampleFacts({ dlt }));
		assert.equal(verdict.kind === "refuse" ? verdict.code : verdict.kind, expected);
	});
}

test("concerns India, and what might be India", () => {
	assert.equal(templateId.applies(sampleFacts()), true);
	assert.equal(templateId.applies(sampleFacts({ country: undefined })), true);
	assert.equal(templateId.applies(sampleFacts({ country: "DE" })), false);
});
