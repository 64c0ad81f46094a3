/**
 * SQL of submissions and receipts: what a carrier knows our messages by, and what it said of them.
 */
import { sql, type Tx } from "#platform/db.ts";
import { float8s, int2s, texts, uuids } from "#platform/db-arrays.ts";

export interface Submission {
	readonly tenantId: string;
	readonly messageId: string;
	/** 1 to `segments`. */
	readonly segment: number;
	readonly segments: number;
	readonly routeId: string;
	readonly carrierId: string;
	readonly submittedAtMs: number;
}

const insertStatement = sql(
	"submissions.insert",
	`insert into submissions (tenant_id, message_id, segment, segments, route_id, carrier_id, submitted_at)
	select tenant_id, message_id, segment, segments, route_id, carrier_id, to_timestamp(submitted_ms / 1000)
	from unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::smallint[], $5::uuid[], $6::text[], $7::float8[])
		as s (tenant_id, message_id, segment, segments, route_id, carrier_id, submitted_ms)
	on conflict do nothing`,
);

export function insertSubmissions(tx: Tx, rows: readonly Submission[]): void {
	if (rows.length === 0) return;
	tx.post(insertStatement, [
		uuids(rows.map((row) => row.tenantId)),
		uuids(rows.map((row) => row.messageId)),
		int2s(rows.map((row) => row.segment)),
		int2s(rows.map((row) => row.segments)),
		uuids(rows.map((row) => row.routeId)),
		texts(rows.map((row) => row.carrierId)),
		float8s(rows.map((row) => row.submittedAtMs)),
	]);
}

/** A submission that a receipt's id may mean; `asked` is the id by which it was found. */
export interface Match {
	readonly asked: string;
	readonly tenant_id: string;
	readonly message_id: string;
	readonly segment: number;
	readonly segments: number;
	readonly environment: string;
	readonly submitted_at: Date;
}

const matchStatement = sql(
	"submissions.match",
	"select carrier_id as asked, tenant_id, message_id, segment, segments, environment, submitted_at from wx.match_receipts($1, $2::text[])",
);

/** Finds submissions of a route by carrier ids, across tenants. */
export function matchReceipts(
	tx: Tx,
	routeId: string,
	carrierIds: readonly string[],
): Promise<Match[]> {
	return tx.query<Match>(matchStatement, [routeId, texts(carrierIds)]);
}

export interface SegmentState {
	readonly tenantId: string;
	readonly messageId: string;
	readonly segment: number;
	readonly submittedAtMs: number;
	/** SMPP message_state of the receipt. */
	readonly state: number;
}

const markStatement = sql(
	"submissions.mark",
	`update submissions s set state = k.state
	from unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::smallint[], $5::float8[]) as k (tenant_id, message_id, segment, state, submitted_ms)
	where s.tenant_id = k.tenant_id and s.message_id = k.message_id and s.segments > 1 and s.segment = k.segment
		and s.submitted_at = to_timestamp(k.submitted_ms / 1000) and s.state = 0`,
);
const statesStatement = sql(
	"submissions.states",
	`select s.tenant_id, s.message_id, s.segments, s.submitted_at, array_agg(s.state order by s.segment) as states
	from unnest($1::uuid[], $2::uuid[]) as k (tenant_id, message_id)
	join submissions s on s.tenant_id = k.tenant_id and s.message_id = k.message_id and s.segments > 1
	group by s.tenant_id, s.message_id, s.segments, s.submitted_at`,
);

export interface MessageSegments {
	readonly tenant_id: string;
	readonly message_id: string;
	readonly segments: number;
	readonly submitted_at: Date;
	readonly states: readonly number[];
}

/** Notes receipts of single segments and returns how all segments of their messages stand, by attempt. */
export async function markSegments(
	tx: Tx,
	marks: readonly SegmentState[],
): Promise<MessageSegments[]> {
	tx.post(markStatement, [
		marks.map((mark) => mark.tenantId),
		marks.map((mark) => mark.messageId),
		marks.map((mark) => mark.segment),
		marks.map((mark) => mark.state),
		marks.map((mark) => mark.submittedAtMs),
	]);
	const keys = new Map(marks.map((mark) => [`${mark.tenantId}/${mark.messageId}`, mark]));
	return tx.query<MessageSegments>(statesStatement, [
		[...keys.values()].map((key) => key.tenantId),
		[...keys.values()].map((key) => key.messageId),
	]);
}

export interface ParkedReceipt {
	readonly id: string;
	readonly routeId: string;
	/** Every form of the carrier's id that its submission may turn out to have. */
	readonly carrierIds: readonly string[];
	readonly state: number;
	readonly errorCode: string | null;
}

const parkStatement = sql(
	"submissions.park",
	`insert into parked_receipts (id, route_id, carrier_id, state, error_code, received_at)
	select id, route_id, carrier_id, state, error_code, to_timestamp($1::float8 / 1000)
	from unnest($2::uuid[], $3::uuid[], $4::text[], $5::smallint[], $6::text[]) as p (id, route_id, carrier_id, state, error_code)
	on conflict do nothing`,
);

/** Keeps receipts whose submission is not known (yet). */
export function parkReceipts(tx: Tx, nowMs: number, receipts: readonly ParkedReceipt[]): void {
	if (receipts.length === 0) return;
	const rows = receipts.flatMap((receipt) =>
		receipt.carrierIds.map((carrierId) => ({ ...receipt, carrierId })),
	);
	tx.post(parkStatement, [
		nowMs,
		rows.map((row) => row.id),
		rows.map((row) => row.routeId),
		rows.map((row) => row.carrierId),
		rows.map((row) => row.state),
		rows.map((row) => row.errorCode),
	]);
}

export interface Unparked {
	readonly route_id: string;
	readonly carrier_id: string;
	readonly state: number;
	readonly error_code: string | null;
}

const unparkStatement = sql(
	"submissions.unpark",
	`with hit as (select id, route_id, carrier_id, state, error_code from parked_receipts where route_id = $1 and carrier_id = any ($2::text[])),
		gone as (delete from parked_receipts where id = any (array(select id from hit)))
	select route_id, carrier_id, state, error_code from hit`,
);

/** Takes back the parked receipts of these ids, as they came. */
export function unparkReceipts(
	tx: Tx,
	routeId: string,
	carrierIds: readonly string[],
): Promise<Unparked[]> {
	return tx.query<Unparked>(unparkStatement, [routeId, texts(carrierIds)]);
}
