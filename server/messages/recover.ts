/**
 * What is left when a worker dies: batches whose lease has ended. Those that had not started wait again;
 * of those that had, each message's outcome is unknown and its class's policy decides.
 */
import type { Clock } from "#platform/clock.ts";
import type { Database, Tx } from "#platform/db.ts";
import type { Ids } from "#platform/ids.ts";
import { afterUnknown, type Effects } from "./effects.ts";
import * as store from "./lane-store.ts";
import { applyTransitions } from "./transition-store.ts";

export interface RecoverParts {
	readonly worker: Database;
	readonly ids: Ids;
	readonly clock: Clock;
	readonly unknownReconcileMs: number;
}

/** Batches of one transaction. */
const batchesMax = 64;

export interface Recovered {
	/** Messages that simply wait again. */
	readonly waiting: number;
	/** Messages whose outcome is unknown. */
	readonly unknown: number;
}

/** Recovers batches whose lease ended before `atMs`, until there are none. */
export async function recoverBatches(parts: RecoverParts, atMs: number): Promise<Recovered> {
	let total: Recovered = { waiting: 0, unknown: 0 };
	for (;;) {
		const some = await parts.worker.inPlatform((tx) => recoverSome(parts, tx, atMs));
		if (some === undefined) return total;
		total = { waiting: total.waiting + some.waiting, unknown: total.unknown + some.unknown };
	}
}

async function recoverSome(
	parts: RecoverParts,
	tx: Tx,
	atMs: number,
): Promise<Recovered | undefined> {
	const batches = await store.expiredBatches(tx, atMs, batchesMax);
	if (batches.length === 0) return undefined;
	const started = new Set(batches.filter((batch) => batch.started).map((batch) => batch.batch_id));
	const entries = await store.entriesOfBatches(
		tx,
		batches.map((batch) => batch.batch_id),
	);
	const context = {
		nowMs: parts.clock.now(),
		eventId: () => parts.ids.next(),
		unknownReconcileMs: parts.unknownReconcileMs,
	};
	const held = entries.filter((entry) => started.has(entry.batch_id));
	const unknown = held.map(
		(entry): Effects =>
			afterUnknown(
				{
					tenantId: entry.tenant_id,
					environment: entry.environment,
					messageId: entry.message_id,
					class: entry.class,
					attempt: entry.attempt,
					routeId: entry.route_id,
					possibleDuplicate: entry.possible_duplicate,
				},
				true,
				context,
			),
	);
	tx.enterTenants([...new Set(entries.map((entry) => entry.tenant_id))]);
	applyTransitions(
		tx,
		context.nowMs,
		unknown.flatMap((effects) => effects.transition ?? []),
	);
	store.returnEntries(
		tx,
		unknown.flatMap(({ returned }, i) =>
			returned === undefined
				? []
				: [{ ...returned, batchId: (held[i] as store.HeldEntry).batch_id }],
		),
	);
	const rested = batches.filter((batch) => !batch.started).map((batch) => batch.batch_id);
	store.releaseBatches(tx, [...new Set(entries.map((entry) => entry.tenant_id))], rested);
	store.dropBatches(tx, [...started]);
	return { waiting: entries.length - unknown.length, unknown: unknown.length };
}
