/**
 * The only place that reads the time. Everything else takes a `Clock` as an argument, so that a
 * test or the simulation can say what time it is.
 */
export interface Clock {
	/** Wall clock, milliseconds since the Unix epoch. May jump: never measure a duration with it. */
	now(): number;
	/** Monotonic milliseconds from an arbitrary origin, for durations, timeouts and rates. */
	elapsed(): number;
}

export const systemClock: Clock = {
	now: () => Date.now(),
	elapsed: () => performance.now(),
};

/** A clock that moves only when told to; both readings move together. */
export function manualClock(startMs: number): Clock & { advance(ms: number): void } {
	let offset = 0;
	return {
		now: () => startMs + offset,
		elapsed: () => offset,
		advance(ms) {
			offset += ms;
		},
	};
}
