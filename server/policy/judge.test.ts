import assert from "node:assert/strict";
import { test } from "node:test";
import { rulesInForce } from "./catalogue.ts";
import { judge } from "./judge.ts";
import { defer, pass, type Rule, refuse, type Verdict } from "./rule.ts";
import { noonInIndia, sampleFacts } from "./sample-facts.ts";

function saying(name: string, verdict: Verdict, more: Partial<Rule> = {}): Rule {
	return {
		id: `house/${name}`,
		version: 1,
		source: "house",
		title: name,
		cites: [`The law of ${name}`],
		inForce: { from: "2020-01-01" },
		judgedAt: "both",
		channels: "all",
		needs: [],
		applies: () => true,
		judge: () => verdict,
		...more,
	};
}
const passes = saying("passes", pass);
const refuses = saying("refuses", refuse("outside_window", "No."));
const refusesToo = saying("refuses-too", refuse("consent_missing", "No.", "to"));
const later = saying("later", defer(noonInIndia + 2, "Wait."));
const evenLater = saying("even-later", defer(noonInIndia + 3, "Wait."));
const elsewhere = saying("elsewhere", pass, { applies: () => false });

const table: { rules: Rule[]; verdicts: string; decides: string | undefined }[] = [
	{ rules: [passes], verdicts: "p", decides: undefined },
	{ rules: [passes, elsewhere, passes], verdicts: "pnp", decides: undefined },
	{ rules: [passes, refuses, passes, refusesToo], verdicts: "prpr", decides: "house/refuses" },
	{ rules: [refusesToo, refuses, passes], verdicts: "rrp", decides: "house/refuses-too" },
	{ rules: [later, passes], verdicts: "dp", decides: "house/later" },
	{ rules: [later, evenLater, passes], verdicts: "ddp", decides: "house/even-later" },
	{ rules: [evenLater, later, passes], verdicts: "ddp", decides: "house/even-later" },
	{ rules: [later, refuses, passes], verdicts: "drp", decides: "house/refuses" },
];
for (const { rules, verdicts, decides } of table) {
	test(`${rules.map(({ title }) => title).join(", ")}: ${verdicts}`, () => {
		const judged = judge(sampleFacts(), "accept", rulesInForce(noonInIndia, rules));
		assert.equal(judged.verdicts, verdicts);
		assert.equal(judged.refusal?.ruleId ?? judged.deferral?.ruleId, decides);
	});
}

test("with no rule, or none that passes, nothing passes", () => {
	for (const rules of [
		[],
		[elsewhere],
		[saying("future", pass, { inForce: { from: "2999-01-01" } })],
	])
		assert.equal(
			judge(sampleFacts(), "accept", rulesInForce(noonInIndia, rules)).refusal?.code,
			"no_rules",
		);
});

test("a rule of dispatch is not judged at acceptance", () => {
	const set = rulesInForce(noonInIndia, [
		passes,
		saying("out", refuse("outside_window", "No."), { judgedAt: "dispatch" }),
		saying("in", pass, { judgedAt: "accept" }),
	]);
	assert.equal(judge(sampleFacts(), "accept", set).verdicts, "pnp");
	assert.equal(judge(sampleFacts(), "dispatch", set).verdicts, "prp");
	assert.deepEqual(
		set.onTheWayOut.map(({ title }) => title),
		["passes", "out"],
	);
});

test("a deferral to no later moment refuses", () => {
	for (const until of [noonInIndia, noonInIndia - 1, Number.NaN]) {
		const set = rulesInForce(noonInIndia, [passes, saying("never", defer(until, "Wait."))]);
		assert.equal(judge(sampleFacts(), "accept", set).verdicts, "pr");
	}
});

test("a refusal carries what the customer needs", () => {
	const set = rulesInForce(noonInIndia, [refusesToo]);
	assert.deepEqual(judge(sampleFacts(), "accept", set).refusal, {
		ruleId: "house/refuses-too",
		code: "consent_missing",
		sentence: "No.",
		cites: ["The law of refuses-too"],
		param: "to",
	});
});
