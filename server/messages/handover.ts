/**
 * Hand-over in memory: the process that accepts a message and can also send it leases it to itself in the
 * accept commit and keeps it in its lanes, so that nothing is read back. The batch's row names its messages and
 * remains the truth: they enter the lane's table only if they must wait after all, or if the holder dies.
 */
import type { Clock } from "#platform/clock.ts";
import type { Ids } from "#platform/ids.ts";
import type { Clearance } from "#policy/index.ts";
import type { Lanes } from "./lanes.ts";
import type { Parcel } from "./parcel.ts";
import type { Prepared } from "./prepare.ts";
import type { Lease } from "./store.ts";

/** Messages of one batch: what becomes of unknown outcome, at most, when a process dies on it. */
export const batchMax = 64;
/** How long a batch is held before another worker may take it, milliseconds. Renewed while it is held. */
export const leaseMs = 20_000;

export interface Handover {
	/** A plan for one commit. */
	plan(): HandoverPlan;
	/** Called with the batches of a plan that was committed. */
	readonly owner: string;
}

export interface HandoverPlan {
	/** The batch that the message joins; undefined when it must wait in the table. */
	add(prepared: Prepared, routeId: string, clearance: Clearance): string | undefined;
	/** Under which its batches are to be written. */
	readonly lease: Lease;
	/** After the commit: the batches enter the lanes. */
	commit(): void;
	/** The commit failed: nothing happened. */
	cancel(): void;
}

export interface HandoverParts {
	readonly lanes: Lanes;
	readonly ids: Ids;
	readonly clock: Clock;
	readonly owner: string;
	/** Whether this process sends on the route, and the lane has nothing older waiting in the table. */
	readonly serves: (routeId: string, classNumber: number) => boolean;
	/** The lane was full: its messages wait in the table and must be claimed. */
	readonly overflowed: (routeId: string, classNumber: number) => void;
	readonly arrived: (routeIds: ReadonlySet<string>) => void;
}

type Open = {
	readonly id: string;
	readonly routeId: string;
	readonly class: number;
	readonly tenantId: string;
	readonly parcels: Parcel[];
};

export function createHandover(parts: HandoverParts): Handover {
	const { lanes, ids, clock, owner } = parts;
	return { owner, plan: () => createPlan() };

	function createPlan(): HandoverPlan {
		const open = new Map<string, Open>();
		const batches: Open[] = [];
		const releaseAll = (): void => {
			for (const batch of batches) lanes.release(batch.routeId, batch.class, batch.parcels.length);
		};
		return {
			lease: { owner, untilMs: clock.now() + leaseMs },
			add(prepared, routeId, clearance) {
				const { subject, row } = prepared;
				if (!parts.serves(routeId, row.class)) {
					parts.overflowed(routeId, row.class);
					return undefined;
				}
				if (lanes.room(routeId, row.class, subject.tenantId) < 1) {
					parts.overflowed(routeId, row.class);
					return undefined;
				}
				const name = `${routeId}/${row.class}/${subject.tenantId}`;
				let batch = open.get(name);
				if (batch === undefined || batch.parcels.length >= batchMax) {
					batch = {
						id: ids.next(),
						routeId,
						class: row.class,
						tenantId: subject.tenantId,
						parcels: [],
					};
					open.set(name, batch);
					batches.push(batch);
				}
				lanes.reserve(routeId, row.class, 1);
				batch.parcels.push(parcelOf(prepared, routeId, clearance));
				return batch.id;
			},
			commit() {
				releaseAll();
				for (const batch of batches) lanes.push(batch);
				if (batches.length > 0) parts.arrived(new Set(batches.map((batch) => batch.routeId)));
			},
			cancel: releaseAll,
		};
	}
}

function parcelOf(
	{ draft, row, subject }: Prepared,
	routeId: string,
	clearance: Clearance,
): Parcel {
	return {
		tenantId: subject.tenantId,
		environment: subject.environment,
		messageId: row.id,
		class: row.class,
		routeId,
		to: draft.to,
		from: draft.from,
		segmented: draft.segmented,
		country: draft.country,
		dlt: draft.dlt,
		addressIndex: row.addressIndex,
		senderIndex: row.senderIndex,
		bodyDigest: subject.bodyDigest,
		clearance,
		expiresAtMs: draft.expiresAtMs,
		inTable: false,
		attempt: 0,
		possibleDuplicate: false,
		abandoned: false,
	};
}
