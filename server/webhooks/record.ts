/**
 * Writes results of attempts, a batch at a time: what is done is deleted, what failed is scheduled anew,
 * every attempt is appended, and the health of endpoints follows. One transaction per batch.
 */
import type { Database } from "#platform/db.ts";
import type { PostOutcome } from "#platform/egress.ts";
import type { Ids } from "#platform/ids.ts";
import type { Log } from "#platform/log.ts";
import type { Place, Vault } from "#vault/index.ts";
import type { ReadyDelivery } from "./prepare.ts";
import type { Step } from "./schedule.ts";
import {
	appendAttempts,
	type Health,
	type NewAttempt,
	type Reschedule,
	recordHealth,
	removeDeliveries,
	reschedule,
} from "./delivery-store.ts";

export type Result =
	| {
			readonly kind: "attempted";
			readonly delivery: ReadyDelivery;
			readonly outcome: PostOutcome;
			readonly step: Step;
			readonly atMs: number;
	  }
	/** Leased but not sent: others may have it at once. */
	| { readonly kind: "returned"; readonly delivery: ReadyDelivery };

type Attempted = Extract<Result, { kind: "attempted" }>;

export interface RecordParts {
	readonly db: Database;
	readonly vault: Vault;
	readonly ids: Ids;
	readonly log: Log;
}

/** An endpoint that has failed for so long is paused. */
export const failingMaxMs = 5 * 24 * 3_600_000;

export async function record(
	parts: RecordParts,
	results: readonly Result[],
	nowMs: number,
): Promise<void> {
	const tenantIds = [...new Set(results.map(({ delivery }) => delivery.tenantId))];
	await parts.vault.warm(tenantIds);
	const attempted = results.filter((result) => result.kind === "attempted");
	const done = attempted.filter(({ step }) => step.kind !== "retry");
	const again = results.flatMap(scheduleOf);
	const attempts = attempted.map((result) => attemptOf(parts, result));
	const health = healthOf(attempted);
	const changed = await parts.db.inTenants(tenantIds, async (tx) => {
		if (done.length > 0)
			removeDeliveries(
				tx,
				done.map(({ delivery }) => delivery),
			);
		if (again.length > 0) reschedule(tx, again);
		if (attempts.length > 0) appendAttempts(tx, attempts);
		if (health.length === 0) return [];
		return recordHealth(tx, health, new Date(nowMs), new Date(nowMs - failingMaxMs));
	});
	for (const { id, status } of changed)
		parts.log.info(
			{ event: "webhooks.endpoint_health", endpoint: id, status },
			"endpoint health changed",
		);
}

function scheduleOf(result: Result): Reschedule[] {
	const { delivery } = result;
	const leaseUntil = new Date(delivery.leaseUntilMs);
	const key = { tenantId: delivery.tenantId, id: delivery.id, leaseUntil };
	if (result.kind === "returned") return [{ ...key, attempt: delivery.attempt, due: null }];
	if (result.step.kind !== "retry") return [];
	return [{ ...key, attempt: delivery.attempt + 1, due: new Date(result.step.dueMs) }];
}

/** The place of an attempt's sealed answer. */
export function responsePlace(scope: { tenantId: string; environment: string }, id: string): Place {
	const { tenantId, environment } = scope;
	return { tenantId, environment, table: "webhook_attempts", column: "response_sealed", row: id };
}

function attemptOf({ vault, ids }: RecordParts, result: Attempted): NewAttempt {
	const { delivery, outcome, step, atMs } = result;
	const id = ids.next();
	const delivered = step.kind === "delivered";
	const told = outcome.kind === "answered" && !delivered ? outcome.bodyStart : "";
	return {
		tenantId: delivery.tenantId,
		id,
		environment: delivery.environment,
		endpointId: delivery.endpointId,
		eventId: delivery.eventId,
		eventType: delivery.eventType,
		delivered,
		responseStatus: outcome.kind === "answered" ? outcome.status : null,
		responseSealed: told === "" ? null : vault.seal(responsePlace(delivery, id), Buffer.from(told)),
		durationMs: outcome.durationMs,
		error: outcome.kind === "failed" ? outcome.reason : null,
		at: new Date(atMs),
	};
}

/** One line per endpoint: healthy when anything succeeded, gone when it said so. */
function healthOf(attempted: readonly Attempted[]): Health[] {
	const byEndpoint = Map.groupBy(attempted, ({ delivery }) => delivery.endpointId);
	return [...byEndpoint].map(([id, all]) => {
		const { tenantId } = (all[0] as Attempted).delivery;
		const gone = all.some(({ step }) => step.kind === "gone");
		return { tenantId, id, gone, ok: !gone && all.some(({ step }) => step.kind === "delivered") };
	});
}
