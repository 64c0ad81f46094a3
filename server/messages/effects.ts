/**
 * What becomes of a message when the carrier has answered, or has not: pure, one function per kind of
 * news. The rows it returns are written in batches by recorder.ts.
 */
import type { SubmitOutcome } from "#channels/index.ts";
import { classOfNumber } from "#policy/index.ts";
import type { EntryKey, ReturnedEntry } from "./lane-store.ts";
import type { Parcel } from "./parcel.ts";
import {
	deliveryPolicies,
	type MessageErrorCode,
	numberOfError,
	type StateName,
	states,
} from "./state.ts";
import type { NewDecision } from "./store.ts";
import type { Submission } from "./submission-store.ts";
import type { Transition } from "./transition-store.ts";

export interface Effects {
	readonly transition?: Transition;
	readonly submissions?: readonly Submission[];
	/** The lane entry is done with. What was handed over in memory has none. */
	readonly finished?: EntryKey;
	/** The message waits in the lane's table, again or for the first time. */
	readonly returned?: ReturnedEntry;
	readonly decision?: NewDecision;
	/** The batch was never started: entries that are still its own wait again. */
	readonly released?: { readonly tenantId: string; readonly batchId: string };
}

export interface EffectContext {
	readonly nowMs: number;
	readonly eventId: () => string;
	/** The next route for a message that this route could not take. */
	readonly nextRoute: (parcel: Parcel) => string;
	readonly unknownReconcileMs: number;
	/** Uniform in [0, 1): spreads retries. */
	readonly fraction: () => number;
}

/** Submits of one message before we give up: the first and four retries. */
export const attemptsMax = 5;

export function policyOf(classNumber: number): "at_least_once" | "at_most_once" {
	const name = classOfNumber(classNumber);
	return name === undefined ? "at_most_once" : deliveryPolicies[name];
}

export function afterSubmit(
	parcel: Parcel,
	outcome: SubmitOutcome,
	context: EffectContext,
): Effects {
	switch (outcome.kind) {
		case "accepted":
			return {
				...end(parcel, "sent", context),
				submissions: submissionsOf(parcel, outcome.carrierIds, context),
			};
		case "unsent":
			return {
				returned: wait(parcel, {
					dueAtMs: context.nowMs + 250,
					routeId: context.nextRoute(parcel),
				}),
			};
		case "unknown":
			return {
				...afterUnknown(parcel, outcome.reason === "connection_lost", context),
				submissions: submissionsOf(parcel, outcome.carrierIds, context),
			};
		case "refused":
			return afterRefusal(parcel, outcome, context);
	}
}

function afterRefusal(
	parcel: Parcel,
	outcome: Extract<SubmitOutcome, { kind: "refused" }>,
	context: EffectContext,
): Effects {
	// Some parts of a long message are with the carrier already: sending all again may show them twice.
	if (
		outcome.carrierIds.length > 0 &&
		outcome.disposition !== "permanent" &&
		policyOf(parcel.class) === "at_most_once"
	)
		return end(parcel, "failed", context, "blocked_by_carrier", outcome.name);
	const possibleDuplicate = parcel.possibleDuplicate || outcome.carrierIds.length > 0;
	if (outcome.disposition === "throttled")
		return {
			returned: wait(parcel, {
				dueAtMs: context.nowMs + 500 + context.fraction() * 1_000,
				possibleDuplicate,
				apart: false,
			}),
		};
	if (outcome.disposition === "permanent")
		return end(parcel, "failed", context, errorOfStatus(outcome.commandStatus), outcome.name);
	if (parcel.attempt + 1 >= attemptsMax)
		return end(parcel, "failed", context, "provider_unavailable", outcome.name);
	return {
		returned: wait(parcel, {
			dueAtMs: context.nowMs + retryDelayMs(parcel.attempt, context.fraction()),
			attempt: parcel.attempt + 1,
			routeId: context.nextRoute(parcel),
			possibleDuplicate,
			apart: false,
		}),
	};
}

/**
 * The carrier may or may not have the message. Also after a crash, for every entry of a started batch. `isLost`: the
 * connection or the process ended, and this message may be why; as opposed to an answer that did not come.
 */
export function afterUnknown(
	parcel: Pick<
		Parcel,
		"tenantId" | "environment" | "messageId" | "class" | "attempt" | "routeId" | "possibleDuplicate"
	>,
	isLost: boolean,
	context: Pick<EffectContext, "nowMs" | "eventId" | "unknownReconcileMs">,
): Effects {
	const again = policyOf(parcel.class) === "at_least_once" && parcel.attempt + 1 < attemptsMax;
	const possibleDuplicate = parcel.possibleDuplicate || again;
	return {
		// Flagged now: a receipt may settle the message before the second submit has its result.
		transition: transitionOf({ ...parcel, possibleDuplicate }, "unknown", context),
		returned: wait(parcel, {
			dueAtMs: context.nowMs + context.unknownReconcileMs,
			attempt: parcel.attempt + 1,
			possibleDuplicate,
			abandoned: !again,
			apart: again && isLost,
		}),
	};
}

/**
 * The carrier took segment `part` (from 0) of a message whose outcome we had called unknown. A message of
 * one segment is thereby sent and is not sent again; of a longer one, receipts tell.
 */
export function afterLateAnswer(
	parcel: Parcel,
	part: number,
	carrierId: string,
	context: EffectContext,
): Effects {
	const segments = parcel.segmented.parts.length;
	const submission: Submission = {
		tenantId: parcel.tenantId,
		messageId: parcel.messageId,
		segment: part + 1,
		segments,
		routeId: parcel.routeId,
		carrierId,
		submittedAtMs: context.nowMs,
	};
	if (segments > 1) return { submissions: [submission] };
	// It waits in the table since its outcome was unknown, also if it had been handed over in memory.
	const finished = { tenantId: parcel.tenantId, messageId: parcel.messageId };
	return { ...end(parcel, "sent", context), finished, submissions: [submission] };
}

/** Its outcome stayed unknown, and its class is sent at most once. */
export function afterAbandoning(parcel: Parcel, context: EffectContext): Effects {
	return end(parcel, "presumed", context, "unknown");
}

export function afterExpiry(parcel: Parcel, context: EffectContext): Effects {
	return end(parcel, "expired", context, "expired_waiting");
}

export function afterDispatchRefusal(
	parcel: Parcel,
	error: MessageErrorCode,
	context: EffectContext,
): Effects {
	return end(parcel, "rejected", context, error);
}

export function afterDeferral(parcel: Parcel, untilMs: number): Effects {
	return { returned: wait(parcel, { dueAtMs: untilMs }) };
}

function end(
	parcel: Parcel,
	state: StateName,
	context: Pick<EffectContext, "nowMs" | "eventId">,
	error?: MessageErrorCode,
	carrierError?: string,
): Effects {
	return {
		transition: transitionOf(parcel, state, context, error, carrierError),
		...(parcel.inTable
			? { finished: { tenantId: parcel.tenantId, messageId: parcel.messageId } }
			: {}),
	};
}

function transitionOf(
	parcel: Pick<Parcel, "tenantId" | "environment" | "messageId" | "possibleDuplicate">,
	state: StateName,
	context: Pick<EffectContext, "nowMs" | "eventId">,
	error?: MessageErrorCode,
	carrierError?: string,
): Transition {
	return {
		tenantId: parcel.tenantId,
		environment: parcel.environment,
		messageId: parcel.messageId,
		rank: states[state].rank,
		atMs: context.nowMs,
		error: error === undefined ? null : numberOfError(error),
		carrierError: carrierError ?? null,
		possibleDuplicate: parcel.possibleDuplicate,
		eventId: context.eventId(),
	};
}

function wait(
	parcel: Pick<Parcel, "tenantId" | "messageId" | "routeId" | "attempt" | "possibleDuplicate"> &
		Partial<Pick<Parcel, "apart">>,
	change: Partial<ReturnedEntry> & { readonly dueAtMs: number },
): ReturnedEntry {
	const { tenantId, messageId, routeId, attempt, possibleDuplicate, apart = false } = parcel;
	const kept = { tenantId, messageId, routeId, attempt, possibleDuplicate, apart };
	return { ...kept, abandoned: false, ...change };
}

function submissionsOf(
	parcel: Parcel,
	carrierIds: readonly string[],
	context: EffectContext,
): Submission[] {
	return carrierIds.map((carrierId, i) => ({
		tenantId: parcel.tenantId,
		messageId: parcel.messageId,
		segment: i + 1,
		segments: parcel.segmented.parts.length,
		routeId: parcel.routeId,
		carrierId,
		submittedAtMs: context.nowMs,
	}));
}

/** The longest that a message waits for another try, milliseconds. */
export function longestRetryMs(unknownReconcileMs: number): number {
	return Math.max(unknownReconcileMs, retryDelayMs(attemptsMax, 1));
}

/** 1, 4, 16, 64 seconds, ± 25 %. */
function retryDelayMs(attempt: number, fraction: number): number {
	return 1_000 * 4 ** Math.min(attempt, 3) * (0.75 + fraction / 2);
}

/** SMPP v3.4 §5.1.3: the statuses that say more than "no". */
function errorOfStatus(commandStatus: number): MessageErrorCode {
	if (commandStatus === 0x0b) return "invalid_destination";
	if (commandStatus === 0x0a) return "sender_unregistered";
	if (commandStatus >= 0xc0 && commandStatus <= 0xc4) return "registration_missing";
	return "blocked_by_carrier";
}
