/**
 * What every rule must satisfy, whoever wrote it: `exerciseRule(rule)` in its test file. Checks the
 * declaration (id, citation, dates) and the behaviour (pure, total, refuses what it does not know)
 * over a corpus of facts. Used by tests only.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { rulesInForce } from "./catalogue.ts";
import type { FactName, Facts } from "./facts.ts";
import { judge } from "./judge.ts";
import { endOf, pass, type Rule, refusalCodes, startOf } from "./rule.ts";
import { noonInIndia, sampleFacts } from "./sample-facts.ts";

export function exerciseRule(rule: Rule): void {
	void test(`${rule.id}: declaration`, () => checkDeclaration(rule));
	void test(`${rule.id}: the same frozen facts give the same verdict`, () => checkPurity(rule));
	void test(`${rule.id}: refuses when a fact it needs is missing`, () => checkMissing(rule));
}

function checkDeclaration(rule: Rule): void {
	assert.match(rule.id, /^[a-z]+(-[a-z0-9]+)*\/[a-z0-9]+(-[a-z0-9]+)*$/);
	assert.equal(rule.id.split("/")[0], rule.source);
	assert.ok(existsSync(new URL(`./${rule.id}.ts`, import.meta.url)), "its file has its name");
	assert.ok(Number.isInteger(rule.version) && rule.version > 0);
	assert.match(rule.title, /^[A-Z].{10,80}[^.]$/);
	assert.ok(rule.cites.length > 0, "a rule without a citation");
	for (const cited of rule.cites) assert.match(cited, /^.{10,160}$/);
	for (const term of [rule.inForce, ...(rule.values ?? [])]) {
		assert.ok(Number.isFinite(startOf(term)), "from is a date");
		assert.ok(endOf(term) > startOf(term), "until is a later date");
	}
	for (const value of rule.values ?? []) assert.ok(value.cites.length > 0, "a value cites its law");
	assert.ok(rule.needs.length > 0, "a rule that needs no fact decides nothing");
}

function checkPurity(rule: Rule): void {
	for (const facts of corpus()) {
		const before = JSON.stringify(facts);
		const first = verdictOn(rule, facts);
		assert.deepEqual(verdictOn(rule, facts), first);
		assert.equal(JSON.stringify(facts), before, "facts were changed");
		assert.match(first.verdicts, /^[pnrd]$/);
		if (first.deferral !== undefined) {
			assert.ok(Number.isSafeInteger(first.deferral.until) && first.deferral.until > facts.now);
			assert.ok(first.deferral.until - facts.now <= 48 * 3_600_000, "a deferral is bounded");
		}
		if (first.verdicts !== "r") continue;
		assert.ok(refusalCodes.includes(first.refusal?.code as never));
		assert.match(first.refusal?.sentence ?? "", /^[A-Z].{10,200}\.$/);
	}
}

function checkMissing(rule: Rule): void {
	for (const name of rule.needs) {
		for (const facts of corpus()) {
			if (verdictOn(rule, facts).verdicts === "n") continue;
			const lacking = freeze({ ...facts, [name]: undefined });
			const { verdicts, refusal } = verdictOn(rule, lacking, facts.now);
			assert.equal(verdicts, "r", `${name} is missing`);
			assert.equal(refusal?.code, "fact_missing");
			assert.match(refusal?.sentence ?? "", new RegExp(`\\b${name}\\b`));
		}
	}
}

/** Judged alone, beside a rule that always passes, so that a lone "not concerned" is no refusal. */
function verdictOn(rule: Rule, facts: Facts, atMs = facts.now) {
	const judgement = judge(facts, "dispatch", rulesInForce(atMs, [rule, bystander]));
	return { ...judgement, verdicts: judgement.verdicts.slice(0, 1) };
}

const bystander: Rule = {
	id: "house/bystander",
	version: 1,
	source: "house",
	title: "",
	cites: [],
	inForce: { from: "1970-01-01" },
	judgedAt: "both",
	channels: "all",
	needs: [],
	applies: () => true,
	judge: () => pass,
};

/** One fact at a time is unlike the sample's, at several hours, in every class. */
function* corpus(): Generator<Facts> {
	const unlike: Partial<Facts>[] = [
		{},
		{ country: "DE" },
		{ country: "US" },
		{ sender: { registered: false, active: false } },
		{ sender: { registered: true, active: false } },
		{ suppressed: true },
		{ promotionalConsent: "none" },
		{ promotionalConsent: "revoked" },
		{ countriesAllowed: [] },
		{ outsideWindow: "refuse" },
		{ promotionalWindow: { fromMinute: 720, untilMinute: 780 } },
		{ promotionalWindow: { fromMinute: 1300, untilMinute: 100 } },
		{ dlt: { entityId: null, registeredEntityId: null, templateId: null } },
		{ dlt: { entityId: "1", registeredEntityId: "2", templateId: "3" } },
		{ environment: "test" },
	];
	for (const changes of unlike)
		for (const name of ["authentication", "transactional", "service", "promotional"] as const)
			for (let hour = 0; hour < 24; hour += 5)
				yield freeze(sampleFacts({ now: noonInIndia + hour * 3_600_000, class: name, ...changes }));
}

/** Deeply, but for buffers, which cannot be frozen and are compared instead. */
function freeze(facts: Facts): Facts {
	for (const name of Object.keys(facts) as FactName[]) {
		const value = facts[name];
		if (typeof value === "object" && value !== null && !Buffer.isBuffer(value))
			Object.freeze(value);
	}
	return Object.freeze(facts);
}
