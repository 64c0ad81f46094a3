/**
 * How fast a bind may submit. Sends are spaced (the virtual scheduling form of a token bucket) so that
 * no window of one second ever holds more than the agreed number: 20 ms of lateness may be caught up,
 * and the spacing is 2 % wider to pay for it. A carrier that says "too fast" halves the rate, once per
 * answer to what was sent since the last halving; it then comes back by 5 % of the full rate a second.
 */
export interface Pace {
	/** Takes the right to send one now, or returns false. `nowMs` is `clock.elapsed()` throughout. */
	take(nowMs: number): boolean;
	/** How many could be taken now. Infinity: no limit. */
	available(nowMs: number): number;
	/** How long until one can be taken. */
	waitMs(nowMs: number): number;
	/** The carrier throttled something sent at `sentAtMs`. */
	slow(sentAtMs: number, nowMs: number): void;
	/** Sends a second at present; Infinity: no limit. */
	rate(nowMs: number): number;
	/** Which part of the agreed rate is ours, 0 to 1: others send for the same account. No limit has no parts. */
	share(part: number, nowMs: number): void;
}

const catchUpMs = 20;
const windowMs = 1_000;
/** The rate is never lowered below one message a second. */
const rateMin = 1;
/**
 * What an unlimited bind is taken to have been sending, at least, when it is throttled: on a quiet bind the
 * count says nothing about the carrier's limit, and one refusal must not hold back the next one-time code.
 */
const assumedMin = 100;

/** `perSecond` 0: no limit until the carrier throttles; then half of what was being sent, 50 at least. */
export function createPace(perSecond: number): Pace {
	let full = perSecond > 0 ? perSecond : Number.POSITIVE_INFINITY;
	let rate = full;
	let rateAtMs = 0;
	let slowedAtMs = Number.NEGATIVE_INFINITY;
	let nextAtMs = Number.NEGATIVE_INFINITY;
	/** Nothing of the agreed rate is ours. */
	let closed = false;
	const tally = createTally();

	const recover = (nowMs: number): void => {
		if (rate === Number.POSITIVE_INFINITY || (perSecond > 0 && rate === full)) return;
		rate += (0.05 * full * Math.max(0, nowMs - rateAtMs)) / 1_000;
		rateAtMs = nowMs;
		if (perSecond > 0) rate = Math.min(rate, full);
		else if (rate >= 2 * full) {
			full = Number.POSITIVE_INFINITY;
			rate = full;
		}
	};
	const spacingMs = (): number => ((windowMs + catchUpMs) * 1.0001) / rate;
	return {
		take(nowMs) {
			recover(nowMs);
			if (closed || nowMs < nextAtMs - catchUpMs) return false;
			if (rate !== Number.POSITIVE_INFINITY) nextAtMs = Math.max(nextAtMs, nowMs) + spacingMs();
			else tally.count(nowMs);
			return true;
		},
		available(nowMs) {
			recover(nowMs);
			if (closed) return 0;
			if (rate === Number.POSITIVE_INFINITY) return rate;
			// As `take` and `waitMs` say it: rounding must not make one see a wait and the other none.
			if (nowMs < nextAtMs - catchUpMs) return 0;
			const spareMs = Math.max(0, nowMs + catchUpMs - Math.max(nextAtMs, nowMs));
			return Math.floor(spareMs / spacingMs()) + 1;
		},
		waitMs: (nowMs) => (!closed && nowMs < nextAtMs - catchUpMs ? nextAtMs - catchUpMs - nowMs : 0),
		slow(sentAtMs, nowMs) {
			recover(nowMs);
			if (sentAtMs < slowedAtMs) return;
			slowedAtMs = nowMs;
			if (rate === Number.POSITIVE_INFINITY) full = rate = Math.max(tally.most(), assumedMin);
			rate = Math.max(rateMin, rate / 2);
			rateAtMs = nowMs;
			nextAtMs = Math.max(nextAtMs, nowMs + spacingMs() + catchUpMs);
		},
		rate(nowMs) {
			recover(nowMs);
			return closed ? 0 : rate;
		},
		share(part, nowMs) {
			if (perSecond <= 0) return;
			recover(nowMs);
			closed = part <= 0;
			if (closed) return;
			rate *= (perSecond * part) / full;
			full = perSecond * part;
			// What was sent before was spaced for another rate: the first of the new one keeps its whole distance.
			nextAtMs = Math.max(nextAtMs, nowMs + spacingMs() + catchUpMs);
		},
	};
}

interface Tally {
	count(nowMs: number): void;
	/** The larger number of this second and the one before. */
	most(): number;
}

function createTally(): Tally {
	let counted = 0;
	let countedBefore = 0;
	let fromMs = Number.NEGATIVE_INFINITY;
	return {
		count(nowMs) {
			if (nowMs - fromMs >= windowMs) {
				countedBefore = nowMs - fromMs < 2 * windowMs ? counted : 0;
				counted = 0;
				fromMs = nowMs;
			}
			counted++;
		},
		most: () => Math.max(counted, countedBefore),
	};
}
