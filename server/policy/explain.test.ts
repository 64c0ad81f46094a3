import assert from "node:assert/strict";
import { test } from "node:test";
import { catalogue, rulesInForce } from "./catalogue.ts";
import { explain } from "./explain.ts";
import { judge } from "./judge.ts";
import { noonInIndia, sampleFacts } from "./sample-facts.ts";

test("a decision reads back as rules, words and citations", () => {
	const night = noonInIndia + 11 * 3_600_000;
	const facts = sampleFacts({ now: night, suppressed: true });
	const set = rulesInForce(night);
	const { verdicts, ruleset } = judge(facts, "accept", set);
	const explained = explain(verdicts, ruleset);
	assert.deepEqual(
		explained?.map(({ rule, verdict }) => `${rule} ${verdict}`),
		[
			"house/facts-complete pass",
			"house/suppression refuse",
			"house/sender-registered pass",
			"house/destination-country pass",
			"house/promotional-consent pass",
			"in-trai/promotional-window defer",
			"in-dlt/principal-entity pass",
			"in-dlt/template-id pass",
		],
	);
	const window = catalogue.find(({ id }) => id === "in-trai/promotional-window");
	assert.deepEqual(explained?.[5], {
		rule: "in-trai/promotional-window",
		title: window?.title,
		verdict: "defer",
		cites: window?.cites,
		in_force: { from: "2019-02-28T00:00:00+05:30", until: null },
	});
});

const set = rulesInForce(noonInIndia).id;
const unreadable = [
	{ verdicts: "pppppppp", ruleset: "r-0000000000000000", why: "an unknown set" },
	{ verdicts: "ppppppp", ruleset: set, why: "a verdict too few" },
	{ verdicts: "ppppppppp", ruleset: set, why: "a verdict too many" },
	{ verdicts: "pppppppx", ruleset: set, why: "a letter that is no verdict" },
	{ verdicts: "", ruleset: "constructor", why: "a name of Object's own" },
];
for (const { verdicts, ruleset, why } of unreadable) {
	test(`nothing is guessed about ${why}`, () => {
		assert.equal(explain(verdicts, ruleset), undefined);
	});
}
