/** What the statements of submissions, receipts and chores mean, over the simulation's tables. */
import { rowKey } from "./meanings-accept.ts";
import { unnest } from "./meanings-facts.ts";
import type { Meanings, View } from "./memory-database.ts";
import type { ParkedRow, SubmissionRow } from "./schema.ts";
import { get, isFree, put, rows, type Table } from "./tables.ts";

const dayMs = 86_400_000;

function submissionsWhere(
	{ tables, writer }: View,
	wanted: (row: SubmissionRow) => boolean,
): SubmissionRow[] {
	const found: SubmissionRow[] = [];
	for (const [, row] of rows(tables.submissions, writer)) if (wanted(row)) found.push(row);
	return found;
}

/** The schema has a unique key for the parts of long messages only. */
function keyOf(row: SubmissionRow): string {
	return row.segments > 1 ? partKey(row) : `${partKey(row)}/${row.routeId}/${row.carrierId}`;
}

function partKey(
	row: Pick<SubmissionRow, "tenantId" | "messageId" | "segment" | "submittedAtMs">,
): string {
	return `${rowKey(row.tenantId, row.messageId)}/${row.segment}/${row.submittedAtMs}`;
}

function shown({ routeId, carrierId, state, errorCode }: ParkedRow): object {
	return { route_id: routeId, carrier_id: carrierId, state, error_code: errorCode };
}

/** Deletes every form under which a parked receipt is kept. */
function takeBack({ tables, writer }: View, hits: readonly ParkedRow[]): object[] {
	const ids = new Set(hits.map((row) => row.id));
	const gone = [...rows(tables.parked, writer)].filter(([, row]) => ids.has(row.id));
	for (const [key] of gone) put(tables.parked, writer, key, undefined);
	return hits.map(shown);
}

/** The state of a submission's message, if it still waits for news. */
function waiting({ tables, writer }: View, row: SubmissionRow): object[] {
	const state = get(tables.states, writer, rowKey(row.tenantId, row.messageId));
	if (state === undefined || state.status >= 30) return [];
	const { tenantId, messageId, environment } = state;
	return [{ tenant_id: tenantId, message_id: messageId, environment }];
}

function purge<R extends object>(
	{ writer }: View,
	table: Table<R>,
	old: (row: R) => boolean,
): number {
	const gone = [...rows(table, writer)].filter(
		([key, row]) => old(row) && isFree(table, writer, key),
	);
	for (const [key] of gone) put(table, writer, key, undefined);
	return gone.length;
}

export const submissionMeanings: Meanings = {
	"submissions.insert": (view, values) => {
		const added = unnest<SubmissionRow>(
			values,
			"tenantId",
			"messageId",
			"segment",
			"segments",
			"routeId",
			"carrierId",
			"submittedAtMs",
		);
		for (const row of added)
			if (get(view.tables.submissions, view.writer, keyOf(row)) === undefined)
				put(view.tables.submissions, view.writer, keyOf(row), { ...row, state: 0 });
		return [];
	},

	"submissions.match": (view, [routeId, ids]) => {
		const asked = new Set(ids as string[]);
		return submissionsWhere(view, (row) => row.routeId === routeId && asked.has(row.carrierId)).map(
			(row) => ({
				asked: row.carrierId,
				tenant_id: row.tenantId,
				message_id: row.messageId,
				segment: row.segment,
				segments: row.segments,
				environment: view.tables.routes.committed.get(row.routeId)?.environment,
				submitted_at: new Date(row.submittedAtMs),
			}),
		);
	},

	"submissions.mark": (view, values) => {
		const marks = unnest<SubmissionRow>(
			values,
			"tenantId",
			"messageId",
			"segment",
			"state",
			"submittedAtMs",
		);
		for (const mark of marks) {
			const row = get(view.tables.submissions, view.writer, partKey(mark));
			if (row !== undefined && row.state === 0 && view.sees(row.tenantId))
				put(view.tables.submissions, view.writer, keyOf(row), { ...row, state: mark.state });
		}
		return [];
	},

	"submissions.states": (view, [tenantIds, ids]) => {
		const asked = new Set(
			(ids as string[]).map((id, i) => rowKey((tenantIds as string[])[i] ?? "", id)),
		);
		const own = submissionsWhere(
			view,
			(row) => asked.has(rowKey(row.tenantId, row.messageId)) && view.sees(row.tenantId),
		);
		const attempts = Map.groupBy(
			own,
			(row) => `${rowKey(row.tenantId, row.messageId)}/${row.segments}/${row.submittedAtMs}`,
		);
		return [...attempts.values()].map((parts) => {
			const [first] = parts as [SubmissionRow];
			return {
				tenant_id: first.tenantId,
				message_id: first.messageId,
				segments: first.segments,
				submitted_at: new Date(first.submittedAtMs),
				states: parts.sort((a, b) => a.segment - b.segment).map((row) => row.state),
			};
		});
	},

	"submissions.park": (view, [nowMs, ...columns]) => {
		const added = unnest<ParkedRow>(columns, "id", "routeId", "carrierId", "state", "errorCode");
		for (const row of added)
			put(view.tables.parked, view.writer, `${row.id}/${row.carrierId}`, {
				...row,
				receivedAtMs: nowMs as number,
			});
		return [];
	},

	"submissions.unpark": (view, [routeId, ids]) => {
		const asked = new Set(ids as string[]);
		const hits = [...rows(view.tables.parked, view.writer)]
			.map(([, row]) => row)
			.filter((row) => row.routeId === routeId && asked.has(row.carrierId));
		return takeBack(view, hits);
	},

	"submissions.rematch": (view, [fromId, look]) => {
		const known = new Set<string>();
		for (const [, row] of rows(view.tables.submissions, view.writer))
			known.add(`${row.routeId}/${row.carrierId}`);
		const looked = [...rows(view.tables.parked, view.writer)]
			.map(([, row]) => row)
			.filter((row) => row.id >= (fromId as string))
			.sort((a, b) => (a.id < b.id ? -1 : 1))
			.slice(0, look as number);
		const hits = new Map<string, ParkedRow>();
		for (const parked of looked)
			if (known.has(`${parked.routeId}/${parked.carrierId}`)) hits.set(parked.id, parked);
		const taken = takeBack(view, [...hits.values()]).map((row) => ({ ...row, looked_to: null }));
		const end = looked.length === look ? [{ looked_to: looked.at(-1)?.id }] : [];
		return [...taken, ...end];
	},

	"chores.place": ({ tables, writer }, [name]) => {
		if (!isFree(tables.chorePlaces, writer, name as string)) return [];
		const beginsMs = name === "purge" ? Date.parse("2026-01-01T00:00:00Z") : 0;
		const doneMs = get(tables.chorePlaces, writer, name as string)?.doneMs ?? beginsMs;
		// Held until the transaction ends.
		put(tables.chorePlaces, writer, name as string, { doneMs });
		return [{ done_ms: doneMs }];
	},

	"chores.done": ({ tables, writer }, [name, doneMs]) => {
		put(tables.chorePlaces, writer, name as string, { doneMs: doneMs as number });
		return [];
	},

	"submissions.unheard": (view, [sinceMs, untilMs, most]) => {
		const late = submissionsWhere(
			view,
			(row) => row.submittedAtMs >= (sinceMs as number) && row.submittedAtMs < (untilMs as number),
		);
		const found = new Map(
			late.flatMap((row) => waiting(view, row).map((one) => [row.messageId, one] as const)),
		);
		return [...found.values()].slice(0, most as number);
	},

	"submissions.quiet": (view, [beforeMs, sinceMs, look]) => {
		const looked = submissionsWhere(
			view,
			(row) =>
				row.segments > 1 &&
				row.segment === row.segments &&
				row.state === 2 &&
				row.submittedAtMs <= (beforeMs as number) &&
				row.submittedAtMs > (sinceMs as number),
		)
			.sort((a, b) => b.submittedAtMs - a.submittedAtMs)
			.slice(0, look as number);
		const isQuiet = (row: SubmissionRow): boolean =>
			waiting(view, row).length > 0 &&
			submissionsWhere(
				view,
				(other) =>
					other.messageId === row.messageId &&
					other.submittedAtMs === row.submittedAtMs &&
					other.segment < other.segments &&
					other.state !== 0,
			).length === 0;
		return looked.flatMap((row, i) => {
			const quiet = isQuiet(row);
			if (!quiet && i < looked.length - 1) return [];
			const { tenantId, messageId, submittedAtMs } = row;
			return [
				{
					tenant_id: tenantId,
					message_id: messageId,
					...waiting(view, row)[0],
					submitted_ms: submittedAtMs,
					quiet,
				},
			];
		});
	},

	"messages.partitions": () => [],

	"submissions.purge": (view, [sinceMs, untilMs]) => {
		const isOld = (row: SubmissionRow): boolean =>
			row.submittedAtMs >= (sinceMs as number) && row.submittedAtMs < (untilMs as number);
		return [{ rows: purge(view, view.tables.submissions, isOld) }];
	},

	"messages.purge": (view, [atMs, most]) => {
		const now = atMs as number;
		const { tables } = view;
		const gone = [
			purge(view, tables.idempotencyKeys, (row) => row.createdAtMs < now - 3 * dayMs),
			purge(view, tables.parked, (row) => row.receivedAtMs < now - 3 * dayMs),
		];
		return [{ rows: Math.min(most as number, Math.max(...gone)) }];
	},
};
