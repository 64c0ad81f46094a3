/** SQL of the messages' hashes: gathered into entries, read back for proofs and checks. */
import { type Environment, type Scope, sql, type Tx } from "#platform/db.ts";
import { zeroId } from "#platform/page.ts";

const waiting = sql(
	"audit.digests_waiting",
	`select tenant_id as "tenantId", id from wx.digests_waiting_after($1, $2)`,
);

export interface DigestName {
	readonly tenantId: string;
	readonly id: string;
}

/** What no entry holds yet, by tenant and id, of the tenants behind this one. */
export function digestsWaiting(tx: Tx, after: string, most: number): Promise<DigestName[]> {
	return tx.query<DigestName>(waiting, [after, most]);
}

const toFold = sql(
	"audit.digests_to_fold",
	`select d.tenant_id as "tenantId", d.environment::text as environment, d.id, d.root, cardinality(d.message_ids) as count,
		d.message_ids[1] as first, d.message_ids[cardinality(d.message_ids)] as last
	from unnest($1::uuid[], $2::uuid[]) as w (tenant_id, id) join message_digests d on d.tenant_id = w.tenant_id and d.id = w.id
	where d.entry_id is null order by d.tenant_id, d.id`,
);

export interface FoldedDigest extends DigestName {
	readonly environment: Environment;
	readonly root: Buffer;
	readonly count: number;
	/** Ids of messages. */
	readonly first: string;
	readonly last: string;
}

/** In the order of their ids. The tenants must be entered. */
export function digestsToFold(tx: Tx, names: readonly DigestName[]): Promise<FoldedDigest[]> {
	return tx.query<FoldedDigest>(toFold, [
		names.map((one) => one.tenantId),
		names.map((one) => one.id),
	]);
}

const fold = sql(
	"audit.fold_digests",
	`update message_digests d set entry_id = w.entry_id
	from unnest($1::uuid[], $2::uuid[], $3::uuid[]) as w (tenant_id, id, entry_id)
	where d.tenant_id = w.tenant_id and d.id = w.id and d.entry_id is null returning 1 as folded`,
);

/** Returns how many now are in their entry: all, or something is wrong. */
export async function foldDigests(
	tx: Tx,
	digests: readonly (DigestName & { readonly entryId: string })[],
): Promise<number> {
	const rows = await tx.query(fold, [
		digests.map((one) => one.tenantId),
		digests.map((one) => one.id),
		digests.map((one) => one.entryId),
	]);
	return rows.length;
}

// Proofs and checks -----------------------------------------------------------------------------------------

const ofEntry = sql(
	"audit.digests_of_entry",
	// Found first, then sorted: in their order PostgreSQL would walk over all of a tenant's until it has so many.
	`select id, root from (select id, root from message_digests where tenant_id = $1 and entry_id = $2 offset 0) d
	order by id limit $3`,
);

export interface DigestRoot {
	readonly id: string;
	readonly root: Buffer;
}

/** In the order in which they were hashed. */
export function digestsOfEntry(
	tx: Tx,
	tenantId: string,
	entryId: string,
	most: number,
): Promise<DigestRoot[]> {
	return tx.query<DigestRoot>(ofEntry, [tenantId, entryId, most]);
}

const memberColumns = `id, entry_id as "entryId", root, message_ids as "messageIds", leaves`;

export interface StoredDigest extends DigestRoot {
	readonly entryId: string | null;
	readonly messageIds: readonly string[];
	/** 32 bytes for each. */
	readonly leaves: Buffer;
}

const members = sql(
	"audit.digest_members",
	`select ${memberColumns} from message_digests where tenant_id = $1 and id = $2`,
);

export async function findDigest(
	tx: Tx,
	tenantId: string,
	id: string,
): Promise<StoredDigest | undefined> {
	return (await tx.query<StoredDigest>(members, [tenantId, id]))[0];
}

// A digest gets its id after its messages got theirs, in the same commit. `offset 0`: no more are looked into.
const ofMessage = sql(
	"audit.digest_of_message",
	`select ${memberColumns} from (
		select * from message_digests where tenant_id = $1 and id > $2 and id < $3 order by id limit $4 offset 0
	) d where $2 = any (d.message_ids) and d.environment = $5 order by id limit 1`,
);

/** The digest that names this message, among the `most` next before the id `until`. */
export async function digestOfMessage(
	tx: Tx,
	{ tenantId, environment }: Scope,
	messageId: string,
	until: string,
	most: number,
): Promise<StoredDigest | undefined> {
	return (
		await tx.query<StoredDigest>(ofMessage, [tenantId, messageId, until, most, environment])
	)[0];
}

const lockStatement = sql(
	"audit.lock_check",
	"select pg_try_advisory_xact_lock(782364004) as locked",
);

/** Until the transaction ends no other process compares messages. False when one does. */
export async function lockCheck(tx: Tx): Promise<boolean> {
	return (await tx.query<{ locked: boolean }>(lockStatement))[0]?.locked === true;
}

const due = sql("audit.checks_due", "select tenant_id from wx.message_checks_due($1, $2)");

/** Tenants in the middle of a round, or whose last one ended before this time; those left alone for the longest first. */
export async function checksDue(tx: Tx, most: number, before: Date): Promise<string[]> {
	const rows = await tx.query<{ tenant_id: string }>(due, [most, before]);
	return rows.map((row) => row.tenant_id);
}

/** How far the round through a tenant's log has come. */
export interface CheckPlace {
	/** The last entry whose messages were all looked at; null before the first. */
	readonly entryId: string | null;
	/** Of the entry behind it, the last digest looked at; null when none was. */
	readonly digestId: string | null;
}

const placeOf = sql(
	"audit.check_place",
	`select entry_id as "entryId", digest_id as "digestId" from message_checks where tenant_id = $1`,
);

export async function checkPlace(tx: Tx, tenantId: string): Promise<CheckPlace> {
	const [row] = await tx.query<CheckPlace & object>(placeOf, [tenantId]);
	return row ?? { entryId: null, digestId: null };
}

const savePlace = sql(
	"audit.save_check_place",
	`insert into message_checks (tenant_id, entry_id, digest_id, checked_at) values ($1, $2, $3, $4)
	on conflict (tenant_id) do update set entry_id = excluded.entry_id, digest_id = excluded.digest_id, checked_at = excluded.checked_at`,
);

export function saveCheckPlace(tx: Tx, tenantId: string, place: CheckPlace, at: Date): void {
	tx.post(savePlace, [tenantId, place.entryId, place.digestId, at]);
}

const entriesAfter = sql(
	"audit.digest_entries",
	`select id, entry from ledger_entries where tenant_id = $1 and action = 'messages.accepted' and id > $2 order by id limit $3`,
);

/** Entries that hold messages, behind this one. */
export function digestEntries(
	tx: Tx,
	tenantId: string,
	after: string | null,
	most: number,
): Promise<{ readonly id: string; readonly entry: Buffer }[]> {
	return tx.query(entriesAfter, [tenantId, after ?? zeroId, most]);
}
