/**
 * Waiting for a signature: a critical act begins when a signed checkpoint covers the entry that announces it. From
 * then on nobody who holds the database, or its administrator's rights, can make it unsaid. The wait is bounded; who
 * waits in vain is told that nothing was done.
 */
import type { Clock } from "#platform/clock.ts";
import type { Database } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import { isSigned } from "./store.ts";

export interface CoverParts {
	/** With the app's role. */
	readonly db: Pick<Database, "inTenant">;
	readonly clock: Pick<Clock, "elapsed">;
	/** Asks the sequencer not to wait for its next turn. */
	readonly hurry: () => void;
	/** How long one waits, in milliseconds. */
	readonly withinMs?: number;
}

export interface Cover {
	/** @throws Fault `audit_unavailable` when it takes too long, or too many wait already. */
	untilSigned(log: string, entryId: string): Promise<void>;
}

const withinDefaultMs = 10_000;
const lookEveryMs = 50;
/** Waiting at once: each looks into the database again and again. */
export const waitersMax = 64;

export function createCover(parts: CoverParts): Cover {
	const { db, clock, hurry, withinMs = withinDefaultMs } = parts;
	let waiting = 0;
	const wait = async (log: string, entryId: string): Promise<void> => {
		const sinceMs = clock.elapsed();
		hurry();
		for (;;) {
			const scope = { tenantId: log, environment: "live" } as const;
			if (await db.inTenant(scope, (tx) => isSigned(tx, log, entryId))) return;
			if (clock.elapsed() - sinceMs >= withinMs)
				throw unsigned(`no checkpoint was signed over it within ${withinMs / 1_000} s`);
			await new Promise((resolve) => void setTimeout(resolve, lookEveryMs));
		}
	};
	return {
		async untilSigned(log, entryId) {
			if (waiting >= waitersMax) throw unsigned("too many acts of this kind wait already");
			waiting++;
			try {
				await wait(log, entryId);
			} finally {
				waiting--;
			}
		},
	};
}

function unsigned(why: string): Fault {
	return Fault.of("audit_unavailable", {
		retryAfterSeconds: 5,
		message: `This act begins only when its announcement in the ledger is signed, and ${why}. It was not done.`,
	});
}
