/**
 * How long what arrives is gathered before it is written: as long as each turn of the event loop brings more,
 * and a moment at most. A single request does not wait; under load the turns go by while other requests are
 * read, and a commit carries many.
 */
import type { Clock } from "#platform/clock.ts";

export interface GatherParts {
	readonly clock: Pick<Clock, "elapsed">;
	/** Milliseconds. */
	readonly mostMs: number;
	/** From this many on nothing is waited for. */
	readonly enough: number;
	/** How many have arrived. */
	readonly size: () => number;
	readonly act: () => void;
}

/** Returns what is to be called when something has arrived; any number of calls lead to one `act`. */
export function createGather({ clock, mostMs, enough, size, act }: GatherParts): () => void {
	let armed = false;
	return () => {
		if (armed) return;
		armed = true;
		const beganMs = clock.elapsed();
		let seen = 0;
		const turn = (): void => {
			const now = size();
			if (now > seen && now < enough && clock.elapsed() - beganMs < mostMs) {
				seen = now;
				setImmediate(turn);
				return;
			}
			armed = false;
			act();
		};
		setImmediate(turn);
	};
}
