/**
 * Chores of the message path, done every so often: leases renewed and expired ones recovered, receipts that
 * missed their submission matched, messages without news ended, old rows purged, partitions made.
 */
import type { Effects } from "./effects.ts";
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
import { housekeep, overdueMessages, quietSegments, rematchParked } from "./submission-store.ts";
import { applyTransitions } from "./transition-store.ts";

/** A carrier's last word comes within its validity (48 hours at most) and a day. */
const newsMaxMs = 72 * 3_600_000;
/** Carriers that give one receipt for a long message give it for the last segment: how long we wait for the others. */
const quietMs = 10_000;
const rowsMax = 1_000;
/** Entries of a route without a bind that are looked at in a second: five million take a quarter of an hour. */
const lookMax = 5_000;

export interface SweepParts extends RecoverParts {
	readonly owner: string;
	readonly router: Pick<Router, "candidates">;
	/** Batches this process holds. */
	readonly heldIds: () => readonly string[];
	/** Routes of this process that have no bind at present. */
	readonly unservedRouteIds: () => readonly string[];
	/** By route without a bind: up to where its lane was looked through for what has expired. */
	readonly places: Map<string, LanePlace>;
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
export async function sweepOften(parts: SweepParts): Promise<void> {
	await renewOwnLeases(parts);
	await recoverBatches(parts, parts.clock.now());
	await endQuietSegments(parts);
	await rematch(parts);
	await expireUnserved(parts, parts.clock.now());
}

/** Taken back and written in one transaction: between two, a crash would lose them. */
async function rematch(parts: SweepParts): Promise<void> {
	const count = await parts.worker.inPlatform(async (tx) => {
		const receipts = receiptsOf(await rematchParked(tx, rowsMax));
		if (receipts.length > 0) await writeAll(parts, tx, [], receipts, []);
		return receipts.length;
	});
	if (count > 0) parts.onEvents();
}

/** Long messages whose last segment was delivered while the others stayed without receipts. */
async function endQuietSegments(parts: SweepParts): Promise<void> {
	const nowMs = parts.clock.now();
	await parts.worker.inPlatform(async (tx) => {
		const rows = await quietSegments(tx, nowMs - quietMs, rowsMax);
		if (rows.length === 0) return;
		tx.enterTenants([...new Set(rows.map((row) => row.tenant_id))]);
		applyTransitions(
			tx,
			nowMs,
			rows.map((row) => transition(parts, row, states.delivered.rank, null, nowMs)),
		);
	});
}

/**
 * Messages whose time runs out while their route has no bind: nobody else would look at them. However long the lane is,
 * each call looks at the next `lookMax` of its entries, and begins again when it has come to the end.
 */
async function expireUnserved(parts: SweepParts, nowMs: number): Promise<void> {
	for (const routeId of parts.unservedRouteIds()) {
		const last = await expireSome(parts, routeId, nowMs, parts.places.get(routeId) ?? laneStart);
		if (last === undefined) parts.places.delete(routeId);
		else parts.places.set(routeId, last);
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
			const ends = expired.map((row) => transition(parts, row, states.expired.rank, error, nowMs));
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
				.map(({ row }) => transition(parts, row, states.expired.rank, error, nowMs));
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

/** Every few minutes. */
export async function sweepSeldom(parts: SweepParts): Promise<void> {
	const nowMs = parts.clock.now();
	await moveStranded(parts, nowMs);
	await parts.worker.inPlatform(async (tx) => {
		const rows = await overdueMessages(tx, nowMs - newsMaxMs, rowsMax);
		if (rows.length === 0) return;
		tx.enterTenants([...new Set(rows.map((row) => row.tenant_id))]);
		applyTransitions(
			tx,
			nowMs,
			rows.map((row) =>
				transition(parts, row, states.presumed.rank, numberOfError("unknown"), nowMs),
			),
		);
	});
	await housekeep(parts.worker, nowMs);
}

function transition(
	parts: SweepParts,
	row: { tenant_id: string; message_id: string; environment: string },
	rank: number,
	error: number | null,
	nowMs: number,
): NonNullable<Effects["transition"]> {
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
