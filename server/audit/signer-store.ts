/** SQL of the signer (role signer): it reads the ledger and adds checkpoints, and can do nothing else. */
import { sql, type Tx } from "#platform/db.ts";
import type { Node } from "./tree.ts";

const changed = sql(
	"audit.changed_logs",
	`select tenant_id as "tenantId", epoch, size, root, turn from ledger_logs l
	where turn > $1 and not exists (select from ledger_logs n where n.tenant_id = l.tenant_id and n.epoch > l.epoch) order by turn limit $2`,
);

export interface ChangedLog {
	readonly tenantId: string;
	readonly epoch: number;
	readonly size: number;
	readonly root: Buffer;
	readonly turn: number;
}

/** Logs that changed after this turn, each in its present epoch, in the order of their last change. */
export function changedLogs(tx: Tx, afterTurn: number, most: number): Promise<ChangedLog[]> {
	return tx.query<ChangedLog>(changed, [afterTurn, most]);
}

const any = sql("audit.any_checkpoint", "select 1 from ledger_checkpoints limit 1");

/** Whether anything has ever been signed. */
export async function hasCheckpoints(tx: Tx): Promise<boolean> {
	return (await tx.query(any)).length > 0;
}

const entries = sql(
	"audit.stored_entries",
	`select id, action, actor, entry, detail_sealed as detail, leaf_index as index from ledger_entries
	where tenant_id = $1 and epoch = $2 and leaf_index >= $3 and leaf_index < $4 order by leaf_index limit $5`,
);

export interface SignedEntry {
	readonly id: string;
	readonly action: string;
	readonly actor: string;
	readonly entry: Buffer;
	readonly detail: Buffer | null;
	readonly index: number;
}

/** Every byte that is stored of these entries. */
export function storedEntries(
	tx: Tx,
	{ tenantId, epoch }: { readonly tenantId: string; readonly epoch: number },
	from: number,
	until: number,
	most: number,
): Promise<SignedEntry[]> {
	return tx.query<SignedEntry>(entries, [tenantId, epoch, from, until, most]);
}

// Lateral and `offset 0`: one look into the index for each node, whatever the planner believes of the table.
const equalNodes = sql(
	"audit.equal_nodes",
	`select count(*)::integer as count from unnest($3::smallint[], $4::bigint[], $5::bytea[]) as w (level, position, hash)
	cross join lateral (
		select hash from ledger_nodes n where n.tenant_id = $1 and n.epoch = $2 and n.level = w.level and n.position = w.position offset 0
	) n where n.hash = w.hash`,
);

/** How many of these nodes are stored just so. */
export async function countEqualNodes(
	tx: Tx,
	{ tenantId, epoch }: { readonly tenantId: string; readonly epoch: number },
	nodes: readonly Node[],
): Promise<number> {
	const [row] = await tx.query<{ count: number }>(equalNodes, [
		tenantId,
		epoch,
		nodes.map((node) => node.level),
		nodes.map((node) => node.position),
		nodes.map((node) => node.hash),
	]);
	return row?.count ?? 0;
}

const add = sql(
	"audit.add_checkpoints",
	`insert into ledger_checkpoints (tenant_id, epoch, size, root, checkpoint, public_key, signed_at)
	select c.*, $6, $7 from unnest($1::uuid[], $2::integer[], $3::bigint[], $4::bytea[], $5::text[]) as c on conflict do nothing`,
);

export interface NewCheckpoint {
	readonly tenantId: string;
	readonly epoch: number;
	readonly size: number;
	readonly root: Buffer;
	readonly checkpoint: string;
}

export function insertCheckpoints(
	tx: Tx,
	checkpoints: readonly NewCheckpoint[],
	publicKey: Buffer,
	at: Date,
): void {
	tx.post(add, [
		checkpoints.map((one) => one.tenantId),
		checkpoints.map((one) => one.epoch),
		checkpoints.map((one) => one.size),
		checkpoints.map((one) => one.root),
		checkpoints.map((one) => one.checkpoint),
		publicKey,
		at,
	]);
}
