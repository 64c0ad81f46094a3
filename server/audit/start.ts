/** The ledger's chores in the serving process: the sequencer, and refusals written each second. */
import type { Clock } from "#platform/clock.ts";
import type { Database } from "#platform/db.ts";
import type { Log } from "#platform/log.ts";
import { startLoop } from "#platform/loop.ts";
import type { Metrics } from "#platform/metrics.ts";
import type { Ledger } from "./ledger.ts";
import type { Refusals } from "./refusals.ts";
import { sequence } from "./sequencer.ts";
import { unsignedSince } from "./store.ts";

export interface ChoreParts {
	/** With the worker's role. */
	readonly worker: Pick<Database, "inPlatform">;
	readonly ledger: Ledger;
	readonly refusals: Refusals;
	readonly clock: Clock;
	readonly log: Log;
	readonly metrics: Metrics;
	readonly name: string;
	/** Entries have got their places: there is something to sign. */
	readonly onPlaced?: () => void;
}

const sequenceEveryMs = 500;
const flushEveryMs = 1_000;

export interface LedgerChores {
	/** Somebody waits for a signature: places what waits now. */
	hurry(): void;
	/** Writes what still waits, lets `last` have the last word, and gives everything its place. */
	stop(last: () => Promise<void>): Promise<void>;
}

export function startLedger(parts: ChoreParts): LedgerChores {
	const { worker: db, refusals, clock, log, metrics } = parts;
	let waitingSinceMs: number | undefined;
	metrics.gauge(
		"wx_ledger_unsigned_seconds",
		"How long the oldest entry has waited for a signed checkpoint; alarm at 10, privileged acts stop at 600.",
		() => (waitingSinceMs === undefined ? 0 : (clock.now() - waitingSinceMs) / 1_000),
	);
	const step = async (): Promise<boolean> => {
		const again = await sequence({ ...parts, db });
		waitingSinceMs = await db.inPlatform(unsignedSince);
		return again;
	};
	const sequencer = startLoop({ log, name: "ledger.sequence", everyMs: sequenceEveryMs, step });
	const flusher = startLoop({
		log,
		name: "ledger.refusals",
		everyMs: flushEveryMs,
		step: () => refusals.flush(),
	});
	return {
		hurry: () => sequencer.poke(),
		async stop(last) {
			await flusher.stop();
			await refusals.flush().catch(() => undefined);
			await last();
			await sequencer.stop();
			// At a stop the database may be what went away: what waits is placed at the next start.
			await sequence({ ...parts, db }).catch(() => false);
		},
	};
}
