/**
 * Puts one message before every rule of a set. All of them give their verdict, also after a refusal,
 * so that a customer reads everything that is wrong at once. Refuse beats defer beats pass; with no
 * rule that passes there is no pass. Pure; a few hundred nanoseconds.
 */
import type { RuleSet } from "./catalogue.ts";
import type { Facts } from "./facts.ts";
import { type RefusalCode, type Rule, refuse, type Verdict } from "./rule.ts";

/** `accept` leaves rules judged only at dispatch aside; `dispatch` judges all. */
export type Moment = "accept" | "dispatch";

export interface Refusal {
	readonly ruleId: string;
	readonly code: RefusalCode;
	readonly sentence: string;
	readonly cites: readonly string[];
	readonly param?: string;
}

export interface Deferral {
	readonly ruleId: string;
	readonly sentence: string;
	readonly cites: readonly string[];
	/** The latest of all deferrals: milliseconds since the epoch. */
	readonly until: number;
}

export interface Judgement {
	/** One letter per rule, in the set's order: p pass, n not concerned, r refuse, d defer. */
	readonly verdicts: string;
	readonly ruleset: string;
	/** The first refusal in the set's order. */
	readonly refusal: Refusal | undefined;
	readonly deferral: Deferral | undefined;
}

/** Judges a message by `rules` (a set's own, or those on the way out). */
export function judge(
	facts: Facts,
	moment: Moment,
	set: RuleSet,
	rules: readonly Rule[] = set.rules,
): Judgement {
	let verdicts = "";
	let refusal: Refusal | undefined;
	let deferral: Deferral | undefined;
	let passes = 0;
	for (const rule of rules) {
		if (!concerns(rule, facts, moment)) {
			verdicts += "n";
			continue;
		}
		const verdict = verdictOf(rule, facts);
		if (verdict.kind === "pass") {
			passes++;
			verdicts += "p";
		} else if (verdict.kind === "defer") {
			verdicts += "d";
			if (deferral === undefined || verdict.until > deferral.until)
				deferral = { ruleId: rule.id, cites: rule.cites, ...withoutKind(verdict) };
		} else {
			verdicts += "r";
			refusal ??= { ruleId: rule.id, cites: rule.cites, ...withoutKind(verdict) };
		}
	}
	if (passes === 0 && refusal === undefined) refusal = nothingJudged;
	return { verdicts, ruleset: set.id, refusal, deferral };
}

const nothingJudged: Refusal = Object.freeze({
	ruleId: "house/facts-complete",
	code: "no_rules",
	sentence: "No rule has passed the message, and what no rule has passed does not leave.",
	cites: ["House rule: what is unknown is not sent"],
});

function concerns(rule: Rule, facts: Facts, moment: Moment): boolean {
	if (moment === "accept" && rule.judgedAt === "dispatch") return false;
	if (rule.channels !== "all" && !rule.channels.includes(facts.channel)) return false;
	if (rule.classes !== undefined && !rule.classes.includes(facts.class)) return false;
	return rule.applies(facts);
}

function verdictOf(rule: Rule, facts: Facts): Verdict {
	for (const name of rule.needs) {
		if (facts[name] === undefined || facts[name] === null)
			return refuse("fact_missing", `The fact ${name} is not known for this message.`);
	}
	const verdict = rule.judge(facts);
	if (verdict.kind !== "defer" || verdict.until > facts.now) return verdict;
	return refuse("fact_missing", "The fact now is not known for this message.");
}

function withoutKind<V extends Verdict>(verdict: V): Omit<V, "kind"> {
	const { kind: _, ...rest } = verdict;
	return rest;
}
