/**
 * Turns of the event loop. Whatever has arrived is looked at once in each, so long work goes in pieces: a one-time code
 * has its turn in between.
 */

/** Lets the event loop go round. */
export function nextTurn(): Promise<void> {
	return new Promise((resolve) => void setImmediate(resolve));
}

/** One piece of work in each turn, in the order they came. The caller bounds how many wait. */
export function createTurns(): (work: () => void) => void {
	const waiting: (() => void)[] = [];
	const turn = (): void => {
		const work = waiting.shift();
		if (waiting.length > 0) setImmediate(turn);
		work?.();
	};
	return (work) => {
		if (waiting.push(work) === 1) setImmediate(turn);
	};
}
