/**
 * What a rule is: a value, one per file, filed under the law it comes from. A rule does no I/O,
 * reads no clock and keeps no state: the same facts give the same verdict, so that a verdict can be
 * shown to an auditor years later. It never passes because a fact is missing.
 */
import type { Channel, FactName, Facts, MessageClass } from "./facts.ts";

/** Every reason for which a message can be refused. Closed, shown to customers, never reused. */
export const refusalCodes = [
	"fact_missing",
	"no_rules",
	"recipient_opted_out",
	"sender_unregistered",
	"sender_inactive",
	"destination_not_allowed",
	"consent_missing",
	"consent_revoked",
	"outside_window",
	"window_empty",
	"dlt_entity_missing",
	"dlt_entity_mismatch",
	"dlt_template_missing",
	"dlt_template_malformed",
] as const;
export type RefusalCode = (typeof refusalCodes)[number];

export type Verdict =
	| { readonly kind: "pass" }
	| {
			readonly kind: "refuse";
			readonly code: RefusalCode;
			/** For the customer: what is wrong and what would help. Nothing personal. */
			readonly sentence: string;
			/** The request's parameter that is to blame, when one is. */
			readonly param?: string;
	  }
	| { readonly kind: "defer"; readonly until: number; readonly sentence: string };

export const pass: Verdict = Object.freeze({ kind: "pass" });

export function refuse(code: RefusalCode, sentence: string, param?: string): Verdict {
	return param === undefined
		? { kind: "refuse", code, sentence }
		: { kind: "refuse", code, sentence, param };
}

/** `until`: milliseconds since the epoch, later than the facts' `now`. */
export function defer(until: number, sentence: string): Verdict {
	return { kind: "defer", until, sentence };
}

/** From a moment on, and until another (not included). ISO 8601; a bare date is midnight UTC. */
export interface Term {
	readonly from: string;
	readonly until?: string;
}

/** House rules have no commencement: they hold since there is a house. */
export const always: Term = Object.freeze({ from: "1970-01-01" });

/** A regulatory value with the time in which it holds and the text it comes from. */
export interface Dated<T> extends Term {
	readonly value: T;
	readonly cites: readonly string[];
}

export type Source = "house" | "in-dlt" | "in-trai";

export interface Rule {
	/** Source and file name: `in-trai/promotional-window`. Stored in decisions; never renamed. */
	readonly id: `${Source}/${string}`;
	/** Raised when the rule's meaning changes; part of the rule set's id. */
	readonly version: number;
	readonly source: Source;
	readonly title: string;
	readonly cites: readonly string[];
	readonly inForce: Term;
	/**
	 * `accept`: whenever a clearance is minted. `dispatch`: only on the way out, by facts that are
	 * known only then. `both`: at minting, and again just before the message leaves.
	 */
	readonly judgedAt: "accept" | "dispatch" | "both";
	readonly channels: readonly Channel[] | "all";
	readonly classes?: readonly MessageClass[];
	/** Facts without which the rule cannot judge; `undefined` refuses before `judge` is called. */
	readonly needs: readonly FactName[];
	/** Effective-dated values the rule reads; a change of value is a change of rule set. */
	readonly values?: readonly Dated<object>[];
	/** Must be true when a fact it looks at is undefined. */
	applies(facts: Facts): boolean;
	/** Called only when the rule applies and every needed fact is there. */
	judge(facts: Facts): Verdict;
}

/** Whether `atMs` lies in the term. */
export function isInForce(term: Term, atMs: number): boolean {
	return atMs >= startOf(term) && atMs < endOf(term);
}

/** First moment of the term, milliseconds since the epoch. */
export function startOf(term: Term): number {
	return Date.parse(term.from);
}

/** First moment after the term; Infinity for one without end. */
export function endOf(term: Term): number {
	return term.until === undefined ? Number.POSITIVE_INFINITY : Date.parse(term.until);
}
