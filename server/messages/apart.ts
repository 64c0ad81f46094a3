/**
 * Suspects among what was leased: messages whose last submit ended with the connection, or with the process. They go into
 * batches of their own, of which one leaves at a time with nothing beside it; a message that was lost twice goes alone.
 * Of many, those whose turn is far wait on in the table. Decided from the entries alone, so that a crash changes nothing.
 */
import type { Tx } from "#platform/db.ts";
import type { Ids } from "#platform/ids.ts";
import { moveEntries } from "./apart-store.ts";
import { attemptsMax } from "./effects.ts";
import type { LeasedEntry, LeaseRequest } from "./claim-store.ts";
import { returnEntries } from "./lane-store.ts";
import { createLanes } from "./lanes.ts";
import type { Batch } from "./parcel.ts";

/** Suspects of one route and class in memory; the others wait in the table. */
export const suspectsMax = 256;
/** What a suspect takes until the next one's turn, roughly: those that wait on look again about when theirs comes. */
const turnMs = 40;

/** Suspects in memory, in batches that leave one by one. */
export interface Suspects {
	push(batch: Batch): void;
	/**
	 * The next batch of a route, if there is one: codes first, then who has been tried less often, classes and tenants in
	 * turn. What ends connections is thereby behind the others.
	 */
	take(routeId: string): Batch[];
	waiting(routeId: string, classNumber?: number): number;
	drain(): Batch[];
	batchIds(): string[];
}

export function createSuspects(): Suspects {
	/** By submits tried. */
	const levels = Array.from({ length: attemptsMax + 1 }, createLanes);
	const levelOf = ({ parcels }: Batch): number =>
		Math.min(attemptsMax, Math.max(0, ...parcels.map((parcel) => parcel.attempt)));
	return {
		push: (batch) => levels[levelOf(batch)]?.push(batch),
		take(routeId) {
			for (const urgency of ["urgent", "ordinary"] as const)
				for (const level of levels) {
					const taken = level.take(routeId, urgency, 1);
					if (taken.length > 0) return taken;
				}
			return [];
		},
		waiting: (routeId, classNumber) =>
			levels.reduce((sum, level) => sum + level.waiting(routeId, classNumber), 0),
		drain: () => levels.flatMap((level) => level.drain()),
		batchIds: () => levels.flatMap((level) => level.batchIds()),
	};
}

export interface Leased {
	readonly request: LeaseRequest;
	readonly entries: readonly LeasedEntry[];
	/** Its messages are suspects: they leave with nothing beside them. */
	readonly isApart: boolean;
}

export interface ApartParts {
	readonly ids: Pick<Ids, "next">;
	/** Suspects of a route that should leave together. */
	readonly trialSize: (routeId: string) => number;
}

/**
 * Separates what was leased in this transaction, which is then in the scope of its tenants if there were suspects.
 * `inMemory`: suspects of this route and class that are there already.
 */
export function setApart(
	parts: ApartParts,
	tx: Tx,
	routeId: string,
	leased: readonly Leased[],
	inMemory: number,
	nowMs: number,
): Leased[] {
	const suspects = leased.flatMap(({ request, entries }) =>
		entries.filter((entry) => entry.apart).map((entry) => ({ request, entry })),
	);
	if (suspects.length === 0) return [...leased];
	const room = Math.max(0, suspectsMax - inMemory);
	tx.enterTenants([...new Set(suspects.map(({ request }) => request.tenantId))]);
	const groups = groupsOf(parts, routeId, suspects.slice(0, room));
	moveEntries(
		tx,
		groups.flatMap(({ from, request, entries }) =>
			entries.map((entry) => ({
				tenantId: request.tenantId,
				messageId: entry.message_id,
				batchId: from,
				toBatchId: request.batchId,
			})),
		),
	);
	returnEntries(
		tx,
		suspects.slice(room).map(({ request, entry }, i) => ({
			tenantId: request.tenantId,
			messageId: entry.message_id,
			batchId: request.batchId,
			routeId,
			dueAtMs: nowMs + (inMemory + room + i) * turnMs,
			attempt: entry.attempt,
			possibleDuplicate: entry.possible_duplicate,
			abandoned: entry.abandoned,
		})),
	);
	const others = leased.map((one) => ({
		...one,
		entries: one.entries.filter((entry) => !entry.apart),
	}));
	return [...others.filter(({ entries }) => entries.length > 0), ...groups];
}

interface Suspect {
	readonly request: LeaseRequest;
	readonly entry: LeasedEntry;
}

type Group = Leased & { readonly from: string };

/** Suspects of one batch go together, as many as are worth a trial; who has been tried apart before goes alone. */
function groupsOf(
	{ ids, trialSize }: ApartParts,
	routeId: string,
	suspects: readonly Suspect[],
): Group[] {
	const groups: (Group & { readonly entries: LeasedEntry[] })[] = [];
	/** By batch: the group that has room. */
	const open = new Map<string, LeasedEntry[]>();
	for (const { request, entry } of suspects) {
		const isAlone = entry.attempt > 1;
		const found = isAlone ? undefined : open.get(request.batchId);
		if (found !== undefined && found.length < trialSize(routeId)) {
			found.push(entry);
			continue;
		}
		const entries = [entry];
		const own = { ...request, batchId: ids.next() };
		groups.push({ from: request.batchId, request: own, entries, isApart: true });
		if (!isAlone) open.set(request.batchId, entries);
	}
	return groups;
}
