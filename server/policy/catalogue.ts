/**
 * Every rule there is, in the order in which verdicts are written. A rule is added by one line here
 * and is never removed: when its law ends it gets an `until`, because old decisions are read with it.
 */
import { destinationCountry } from "./house/destination-country.ts";
import { factsComplete } from "./house/facts-complete.ts";
import { promotionalConsent } from "./house/promotional-consent.ts";
import { senderRegistered } from "./house/sender-registered.ts";
import { suppression } from "./house/suppression.ts";
import { principalEntity } from "./in-dlt/principal-entity.ts";
import { templateId } from "./in-dlt/template-id.ts";
import { promotionalWindow } from "./in-trai/promotional-window.ts";
import { endOf, isInForce, type Rule, startOf } from "./rule.ts";

export const catalogue: readonly Rule[] = [
	factsComplete,
	suppression,
	senderRegistered,
	destinationCountry,
	promotionalConsent,
	promotionalWindow,
	principalEntity,
	templateId,
];

/** The rules that hold at a moment. Its id names them and their versions: `r-` and 16 hex digits. */
export interface RuleSet {
	readonly id: string;
	readonly rules: readonly Rule[];
	/** Those judged again just before a message leaves. */
	readonly onTheWayOut: readonly Rule[];
}

interface Period {
	readonly startMs: number;
	readonly endMs: number;
	readonly set: RuleSet;
}

const periods = periodsOf(catalogue);

/**
 * The rule set at a moment, milliseconds since the epoch; empty (and then nothing is ever cleared)
 * before the first rule's time or when `atMs` is not a number. `list` is for tests.
 */
export function rulesInForce(atMs: number, list?: readonly Rule[]): RuleSet {
	if (list !== undefined) return setAt(list, atMs);
	for (let i = periods.length - 1; i >= 0; i--) {
		const period = periods[i] as Period;
		if (atMs >= period.startMs && atMs < period.endMs) return period.set;
	}
	return none;
}

/** Every rule set the catalogue has known or already knows it will have, oldest first. */
export function knownRuleSets(): readonly RuleSet[] {
	return periods.map((period) => period.set);
}

/** Between two neighbouring commencements or ends, of rules or of their values, nothing changes. */
function periodsOf(list: readonly Rule[]): readonly Period[] {
	const terms = list.flatMap((rule) => [rule.inForce, ...(rule.values ?? [])]);
	const edges = new Set(terms.flatMap((term) => [startOf(term), endOf(term)]));
	const moments = [...edges].filter(Number.isFinite).sort((a, b) => a - b);
	return moments.map((startMs, i) => ({
		startMs,
		endMs: moments[i + 1] ?? Number.POSITIVE_INFINITY,
		set: setAt(list, startMs),
	}));
}

function setAt(list: readonly Rule[], atMs: number): RuleSet {
	const rules = Object.freeze(list.filter((rule) => isInForce(rule.inForce, atMs)));
	return Object.freeze({
		id: `r-${fingerprint(rules.map((rule) => describe(rule, atMs)).join("\n"))}`,
		rules,
		onTheWayOut: Object.freeze(rules.filter((rule) => rule.judgedAt !== "accept")),
	});
}

function describe(rule: Rule, atMs: number): string {
	const values = (rule.values ?? []).filter((dated) => isInForce(dated, atMs));
	return `${rule.id}@${rule.version} ${JSON.stringify(values.map((dated) => dated.value))}`;
}

/** FNV-1a, 64 bits: a name, not a proof (the clearance's seal is the proof). */
function fingerprint(text: string): string {
	let hash = 0xcbf29ce484222325n;
	for (const byte of Buffer.from(text))
		hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & (2n ** 64n - 1n);
	return hash.toString(16).padStart(16, "0");
}

const none: RuleSet = setAt([], 0);
