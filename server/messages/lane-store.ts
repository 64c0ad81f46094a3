/**
 * SQL of the lanes: leases by batch, what a worker needs to send a batch, and what it writes when the
 * carrier has answered. All under the role waxwing_worker; lanes are read across tenants only through
 * definer functions that answer with ids.
 */
import { sql, type Tx } from "#platform/db.ts";
import { bools, float8s, int2s, uuids } from "#platform/db-arrays.ts";

const makeBatchesStatement = sql(
	"lanes.make_batches",
	"insert into dispatch_batches (id, owner, lease_until) select id, $2, to_timestamp($3::float8 / 1000) from unnest($1::uuid[]) as b (id)",
);

/** Notes batches as held by `owner`. The accepting side does the same in its own statement (store.ts). */
export function makeBatches(
	tx: Tx,
	ids: readonly string[],
	owner: string,
	leaseUntilMs: number,
): void {
	if (ids.length > 0) tx.post(makeBatchesStatement, [ids, owner, leaseUntilMs]);
}

const startBatchesStatement = sql(
	"lanes.start_batches",
	`update dispatch_batches set started_at = to_timestamp($3::float8 / 1000), lease_until = to_timestamp($4::float8 / 1000)
	where id = any ($1::uuid[]) and owner = $2 and lease_until > to_timestamp($3::float8 / 1000) returning id`,
);

/**
 * Marks batches as started, before any of their bytes leave; again, if their acceptance did so and the carrier had
 * no room for them then. Returns those that are still ours: a holder whose lease has run out must not send.
 */
export async function startBatches(
	tx: Tx,
	ids: readonly string[],
	owner: string,
	nowMs: number,
	leaseUntilMs: number,
): Promise<Set<string>> {
	const rows = await tx.query<{ id: string }>(startBatchesStatement, [
		ids,
		owner,
		nowMs,
		leaseUntilMs,
	]);
	return new Set(rows.map((row) => row.id));
}

const renewStatement = sql(
	"lanes.renew",
	"update dispatch_batches set lease_until = to_timestamp($3::float8 / 1000) where id = any ($1::uuid[]) and owner = $2",
);

export function renewLeases(
	tx: Tx,
	ids: readonly string[],
	owner: string,
	leaseUntilMs: number,
): void {
	if (ids.length > 0) tx.post(renewStatement, [ids, owner, leaseUntilMs]);
}

const dropBatchesStatement = sql(
	"lanes.drop_batches",
	"delete from dispatch_batches where id = any ($1::uuid[])",
);

export function dropBatches(tx: Tx, ids: readonly string[]): void {
	if (ids.length > 0) tx.post(dropBatchesStatement, [ids]);
}

export interface EntryKey {
	readonly tenantId: string;
	readonly messageId: string;
}

const finishStatement = sql(
	"lanes.finish",
	`delete from lane_entries l using unnest($1::uuid[], $2::uuid[]) as k (tenant_id, message_id)
	where l.tenant_id = k.tenant_id and l.message_id = k.message_id`,
);

/** The entry is done with: the message has left, or never will. */
export function finishEntries(tx: Tx, keys: readonly EntryKey[]): void {
	if (keys.length > 0)
		tx.post(finishStatement, [
			uuids(keys.map((key) => key.tenantId)),
			uuids(keys.map((key) => key.messageId)),
		]);
}

export interface ReturnedEntry extends EntryKey {
	readonly routeId: string;
	readonly dueAtMs: number;
	readonly attempt: number;
	readonly possibleDuplicate: boolean;
	readonly abandoned: boolean;
	/** To be tried apart; undefined: as before. */
	readonly apart?: boolean;
}

const returnStatement = sql(
	"lanes.return",
	`with r as materialized (
		select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::float8[], $5::smallint[], $6::boolean[], $7::boolean[], $8::uuid[], $9::boolean[])
			as r (tenant_id, message_id, route_id, due_ms, attempt, possible_duplicate, abandoned, batch_id, apart)
	), moved as (
		update lane_entries l set batch_id = null, route_id = r.route_id, due_at = to_timestamp(r.due_ms / 1000), attempt = r.attempt,
			possible_duplicate = r.possible_duplicate, abandoned = r.abandoned, apart = coalesce(r.apart, l.apart)
		from r where l.tenant_id = r.tenant_id and l.message_id = r.message_id and l.batch_id is not distinct from r.batch_id
	)
	insert into lane_entries
		(tenant_id, message_id, environment, route_id, class, due_at, expires_at, attempt, possible_duplicate, abandoned, apart, seal)
	select m.tenant_id, m.id, m.environment, r.route_id, m.class, to_timestamp(r.due_ms / 1000), m.expires_at, r.attempt, r.possible_duplicate,
		r.abandoned, coalesce(r.apart, false), m.seal
	from r join dispatch_batches b on b.id = r.batch_id and b.message_ids is not null
	join messages m on m.tenant_id = r.tenant_id and m.id = r.message_id
	where not exists (select from message_states s where s.tenant_id = r.tenant_id and s.message_id = r.message_id and s.status >= 20)
	for update of b on conflict do nothing`,
);

/**
 * Messages wait again: for a retry, another route, or the opening of a window. Those that were handed over in
 * memory enter the table here, unless they have left meanwhile: their states are applied first. `batchId` is the
 * fence, locked while it counts: who has lost the batch changes nothing.
 */
export function returnEntries(
	tx: Tx,
	rows: readonly (ReturnedEntry & { readonly batchId: string | null })[],
): void {
	if (rows.length === 0) return;
	tx.post(returnStatement, [
		uuids(rows.map((row) => row.tenantId)),
		uuids(rows.map((row) => row.messageId)),
		uuids(rows.map((row) => row.routeId)),
		float8s(rows.map((row) => row.dueAtMs)),
		int2s(rows.map((row) => row.attempt)),
		bools(rows.map((row) => row.possibleDuplicate)),
		bools(rows.map((row) => row.abandoned)),
		uuids(rows.map((row) => row.batchId)),
		bools(rows.map((row) => row.apart ?? null)),
	]);
}

const releaseStatement = sql(
	"lanes.release",
	"update lane_entries set batch_id = null where tenant_id = any ($1::uuid[]) and batch_id = any ($2::uuid[])",
);
const enterStatement = sql(
	"lanes.enter",
	`insert into lane_entries (tenant_id, message_id, environment, route_id, class, due_at, expires_at, seal)
	select m.tenant_id, m.id, m.environment, b.route_id, m.class, m.created_at, m.expires_at, m.seal
	from dispatch_batches b cross join unnest(b.message_ids) as i (id) cross join lateral (
		select * from messages f where f.tenant_id = b.tenant_id and f.id = i.id offset 0
	) m
	where b.id = any ($1::uuid[])
	for update of b on conflict do nothing`,
);

/** Messages of batches that were never started wait again, and the batches are gone. */
export function releaseBatches(
	tx: Tx,
	tenantIds: readonly string[],
	batchIds: readonly string[],
): void {
	if (batchIds.length === 0) return;
	tx.post(releaseStatement, [tenantIds, batchIds]);
	tx.post(enterStatement, [batchIds]);
	dropBatches(tx, batchIds);
}

// Recovery ----------------------------------------------------------------------------------------------------

const expiredStatement = sql(
	"lanes.expired",
	"select batch_id, started from wx.expired_batches(to_timestamp($1::float8 / 1000), $2)",
);

/** Batches whose lease ended before `atMs`, locked for this transaction. */
export function expiredBatches(
	tx: Tx,
	atMs: number,
	most: number,
): Promise<{ batch_id: string; started: boolean }[]> {
	return tx.query(expiredStatement, [atMs, most]);
}

const entriesOfStatement = sql(
	"lanes.entries_of",
	`select b.id as batch_id, e.tenant_id, e.message_id, e.route_id, e.class, e.attempt, e.environment, e.possible_duplicate
	from unnest($1::uuid[]) as b (id), lateral wx.entries_of_batch(b.id) e`,
);

export interface HeldEntry {
	readonly batch_id: string;
	readonly tenant_id: string;
	readonly message_id: string;
	readonly route_id: string;
	readonly class: number;
	readonly attempt: number;
	readonly environment: "live" | "test";
	readonly possible_duplicate: boolean;
}

export function entriesOfBatches(tx: Tx, batchIds: readonly string[]): Promise<HeldEntry[]> {
	return tx.query<HeldEntry>(entriesOfStatement, [batchIds]);
}

const expiredEntriesStatement = sql(
	"lanes.expired_entries",
	`select tenant_id, message_id, environment, class, due_at::text as due_at, expired
	from wx.expired_after($1, to_timestamp($2::float8 / 1000), $3, $4::smallint, $5, $6::timestamptz, $7)`,
);

/** An entry of a lane, by its place in the order of the lane. `due_at` is as PostgreSQL writes it: to the microsecond. */
export interface LanePlace {
	readonly class: number;
	readonly tenant_id: string;
	readonly due_at: string;
	readonly message_id: string;
}

/** Before the first entry of any route. */
export const laneStart: LanePlace = {
	class: -1,
	tenant_id: "00000000-0000-0000-0000-000000000000",
	due_at: "-infinity",
	message_id: "00000000-0000-0000-0000-000000000000",
};

export interface LookedAt extends LanePlace {
	readonly environment: string;
	readonly expired: boolean;
}

/**
 * Looks at the next `look` due entries of a route behind a place. Returns those whose message is no longer wanted, and the
 * last one looked at, from which to go on; nothing at the end of the route. For routes that stand still.
 */
export function expiredEntries(
	tx: Tx,
	routeId: string,
	atMs: number,
	look: number,
	after: LanePlace,
): Promise<LookedAt[]> {
	return tx.query(expiredEntriesStatement, [
		routeId,
		atMs,
		look,
		after.class,
		after.tenant_id,
		after.due_at,
		after.message_id,
	]);
}

const strandedStatement = sql(
	"lanes.stranded",
	`select tenant_id, message_id, environment, route_id, country, due_at, expires_at, attempt, possible_duplicate, abandoned
	from wx.stranded_entries($1)`,
);

export interface StrandedEntry {
	readonly tenant_id: string;
	readonly message_id: string;
	readonly environment: "live" | "test";
	readonly route_id: string;
	readonly country: string;
	readonly due_at: Date;
	readonly expires_at: Date;
	readonly attempt: number;
	readonly possible_duplicate: boolean;
	readonly abandoned: boolean;
}

/** Entries waiting on routes that were switched off. */
export function strandedEntries(tx: Tx, most: number): Promise<StrandedEntry[]> {
	return tx.query<StrandedEntry>(strandedStatement, [most]);
}
