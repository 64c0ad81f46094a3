import assert from "node:assert/strict";
import { test } from "node:test";
import { exerciseRule } from "../conformance.ts";
import { sampleFacts } from "../sample-facts.ts";
import { destinationCountry } from "./destination-country.ts";

exerciseRule(destinationCountry);

const cases: { country: string; opened: string[]; expected: string }[] = [
	{ country: "IN", opened: ["IN"], expected: "pass" },
	{ country: "DE", opened: ["IN", "DE"], expected: "pass" },
	{ country: "US", opened: ["IN", "DE"], expected: "destination_not_allowed" },
	{ country: "IN", opened: [], expected: "destination_not_allowed" },
	{ country: "in", opened: ["IN"], expected: "destination_not_allowed" },
];
for (const { country, opened, expected } of cases) {
	test(`${country} when [${opened}] is opened: ${expected}`, () => {
		const verdict = destinationCountry.judge(sampleFacts({ country, countriesAllowed: opened }));
		assert.equal(verdict.kind === "refuse" ? verdict.code : verdict.kind, expected);
	});
}
