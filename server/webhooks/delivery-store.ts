/** SQL of fan-out, delivery and results, for the tenants of a batch: every list is an array handed to `unnest`. */
import { type Environment, sql, type Tx } from "#platform/db.ts";
import type { EndpointStatus } from "./endpoint.ts";
import { type EndpointRow, endpointColumns } from "./store.ts";

/** Rows turned into columns, for `unnest`. */
function arrays<R, K extends keyof R>(rows: readonly R[], keys: readonly K[]): R[K][][] {
	return keys.map((key) => rows.map((row) => row[key]));
}

export interface OutboxRow {
	readonly id: string;
	readonly tenant_id: string;
	readonly environment: Environment;
	readonly topic: string;
	/** JSON text: read only when somebody subscribes. */
	readonly refs: string;
}

export interface Subscription {
	readonly tenant_id: string;
	readonly environment: Environment;
	readonly id: string;
	readonly events: readonly string[];
}

const nextOutboxStatement = sql(
	"webhooks.next_outbox",
	"select id, tenant_id, environment, topic, refs from wx.next_outbox_within($1, $2)",
);
const enterBatchStatement = sql(
	"webhooks.enter_batch",
	"select set_config('app.tenants', $1, true)",
);
const subscriptionsStatement = sql(
	"webhooks.subscriptions",
	`select tenant_id, environment, id, events from webhook_endpoints
	 where tenant_id = any ($1::uuid[]) and status <> 'paused'`,
);
const addDeliveriesStatement = sql(
	"webhooks.add_deliveries",
	`insert into webhook_deliveries (tenant_id, id, environment, endpoint_id, event_id, event_type, topic, ref, due_at, created_at)
	 select d.tenant_id, d.id, d.environment, d.endpoint_id, d.event_id, d.event_type, d.topic, d.ref, $9, $9
	 from unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::jsonb[])
		as d (tenant_id, id, environment, endpoint_id, event_id, event_type, topic, ref)`,
);
const deleteOutboxStatement = sql(
	"webhooks.delete_outbox",
	`delete from outbox o using unnest($1::uuid[], $2::uuid[]) as g (tenant_id, id)
	 where o.tenant_id = g.tenant_id and o.id = g.id`,
);

/**
 * The oldest outbox rows nobody else holds, locked until the transaction ends: at most `most`, and no more once those before
 * have so many octets of references.
 */
export function nextOutbox(tx: Tx, most: number, octets: number): Promise<OutboxRow[]> {
	return tx.query<OutboxRow>(nextOutboxStatement, [most, octets]);
}

/** Lets a transaction that has just learnt its tenants see their rows. */
export function enterBatch(tx: Tx, tenantIds: readonly string[]): void {
	tx.post(enterBatchStatement, [`{${tenantIds.join(",")}}`]);
}

export function subscriptionsOf(tx: Tx, tenantIds: readonly string[]): Promise<Subscription[]> {
	return tx.query<Subscription>(subscriptionsStatement, [tenantIds]);
}

export interface NewDelivery {
	readonly tenantId: string;
	readonly id: string;
	readonly environment: Environment;
	readonly endpointId: string;
	readonly eventId: string;
	readonly eventType: string;
	readonly topic: string;
	/** JSON text. */
	readonly ref: string;
}

export function addDeliveries(tx: Tx, rows: readonly NewDelivery[], at: Date): void {
	const keys = [
		"tenantId",
		"id",
		"environment",
		"endpointId",
		"eventId",
		"eventType",
		"topic",
		"ref",
	] as const;
	tx.post(addDeliveriesStatement, [...arrays(rows, keys), at]);
}

export function deleteOutbox(tx: Tx, rows: readonly OutboxRow[]): void {
	tx.post(deleteOutboxStatement, arrays(rows, ["tenant_id", "id"]));
}

export interface LeasedRow {
	readonly tenant_id: string;
	readonly id: string;
	readonly environment: Environment;
	readonly endpoint_id: string;
	readonly event_id: string;
	readonly event_type: string;
	readonly topic: string;
	readonly ref: readonly unknown[];
	readonly attempt: number;
}

export interface LeaseRequest {
	readonly at: Date;
	readonly until: Date;
	readonly most: number;
	readonly usualQuota: number;
	readonly listed: readonly string[];
	readonly quotas: readonly number[];
	/** Where the last lease ended; endpoints take turns. */
	readonly after: { readonly tenantId: string; readonly endpointId: string };
}

const leaseStatement = sql(
	"webhooks.lease",
	`select tenant_id, id, environment, endpoint_id, event_id, event_type, topic, ref, attempt
	 from wx.lease_deliveries($1, $2, $3, $4, $5::uuid[], $6::integer[], $7, $8)`,
);
const endpointsOfStatement = sql(
	"webhooks.endpoints_of",
	`select ${endpointColumns} from webhook_endpoints join unnest($1::uuid[], $2::uuid[]) as wanted (tenant_id, id)
	 using (tenant_id, id)`,
);
const sweepStatement = sql(
	"webhooks.sweep_deleted",
	`delete from webhook_deliveries d using (
		select x.tenant_id, x.id from unnest($1::uuid[], $2::uuid[]) as gone (tenant_id, endpoint_id)
		cross join lateral (select o.tenant_id, o.id from webhook_deliveries o
			where o.tenant_id = gone.tenant_id and o.endpoint_id = gone.endpoint_id limit $3) x) orphan
	 where d.tenant_id = orphan.tenant_id and d.id = orphan.id`,
);

export function leaseDeliveries(tx: Tx, request: LeaseRequest): Promise<LeasedRow[]> {
	const { at, until, most, usualQuota, listed, quotas, after } = request;
	const values = [at, until, most, usualQuota, listed, quotas, after.tenantId, after.endpointId];
	return tx.query<LeasedRow>(leaseStatement, values);
}

export function endpointsOf(
	tx: Tx,
	wanted: readonly { readonly tenantId: string; readonly id: string }[],
): Promise<EndpointRow[]> {
	return tx.query<EndpointRow>(endpointsOfStatement, arrays(wanted, ["tenantId", "id"]));
}

/** Removes up to `most` deliveries of each endpoint that no longer exists. */
export function sweepDeleted(
	tx: Tx,
	gone: readonly { readonly tenantId: string; readonly id: string }[],
	most: number,
): void {
	tx.post(sweepStatement, [...arrays(gone, ["tenantId", "id"]), most]);
}

const removeStatement = sql(
	"webhooks.remove_deliveries",
	`delete from webhook_deliveries d using unnest($1::uuid[], $2::uuid[]) as g (tenant_id, id)
	 where d.tenant_id = g.tenant_id and d.id = g.id`,
);
const rescheduleStatement = sql(
	"webhooks.reschedule",
	`update webhook_deliveries d set attempt = r.attempt, due_at = coalesce(r.due_at, d.due_at), lease_until = null
	 from unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::timestamptz[], $5::timestamptz[])
		as r (tenant_id, id, attempt, due_at, lease_until)
	 where d.tenant_id = r.tenant_id and d.id = r.id and d.lease_until = r.lease_until`,
);
const appendAttemptsStatement = sql(
	"webhooks.append_attempts",
	`insert into webhook_attempts (tenant_id, id, environment, endpoint_id, event_id, event_type, delivered, response_status,
		response_sealed, duration_ms, error, attempted_at)
	 select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::uuid[], $6::text[], $7::boolean[], $8::smallint[],
		$9::bytea[], $10::integer[], $11::text[], $12::timestamptz[])`,
);
const healthStatement = sql(
	"webhooks.record_health",
	`update webhook_endpoints e set updated_at = $5,
		status = case when h.ok then 'active'
			when h.gone or coalesce(e.failing_since, $5) <= $6 then 'paused' else 'degraded' end,
		failing_since = case when h.ok then null else coalesce(e.failing_since, $5) end
	 from unnest($1::uuid[], $2::uuid[], $3::boolean[], $4::boolean[]) as h (tenant_id, id, ok, gone)
	 where e.tenant_id = h.tenant_id and e.id = h.id and e.status <> 'paused'
		and case when h.ok then e.status <> 'active' or e.failing_since is not null
			else h.gone or e.failing_since is null or e.failing_since <= $6 end
	 returning e.id, e.status`,
);

export interface DeliveryKey {
	readonly tenantId: string;
	readonly id: string;
}

export function removeDeliveries(tx: Tx, done: readonly DeliveryKey[]): void {
	tx.post(removeStatement, arrays(done, ["tenantId", "id"]));
}

export interface Reschedule extends DeliveryKey {
	/** Attempts made. */
	readonly attempt: number;
	/** Null leaves it as it was. */
	readonly due: Date | null;
	/** The lease under which it was held: if another holder has it by now, nothing changes. */
	readonly leaseUntil: Date;
}

export function reschedule(tx: Tx, rows: readonly Reschedule[]): void {
	tx.post(rescheduleStatement, arrays(rows, ["tenantId", "id", "attempt", "due", "leaseUntil"]));
}

export interface NewAttempt extends DeliveryKey {
	readonly environment: Environment;
	readonly endpointId: string;
	readonly eventId: string;
	readonly eventType: string;
	readonly delivered: boolean;
	readonly responseStatus: number | null;
	readonly responseSealed: Buffer | null;
	readonly durationMs: number;
	readonly error: string | null;
	readonly at: Date;
}

export function appendAttempts(tx: Tx, rows: readonly NewAttempt[]): void {
	const keys = [
		"tenantId",
		"id",
		"environment",
		"endpointId",
		"eventId",
		"eventType",
		"delivered",
	] as const;
	const more = ["responseStatus", "responseSealed", "durationMs", "error", "at"] as const;
	tx.post(appendAttemptsStatement, arrays(rows, [...keys, ...more]));
}

export interface Health extends DeliveryKey {
	readonly ok: boolean;
	/** The receiver answered 410. */
	readonly gone: boolean;
}

/** Writes only where the health of an endpoint changes; returns those. */
export function recordHealth(
	tx: Tx,
	rows: readonly Health[],
	at: Date,
	failingSinceMax: Date,
): Promise<{ id: string; status: EndpointStatus }[]> {
	return tx.query(healthStatement, [
		...arrays(rows, ["tenantId", "id", "ok", "gone"]),
		at,
		failingSinceMax,
	]);
}
