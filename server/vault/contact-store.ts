/** SQL of contact keys, as they are stored: of no use without the tenant's epoch key. Statements take arrays, under both roles. */
import { type Environment, sql, type Tx } from "#platform/db.ts";
import { byteas, float8s, int4s, texts, uuids } from "#platform/db-arrays.ts";

/** One contact of a tenant in one environment. */
export interface ContactRef {
	readonly tenantId: string;
	readonly environment: Environment;
	/** The blind index of the address, 32 bytes. */
	readonly index: Buffer;
}

export interface ContactKeyRow extends ContactRef {
	readonly epoch: number;
	/** What is kept of the key: see `stored-key.ts`. */
	readonly stored: Buffer;
	readonly createdAtMs: number;
}

const findStatement = sql(
	"vault.find_contact_keys",
	`select k.ord, c.epoch, c.wrapped
	from unnest($1::uuid[], $2::text[], $3::bytea[]) with ordinality as k (tenant_id, environment, contact_index, ord)
	cross join lateral (select f.epoch, f.wrapped from contact_keys f
		where f.tenant_id = k.tenant_id and f.environment = k.environment and f.contact_index = k.contact_index offset 0) c
	union all
	select -t.ord, c.erasures, null from unnest($4::uuid[]) with ordinality as t (tenant_id, ord)
	cross join lateral (select e.erasures from contact_erasure_counts e where e.tenant_id = t.tenant_id offset 0) c`,
);

export interface FoundKeys {
	/** By position in `refs`; contacts without a key are not there. */
	readonly keys: readonly {
		readonly at: number;
		readonly epoch: number;
		readonly stored: Buffer;
	}[];
	/** How many erasures each of `tenantIds` has had so far, as the same snapshot says. */
	readonly erasures: readonly number[];
}

/**
 * One look into the index for each: `offset 0` keeps PostgreSQL from walking over all of a tenant's contacts instead, as
 * it would while it has no statistics.
 */
export async function findContactKeys(
	tx: Tx,
	refs: readonly ContactRef[],
	tenantIds: readonly string[],
): Promise<FoundKeys> {
	const rows = await tx.query<{ ord: number; epoch: number; wrapped: Buffer | null }>(
		findStatement,
		[...columnsOf(refs), uuids(tenantIds)],
	);
	const keys: { at: number; epoch: number; stored: Buffer }[] = [];
	const erasures = tenantIds.map(() => 0);
	for (const { ord, epoch, wrapped } of rows) {
		if (wrapped === null) erasures[-ord - 1] = epoch;
		else keys.push({ at: ord - 1, epoch, stored: wrapped });
	}
	return { keys, erasures };
}

function columnsOf(refs: readonly ContactRef[]): Buffer[] {
	return [
		uuids(refs.map((ref) => ref.tenantId)),
		texts(refs.map((ref) => ref.environment)),
		byteas(refs.map((ref) => ref.index)),
	];
}

const insertInto = `insert into contact_keys (tenant_id, environment, contact_index, epoch, wrapped, created_at)
	select n.tenant_id, n.environment, n.contact_index, n.epoch, n.wrapped, to_timestamp(n.created_ms / 1000)
	from unnest($1::uuid[], $2::text[], $3::bytea[], $4::integer[], $5::bytea[], $6::float8[])
		as n (tenant_id, environment, contact_index, epoch, wrapped, created_ms)`;

const insertStatement = sql("vault.insert_contact_keys", insertInto);
const offerStatement = sql(
	"vault.offer_contact_keys",
	`${insertInto} on conflict do nothing returning wrapped`,
);

/** Sends without waiting. When somebody else made one of them meanwhile, the transaction fails with 23505. */
export function insertContactKeys(tx: Tx, rows: readonly ContactKeyRow[]): void {
	if (rows.length > 0) tx.post(insertStatement, valuesOf(inOrder(rows)));
}

/** Of two who make the same contact's key the first wins. Returns those rows that were. */
export async function offerContactKeys(
	tx: Tx,
	rows: readonly ContactKeyRow[],
): Promise<ContactKeyRow[]> {
	if (rows.length === 0) return [];
	const taken = await tx.query<{ wrapped: Buffer }>(offerStatement, valuesOf(inOrder(rows)));
	const names = new Set(taken.map(({ wrapped }) => wrapped.toString("latin1")));
	return rows.filter((row) => names.has(row.stored.toString("latin1")));
}

/** Whoever inserts the same contacts does so in the same order, or two would wait for each other. */
function inOrder(rows: readonly ContactKeyRow[]): ContactKeyRow[] {
	// By the first six bytes, which nearly always differ: comparing buffers costs more than all the rest of a row.
	return rows
		.map((row) => ({ row, begins: row.index.readUIntBE(0, 6) }))
		.sort((a, b) => a.begins - b.begins || a.row.index.compare(b.row.index))
		.map(({ row }) => row);
}

function valuesOf(rows: readonly ContactKeyRow[]): Buffer[] {
	return [
		...columnsOf(rows),
		int4s(rows.map((row) => row.epoch)),
		byteas(rows.map((row) => row.stored)),
		float8s(rows.map((row) => row.createdAtMs)),
	];
}

// Turning an epoch ----------------------------------------------------------------------------------------------

interface StoredKey {
	readonly environment: Environment;
	readonly contact_index: Buffer;
	readonly epoch: number;
	readonly wrapped: Buffer;
	readonly created_ms: number;
}

const pageStatement = sql(
	"vault.contact_keys_after",
	`select environment, contact_index, epoch, wrapped, (extract(epoch from created_at) * 1000)::float8 as created_ms from contact_keys
	where tenant_id = $1 and (environment, contact_index) > ($2, $3) order by environment, contact_index limit $4`,
);

/** A page of a tenant's contact keys behind `after`, in the order of the table's key. */
export async function contactKeysAfter(
	tx: Tx,
	tenantId: string,
	after: Pick<ContactRef, "environment" | "index"> | undefined,
	most: number,
): Promise<ContactKeyRow[]> {
	const from = [after?.environment ?? "", after?.index ?? Buffer.alloc(0)];
	const rows = await tx.query<StoredKey>(pageStatement, [tenantId, ...from, most]);
	return rows.map((row) => ({
		tenantId,
		environment: row.environment,
		index: row.contact_index,
		epoch: row.epoch,
		stored: row.wrapped,
		createdAtMs: row.created_ms,
	}));
}

const rewrapStatement = sql(
	"vault.rewrap_contact_keys",
	`update contact_keys c set epoch = n.epoch, wrapped = n.wrapped
	from unnest($1::uuid[], $2::text[], $3::bytea[], $4::integer[], $5::bytea[], $6::bytea[])
		as n (tenant_id, environment, contact_index, epoch, wrapped, was)
	where c.tenant_id = n.tenant_id and c.environment = n.environment and c.contact_index = n.contact_index and c.wrapped = n.was`,
);

/** Only where the key is still as it was read: one that was erased meanwhile stays erased. */
export function rewrapContactKeys(
	tx: Tx,
	rows: readonly (Omit<ContactKeyRow, "createdAtMs"> & { readonly was: Buffer })[],
): void {
	if (rows.length === 0) return;
	tx.post(rewrapStatement, [
		...columnsOf(rows),
		int4s(rows.map((row) => row.epoch)),
		byteas(rows.map((row) => row.stored)),
		byteas(rows.map((row) => row.was)),
	]);
}

const dropStatement = sql(
	"vault.drop_contact_keys",
	`delete from contact_keys c using unnest($1::uuid[], $2::text[], $3::bytea[], $4::integer[]) as n (tenant_id, environment, contact_index, epoch)
	where c.tenant_id = n.tenant_id and c.environment = n.environment and c.contact_index = n.contact_index and c.epoch = n.epoch`,
);

/** What is wrapped under an epoch that was destroyed cannot be opened by anybody. */
export function dropContactKeys(tx: Tx, rows: readonly ContactKeyRow[]): void {
	if (rows.length > 0)
		tx.post(dropStatement, [...columnsOf(rows), int4s(rows.map((row) => row.epoch))]);
}
