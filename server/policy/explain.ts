/**
 * Reads a stored decision back into words: which rule said what, under which law, in force when.
 * Decisions outlive builds, so a rule set is found by its id in the append-only list of rule sets.
 */
import { catalogue } from "./catalogue.ts";
import { ruleSets } from "./rulesets.ts";

export interface ExplainedVerdict {
	readonly rule: string;
	readonly title: string;
	readonly verdict: "pass" | "not_concerned" | "refuse" | "defer";
	readonly cites: readonly string[];
	/** ISO 8601; `until` is null for a rule without end. */
	readonly in_force: { readonly from: string; readonly until: string | null };
}

const words = { p: "pass", n: "not_concerned", r: "refuse", d: "defer" } as const;

/**
 * The verdicts of a decision in the order in which the rules were judged; undefined when the rule
 * set is unknown or the letters do not belong to it (never guessed).
 */
export function explain(verdicts: string, ruleset: string): ExplainedVerdict[] | undefined {
	const ids = ruleSets[ruleset];
	if (ids === undefined || ids.length !== verdicts.length) return undefined;
	const explained: ExplainedVerdict[] = [];
	for (const [i, versionedId] of ids.entries()) {
		const rule = catalogue.find(({ id }) => versionedId.startsWith(`${id}@`));
		const verdict = words[verdicts[i] as keyof typeof words];
		if (rule === undefined || verdict === undefined) return undefined;
		const { id, title, cites, inForce } = rule;
		const in_force = { from: inForce.from, until: inForce.until ?? null };
		explained.push({ rule: id, title, verdict, cites, in_force });
	}
	return explained;
}
