/**
 * What becomes of a message that the rules have judged: accepted, put off, or rejected, and why. Pure.
 */
import type { Scope } from "#platform/db.ts";
import type { Outcome } from "#policy/index.ts";
import type { Draft } from "./draft.ts";
import type { Prepared } from "./prepare.ts";
import { errorOfRefusal, type MessageErrorCode, numberOfError, states } from "./state.ts";
import type { JudgedMessage } from "./store.ts";
import type { Transition } from "./transition-store.ts";

/** One message of an accepted request: what was decided. */
export interface Accepted {
	readonly id: string;
	readonly draft: Draft;
	readonly decision:
		| { readonly kind: "accepted"; readonly dueAtMs: number }
		| { readonly kind: "deferred"; readonly dueAtMs: number; readonly sentence: string }
		| {
				readonly kind: "rejected";
				readonly error: MessageErrorCode;
				readonly sentence: string;
				readonly ruleId: string | undefined;
				readonly cites: readonly string[];
		  };
}

export function clearanceOf(outcome: Outcome): JudgedMessage["clearance"] {
	if (outcome.kind === "refused") return undefined;
	const { validUntil, seal } = outcome.kind === "cleared" ? outcome.clearance : outcome.standing;
	return { untilMs: validUntil, seal };
}

export function decide(
	prepared: Prepared,
	outcome: Outcome,
	routeId: string | undefined,
	nowMs: number,
): Accepted["decision"] {
	if (outcome.kind === "refused") {
		const { code, sentence, ruleId, cites } = outcome.refusal;
		return { kind: "rejected", error: errorOfRefusal[code], sentence, ruleId, cites };
	}
	if (routeId === undefined)
		return {
			kind: "rejected",
			error: "provider_unavailable",
			sentence: "No route serves this destination.",
			ruleId: undefined,
			cites: [],
		};
	const dueAtMs =
		outcome.kind === "deferred" ? outcome.until : (prepared.draft.scheduledAtMs ?? nowMs);
	if (dueAtMs >= prepared.draft.expiresAtMs)
		return {
			kind: "rejected",
			error: "expired_waiting",
			sentence: "The message may not leave before its validity_period ends.",
			ruleId: undefined,
			cites: [],
		};
	return outcome.kind === "deferred"
		? { kind: "deferred", dueAtMs, sentence: outcome.deferral.sentence }
		: { kind: "accepted", dueAtMs };
}

export function rejection(
	eventId: string,
	scope: Scope,
	messageId: string,
	decision: Accepted["decision"],
	nowMs: number,
): Transition {
	const error = decision.kind === "rejected" ? numberOfError(decision.error) : null;
	return {
		...scope,
		messageId,
		rank: states.rejected.rank,
		atMs: nowMs,
		error,
		carrierError: null,
		possibleDuplicate: false,
		eventId,
	};
}
