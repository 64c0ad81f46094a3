/**
 * What is done when submissions come of age: messages without news are presumed failed, old rows are deleted. A walk goes on
 * where the last one came to, in whichever process, a stretch of time at a step; stretches are as long as can be done in
 * a moment, so a walk keeps up with any rate and never reads a whole day.
 */
import type { Clock } from "#platform/clock.ts";
import type { Database, Tx } from "#platform/db.ts";
import type { Metrics } from "#platform/metrics.ts";
import {
	holdPlace,
	purgeRows,
	purgeSubmissions,
	savePlace,
	unheardBetween,
	type Walk,
} from "./chore-store.ts";
import { numberOfError, states } from "./state.ts";
import { applyTransitions } from "./transition-store.ts";
import { transitionOf, type TransitionParts } from "./sweep.ts";

const dayMs = 86_400_000;
/** A carrier's last word comes within its validity (48 hours at most) and a day. */
const newsMaxMs = 3 * dayMs;
/** How long a carrier's ids are known for its receipts. */
const submissionsMs = 10 * dayMs;
/** A walk that has never run begins so much before what is due: what is older had its time. */
const presumeFromMs = dayMs;
const rowsMax = 2_000;

/** A whole step that takes less is followed by one over twice the time, and one that takes more by half of it. */
const briefMs = 50;
const longMs = 200;
const stretchFirstMs = 60_000;
const stretchMinMs = 100;
const stretchMaxMs = 30 * dayMs;
/** After a failure (it took too long, most likely). */
const shorten = 8;

export interface AgingParts extends TransitionParts {
	readonly worker: Database;
	readonly clock: Clock;
	readonly metrics: Pick<Metrics, "gauge">;
}

interface Aging {
	readonly walk: Walk;
	/** What has not been done when the walk is behind. */
	readonly undone: string;
	readonly ageMs: number;
	/** How long before what is due the first walk begins; undefined: where its place says, as always. */
	readonly beginsMs?: number;
	/** Returns how many rows it did something to, `rowsMax` at most: then there may be more in the stretch. */
	readonly step: (tx: Tx, sinceMs: number, untilMs: number) => Promise<number>;
}

/** A step of a chore; resolves with true when it should go on soon. */
type Step = () => Promise<boolean>;

/** Messages that have had no news for three days are presumed failed; a true receipt still corrects that. */
export function presumeUnheard(parts: AgingParts): Step {
	const error = numberOfError("unknown");
	return createWalk(parts, {
		walk: "presume",
		undone: "messages without news for three days are not failed yet",
		ageMs: newsMaxMs,
		beginsMs: presumeFromMs,
		async step(tx, sinceMs, untilMs) {
			const rows = await unheardBetween(tx, sinceMs, untilMs, rowsMax);
			if (rows.length === 0) return 0;
			tx.enterTenants([...new Set(rows.map((row) => row.tenant_id))]);
			const nowMs = parts.clock.now();
			const { rank } = states.presumed;
			const failed = rows.map((row) => transitionOf(parts, row, rank, error, nowMs));
			applyTransitions(tx, nowMs, failed);
			return rows.length;
		},
	});
}

/** Submissions go after ten days, other rows when their own time is over. */
export function purgeOld(parts: AgingParts): Step {
	const walk = createWalk(parts, {
		walk: "purge",
		undone: "submissions older than ten days are not deleted yet",
		ageMs: submissionsMs,
		step: (tx, sinceMs, untilMs) => purgeSubmissions(tx, sinceMs, untilMs, rowsMax),
	});
	return async () => {
		const gone = await parts.worker.inPlatform((tx) => purgeRows(tx, parts.clock.now(), rowsMax));
		const again = await walk();
		return again || gone >= rowsMax;
	};
}

function createWalk(parts: AgingParts, aging: Aging): Step {
	const { worker, clock, metrics } = parts;
	let stretchMs = stretchFirstMs;
	let behindMs = 0;
	metrics.gauge(
		`wx_${aging.walk}_behind_seconds`,
		`For so long a time ${aging.undone}, as far as this process walks.`,
		() => behindMs / 1_000,
	);
	const adapt = (tookMs: number, isWhole: boolean): void => {
		if (isWhole && tookMs < briefMs) stretchMs = Math.min(stretchMaxMs, stretchMs * 2);
		if (tookMs > longMs) stretchMs = Math.max(stretchMinMs, stretchMs / 2);
	};
	return async () => {
		const beganMs = clock.elapsed();
		try {
			const now = clock.now();
			const came = await worker.inPlatform((tx) => takeStep(tx, now, aging, stretchMs));
			behindMs = came?.leftMs ?? 0;
			if (came === undefined) return false;
			const tookMs = clock.elapsed() - beganMs;
			adapt(tookMs, came.isWhole);
			// As long a rest: who sends meanwhile has the database for half of the time at least.
			if (came.leftMs > 0) await new Promise((resolve) => void setTimeout(resolve, tookMs));
			return came.leftMs > 0;
		} catch (error) {
			stretchMs = Math.max(stretchMinMs, stretchMs / shorten);
			throw error;
		}
	};
}

interface Came {
	/** What is left to walk over. */
	readonly leftMs: number;
	/** It covered all of the stretch it was given, and was not cut short by the present or by too many rows. */
	readonly isWhole: boolean;
}

/** Undefined when there was nothing to walk over, or another process walks. */
async function takeStep(
	tx: Tx,
	nowMs: number,
	{ walk, ageMs, beginsMs, step }: Aging,
	stretchMs: number,
): Promise<Came | undefined> {
	const place = await holdPlace(tx, walk);
	const dueMs = nowMs - ageMs;
	if (place === undefined || place >= dueMs) return undefined;
	const sinceMs = place === 0 && beginsMs !== undefined ? dueMs - beginsMs : place;
	const untilMs = Math.min(dueMs, sinceMs + stretchMs);
	if ((await step(tx, sinceMs, untilMs)) >= rowsMax)
		return { leftMs: dueMs - sinceMs, isWhole: false };
	savePlace(tx, walk, untilMs);
	return { leftMs: dueMs - untilMs, isWhole: untilMs < dueMs };
}
