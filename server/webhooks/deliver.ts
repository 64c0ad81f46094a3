/**
 * Delivers what is due: leases in batches, sends, writes results in batches. No database connection is held
 * during a request. Delivery is at least once: what was sent and not recorded is sent again under the
 * same `webhook-id`.
 */
import type { Clock } from "#platform/clock.ts";
import type { Database } from "#platform/db.ts";
import type { Egress } from "#platform/egress.ts";
import type { Ids, Random } from "#platform/ids.ts";
import type { Log } from "#platform/log.ts";
import type { Vault } from "#vault/index.ts";
import { createCircuits } from "./circuit.ts";
import type { EventSource } from "./event.ts";
import { firstTurn, prepare } from "./prepare.ts";
import { createRecorder } from "./recorder.ts";
import { createSender } from "./sender.ts";

export interface DeliverParts {
	/** The worker's database. */
	readonly db: Database;
	readonly vault: Vault;
	readonly egress: Pick<Egress, "post">;
	readonly clock: Clock;
	readonly random: Random;
	readonly ids: Ids;
	readonly log: Log;
	readonly sources: readonly EventSource[];
	/** Requests in flight, all endpoints together; 64. */
	readonly globalConcurrency?: number;
	/** … and of one healthy endpoint; 8. */
	readonly endpointConcurrency?: number;
}

export interface Deliverer {
	/** Leases and starts what there is room for; returns how many were leased. Throws when the database does. */
	step(): Promise<number>;
	/** Resolves when nothing is queued, in flight or unrecorded. */
	settled(): Promise<void>;
	/** Gives back what has not started, waits for what has, breaks off what takes longer than `graceMs`. */
	stop(graceMs: number): Promise<void>;
}

/** Deliveries in memory: queued, in flight or not yet recorded. */
const heldMax = 1024;

/** `onRoom` is told when a step would find more than the last one could take. */
export function createDeliverer(
	parts: DeliverParts,
	onRoom: () => void = () => undefined,
): Deliverer {
	const { globalConcurrency: global = 64, endpointConcurrency: perEndpoint = 8 } = parts;
	const circuits = createCircuits({ global, perEndpoint });
	let held = 0;
	let stopping = false;
	let turn = firstTurn;
	let waiting: (() => void)[] = [];

	const recorder = createRecorder(parts, (count) => {
		held -= count;
		if (held > 0) return;
		for (const wake of waiting) wake();
		waiting = [];
	});
	const sender = createSender({ ...parts, circuits, onRoom, onResult: recorder.add });
	const settled = (): Promise<void> =>
		held === 0 ? Promise.resolve() : new Promise((wake) => waiting.push(wake));
	return {
		settled,
		async step() {
			sender.pump();
			const most = heldMax - held;
			if (stopping || most < 1) return 0;
			const prepared = await prepare(parts, circuits, most, turn);
			turn = prepared.next;
			held += prepared.ready.length;
			sender.take(prepared.ready);
			return prepared.leased;
		},
		async stop(graceMs) {
			stopping = true;
			recorder.hurry();
			sender.close();
			const timer = setTimeout(sender.abort, graceMs);
			await settled();
			clearTimeout(timer);
			sender.abort();
		},
	};
}
