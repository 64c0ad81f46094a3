/** SQL of the sequencer (role worker): what has no place in its tree yet, the trees' edges, and the new nodes. */
import { sql, type Tx } from "#platform/db.ts";
import type { Node, NodeName } from "./tree.ts";

const lock = sql("audit.lock", "select pg_try_advisory_xact_lock(782364003) as locked");

/** Until the transaction ends, no other process sequences. False when one does. */
export async function lockSequence(tx: Tx): Promise<boolean> {
	return (await tx.query<{ locked: boolean }>(lock))[0]?.locked === true;
}

const waiting = sql("audit.waiting", "select tenant_id from wx.ledgers_waiting_after($1, $2)");

/** Whose logs have entries without a place: the platform's, then at most `most` of the tenants behind `after`. */
export async function logsWaiting(tx: Tx, after: string, most: number): Promise<string[]> {
	const rows = await tx.query<{ tenant_id: string }>(waiting, [after, most]);
	return rows.map((row) => row.tenant_id);
}

const heads = sql(
	"audit.heads",
	`select distinct on (tenant_id) tenant_id as "tenantId", epoch, size, root from ledger_logs
	where tenant_id = any ($1::uuid[]) order by tenant_id, epoch desc`,
);

export interface StoredHead {
	readonly tenantId: string;
	readonly epoch: number;
	readonly size: number;
	readonly root: Buffer;
}

/** The present epoch of each of these logs that has begun. */
export function readHeads(tx: Tx, tenantIds: readonly string[]): Promise<StoredHead[]> {
	return tx.query<StoredHead>(heads, [tenantIds]);
}

const unplaced = sql(
	"audit.unplaced",
	`select e.tenant_id as "tenantId", e.id, e.entry from unnest($1::uuid[]) as w (tenant_id) cross join lateral (
		select f.tenant_id, f.id, f.entry from ledger_entries f where f.tenant_id = w.tenant_id and f.leaf_index is null order by f.id limit $2
	) e`,
);

export interface Unplaced {
	readonly tenantId: string;
	readonly id: string;
	readonly entry: Buffer;
}

/** Of each of these logs the next ones, at most so many, in their order. */
export function readUnplaced(
	tx: Tx,
	tenantIds: readonly string[],
	mostEach: number,
): Promise<Unplaced[]> {
	return tx.query<Unplaced>(unplaced, [tenantIds, mostEach]);
}

interface LogName {
	readonly tenantId: string;
	readonly epoch: number;
}

const edges = sql(
	"audit.edges",
	`select n.tenant_id as "tenantId", n.epoch, n.level, n.position, n.hash
	from unnest($1::uuid[], $2::integer[], $3::smallint[], $4::bigint[]) as w (tenant_id, epoch, level, position)
	cross join lateral (
		select * from ledger_nodes n where n.tenant_id = w.tenant_id and n.epoch = w.epoch and n.level = w.level and n.position = w.position offset 0
	) n`,
);

export function readEdges(
	tx: Tx,
	names: readonly (LogName & NodeName)[],
): Promise<(LogName & Node)[]> {
	return tx.query<LogName & Node>(edges, [
		names.map((one) => one.tenantId),
		names.map((one) => one.epoch),
		names.map((one) => one.level),
		names.map((one) => one.position),
	]);
}

// No join: however small the planner believes the table to be, the worst it can do is to go through it once. Joined with
// the list, it went through the list for each entry that waited. Ids are random, so the id alone finds its place.
const place = sql(
	"audit.place",
	`update ledger_entries e set epoch = ($3::integer[])[array_position($2::uuid[], e.id)],
		leaf_index = ($4::bigint[])[array_position($2::uuid[], e.id)]
	where e.tenant_id = any ($1::uuid[]) and e.id = any ($2::uuid[]) and e.leaf_index is null returning 1 as placed`,
);

export interface Placed extends LogName {
	readonly id: string;
	readonly index: number;
}

/** Returns how many were placed: all, or something is wrong. */
export async function placeEntries(tx: Tx, placed: readonly Placed[]): Promise<number> {
	const rows = await tx.query(place, [
		[...new Set(placed.map((one) => one.tenantId))],
		placed.map((one) => one.id),
		placed.map((one) => one.epoch),
		placed.map((one) => one.index),
	]);
	return rows.length;
}

const addNodes = sql(
	"audit.add_nodes",
	`insert into ledger_nodes (tenant_id, epoch, level, position, hash)
	select * from unnest($1::uuid[], $2::integer[], $3::smallint[], $4::bigint[], $5::bytea[])`,
);

export function insertNodes(tx: Tx, nodes: readonly (LogName & Node)[]): void {
	tx.post(addNodes, [
		nodes.map((one) => one.tenantId),
		nodes.map((one) => one.epoch),
		nodes.map((one) => one.level),
		nodes.map((one) => one.position),
		nodes.map((one) => one.hash),
	]);
}

const saveLogs = sql(
	"audit.save_logs",
	`insert into ledger_logs as l (tenant_id, epoch, size, root, turn, unsigned_since)
	select n.*, nextval('ledger_turns'), $5 from unnest($1::uuid[], $2::integer[], $3::bigint[], $4::bytea[]) as n
	on conflict (tenant_id, epoch) do update set size = excluded.size, root = excluded.root, turn = excluded.turn,
		unsigned_since = coalesce(l.unsigned_since, excluded.unsigned_since)`,
);

export function saveHeads(tx: Tx, saved: readonly StoredHead[], at: Date): void {
	tx.post(saveLogs, [
		saved.map((one) => one.tenantId),
		saved.map((one) => one.epoch),
		saved.map((one) => one.size),
		saved.map((one) => one.root),
		at,
	]);
}

const toNote = sql(
	"audit.to_note",
	`select tenant_id as "tenantId", epoch, size, root from wx.checkpoints_to_note($1)`,
);

/** Tenants' checkpoints that are not in the platform's log yet. */
export function checkpointsToNote(tx: Tx, most: number): Promise<StoredHead[]> {
	return tx.query<StoredHead>(toNote, [most]);
}

const noted = sql(
	"audit.noted",
	`update ledger_checkpoints c set noted = true from unnest($1::uuid[], $2::integer[], $3::bigint[]) as n (tenant_id, epoch, size)
	where c.tenant_id = n.tenant_id and c.epoch = n.epoch and c.size = n.size and not c.noted`,
);

export function markNoted(tx: Tx, checkpoints: readonly StoredHead[]): void {
	tx.post(noted, [
		checkpoints.map((one) => one.tenantId),
		checkpoints.map((one) => one.epoch),
		checkpoints.map((one) => one.size),
	]);
}
