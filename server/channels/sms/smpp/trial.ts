/**
 * Trials: suspects leave over one bind with nothing beside them. A suspect is a message whose last submit ended with the
 * connection, so that it may be what ended it. One bind of a route is set aside at a time, drained, given the suspects,
 * and goes back into use when they are answered. How long that may take, and how often it may happen, is bounded here.
 * Owns no socket; the pool asks and tells it.
 */
import type { Clock } from "#platform/clock.ts";
import type { Job, SubmitOutcome } from "./job.ts";
import type { Link } from "./link-state.ts";

/** What a trial needs of a bind. */
export type TrialBind = Pick<
	Link,
	"mode" | "state" | "outstanding" | "free" | "take" | "busy" | "roundTripMs" | "excuse"
>;

export interface TrialParts<Bind extends TrialBind> {
	readonly clock: Pick<Clock, "elapsed">;
	readonly binds: () => readonly Bind[];
	/** A bind is back in use, or time has come: look again. */
	readonly onChange: () => void;
}

export interface Trials<Bind extends TrialBind> {
	/** How many suspects the next trial may have; 0 while none may begin. */
	room(): number;
	/** How many suspects are worth a trial at present, whether or not one may begin. */
	size(): number;
	/** A suspect; what is added in one turn is one trial. */
	add(job: Job): void;
	/** Its outcome, that of every job that was added. */
	settled(job: Job, outcome: SubmitOutcome): void;
	/** Goes on: after anything about the binds has changed. */
	tend(): void;
	/** The bind that takes nothing else at present. */
	aside(): Bind | undefined;
	/** Nothing is tried any more; what has not left is unsent. */
	stop(): void;
}

/**
 * How long a bind is kept aside until what was sent before is answered, milliseconds: four round trips, 0.2 s at least and
 * 2 s at most. A carrier is slow with a few now and then; those stay beside the suspect, so that the bind need not stand still.
 */
export function drainMostMs(roundTripMs: number): number {
	return Math.min(2_000, Math.max(200, 4 * roundTripMs));
}
/** How long after it was set aside a bind may be given suspects: window and rate may let them leave one by one. */
const giveMostMs = 4_000;
/** How long it then waits for the answer to the last one. All in all, a bind is kept aside for six seconds at most. */
export const answerMostMs = 2_000;
/** What a suspect may take of its bind's time: where the round trip is longer, several go together. */
const shareMs = 20;
/** Suspects of one trial, at most: with a poisonous one among them so many lose another attempt. */
export const trialMax = 16;
/** No trial for so long after one that ended with the connection; twice that after the next, and so on: others need the bind. */
const pauseFirstMs = 1_000;
const pauseMostMs = 4_000;

interface Aside<Bind extends TrialBind> {
	readonly bind: Bind;
	readonly sinceMs: number;
	isDrained: boolean;
	/** When the last suspect was given. */
	givenMs: number;
}

interface Inner<Bind extends TrialBind> {
	readonly parts: TrialParts<Bind>;
	/** Not given to the bind yet. */
	waiting: Job[];
	/** Of the present trial, without an outcome. */
	readonly open: Set<Job>;
	aside: Aside<Bind> | undefined;
	/** One of the present trial was lost with the connection. */
	isLost: boolean;
	/** Trials in a row that ended so. */
	lostInRow: number;
	/** The bind is back in use until then, at least. */
	nextAtMs: number;
	/** No trial begins before. */
	pausedUntilMs: number;
	timer: NodeJS.Timeout | undefined;
	isStopped: boolean;
}

export function createTrials<Bind extends TrialBind>(parts: TrialParts<Bind>): Trials<Bind> {
	const inner: Inner<Bind> = {
		parts,
		waiting: [],
		open: new Set(),
		aside: undefined,
		isLost: false,
		lostInRow: 0,
		nextAtMs: Number.NEGATIVE_INFINITY,
		pausedUntilMs: Number.NEGATIVE_INFINITY,
		timer: undefined,
		isStopped: false,
	};
	return {
		room() {
			if (inner.isStopped || inner.open.size > 0 || quietest(inner) === undefined) return 0;
			return parts.clock.elapsed() < inner.pausedUntilMs ? 0 : size(inner);
		},
		size: () => size(inner),
		add(job) {
			inner.open.add(job);
			inner.waiting.push(job);
		},
		settled(job, outcome) {
			if (!inner.open.delete(job)) return;
			if (outcome.kind === "unknown" && outcome.reason === "connection_lost") inner.isLost = true;
		},
		tend: () => tend(inner),
		aside: () => inner.aside?.bind,
		stop() {
			inner.isStopped = true;
			clearTimeout(inner.timer);
			giveBack(inner);
		},
	};
}

function sendsOver(bind: TrialBind): boolean {
	return bind.mode !== "receiver" && bind.state() === "bound";
}

/** The bind that is drained soonest. */
function quietest<Bind extends TrialBind>({ parts }: Inner<Bind>): Bind | undefined {
	const able = parts.binds().filter(sendsOver);
	return able.toSorted((a, b) => a.outstanding() - b.outstanding())[0];
}

function size<Bind extends TrialBind>({ parts }: Inner<Bind>): number {
	const slowest = Math.max(0, ...parts.binds().map((bind) => bind.roundTripMs()));
	return Math.min(trialMax, Math.max(1, Math.ceil(slowest / shareMs)));
}

function tend<Bind extends TrialBind>(inner: Inner<Bind>): void {
	if (inner.aside === undefined && inner.waiting.length === 0) return;
	const now = inner.parts.clock.elapsed();
	inner.aside ??= setAside(inner, now);
	const { aside } = inner;
	if (aside === undefined) return;
	const { bind, sinceMs } = aside;
	// What it was given has its outcome already; what it was not has not left.
	if (bind.state() !== "bound" || now - sinceMs >= giveMostMs) giveBack(inner);
	else give(inner, aside, now);
	const isGiven = inner.waiting.length === 0;
	const isSilent = isGiven && now - aside.givenMs >= answerMostMs;
	if (inner.open.size === 0 || isSilent) return end(inner, now);
	const waitsUntilMs = sinceMs + (aside.isDrained ? giveMostMs : drainMostMs(bind.roundTripMs()));
	wakeIn(inner, Math.max(1, (isGiven ? aside.givenMs + answerMostMs : waitsUntilMs) - now));
}

/** undefined: not yet, or there is no bind any more. */
function setAside<Bind extends TrialBind>(
	inner: Inner<Bind>,
	now: number,
): Aside<Bind> | undefined {
	const bind = quietest(inner);
	if (bind === undefined) giveBack(inner);
	else if (now < inner.nextAtMs) wakeIn(inner, inner.nextAtMs - now);
	else return { bind, sinceMs: now, isDrained: false, givenMs: now };
	return undefined;
}

function give<Bind extends TrialBind>(inner: Inner<Bind>, aside: Aside<Bind>, now: number): void {
	const { bind, sinceMs } = aside;
	const isQuiet = bind.outstanding() === 0 && !bind.busy();
	aside.isDrained ||= isQuiet || now - sinceMs >= drainMostMs(bind.roundTripMs());
	if (!aside.isDrained) return;
	bind.excuse(true);
	while (inner.waiting.length > 0 && bind.free(now, 0) > 0) {
		bind.take(inner.waiting.shift() as Job);
		aside.givenMs = now;
	}
}

/** The bind goes back into use, for as long as it was away at least. */
function end<Bind extends TrialBind>(inner: Inner<Bind>, now: number): void {
	const tookMs = now - (inner.aside?.sinceMs ?? now);
	inner.aside?.bind.excuse(false);
	inner.aside = undefined;
	inner.open.clear();
	inner.lostInRow = inner.isLost ? inner.lostInRow + 1 : 0;
	inner.isLost = false;
	// A machine that slept meanwhile makes it look like hours.
	inner.nextAtMs = now + Math.min(tookMs, giveMostMs + answerMostMs);
	if (inner.lostInRow > 0)
		inner.pausedUntilMs =
			now + Math.min(pauseMostMs, pauseFirstMs * 2 ** Math.min(inner.lostInRow - 1, 20));
	wakeIn(inner, Math.max(inner.nextAtMs, inner.pausedUntilMs) - now);
	inner.parts.onChange();
}

function giveBack<Bind extends TrialBind>(inner: Inner<Bind>): void {
	for (const job of inner.waiting.splice(0)) job.settle({ kind: "unsent" });
}

function wakeIn<Bind extends TrialBind>(inner: Inner<Bind>, waitMs: number): void {
	clearTimeout(inner.timer);
	if (inner.isStopped || !(waitMs > 0)) return;
	inner.timer = setTimeout(inner.parts.onChange, Math.ceil(waitMs)).unref();
}
