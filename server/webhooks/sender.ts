/**
 * Sends leased deliveries: a queue per endpoint, started in turn as the circuits allow. What a failing endpoint
 * still has in its queue is given back, to be had again one by one. Knows nothing of the database.
 */
import type { Clock } from "#platform/clock.ts";
import type { Egress } from "#platform/egress.ts";
import type { Random } from "#platform/ids.ts";
import type { Log } from "#platform/log.ts";
import type { Circuits } from "./circuit.ts";
import { signedHeaders } from "./event.ts";
import type { ReadyDelivery } from "./prepare.ts";
import type { Result } from "./record.ts";
import { retryAfterMs, stepAfter } from "./schedule.ts";

export interface SenderParts {
	readonly egress: Pick<Egress, "post">;
	readonly clock: Clock;
	readonly random: Random;
	readonly log: Log;
	readonly circuits: Circuits;
	/** Told each delivery's result, exactly once. */
	readonly onResult: (result: Result) => void;
	/** Told when an endpoint that was leased plenty runs out. */
	readonly onRoom: () => void;
}

export interface Sender {
	/** Queues deliveries and starts what may start. */
	take(deliveries: readonly ReadyDelivery[]): void;
	/** Starts what may start by now. */
	pump(): void;
	/** Starts nothing more and gives back what has not started. */
	close(): void;
	/** Breaks off what is in flight; it is given back. */
	abort(): void;
}

/** A request is not started unless its lease outlasts the longest request. */
const leaseMarginMs = 20_000;
/** A queue this long had much of its quota filled: there may be more where it came from. */
const plentyMin = 16;
const nearlyEmpty = 8;

export function createSender(parts: SenderParts): Sender {
	const { circuits, clock, onResult } = parts;
	const queues = new Map<string, ReadyDelivery[]>();
	const plenty = new Set<string>();
	const aborter = new AbortController();
	let closed = false;

	const giveBack = (endpointId: string): void => {
		const queue = queues.get(endpointId) ?? [];
		queues.delete(endpointId);
		circuits.queued(endpointId, -queue.length);
		for (const delivery of queue) onResult({ kind: "returned", delivery });
	};
	const send = async (delivery: ReadyDelivery): Promise<void> => {
		const { endpointId } = delivery;
		const succeeded = await attempt(parts, delivery, aborter.signal);
		if (succeeded === false) giveBack(endpointId);
		pump();
		const left = queues.get(endpointId)?.length ?? 0;
		if (left < nearlyEmpty && plenty.delete(endpointId)) parts.onRoom();
	};
	const start = (delivery: ReadyDelivery): void => {
		const late = delivery.leaseUntilMs - clock.now() < leaseMarginMs;
		if (late) return onResult({ kind: "returned", delivery });
		circuits.started(delivery.endpointId);
		void send(delivery);
	};
	const pump = (): void => {
		let started = !closed;
		while (started) {
			started = false;
			for (const [endpointId, queue] of queues) {
				if (!circuits.mayStart(endpointId, clock.now())) continue;
				const delivery = queue.shift() as ReadyDelivery;
				if (queue.length === 0) queues.delete(endpointId);
				circuits.queued(endpointId, -1);
				start(delivery);
				started = true;
			}
		}
	};
	const close = (): void => {
		closed = true;
		for (const endpointId of Array.from(queues.keys())) giveBack(endpointId);
	};
	return {
		pump,
		close,
		take(deliveries) {
			for (const delivery of deliveries) enqueue(circuits, queues, delivery);
			for (const [endpointId, { length }] of queues)
				if (length >= plentyMin) plenty.add(endpointId);
			if (closed) close();
			else pump();
		},
		abort: () => aborter.abort(),
	};
}

function enqueue(
	circuits: Circuits,
	queues: Map<string, ReadyDelivery[]>,
	delivery: ReadyDelivery,
): void {
	const { endpointId, tenantId, degraded } = delivery;
	circuits.meet(endpointId, tenantId, degraded);
	circuits.queued(endpointId, 1);
	const queue = queues.get(endpointId);
	if (queue === undefined) queues.set(endpointId, [delivery]);
	else queue.push(delivery);
}

/** One attempt and its bookkeeping; undefined when we broke it off ourselves. */
async function attempt(
	{ egress, clock, random, log, circuits, onResult }: SenderParts,
	delivery: ReadyDelivery,
	signal: AbortSignal,
): Promise<boolean | undefined> {
	const { endpointId, eventId, url, keys, body } = delivery;
	const atMs = clock.now();
	const headers = signedHeaders(keys, eventId, atMs, body);
	const outcome = await egress.post(url, headers, body, { signal }).catch((err) => {
		log.error({ event: "webhooks.post_failed", err }, "a webhook could not be sent");
		return { kind: "failed", reason: "protocol", durationMs: 0 } as const;
	});
	if (outcome.kind === "failed" && signal.aborted) {
		circuits.abandoned(endpointId);
		onResult({ kind: "returned", delivery });
		return undefined;
	}
	const nowMs = clock.now();
	const step = stepAfter(outcome, delivery.attempt + 1, nowMs, random);
	const succeeded = step.kind === "delivered";
	circuits.finished(endpointId, succeeded, nowMs, retryAfterMs(outcome));
	onResult({ kind: "attempted", delivery, outcome, step, atMs });
	return succeeded;
}
