/**
 * SQL of claims: which lanes and tenants have something due, leases of it, and what is needed to send it. Under the role
 * waxwing_worker; lanes are read across tenants only through definer functions that answer with ids.
 */
import { sql, type Tx } from "#platform/db.ts";
import { uuids } from "#platform/db-arrays.ts";

const waitingStatement = sql(
	"lanes.waiting",
	"select route_id, class from wx.lanes_due($1::uuid[], to_timestamp($2::float8 / 1000))",
);

/** Which lanes of these routes have due work in the table. */
export function lanesWaiting(
	tx: Tx,
	routeIds: readonly string[],
	nowMs: number,
): Promise<{ route_id: string; class: number }[]> {
	return tx.query(waitingStatement, [routeIds, nowMs]);
}

const tenantsStatement = sql(
	"lanes.tenants",
	"select tenant_id, is_due from wx.lane_tenants_after($1, $2::smallint, to_timestamp($3::float8 / 1000), $4, $5, $6)",
);

export interface LaneName {
	readonly routeId: string;
	readonly class: number;
}

/** Tenants looked at for one answer: what is scheduled for later makes a tenant wait without having anything due. */
const looksMax = 256;

export interface TenantsWaiting {
	/** With something due, at most `most`. */
	readonly due: readonly string[];
	/** The last that was looked at; undefined when there are none behind. */
	readonly last: string | undefined;
}

/** The tenants of a lane behind `after`. */
export async function tenantsWaiting(
	tx: Tx,
	lane: LaneName,
	nowMs: number,
	after: string,
	most: number,
): Promise<TenantsWaiting> {
	const values = [lane.routeId, lane.class, nowMs, after, most, looksMax];
	const rows = await tx.query<{ tenant_id: string; is_due: boolean }>(tenantsStatement, values);
	const due = rows.filter((row) => row.is_due).map((row) => row.tenant_id);
	const isEnd = due.length < most && rows.length < looksMax;
	return { due, last: isEnd ? undefined : rows.at(-1)?.tenant_id };
}

const leaseStatement = sql(
	"lanes.lease",
	`select batch_id, message_id, attempt, possible_duplicate, abandoned, environment, apart
	from wx.lease_batches($1, $2::smallint, $3::uuid[], to_timestamp($4::float8 / 1000), $5, $6::uuid[])`,
);

export interface LeasedEntry {
	readonly message_id: string;
	readonly attempt: number;
	readonly possible_duplicate: boolean;
	readonly abandoned: boolean;
	readonly environment: "live" | "test";
	/** See `Parcel`. */
	readonly apart: boolean;
}

/** A batch to fill, of one tenant; a tenant may have several. */
export interface LeaseRequest {
	readonly tenantId: string;
	readonly batchId: string;
}

/** Leases what is due in a lane, at most `most` entries to each batch. In the order of the requests. */
export async function leaseEntries(
	tx: Tx,
	lane: LaneName,
	requests: readonly LeaseRequest[],
	most: number,
	nowMs: number,
): Promise<readonly (readonly LeasedEntry[])[]> {
	const rows = await tx.query<LeasedEntry & { batch_id: string }>(leaseStatement, [
		lane.routeId,
		lane.class,
		uuids(requests.map((request) => request.tenantId)),
		nowMs,
		most,
		uuids(requests.map((request) => request.batchId)),
	]);
	const byBatch = Map.groupBy(rows, (row) => row.batch_id);
	return requests.map(({ batchId }) => byBatch.get(batchId) ?? []);
}

const loadStatement = sql(
	"lanes.load",
	`select m.tenant_id, m.id, m.environment::text as environment, m.class, m.address_index, m.sender_index, m.sealed, m.country, m.dlt_template_id,
		m.expires_at, m.ruleset, m.clear_until, m.seal
	from unnest($1::uuid[], $2::uuid[]) as k (tenant_id, id) cross join lateral (
		select * from messages f where f.tenant_id = k.tenant_id and f.id = k.id and f.id between $3 and $4 offset 0
	) m`,
);

export interface LoadedMessage {
	readonly tenant_id: string;
	readonly id: string;
	readonly environment: "live" | "test";
	readonly class: number;
	readonly address_index: Buffer;
	readonly sender_index: Buffer;
	readonly sealed: Buffer;
	readonly country: string;
	readonly dlt_template_id: string | null;
	readonly expires_at: Date;
	/** Null, as the two below, for what was never cleared: it stands in no lane. */
	readonly ruleset: string | null;
	readonly clear_until: Date | null;
	readonly seal: Buffer | null;
}

export function loadMessages(
	tx: Tx,
	tenantIds: readonly string[],
	ids: readonly string[],
): Promise<LoadedMessage[]> {
	// The bounds leave out the partitions of other months. Between them may lie all that the tenant ever sent.
	const sorted = ids.toSorted();
	const values = [uuids(tenantIds), uuids(ids), sorted[0], sorted.at(-1)];
	return tx.query<LoadedMessage>(loadStatement, values);
}
