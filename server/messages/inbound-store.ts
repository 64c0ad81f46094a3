/** SQL of inbound messages: who owns a sender, and the parts of long messages. Role waxwing_worker. */
import { sql, type Tx } from "#platform/db.ts";

const ownersStatement = sql(
	"inbound.owners",
	"select platform_index, tenant_id from wx.owners_of_senders($1, $2::bytea[])",
);

export function findOwners(
	tx: Tx,
	environment: string,
	indexes: readonly Buffer[],
): Promise<{ platform_index: Buffer; tenant_id: string }[]> {
	return tx.query(ownersStatement, [environment, indexes]);
}

export interface KeptPart {
	readonly tenantId: string;
	readonly environment: string;
	readonly addressIndex: Buffer;
	readonly senderIndex: Buffer;
	readonly reference: number;
	readonly part: number;
	readonly parts: number;
}

const lockStatement = sql(
	"inbound.lock_parts",
	"select pg_advisory_xact_lock(hashtextextended($1::text || encode($2::bytea || $3::bytea, 'hex') || $4::text, 0))",
);
const keepStatement = sql(
	"inbound.keep_part",
	`insert into inbound_parts (tenant_id, environment, address_index, sender_index, reference, part, parts, sealed, received_at)
	values ($1, $2, $3, $4, $5, $6, $7, $8, to_timestamp($9::float8 / 1000)) on conflict do nothing`,
);
const partsStatement = sql(
	"inbound.parts",
	`select part, parts, sealed from inbound_parts
	where tenant_id = $1 and environment = $2 and address_index = $3 and sender_index = $4 and reference = $5 and parts = $6 limit 255`,
);

/**
 * Keeps a part (once) and returns all parts of its set. Parts that arrive together take turns: without
 * the lock none of their transactions would see the others' and the set would never be whole.
 */
export function keepPart(
	tx: Tx,
	row: KeptPart,
	sealed: Buffer,
	nowMs: number,
): Promise<{ part: number; parts: number; sealed: Buffer }[]> {
	const set = [row.tenantId, row.environment, row.addressIndex, row.senderIndex, row.reference];
	const scope = `${row.tenantId}/${row.environment}/`;
	tx.post(lockStatement, [scope, row.addressIndex, row.senderIndex, `/${row.reference}`]);
	tx.post(keepStatement, [...set, row.part, row.parts, sealed, nowMs]);
	return tx.query(partsStatement, [...set, row.parts]);
}

const takeStatement = sql(
	"inbound.take_parts",
	"delete from inbound_parts where tenant_id = $1 and environment = $2 and address_index = $3 and sender_index = $4 and reference = $5",
);

export function takeParts(tx: Tx, row: KeptPart): void {
	tx.post(takeStatement, [
		row.tenantId,
		row.environment,
		row.addressIndex,
		row.senderIndex,
		row.reference,
	]);
}
