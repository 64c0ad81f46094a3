import assert from "node:assert/strict";
import { test } from "node:test";
import { rulesInForce } from "../catalogue.ts";
import { exerciseRule } from "../conformance.ts";
import { type Facts, messageClasses } from "../facts.ts";
import { judge } from "../judge.ts";
import { sampleFacts } from "../sample-facts.ts";
import { promotionalConsent } from "./promotional-consent.ts";

exerciseRule(promotionalConsent);

const cases: { consent: Facts["promotionalConsent"]; expected: string }[] = [
	{ consent: "granted", expected: "pass" },
	{ consent: "revoked", expected: "consent_revoked" },
	{ consent: "none", expected: "consent_missing" },
	{ consent: "yes" as never, expected: "consent_missing" },
];
for (const { consent, expected } of cases) {
	test(`consent ${consent}: ${expected}`, () => {
		const verdict = promotionalConsent.judge(sampleFacts({ promotionalConsent: consent }));
		assert.equal(verdict.kind === "refuse" ? verdict.code : verdict.kind, expected);
	});
}

test("concerns promotion only", () => {
	const set = rulesInForce(0, [promotionalConsent]);
	const letters = messageClasses.map(
		(name) =>
			judge(sampleFacts({ class: name, promotionalConsent: "none" }), "accept", set).verdicts,
	);
	assert.deepEqual(letters, ["n", "n", "n", "r"]);
});
