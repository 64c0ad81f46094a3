/** A chore that repeats until it is stopped: waits between steps, never overlaps itself, survives failures. */
import type { Log } from "./log.ts";

export interface LoopParts {
	readonly log: Log;
	readonly name: string;
	readonly everyMs: number;
	/** True asks to be called again soon; a number, after so many milliseconds. */
	readonly step: () => Promise<boolean | number | void>;
}

const againMs = 5;
/** After a failure, at most: what is done every few minutes must not be missed for as long. */
const failedMs = 1_000;

export interface Loop {
	/** There is something to do now. */
	poke(): void;
	stop(): Promise<void>;
}

export function startLoop({ log, name, everyMs, step }: LoopParts): Loop {
	let stopping = false;
	let poked = false;
	let wake: (() => void) | undefined;
	const pause = (ms: number): Promise<void> =>
		new Promise((resolve) => {
			const timer = setTimeout(resolve, ms);
			timer.unref();
			wake = () => {
				clearTimeout(timer);
				resolve();
			};
		});
	const running = (async () => {
		while (!stopping) {
			let again: boolean | number | void = false;
			let waitMs = everyMs;
			try {
				again = await step();
				if (typeof again === "number") waitMs = Math.max(again, againMs);
			} catch (error) {
				waitMs = Math.min(everyMs, failedMs);
				log.error({ event: name, err: error }, "a chore failed; it will be tried again");
			}
			if (!stopping) await pause(again === true || poked ? againMs : waitMs);
			poked = false;
		}
	})();
	return {
		poke() {
			poked = true;
			wake?.();
		},
		stop() {
			stopping = true;
			wake?.();
			return running;
		},
	};
}
