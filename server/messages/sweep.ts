/**
 * Chores of the message path, done every so often: leases renewed and expired ones recovered, receipts that
 * missed their submission matched, partitions made. None reads more the more there is, and none keeps another from its turn.
 */
import { Fault } from "#platform/errors.ts";
import type { Ids } from "#platform/ids.ts";
import { zeroId } from "#platform/page.ts";
import { bringForward, makePartitions, quietBefore, rematchFrom } from "./chore-store.ts";
import { longestRetryMs } from "./effects.ts";
import { leaseMs } from "./handover.ts";
import {
	expiredEntries,
	finishEntries,
	type LanePlace,
	laneStart,
	type ReturnedEntry,
	renewLeases,
	returnEntries,
	type StrandedEntry,
	strandedEntries,
} from "./lane-store.ts";
import type { Router } from "./router.ts";
import type { RecoverParts } from "./recover.ts";
import { recoverBatches } from "./recover.ts";
import { receiptsOf, writeAll } from "./recorder.ts";
import { numberOfError, states } from "./state.ts";
import { applyTransitions, type Transition } from "./transition-store.ts";

/** Carriers that give one receipt for a long message give it for the last segment: how long we wait for the others. */
const quietMs = 10_000;
const rowsMax = 1_000;
/** Rows that one look takes of a route without a bind, of parked receipts, of long messages: of five million, all in a quarter of an hour. */
const lookMax = 5_000;
/** Of long messages, the newest that are looked at each time. */
const quietNewest = 1_000;
const dayMs = 86_400_000;

export interface Places {
	/** By route without a bind: where its lane was looked through for what has expired. */
	readonly lanes: Map<string, LanePlace>;
	/** Among parked receipts; undefined: at the end. */
	parked?: string | undefined;
	/** Among long messages whose last segment was delivered, backwards in time. */
	quietMs?: number | undefined;
}

export interface SweepParts extends RecoverParts {
	readonly owner: string;
	readonly router: Pick<Router, "candidates">;
	/** Batches this process holds. */
	readonly heldIds: () => readonly string[];
	/** Routes of this process that have no bind at present. */
	readonly unservedRouteIds: () => readonly string[];
	/** Up to where the last looks came. */
	readonly places: Places;
	readonly onEvents: () => void;
}

async function renewOwnLeases(parts: SweepParts): Promise<void> {
	const ids = parts.heldIds();
	if (ids.length > 0)
		await parts.worker.inPlatform(async (tx) =>
			renewLeases(tx, ids, parts.owner, parts.clock.now() + leaseMs),
		);
}

/** Once a second. Our own leases are renewed first: after an outage they must not be taken for a dead worker's. */
export function sweepOften(parts: SweepParts): Promise<void> {
	return each([
		async () => {
			await renewOwnLeases(parts);
			await recoverBatches(parts, parts.clock.now());
		},
		() => bringRetriesForward(parts),
		() => endQuietSegments(parts),
		() => rematch(parts),
		() => expireUnserved(parts, parts.clock.now()),
	]);
}

/** Every few minutes. */
export function sweepSeldom(parts: SweepParts): Promise<void> {
	return each([
		() => parts.worker.inPlatform(async (tx) => makePartitions(tx, parts.clock.now())),
		() => moveStranded(parts, parts.clock.now()),
	]);
}

/** One after the other, also when one before has failed, unless nothing can be done at present. Throws what failed. */
async function each(chores: readonly (() => Promise<void>)[]): Promise<void> {
	const failures: unknown[] = [];
	for (const chore of chores) {
		if (failures.some(isAway)) break;
		await chore().catch((error: unknown) => void failures.push(error));
	}
	if (failures.length > 1) throw new AggregateError(failures, "several chores failed");
	if (failures.length === 1) throw failures[0];
}

function isAway(error: unknown): boolean {
	return error instanceof Fault && error.name === "database_unavailable";
}

/** A clock that ran ahead and was set back leaves retries that are due when that time comes: a day later, or a year. */
async function bringRetriesForward({
	worker,
	clock,
	unknownReconcileMs,
}: SweepParts): Promise<void> {
	const nowMs = clock.now();
	const beyondMs = nowMs + longestRetryMs(unknownReconcileMs);
	await worker.inPlatform((tx) => bringForward(tx, beyondMs, nowMs + unknownReconcileMs, rowsMax));
}

/** Taken back and written in one transaction: between two, a crash would lose them. */
async function rematch(parts: SweepParts): Promise<void> {
	const { places } = parts;
	const count = await parts.worker.inPlatform(async (tx) => {
		const { parked, lookedTo } = await rematchFrom(tx, places.parked ?? zeroId, lookMax);
		places.parked = lookedTo;
		const receipts = receiptsOf(parked);
		if (receipts.length > 0) await writeAll(parts, tx, [], receipts, []);
		return receipts.length;
	});
	if (count > 0) parts.onEvents();
}

/**
 * Long messages whose last segment was delivered while the others stayed without receipts: of the last day, the newest
 * each time, and older ones in turn.
 */
async function endQuietSegments(parts: SweepParts): Promise<void> {
	const { places, worker, clock } = parts;
	const nowMs = clock.now();
	const [newestMs, sinceMs] = [nowMs - quietMs, nowMs - quietMs - dayMs];
	await worker.inPlatform(async (tx) => {
		const newest = await quietBefore(tx, newestMs, sinceMs, quietNewest);
		const beginsMs = places.quietMs ?? newest.at(-1)?.submitted_ms ?? newestMs;
		const older = newest.length === 0 ? [] : await quietBefore(tx, beginsMs, sinceMs, lookMax);
		const lastMs = older.at(-1)?.submitted_ms;
		// As many as a look takes would have to be of the same millisecond for it to stand still.
		places.quietMs = lastMs === undefined || lastMs >= beginsMs ? undefined : lastMs;
		const quiet = new Map(
			[...newest, ...older].filter((row) => row.quiet).map((row) => [row.message_id, row]),
		);
		if (quiet.size === 0) return;
		const rows = [...quiet.values()];
		tx.enterTenants([...new Set(rows.map((row) => row.tenant_id))]);
		const { rank } = states.delivered;
		applyTransitions(
			tx,
			nowMs,
			rows.map((row) => transitionOf(parts, row, rank, null, nowMs)),
		);
	});
}

/**
 * Messages whose time runs out while their route has no bind: nobody else would look at them. However long the lane is,
 * each call looks at the next `lookMax` of its entries, and begins again when it has come to the end.
 */
async function expireUnserved(parts: SweepParts, nowMs: number): Promise<void> {
	for (const routeId of parts.unservedRouteIds()) {
		const last = await expireSome(
			parts,
			routeId,
			nowMs,
			parts.places.lanes.get(routeId) ?? laneStart,
		);
		if (last === undefined) parts.places.lanes.delete(routeId);
		else parts.places.lanes.set(routeId, last);
	}
}

/** Returns the last place looked at; undefined at the end of the route. */
async function expireSome(
	parts: SweepParts,
	routeId: string,
	nowMs: number,
	after: LanePlace,
): Promise<LanePlace | undefined> {
	return parts.worker.inPlatform(async (tx) => {
		const rows = await expiredEntries(tx, routeId, nowMs, lookMax, after);
		const expired = rows.filter((row) => row.expired);
		if (expired.length > 0) {
			tx.enterTenants([...new Set(expired.map((row) => row.tenant_id))]);
			const error = numberOfError("expired_waiting");
			const ends = expired.map((row) =>
				transitionOf(parts, row, states.expired.rank, error, nowMs),
			);
			applyTransitions(tx, nowMs, ends);
			finishEntries(tx, ends);
		}
		return rows.at(-1);
	});
}

/** Entries of routes that were switched off move to a route that serves their country; without one they expire. */
async function moveStranded(parts: SweepParts, nowMs: number): Promise<void> {
	for (let moved = rowsMax; moved === rowsMax; ) {
		moved = await parts.worker.inPlatform(async (tx) => {
			const rows = await strandedEntries(tx, rowsMax);
			const routed = rows.map((row) => ({
				row,
				routeId: parts.router.candidates(row.environment, row.country)[0],
			}));
			tx.enterTenants([...new Set(rows.map((row) => row.tenant_id))]);
			const going = routed.flatMap(({ row, routeId }) =>
				routeId === undefined ? [] : [moveOf(row, routeId)],
			);
			returnEntries(tx, going);
			const error = numberOfError("expired_waiting");
			const ends = routed
				.filter(({ row, routeId }) => routeId === undefined && row.expires_at.getTime() <= nowMs)
				.map(({ row }) => transitionOf(parts, row, states.expired.rank, error, nowMs));
			applyTransitions(tx, nowMs, ends);
			finishEntries(tx, ends);
			return going.length + ends.length;
		});
	}
}

function moveOf(row: StrandedEntry, routeId: string): ReturnedEntry & { batchId: null } {
	return {
		tenantId: row.tenant_id,
		messageId: row.message_id,
		routeId,
		dueAtMs: row.due_at.getTime(),
		attempt: row.attempt,
		possibleDuplicate: row.possible_duplicate,
		abandoned: row.abandoned,
		batchId: null,
	};
}

export interface TransitionParts {
	readonly ids: Ids;
}

/** A change of state that no carrier has told. */
export function transitionOf(
	parts: TransitionParts,
	row: { readonly tenant_id: string; readonly message_id: string; readonly environment: string },
	rank: number,
	error: number | null,
	nowMs: number,
): Transition {
	return {
		tenantId: row.tenant_id,
		messageId: row.message_id,
		environment: row.environment,
		rank,
		atMs: nowMs,
		error,
		carrierError: null,
		possibleDuplicate: false,
		eventId: parts.ids.next(),
	};
}
