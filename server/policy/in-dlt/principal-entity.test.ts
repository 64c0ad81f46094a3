import assert from "node:assert/strict";
import { test } from "node:test";
import { exerciseRule } from "../conformance.ts";
import { sampleFacts } from "../sample-facts.ts";
import { principalEntity } from "./principal-entity.ts";

exerciseRule(principalEntity);

const own = "1101172974420810001";
const other = "1101172974420820002";
const templateId = "1107161951486743588";
const cases: { named: string | null; registered: string | null; expected: string }[] = [
	{ named: null, registered: own, expected: "pass" },
	{ named: own, registered: own, expected: "pass" },
	{ named: other, registered: own, expected: "dlt_entity_mismatch" },
	{ named: "", registered: own, expected: "dlt_entity_mismatch" },
	{ named: own, registered: null, expected: "dlt_entity_missing" },
	{ named: null, registered: null, expected: "dlt_entity_missing" },
	{ named: null, registered: own.slice(1), expected: "dlt_entity_missing" },
	{ named: null, registered: `${own}0`, expected: "dlt_entity_missing" },
	{ named: null, registered: `${own}\n`, expected: "dlt_entity_missing" },
	{ named: null, registered: "١١٠١١٧٢٩٧٤٤٢٠٨١٠٠٠١", expected: "dlt_entity_missing" },
];
for (const { named, registered, expected } of cases) {
	test(`named ${JSON.stringify(named)}, registered ${JSON.stringify(registered)}: ${expected}`, () => {
		const dlt = { entityId: named, registeredEntityId: registered, templateId };
		const verdict = principalEntity.judge(sampleFacts({ dlt }));
		assert.equal(verdict.kind === "refuse" ? verdict.code : verdict.kind, expected);
	});
}

test("concerns India, and what might be India", () => {
	assert.equal(principalEntity.applies(sampleFacts()), true);
	assert.equal(principalEntity.applies(sampleFacts({ country: undefined })), true);
	assert.equal(principalEntity.applies(sampleFacts({ country: "DE" })), false);
});
