/**
 * How much the other classes hold back while one-time codes come late: a machine that is full makes a code wait at
 * every step, so what is not urgent leaves in smaller pieces with rests between. The rest grows with each code that
 * left late and shrinks with each that did not, so that about one in twenty is late; it has an upper limit, so that
 * nothing is starved, and ends when no codes come. Pure but for the clock it is given.
 */
import type { Clock } from "#platform/clock.ts";

export interface Restraint {
	/** A code has gone from its acceptance to its bind in so many milliseconds, without waiting for the carrier. */
	codeLeft(lagMs: number): void;
	/** How long a route rests between two pieces of other classes, milliseconds; 0: it is not held back. */
	restMs(): number;
}

/** From acceptance to the bind, milliseconds: beyond this a code is late. */
export const lateMs = 12;
/** The longest rest: with it a route still begins some thirty batches a second. */
export const restMax = 20;
/** A rest that is not renewed by codes ends after so long. */
export const holdMs = 2_000;
const growMs = 2;
const shrinkMs = growMs / 20;

export function createRestraint(clock: Pick<Clock, "elapsed">): Restraint {
	let rest = 0;
	let untilMs = Number.NEGATIVE_INFINITY;
	const restMs = (): number => (clock.elapsed() < untilMs ? rest : 0);
	return {
		codeLeft(lagMs) {
			const before = restMs();
			rest = lagMs > lateMs ? Math.min(restMax, before + growMs) : Math.max(0, before - shrinkMs);
			untilMs = clock.elapsed() + holdMs;
		},
		restMs,
	};
}
