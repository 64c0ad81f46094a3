/**
 * India: promotional messages reach people between 10:00 and 21:00 Indian time (TCCCPR 2018, default
 * time bands; operators reject others with DLT error 651). Dispatch stops a guard before the close.
 * A tenant may narrow the hours, never widen them: its bounds are clamped to the law's here, whatever
 * was stored. Judged per message, so plain arithmetic: no Intl, no Date.
 */
import type { Facts } from "../facts.ts";
import { type Dated, defer, endOf, pass, type Rule, refuse, startOf } from "../rule.ts";
import { type PromotionalHours, promotionalHours } from "./promotional-hours.ts";

const minuteMs = 60_000;
const dayMs = 86_400_000;

const hoursByTime = promotionalHours.map((dated) => ({
	startMs: startOf(dated),
	endMs: endOf(dated),
	hours: dated.value,
	dated,
}));

const closed = refuse(
	"outside_window",
	"Promotional messages to India leave between 10:00 and 20:45 Indian time (the tenant's settings may narrow this).",
);
const empty = refuse(
	"window_empty",
	"The tenant's own hours leave no time in which promotion to India is allowed.",
);
const unknown = refuse("fact_missing", "The fact promotionalHours is not known for this moment.");
const waiting = "Waits for the next opening of India's promotional hours (10:00 Indian time).";

export const promotionalWindow: Rule = {
	id: "in-trai/promotional-window",
	version: 1,
	source: "in-trai",
	title: "Promotion reaches India between 10:00 and 21:00",
	cites: [
		"TCCCPR 2018 (TRAI 6 of 2018), default time bands of the preference register",
		"DLT error 651 EC_INVALID_PROMO_TIME",
	],
	inForce: { from: "2019-02-28T00:00:00+05:30" },
	judgedAt: "both",
	channels: ["sms"],
	classes: ["promotional"],
	needs: ["now", "country", "outsideWindow", "promotionalWindow"],
	values: promotionalHours,
	applies: (facts) => facts.country === undefined || facts.country === "IN",
	judge(facts) {
		const hours = hoursAt(facts.now);
		if (hours === undefined) return unknown;
		const { openMs, closeMs } = bounds(facts, hours);
		// Written so that a bound that is not a number refuses.
		if (!(openMs < closeMs)) return empty;
		const localMs = facts.now + hours.offsetMinutes * minuteMs;
		const midnightMs = Math.floor(localMs / dayMs) * dayMs;
		const timeMs = localMs - midnightMs;
		if (timeMs >= openMs && timeMs < closeMs) return pass;
		if (facts.outsideWindow !== "defer") return closed;
		const openingMs = midnightMs + openMs + (timeMs < openMs ? 0 : dayMs);
		return defer(openingMs - hours.offsetMinutes * minuteMs, waiting);
	},
};

/**
 * The moment by which a message must have reached the person, milliseconds since the epoch: today's
 * close, for SMPP's validity_period (regulatory window, guard not deducted). Undefined when the
 * message is not concerned.
 */
export function deliverBefore(facts: Facts): number | undefined {
	if (facts.class !== "promotional" || facts.country !== "IN") return undefined;
	const hours = hoursAt(facts.now);
	if (hours === undefined) return undefined;
	const offsetMs = hours.offsetMinutes * minuteMs;
	const midnightMs = Math.floor((facts.now + offsetMs) / dayMs) * dayMs;
	return midnightMs + hours.untilMinute * minuteMs - offsetMs;
}

/** The law's hours in force at a moment, with their citation: what a tenant's own must lie inside. */
export function promotionalHoursAt(atMs: number): Dated<PromotionalHours> | undefined {
	return hoursByTime.find(({ startMs, endMs }) => atMs >= startMs && atMs < endMs)?.dated;
}

function hoursAt(atMs: number): PromotionalHours | undefined {
	for (const { startMs, endMs, hours } of hoursByTime)
		if (atMs >= startMs && atMs < endMs) return hours;
	return undefined;
}

/** Milliseconds after local midnight between which messages leave: the tenant's, inside the law's. */
function bounds(facts: Facts, hours: PromotionalHours): { openMs: number; closeMs: number } {
	const from = facts.promotionalWindow?.fromMinute ?? hours.fromMinute;
	const until = facts.promotionalWindow?.untilMinute ?? hours.untilMinute;
	return {
		openMs: Math.max(from, hours.fromMinute) * minuteMs,
		closeMs: Math.min(until, hours.untilMinute - hours.guardMinutes) * minuteMs,
	};
}
