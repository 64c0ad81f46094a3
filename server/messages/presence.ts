/**
 * How many processes send on this database, so that each takes its share of what a route may carry a second. Each says
 * every second that it is there, under a lease like that of a batch; its share is one by the number of those that are.
 * Who comes has no share until the others must have seen it, and who cannot say that it is there has none either: the
 * shares together are never more than one, but for clocks that differ by more than a second.
 */
import type { Clock } from "#platform/clock.ts";
import type { Database } from "#platform/db.ts";
import { countPresent, leavePresence, notePresence } from "./presence-store.ts";

export interface PresenceParts {
	readonly worker: Database;
	readonly clock: Clock;
	readonly owner: string;
	/** No other process sends on this database, and none can. */
	readonly alone: boolean;
	/** Called with each new share, between 0 and 1. */
	readonly onShare: (share: number) => void;
}

export interface Presence {
	/** Says that we are there, and looks who else is. To be called every second. */
	look(): Promise<void>;
	/** We are gone: the others may share out what was ours. */
	leave(): Promise<void>;
}

/** How long one that says nothing counts as there, milliseconds. */
export const presentMs = 5_000;
/** How long one that comes waits for its share, milliseconds: every other has looked again by then. */
export const joinMs = 3_000;
/** Rows of processes that died are removed after so long. */
const forgetMs = 3_600_000;

export function createPresence(parts: PresenceParts): Presence {
	const { worker, clock, owner, alone, onShare } = parts;
	let joinedMs: number | undefined;
	let saidMs = Number.NEGATIVE_INFINITY;
	let share = alone ? 1 : 0;
	const settle = (next: number): void => {
		if (next === share) return;
		share = next;
		onShare(share);
	};
	if (!alone) onShare(share);
	return {
		async look() {
			if (alone) return;
			const sinceMs = clock.elapsed();
			// Our lease may have run out: whoever looked meanwhile has shared out what was ours.
			if (sinceMs - saidMs > presentMs - 1_000) {
				joinedMs = undefined;
				settle(0);
			}
			const present = await worker.inPlatform(async (tx) => {
				notePresence(tx, owner, clock.now() + presentMs);
				return countPresent(tx, clock.now());
			});
			saidMs = sinceMs;
			joinedMs ??= clock.elapsed();
			if (clock.elapsed() - joinedMs >= joinMs) settle(1 / Math.max(1, present));
		},
		async leave() {
			if (alone) return;
			// If this cannot be said, it is seen soon.
			const gone = worker.inPlatform(async (tx) =>
				leavePresence(tx, owner, clock.now() - forgetMs),
			);
			await gone.catch(() => undefined);
		},
	};
}
