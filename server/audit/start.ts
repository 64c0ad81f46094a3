/**
 * The ledger's chores in the serving process: the sequencer, refusals written and messages' hashes gathered each
 * second, and stored messages compared with the ledger.
 */
import type { Clock } from "#platform/clock.ts";
import type { Database } from "#platform/db.ts";
import type { Log } from "#platform/log.ts";
import { type Loop, startLoop } from "#platform/loop.ts";
import type { Metrics } from "#platform/metrics.ts";
import { firstFold, fold } from "./fold.ts";
import type { Ledger } from "./ledger.ts";
import { createMessageCheck, type MessageReader } from "./message-check.ts";
import type { Refusals } from "./refusals.ts";
import { firstTurn, sequence } from "./sequencer.ts";
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
	readonly messages: MessageReader;
	/** Entries have got their places: there is something to sign. */
	readonly onPlaced?: () => void;
}

const sequenceEveryMs = 500;
const flushEveryMs = 1_000;
/** After a failure; else a step says when the next is due. */
const foldEveryMs = 1_000;
const checkEveryMs = 1_000;
/** Stored messages compared with the ledger in a step: some 40 million a day. */
const checkedMessages = 500;
/** Between two rounds over a tenant's messages. */
const restMs = 60_000;
/** A flush that failed at a stop is tried once more, after so long. */
const lastFlushAgainMs = 500;

type FlushParts = Pick<ChoreParts, "refusals" | "clock" | "log">;

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
	const [turn, foldTurn] = [firstTurn(), firstFold()];
	const step = async (): Promise<boolean> => {
		const again = await sequence({ ...parts, db }, turn);
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
	const folder = startLoop({
		log,
		name: "ledger.messages",
		everyMs: foldEveryMs,
		step: () => fold({ ...parts, db }, foldTurn),
	});
	const checker = startChecker(parts);
	return {
		hurry: () => sequencer.poke(),
		async stop(last) {
			await Promise.all([flusher.stop(), folder.stop(), checker.stop()]);
			await flushAtLast(parts);
			await last();
			await sequencer.stop();
			// At a stop the database may be what went away: what waits is placed at the next start.
			await fold({ ...parts, db }).catch(() => 0);
			await sequence({ ...parts, db }).catch(() => false);
		},
	};
}

/** Nobody comes after this: what cannot be written now is lost, and said. */
async function flushAtLast({ refusals, clock, log }: FlushParts): Promise<void> {
	const startedAtMs = clock.elapsed();
	try {
		return await refusals.flush(true);
	} catch (err) {
		log.warn({ event: "ledger.last_flush", err }, "refused callers could not be recorded yet");
	}
	// A database that took long to fail is away: a stop does not wait for it again.
	if (clock.elapsed() - startedAtMs < lastFlushAgainMs)
		try {
			await new Promise((resolve) => void setTimeout(resolve, lastFlushAgainMs));
			return await refusals.flush(true);
		} catch {
			// Said below.
		}
	log.error(
		{ event: "ledger.refusals_lost", refusals: refusals.unwritten() },
		"refused callers could not be recorded before the stop, and are lost to the ledger",
	);
}

function startChecker(parts: ChoreParts): Loop {
	const { worker: db, log, metrics } = parts;
	const check = createMessageCheck({ ...parts, db });
	const checked = metrics.counter(
		"wx_messages_checked_total",
		"Stored messages that were compared with the ledger.",
		{},
	);
	metrics.gauge(
		"wx_messages_altered",
		"Messages and digests found that are not what the ledger holds, since the start; alarm above zero.",
		() => check.found,
	);
	metrics.gauge(
		"wx_messages_gone",
		"Messages that the ledger holds and whose month was dropped, met since the start.",
		() => check.gone,
	);
	const step = async (): Promise<void> =>
		checked.add({}, await check.step(checkedMessages, restMs));
	return startLoop({ log, name: "ledger.check", everyMs: checkEveryMs, step });
}
