/** SQL of what the API does with the ledger: adds entries, reads them back, reads what proofs are made of. */
import { type Row, sql, type Tx } from "#platform/db.ts";
import { lastId, type Listed, lookMax, type PageQuery, zeroId } from "#platform/page.ts";

/** The platform's own log, as a tenant that is none. */
export const platformLog = "00000000-0000-0000-0000-000000000000";

export interface NewEntry {
	readonly tenantId: string;
	readonly id: string;
	readonly action: string;
	readonly actor: string;
	readonly entry: Buffer;
	readonly detailSealed: Buffer | null;
}

const insert = sql(
	"audit.insert",
	`insert into ledger_entries (tenant_id, id, action, actor, entry, detail_sealed)
	select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bytea[], $6::bytea[])`,
);

export function insertEntries(tx: Tx, entries: readonly NewEntry[]): Promise<unknown> {
	return tx.query(insert, [
		entries.map((one) => one.tenantId),
		entries.map((one) => one.id),
		entries.map((one) => one.action),
		entries.map((one) => one.actor),
		entries.map((one) => one.entry),
		entries.map((one) => one.detailSealed),
	]);
}

const unsigned = sql("audit.unsigned_since", "select wx.ledger_unsigned_since() as since");

/** Since when, in milliseconds, some log has waited for its signature; undefined when none does. */
export async function unsignedSince(tx: Tx): Promise<number | undefined> {
	const [row] = await tx.query<{ since: Date | null }>(unsigned);
	return row?.since?.getTime();
}

const signed = sql(
	"audit.is_signed",
	`select exists (
		select from ledger_entries e join ledger_checkpoints c on c.tenant_id = e.tenant_id and c.epoch = e.epoch and c.size > e.leaf_index
		where e.tenant_id = $1 and e.id = $2
	) as signed`,
);

/** Whether a signed checkpoint covers this entry. */
export async function isSigned(tx: Tx, tenantId: string, id: string): Promise<boolean> {
	return (await tx.query<{ signed: boolean }>(signed, [tenantId, id]))[0]?.signed === true;
}

export interface StoredEntry {
	readonly id: string;
	readonly entry: Buffer;
	readonly detail_sealed: Buffer | null;
	readonly epoch: number | null;
	readonly leaf_index: number | null;
}

const columns = "id, entry, detail_sealed, epoch, leaf_index";
/** $1 tenant, $2 newest id (exclusive), $3 oldest id (exclusive), $4 what the walk is by, $5 how many, $6 actor or null. */
const list = (name: string, by: "id" | "action" | "actor", order: "asc" | "desc") => {
	const first = by === "id" ? "$4::text is null" : `${by} = $4`;
	const walk = `from ledger_entries where tenant_id = $1 and ${first} and id < $2 and id > $3 order by id ${order}`;
	return {
		page: sql(
			`audit.list_${name}`,
			`select ${columns} from (select ${columns}, actor ${walk} limit ${lookMax}) e where $6::text is null or actor = $6
			order by id ${order} limit $5`,
		),
		edge: sql(`audit.edge_of_${name}`, `select id ${walk} offset ${lookMax - 1} limit 2`),
	};
};
const lists = {
	id: { newest: list("newest", "id", "desc"), oldest: list("oldest", "id", "asc") },
	action: {
		newest: list("by_action", "action", "desc"),
		oldest: list("by_action_oldest", "action", "asc"),
	},
	actor: {
		newest: list("by_actor", "actor", "desc"),
		oldest: list("by_actor_oldest", "actor", "asc"),
	},
};

export interface EntryFilter {
	readonly action: string | undefined;
	/** `key_…` as shown, or `system`. */
	readonly actor: string | undefined;
	/** The smallest ids of these moments: what was before, and what was not. */
	readonly from: string | undefined;
	readonly until: string | undefined;
}

/**
 * Newest first; with `before`, the next newer ones, oldest of them first. Of one type and one actor: those among the next
 * `lookMax` of the type.
 */
export async function listEntries(
	tx: Tx,
	tenantId: string,
	{ action, actor, from = zeroId, until = lastId }: EntryFilter,
	{ after = lastId, before, limit }: PageQuery,
): Promise<Listed<StoredEntry>> {
	const by = action !== undefined ? "action" : actor !== undefined ? "actor" : "id";
	const { page, edge } = lists[by][before === undefined ? "newest" : "oldest"];
	const above = before === undefined || before < from ? from : before;
	const walk = [tenantId, after < until ? after : until, above, action ?? actor ?? null];
	const rows = await tx.query<StoredEntry>(page, [...walk, limit, actor ?? null]);
	if (by !== "action" || actor === undefined || rows.length === limit)
		return { rows, lookedTo: undefined };
	const [last, beyond] = await tx.query<{ id: string }>(edge, walk);
	return { rows, lookedTo: beyond === undefined ? undefined : last?.id };
}

const find = sql(
	"audit.find",
	`select ${columns} from ledger_entries where tenant_id = $1 and id = $2`,
);

export async function findEntry(
	tx: Tx,
	tenantId: string,
	id: string,
): Promise<StoredEntry | undefined> {
	return (await tx.query<StoredEntry>(find, [tenantId, id]))[0];
}

const findActStatement = sql(
	"audit.find_act",
	`select ${columns} from ledger_entries where tenant_id = $1 and action = $2 and id >= $3 and id < $4
		and position(convert_to('"' || $5 || '"', 'UTF8') in entry) > 0 order by id limit 1`,
);

/** The first entry of this type, between these ids, that names this target. */
export async function findAct(
	tx: Tx,
	tenantId: string,
	action: string,
	[from, until]: readonly [string, string],
	target: string,
): Promise<StoredEntry | undefined> {
	return (
		await tx.query<StoredEntry>(findActStatement, [tenantId, action, from, until, target])
	)[0];
}

const inOrder = sql(
	"audit.in_order",
	`select ${columns} from ledger_entries
	where tenant_id = $1 and epoch = $2 and leaf_index >= $3 and leaf_index < $4 order by leaf_index`,
);

/** The entries of these places, in the tree's order. */
export function entriesInOrder(
	tx: Tx,
	tenantId: string,
	epoch: number,
	from: number,
	until: number,
): Promise<StoredEntry[]> {
	return tx.query<StoredEntry>(inOrder, [tenantId, epoch, from, until]);
}

const nodes = sql(
	"audit.nodes",
	`select n.level, n.position, n.hash from unnest($3::smallint[], $4::bigint[]) as w (level, position)
	join ledger_nodes n on n.tenant_id = $1 and n.epoch = $2 and n.level = w.level and n.position = w.position`,
);

export interface StoredNode {
	readonly level: number;
	readonly position: number;
	readonly hash: Buffer;
}

export function readNodes(
	tx: Tx,
	tenantId: string,
	epoch: number,
	names: readonly { readonly level: number; readonly position: number }[],
): Promise<StoredNode[]> {
	const levels = names.map((name) => name.level);
	return tx.query<StoredNode>(nodes, [tenantId, epoch, levels, names.map((name) => name.position)]);
}

export interface StoredCheckpoint {
	readonly epoch: number;
	readonly size: number;
	readonly root: Buffer;
	readonly checkpoint: string;
	readonly public_key: Buffer;
	readonly signed_at: Date;
}

const checkpointColumns = "epoch, size, root, checkpoint, public_key, signed_at";
/** The largest that its column holds: no log has come so far. */
const epochMost = 2_147_483_647;
const newestCheckpoints = sql(
	"audit.checkpoints",
	`select ${checkpointColumns} from ledger_checkpoints
	where tenant_id = $1 and (epoch, size) < ($2::integer, $3::bigint) order by epoch desc, size desc limit $4`,
);

/** Newest first, older than `before` when given. */
export function listCheckpoints(
	tx: Tx,
	tenantId: string,
	before: { readonly epoch: number; readonly size: number } | undefined,
	limit: number,
): Promise<StoredCheckpoint[]> {
	const values = [tenantId, before?.epoch ?? epochMost, before?.size ?? 0, limit];
	return tx.query<StoredCheckpoint>(newestCheckpoints, values);
}

const checkpointsBetween = sql(
	"audit.checkpoints_between",
	`select ${checkpointColumns} from ledger_checkpoints
	where tenant_id = $1 and epoch = $2 and size > $3 and size <= $4 order by size limit $5`,
);

/** Those of one epoch with sizes in (above, most], smallest first. */
export function checkpointsOf(
	tx: Tx,
	tenantId: string,
	epoch: number,
	above: number,
	most: number,
	limit: number,
): Promise<StoredCheckpoint[]> {
	return tx.query<StoredCheckpoint>(checkpointsBetween, [tenantId, epoch, above, most, limit]);
}

const newestOfEpoch = sql(
	"audit.newest_checkpoint",
	`select ${checkpointColumns} from ledger_checkpoints
	where tenant_id = $1 and epoch = $2 and ($3::bigint is null or size = $3) order by size desc limit 1`,
);

/** The newest of an epoch, or the one of this size. */
export async function findCheckpoint(
	tx: Tx,
	tenantId: string,
	epoch: number,
	size?: number,
): Promise<StoredCheckpoint | undefined> {
	const values = [tenantId, epoch, size ?? null];
	return (await tx.query<StoredCheckpoint & Row>(newestOfEpoch, values))[0];
}

const firstId = sql("audit.first_id", "select wx.first_id($1) as id");

/** The smallest id of a moment. */
export async function firstIdOf(tx: Tx, at: Date): Promise<string> {
	const [row] = await tx.query<{ id: string }>(firstId, [at]);
	return row?.id ?? "";
}
