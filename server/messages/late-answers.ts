/**
 * Answers that come after a submit was given up as unknown: the carrier has the message after all. The
 * parcels of the last unknown outcomes are kept for it, bounded; what is no longer known is left to receipts.
 */
import type { LateAnswer } from "#channels/index.ts";
import { afterLateAnswer, type EffectContext, type Effects } from "./effects.ts";
import type { Parcel } from "./parcel.ts";

const keptMax = 4_096;

export interface LateAnswers {
	remember(parcel: Parcel): void;
	/** What the answer changes; undefined when it changes nothing. */
	effectsOf(answer: LateAnswer, context: EffectContext): Effects | undefined;
}

export function createLateAnswers(): LateAnswers {
	const kept = new Map<string, Parcel>();
	return {
		remember(parcel) {
			kept.delete(parcel.messageId);
			kept.set(parcel.messageId, parcel);
			const [oldest] = kept.keys();
			if (kept.size > keptMax && oldest !== undefined) kept.delete(oldest);
		},
		effectsOf(answer, context) {
			const parcel = kept.get(answer.submissionId);
			if (parcel === undefined || answer.commandStatus !== 0 || answer.carrierId === "")
				return undefined;
			if (parcel.segmented.parts.length === 1) kept.delete(answer.submissionId);
			return afterLateAnswer(parcel, answer.part, answer.carrierId, context);
		},
	};
}
