/** SQL of what witnesses co-sign: whose turn it is, keeping their lines (role worker), showing them (role app). */
import { sql, type Tx } from "#platform/db.ts";
import type { StoredCheckpoint } from "./store.ts";

const toCosign = sql(
	"audit.to_cosign",
	`select tenant_id as "tenantId", epoch, size, seen from wx.checkpoints_to_cosign($1, $2, $3)`,
);

export interface ToCosign {
	readonly tenantId: string;
	readonly epoch: number;
	/** Of its newest checkpoint. */
	readonly size: number;
	/** The largest that this witness is known to have co-signed; 0 for none. */
	readonly seen: number;
}

/** Logs that the witness has not co-signed to the end, of the tenants behind `behind`, in the order of tenants. */
export function checkpointsToCosign(
	tx: Tx,
	witness: string,
	behind: string | undefined,
	most: number,
): Promise<ToCosign[]> {
	return tx.query<ToCosign>(toCosign, [witness, behind ?? null, most]);
}

const add = sql(
	"audit.add_cosignature",
	`insert into ledger_cosignatures (tenant_id, epoch, size, witness, line, cosigned_at) values ($1, $2, $3, $4, $5, $6)
	on conflict do nothing`,
);

export function insertCosignature(
	tx: Tx,
	{ tenantId, epoch, size }: ToCosign,
	witness: string,
	line: string,
	at: Date,
): void {
	tx.post(add, [tenantId, epoch, size, witness, line, at]);
}

const lines = sql(
	"audit.cosignatures",
	`select c.epoch, c.size, c.line from unnest($2::integer[], $3::bigint[]) as w (epoch, size)
	cross join lateral (
		select * from ledger_cosignatures n where n.tenant_id = $1 and n.epoch = w.epoch and n.size = w.size order by n.witness limit 15
	) c`,
);

/** The same checkpoints, each with the lines of its witnesses below its own. */
export async function withCosignatures<T extends StoredCheckpoint>(
	tx: Tx,
	tenantId: string,
	checkpoints: readonly T[],
): Promise<T[]> {
	if (checkpoints.length === 0) return [];
	const epochs = checkpoints.map((one) => one.epoch);
	const sizes = checkpoints.map((one) => one.size);
	const found = await tx.query<{ epoch: number; size: number; line: string }>(lines, [
		tenantId,
		epochs,
		sizes,
	]);
	return checkpoints.map((one) => {
		const own = found.filter(({ epoch, size }) => epoch === one.epoch && size === one.size);
		return { ...one, checkpoint: one.checkpoint + own.map(({ line }) => line).join("") };
	});
}

const best = sql(
	"audit.best_cosigned",
	`select size from (
		select size from ledger_cosignatures where tenant_id = $1 and epoch = $2 and size > $3 order by size desc limit 200
	) c group by size order by count(*) desc, size desc limit 1`,
);

/** The size of the checkpoint over this entry that most witnesses co-signed, the newest of them; undefined without any. */
export async function bestCosignedSize(
	tx: Tx,
	tenantId: string,
	epoch: number,
	index: number,
): Promise<number | undefined> {
	return (await tx.query<{ size: number }>(best, [tenantId, epoch, index]))[0]?.size;
}
