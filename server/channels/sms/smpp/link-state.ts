/**
 * What one bind is told and what it remembers. `Link` is the outside of it (link.ts makes one);
 * `LinkMemory` is shared by the two halves of its making: link.ts, which keeps the bind standing, and
 * link-submit.ts, which sends over it.
 */
import type { Clock } from "#platform/clock.ts";
import type { Random } from "#platform/ids.ts";
import type { BackoffSettings } from "./backoff.ts";
import type { Reach, Target } from "./connect.ts";
import type { Dialect } from "./dialect.ts";
import type { Job } from "./job.ts";
import type { Pace } from "./pace.ts";
import type { DeliverSm } from "./pdu.ts";
import type { Session, SessionTimers } from "./session.ts";

export type LinkMode = "transmitter" | "receiver" | "transceiver";

export type LinkState = "waiting" | "connecting" | "bound" | "refused" | "stopped";

export interface LinkSettings {
	readonly target: Target;
	readonly systemId: string;
	readonly password: string;
	readonly mode: LinkMode;
	readonly dialect: Dialect;
	/** submit_sm without an answer at any moment, at most. */
	readonly window: number;
	/** submit_sm a second, at most; 0: no limit. */
	readonly tps: number;
	readonly connectTimeoutMs: number;
	readonly timers: SessionTimers;
	readonly backoff: BackoffSettings;
}

export interface LinkCounts {
	submitted: number;
	throttled: number;
	/** Refusals whose code is in no table. */
	unknownStatuses: number;
	delivered: number;
	notDelivered: number;
	timeouts: number;
	lateAnswers: number;
	unmatched: number;
	protocolErrors: number;
	connects: number;
}

export interface LateAnswer {
	readonly submissionId: string;
	/** Which of the message's PDUs, from 0. */
	readonly part: number;
	readonly commandStatus: number;
	readonly carrierId: string;
}

export interface LinkParts {
	readonly settings: LinkSettings;
	readonly clock: Clock;
	readonly random: Random;
	readonly reach: Reach | undefined;
	readonly onDeliver: (pdu: DeliverSm) => Promise<void>;
	readonly onLateAnswer: (late: LateAnswer) => void;
	/** Something may be possible that was not: a slot is free, the socket drained, the bind stands. */
	readonly onFree: () => void;
	readonly onState: (state: LinkState, reason: string) => void;
}

export interface Link {
	readonly mode: LinkMode;
	readonly counts: Readonly<LinkCounts>;
	state(): LinkState;
	/** submit_sm without an answer. */
	outstanding(): number;
	/** Parts that could leave now for a new job, with `kept` parts of the window left free. */
	free(nowMs: number, kept: number): number;
	/** Parts that could leave at once, after `waitMs`, if the rate allowed; 0 when something else holds. */
	waitMs(nowMs: number): number;
	rate(nowMs: number): number;
	/** Which part of the agreed rate is ours, 0 to 1. */
	share(part: number, nowMs: number): void;
	/** How long answers to submits take at present; 0 before there was one. */
	roundTripMs(): number;
	/** While so, an end of the connection is what was sent: the bind comes back after the first wait, however often. */
	excuse(isExcused: boolean): void;
	/** Takes a job; only when `busy()` is false and `free()` is not 0. */
	take(job: Job): void;
	/** A job is not wholly written yet. */
	busy(): boolean;
	/** Sends what can be sent of the job at hand. */
	progress(): void;
	/** No new jobs; resolves when the bind is closed. What is unanswered after `graceMs` is unknown. */
	stop(graceMs: number): Promise<void>;
	lastFailure(): string | undefined;
}

export interface LinkMemory {
	readonly parts: LinkParts;
	readonly pace: Pace;
	readonly counts: LinkCounts;
	state: LinkState;
	session: Session | undefined;
	current: Job | undefined;
	outstanding: number;
	/** A moving mean, nearer to the short ones. */
	roundTripMs: number;
	failures: number;
	isExcused: boolean;
	refusals: number;
	boundAtMs: number | undefined;
	lastFailure: string | undefined;
	timer: NodeJS.Timeout | undefined;
	stopping: boolean;
	/** Ends an attempt to connect. */
	readonly aborted: AbortController;
	/** Resolves when nothing is outstanding, or the session is gone. */
	idle: (() => void) | undefined;
}

/** The counts of earlier sessions, and of the one that stands. */
export function countsOf(inner: LinkMemory): LinkCounts {
	const now = inner.session?.counts();
	if (now === undefined) return inner.counts;
	const { timeouts, lateAnswers, unmatched, protocolErrors } = inner.counts;
	return {
		...inner.counts,
		timeouts: timeouts + now.timeouts,
		lateAnswers: lateAnswers + now.lateAnswers,
		unmatched: unmatched + now.unmatched,
		protocolErrors: protocolErrors + now.protocolErrors,
	};
}

export function setState(inner: LinkMemory, state: LinkState, reason: string): void {
	// A slow retry of refused credentials is still "refused" to whoever looks, until it is bound.
	const shown =
		state === "connecting" && inner.refusals >= inner.parts.settings.backoff.refusalsMax
			? "refused"
			: state;
	if (shown === inner.state) return;
	inner.state = shown;
	inner.parts.onState(shown, reason);
}
