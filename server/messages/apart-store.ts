/** SQL of apart.ts: entries that were just leased, and leave apart from the others. Under the role waxwing_worker. */
import { sql, type Tx } from "#platform/db.ts";
import { uuids } from "#platform/db-arrays.ts";
import type { EntryKey } from "./lane-store.ts";

const setApartStatement = sql(
	"lanes.set_apart",
	`update lane_entries l set batch_id = k.to_batch from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[]) as k (tenant_id, message_id, batch_id, to_batch)
	where l.tenant_id = k.tenant_id and l.message_id = k.message_id and l.batch_id = k.batch_id`,
);

/** Entries that were just leased go from their batch into another. */
export function moveEntries(
	tx: Tx,
	rows: readonly (EntryKey & { readonly batchId: string; readonly toBatchId: string })[],
): void {
	if (rows.length > 0)
		tx.post(setApartStatement, [
			uuids(rows.map((row) => row.tenantId)),
			uuids(rows.map((row) => row.messageId)),
			uuids(rows.map((row) => row.batchId)),
			uuids(rows.map((row) => row.toBatchId)),
		]);
}
