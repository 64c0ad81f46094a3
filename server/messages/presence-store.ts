/** SQL of the processes that send: who is there. Under the role waxwing_worker; no tenant's rows. */
import { sql, type Tx } from "#platform/db.ts";

const noteStatement = sql(
	"presence.note",
	`insert into sending_processes (owner, present_until) values ($1, to_timestamp($2::float8 / 1000))
	on conflict (owner) do update set present_until = excluded.present_until`,
);

/** `owner` is there until then, milliseconds since the epoch, unless it says so again. */
export function notePresence(tx: Tx, owner: string, untilMs: number): void {
	tx.post(noteStatement, [owner, untilMs]);
}

const countStatement = sql(
	"presence.count",
	"select count(*)::integer as present from sending_processes where present_until > to_timestamp($1::float8 / 1000)",
);

export async function countPresent(tx: Tx, nowMs: number): Promise<number> {
	const [row] = await tx.query<{ present: number }>(countStatement, [nowMs]);
	return row?.present ?? 0;
}

const leaveStatement = sql(
	"presence.leave",
	"delete from sending_processes where owner = $1 or present_until < to_timestamp($2::float8 / 1000)",
);

/** This one is gone, and whoever has not been seen since then. */
export function leavePresence(tx: Tx, owner: string, goneMs: number): void {
	tx.post(leaveStatement, [owner, goneMs]);
}
