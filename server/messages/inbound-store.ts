/**
 * SQL of inbound messages: who owns a sender, and the parts of long messages. Role waxwing_worker. Every
 * statement takes a batch of any number of tenants.
 */
import { type Environment, sql, type Tx } from "#platform/db.ts";

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

/** The parts that one person sent to one sender under one reference. */
export interface PartSet {
	readonly tenantId: string;
	readonly environment: Environment;
	readonly addressIndex: Buffer;
	readonly senderIndex: Buffer;
	readonly reference: number;
}

/** What a set's table holds of it: part numbers are octets. */
const partsMax = 255;

const lockStatement = sql(
	"inbound.lock_sets",
	`select pg_advisory_xact_lock(locks.key) from (
		select distinct hashtextextended(s.tenant_id || '/' || s.environment || '/' || encode(s.address_index || s.sender_index, 'hex')
			|| '/' || s.reference, 0) as key
		from unnest($1::text[], $2::text[], $3::bytea[], $4::bytea[], $5::integer[])
			as s (tenant_id, environment, address_index, sender_index, reference)
		order by key
	) as locks`,
);
const partsStatement = sql(
	"inbound.parts",
	`select s.ord::integer as ord, p.part, p.parts, p.sealed
	from unnest($1::uuid[], $2::text[], $3::bytea[], $4::bytea[], $5::integer[]) with ordinality
		as s (tenant_id, environment, address_index, sender_index, reference, ord)
	join inbound_parts p on p.tenant_id = s.tenant_id and p.environment = s.environment and p.address_index = s.address_index
		and p.sender_index = s.sender_index and p.reference = s.reference
	limit $6`,
);

export interface StoredPart {
	/** Index of its set among those asked for. */
	readonly set: number;
	readonly part: number;
	readonly parts: number;
	readonly sealed: Buffer;
}

/**
 * All stored parts of these sets (no set twice), which are the transaction's until its end. Sets take turns:
 * without the lock two transactions with a part each would not see the other's, and the set would never be
 * whole. The locks are taken in one order, so that two transactions with the same sets cannot wait for each
 * other.
 */
export async function holdSets(tx: Tx, sets: readonly PartSet[]): Promise<StoredPart[]> {
	if (sets.length === 0) return [];
	tx.post(lockStatement, columnsOf(sets));
	const rows = await tx.query<{ ord: number; part: number; parts: number; sealed: Buffer }>(
		partsStatement,
		[...columnsOf(sets), sets.length * partsMax],
	);
	return rows.map(({ ord, part, parts, sealed }) => ({ set: ord - 1, part, parts, sealed }));
}

const takeStatement = sql(
	"inbound.take_sets",
	`delete from inbound_parts p
	using unnest($1::uuid[], $2::text[], $3::bytea[], $4::bytea[], $5::integer[])
		as s (tenant_id, environment, address_index, sender_index, reference)
	where p.tenant_id = s.tenant_id and p.environment = s.environment and p.address_index = s.address_index
		and p.sender_index = s.sender_index and p.reference = s.reference`,
);

/** Drops what is stored of these sets. */
export function takeSets(tx: Tx, sets: readonly PartSet[]): void {
	if (sets.length > 0) tx.post(takeStatement, columnsOf(sets));
}

export interface NewPart extends PartSet {
	readonly part: number;
	readonly parts: number;
	readonly sealed: Buffer;
}

const keepStatement = sql(
	"inbound.keep_parts",
	`insert into inbound_parts (tenant_id, environment, address_index, sender_index, reference, part, parts, sealed, received_at)
	select n.tenant_id, n.environment, n.address_index, n.sender_index, n.reference, n.part, n.parts, n.sealed,
		to_timestamp($9::float8 / 1000)
	from unnest($1::uuid[], $2::text[], $3::bytea[], $4::bytea[], $5::integer[], $6::smallint[], $7::smallint[], $8::bytea[])
		as n (tenant_id, environment, address_index, sender_index, reference, part, parts, sealed)
	on conflict do nothing`,
);

export function keepParts(tx: Tx, nowMs: number, rows: readonly NewPart[]): void {
	if (rows.length === 0) return;
	tx.post(keepStatement, [
		...columnsOf(rows),
		rows.map((row) => row.part),
		rows.map((row) => row.parts),
		rows.map((row) => row.sealed),
		nowMs,
	]);
}

function columnsOf(sets: readonly PartSet[]): unknown[] {
	return [
		sets.map((set) => set.tenantId),
		sets.map((set) => set.environment),
		sets.map((set) => set.addressIndex),
		sets.map((set) => set.senderIndex),
		sets.map((set) => set.reference),
	];
}
