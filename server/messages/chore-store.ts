/**
 * SQL of the chores over submissions, receipts and what is kept for a while. Each looks at so many rows, however many there
 * are, and says how far it came.
 */
import { sql, type Tx } from "#platform/db.ts";
import type { Unparked } from "./submission-store.ts";

/** A chore that walks over submissions in the order of their time. */
export type Walk = "presume" | "purge";

const placeStatement = sql(
	"chores.place",
	`select (extract(epoch from done_until) * 1000)::float8 as done_ms from chore_places where name = $1 for update skip locked`,
);
const doneStatement = sql(
	"chores.done",
	"update chore_places set done_until = to_timestamp($2::float8 / 1000) where name = $1",
);

/** Up to where a walk has come, 0 when it has never run; held for this transaction. Undefined while another process walks. */
export async function holdPlace(tx: Tx, walk: Walk): Promise<number | undefined> {
	return (await tx.query<{ done_ms: number }>(placeStatement, [walk]))[0]?.done_ms;
}

export function savePlace(tx: Tx, walk: Walk, untilMs: number): void {
	tx.post(doneStatement, [walk, untilMs]);
}

interface MessageOfTenant {
	readonly tenant_id: string;
	readonly message_id: string;
	readonly environment: string;
}

const unheardStatement = sql(
	"submissions.unheard",
	`select tenant_id, message_id, environment
	from wx.unheard_between(to_timestamp($1::float8 / 1000), to_timestamp($2::float8 / 1000), $3)`,
);

/** Messages handed over in [sinceMs, untilMs) that have no final state: their receipts will not come. */
export function unheardBetween(
	tx: Tx,
	sinceMs: number,
	untilMs: number,
	most: number,
): Promise<MessageOfTenant[]> {
	return tx.query(unheardStatement, [sinceMs, untilMs, most]);
}

const purgeSubmissionsStatement = sql(
	"submissions.purge",
	"select wx.purge_submissions(to_timestamp($1::float8 / 1000), to_timestamp($2::float8 / 1000), $3) as rows",
);

/** Deletes submissions of [sinceMs, untilMs), `most` at a time; returns how many. */
export async function purgeSubmissions(
	tx: Tx,
	sinceMs: number,
	untilMs: number,
	most: number,
): Promise<number> {
	const values = [sinceMs, untilMs, most];
	return (await tx.query<{ rows: number }>(purgeSubmissionsStatement, values))[0]?.rows ?? 0;
}

const purgeRowsStatement = sql(
	"messages.purge",
	"select wx.purge_rows(to_timestamp($1::float8 / 1000), $2) as rows",
);

/** Deletes what else has outlived its use, at most `most` rows of each table; returns the largest number. */
export async function purgeRows(tx: Tx, nowMs: number, most: number): Promise<number> {
	return (await tx.query<{ rows: number }>(purgeRowsStatement, [nowMs, most]))[0]?.rows ?? 0;
}

const forwardStatement = sql(
	"lanes.bring_forward",
	"select wx.bring_forward(to_timestamp($1::float8 / 1000), to_timestamp($2::float8 / 1000), $3) as rows",
);

/** Retries that are due beyond `beyondMs` are due at `dueMs`, at most so many; returns how many there were. */
export async function bringForward(
	tx: Tx,
	beyondMs: number,
	dueMs: number,
	most: number,
): Promise<number> {
	return (
		(await tx.query<{ rows: number }>(forwardStatement, [beyondMs, dueMs, most]))[0]?.rows ?? 0
	);
}

const partitionsStatement = sql(
	"messages.partitions",
	"select wx.make_partitions(to_timestamp($1::float8 / 1000))",
);

/** Makes the partitions of the coming months. */
export function makePartitions(tx: Tx, nowMs: number): void {
	tx.post(partitionsStatement, [nowMs]);
}

const quietStatement = sql(
	"submissions.quiet",
	`select tenant_id, message_id, environment, (extract(epoch from submitted_at) * 1000)::float8 as submitted_ms, quiet
	from wx.quiet_before(to_timestamp($1::float8 / 1000), to_timestamp($2::float8 / 1000), $3)`,
);

export interface QuietMessage extends MessageOfTenant {
	readonly submitted_ms: number;
	/** False: it is only here as the last one looked at. */
	readonly quiet: boolean;
}

/**
 * Long messages whose last segment alone was reported delivered, among the `look` of (sinceMs, beforeMs] that were
 * submitted last; and the last one looked at.
 */
export function quietBefore(
	tx: Tx,
	beforeMs: number,
	sinceMs: number,
	look: number,
): Promise<QuietMessage[]> {
	return tx.query(quietStatement, [beforeMs, sinceMs, look]);
}

const rematchStatement = sql(
	"submissions.rematch",
	"select route_id, carrier_id, state, error_code, looked_to from wx.rematch_from($1, $2)",
);

/**
 * Takes back parked receipts whose submission has become known otherwise, among the `look` from this id on. `lookedTo`: the
 * next look begins there; undefined at the end.
 */
export async function rematchFrom(
	tx: Tx,
	fromId: string,
	look: number,
): Promise<{ readonly parked: readonly Unparked[]; readonly lookedTo: string | undefined }> {
	const rows = await tx.query<Unparked & { readonly looked_to: string | null }>(rematchStatement, [
		fromId,
		look,
	]);
	const end = rows.find((row) => row.looked_to !== null);
	return { parked: rows.filter((row) => row !== end), lookedTo: end?.looked_to ?? undefined };
}
