/**
 * The states of a message, as tables. A state's number is its rank: states
 * only move to a higher rank, and never out of a final one, so receipts may come doubled, late or in any
 * order. The numbers are stored; they are never reused.
 */
import type { MessageClass, RefusalCode } from "#policy/index.ts";

/**
 * What happens to a message whose submit may or may not have reached the carrier. `at_least_once` is sent
 * again, flagged possible_duplicate; `at_most_once` never is, and ends as failed with the error `unknown`.
 */
export const deliveryPolicies = {
	authentication: "at_least_once",
	transactional: "at_least_once",
	service: "at_most_once",
	promotional: "at_most_once",
} as const satisfies Record<MessageClass, "at_least_once" | "at_most_once">;

interface State {
	readonly rank: number;
	/** As the API shows it. */
	readonly status: string;
	readonly final: boolean;
	/** The webhook event and timeline entry it causes, if any. */
	readonly event?: string;
}

export const states = {
	scheduled: { rank: 5, status: "scheduled", final: false },
	accepted: { rank: 10, status: "accepted", final: false, event: "sms.accepted" },
	/** Handed to the carrier, or not: nobody can know (yet). */
	unknown: { rank: 15, status: "unknown", final: false, event: "sms.unknown" },
	sent: { rank: 20, status: "sent", final: false, event: "sms.sent" },
	/** The carrier took it and then said that it does not know. */
	uncertain: { rank: 25, status: "unknown", final: false, event: "sms.unknown" },
	/** No news until the end of its time: presumed failed. A true receipt may still correct it. */
	presumed: { rank: 30, status: "failed", final: true, event: "sms.failed" },
	delivered: { rank: 40, status: "delivered", final: true, event: "sms.delivered" },
	undelivered: { rank: 41, status: "undelivered", final: true, event: "sms.undelivered" },
	failed: { rank: 42, status: "failed", final: true, event: "sms.failed" },
	rejected: { rank: 43, status: "rejected", final: true, event: "sms.rejected" },
	expired: { rank: 44, status: "expired", final: true, event: "sms.expired" },
	canceled: { rank: 45, status: "canceled", final: true, event: "sms.canceled" },
	received: { rank: 50, status: "received", final: true, event: "sms.received" },
} as const satisfies Record<string, State>;

export type StateName = keyof typeof states;

/** From this rank on nothing changes a message any more. */
export const settledRank = 40;

const byRank = new Map<number, State>(Object.values(states).map((state) => [state.rank, state]));

export function stateOfRank(rank: number): State {
	const state = byRank.get(rank);
	if (state === undefined) throw new Error(`no state has the rank ${rank}`);
	return state;
}

/** Whether a message in state `from` may go to state `to`. The same rule stands in store.ts as SQL. */
export function mayMove(from: number, to: number): boolean {
	return to > from && from < settledRank;
}

/** Ranks that the API shows under this status. */
export function ranksOf(status: string): number[] {
	return Object.values(states)
		.filter((state) => state.status === status)
		.map((state) => state.rank);
}

/** What customers may subscribe to. */
export const eventTypes: readonly string[] = [
	"sms.accepted",
	"sms.sent",
	"sms.delivered",
	"sms.undelivered",
	"sms.failed",
	"sms.rejected",
	"sms.expired",
	"sms.received",
];

/**
 * Why a message did not arrive: number (stored, never reused), the API's code, the sentence. The first
 * eleven are the SDK's; the rest say which rule refused.
 */
export const messageErrors = [
	{
		number: 1,
		code: "invalid_destination",
		says: "The carrier says that the number is not one it can reach.",
	},
	{
		number: 2,
		code: "unreachable",
		says: "The handset was off or out of coverage until the message expired.",
	},
	{ number: 3, code: "blocked_by_carrier", says: "The carrier refused the message." },
	{
		number: 4,
		code: "blocked_by_recipient",
		says: "The recipient's device or preference blocks the sender.",
	},
	{
		number: 5,
		code: "landline_unreachable",
		says: "The destination is a landline that takes no SMS.",
	},
	{ number: 6, code: "content_rejected", says: "The content or its registration was refused." },
	{
		number: 7,
		code: "sender_unregistered",
		says: "The sender is not registered to this tenant, or not for this destination.",
	},
	{ number: 8, code: "recipient_opted_out", says: "The recipient has opted out." },
	{
		number: 9,
		code: "provider_unavailable",
		says: "No carrier could take the message in its time.",
	},
	{ number: 10, code: "insufficient_balance", says: "The balance did not cover the message." },
	{
		number: 11,
		code: "unknown",
		says: "Whether the message arrived cannot be known: the carrier gave no answer or no receipt.",
	},
	{ number: 20, code: "destination_not_allowed", says: "The tenant may not send to this country." },
	{
		number: 21,
		code: "consent_missing",
		says: "There is no promotional consent of this recipient on record.",
	},
	{
		number: 22,
		code: "outside_window",
		says: "Promotional messages may not be sent at this hour, and the tenant chose to refuse instead of wait.",
	},
	{
		number: 23,
		code: "registration_missing",
		says: "An identifier that the destination's law demands is missing or wrong.",
	},
	{ number: 24, code: "fact_missing", says: "A fact that a rule needs could not be established." },
	{
		number: 25,
		code: "expired_waiting",
		says: "The message's time ran out before a carrier could take it.",
	},
] as const;

export type MessageErrorCode = (typeof messageErrors)[number]["code"];

const errorByNumber = new Map<number, (typeof messageErrors)[number]>(
	messageErrors.map((error) => [error.number, error]),
);
const errorByCode = new Map<string, (typeof messageErrors)[number]>(
	messageErrors.map((error) => [error.code, error]),
);

export function errorOfNumber(number: number): (typeof messageErrors)[number] {
	return errorByNumber.get(number) ?? messageErrors[10];
}

export function numberOfError(code: MessageErrorCode): number {
	return errorByCode.get(code)?.number ?? 11;
}

/** The message error that a rule's refusal is shown as. */
export const errorOfRefusal: Readonly<Record<RefusalCode, MessageErrorCode>> = {
	fact_missing: "fact_missing",
	no_rules: "fact_missing",
	recipient_opted_out: "recipient_opted_out",
	sender_unregistered: "sender_unregistered",
	sender_inactive: "sender_unregistered",
	destination_not_allowed: "destination_not_allowed",
	consent_missing: "consent_missing",
	consent_revoked: "recipient_opted_out",
	outside_window: "outside_window",
	window_empty: "outside_window",
	dlt_entity_missing: "registration_missing",
	dlt_entity_mismatch: "registration_missing",
	dlt_template_missing: "registration_missing",
	dlt_template_malformed: "registration_missing",
};
