/**
 * When a delivery is tried again, and when no more. The schedule is the example of Standard Webhooks 1.0.0
 * ("Delivery and retries"): ten attempts over 75 h 35 min 5 s. Pure.
 */
import type { PostOutcome } from "#platform/egress.ts";
import type { Random } from "#platform/ids.ts";

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;

/** The wait before each attempt, milliseconds. */
export const retryDelaysMs: readonly number[] = [
	0,
	5 * second,
	5 * minute,
	30 * minute,
	2 * hour,
	5 * hour,
	10 * hour,
	14 * hour,
	20 * hour,
	24 * hour,
];

const jitter = 0.1;
export const retryAfterMaxMs = 24 * hour;

export type Step =
	| { readonly kind: "delivered" }
	| { readonly kind: "retry"; readonly dueMs: number }
	/** The last attempt failed. */
	| { readonly kind: "failed" }
	/** 410: the receiver wants nothing more. */
	| { readonly kind: "gone" };

/** What follows an attempt; `attemptsMade` counts it. Anything but 2xx is a failure, redirects too. */
export function stepAfter(
	outcome: PostOutcome,
	attemptsMade: number,
	nowMs: number,
	random: Random,
): Step {
	if (outcome.kind === "answered") {
		if (outcome.status >= 200 && outcome.status < 300) return { kind: "delivered" };
		if (outcome.status === 410) return { kind: "gone" };
	}
	const delay = retryDelaysMs[attemptsMade];
	if (delay === undefined) return { kind: "failed" };
	const scheduled = delay * (1 - jitter + 2 * jitter * random.fraction());
	return { kind: "retry", dueMs: nowMs + Math.max(scheduled, retryAfterMs(outcome)) };
}

/** How long the receiver asked to be left alone, at most a day. */
export function retryAfterMs(outcome: PostOutcome): number {
	if (outcome.kind !== "answered") return 0;
	return Math.min((outcome.retryAfterSeconds ?? 0) * second, retryAfterMaxMs);
}
