/** What the statements of the lanes mean, over the simulation's tables. */
import { addEntry, rowKey } from "./meanings-accept.ts";
import { unnest } from "./meanings-facts.ts";
import type { Meanings, View } from "./memory-database.ts";
import type { LaneEntryRow } from "./schema.ts";
import { get, isFree, put, rows } from "./tables.ts";

function entriesWhere(
	{ tables, writer }: View,
	wanted: (row: LaneEntryRow) => boolean,
): LaneEntryRow[] {
	const found: LaneEntryRow[] = [];
	for (const [, row] of rows(tables.laneEntries, writer)) if (wanted(row)) found.push(row);
	return found;
}

/** By due time, then by id: the order in which a lane is left. */
function inTurn(a: LaneEntryRow, b: LaneEntryRow): number {
	return a.dueAtMs - b.dueAtMs || (a.messageId < b.messageId ? -1 : 1);
}

/** An entry's place in the order of a route: class, tenant, due time (the text that the product is given), message. */
type Place = readonly [number, string, string, string];

function placeInLane(row: LaneEntryRow): Place {
	return [row.class, row.tenantId, String(row.dueAtMs).padStart(20, "0"), row.messageId];
}

function inOrder(a: Place, b: Place): number {
	for (const [i, one] of a.entries()) {
		const other = b[i] as typeof one;
		if (one !== other) return one < other ? -1 : 1;
	}
	return 0;
}

/** What of a batch that was handed over has no result yet, as entries would tell it. */
function handedOver({ tables, writer }: View, batchId: string) {
	const batch = get(tables.batches, writer, batchId)?.handedOver;
	if (batch === undefined || batch === null) return [];
	const { tenantId, routeId } = batch;
	return batch.messageIds.flatMap((messageId) => {
		const key = rowKey(tenantId, messageId);
		const message = get(tables.messages, writer, key);
		const isDone = (get(tables.states, writer, key)?.status ?? 0) >= 20;
		if (message === undefined || isDone || get(tables.laneEntries, writer, key) !== undefined)
			return [];
		const { environment } = message;
		const fresh = { attempt: 0, possibleDuplicate: false };
		return [{ batchId, tenantId, messageId, routeId, class: message.class, environment, ...fresh }];
	});
}

export const laneMeanings: Meanings = {
	"lanes.make_batches": ({ tables, writer }, [ids, owner, leaseUntilMs]) => {
		for (const id of ids as string[])
			put(tables.batches, writer, id, {
				id,
				owner: owner as string,
				leaseUntilMs: leaseUntilMs as number,
				startedAtMs: null,
				handedOver: null,
			});
		return [];
	},

	"lanes.start_batches": ({ tables, writer }, [ids, owner, nowMs, untilMs]) =>
		(ids as string[]).flatMap((id) => {
			const row = get(tables.batches, writer, id);
			if (row === undefined || row.owner !== owner) return [];
			if (row.leaseUntilMs <= (nowMs as number)) return [];
			put(tables.batches, writer, id, {
				...row,
				startedAtMs: nowMs as number,
				leaseUntilMs: untilMs as number,
			});
			return [{ id }];
		}),

	"lanes.renew": ({ tables, writer }, [ids, owner, untilMs]) => {
		for (const id of ids as string[]) {
			const row = get(tables.batches, writer, id);
			if (row !== undefined && row.owner === owner)
				put(tables.batches, writer, id, { ...row, leaseUntilMs: untilMs as number });
		}
		return [];
	},

	"lanes.drop_batches": ({ tables, writer }, [ids]) => {
		for (const id of ids as string[])
			if (get(tables.batches, writer, id) !== undefined) put(tables.batches, writer, id, undefined);
		return [];
	},

	"lanes.tenants": (view, [routeId, classNumber, nowMs, after, most, looks]) => {
		const waiting = entriesWhere(
			view,
			(row) =>
				row.batchId === null &&
				row.routeId === routeId &&
				row.class === classNumber &&
				row.tenantId > (after as string),
		);
		const byTenant = [...Map.groupBy(waiting, (row) => row.tenantId)].sort(([a], [b]) =>
			a < b ? -1 : 1,
		);
		const found: { tenant_id: string; is_due: boolean }[] = [];
		let due = 0;
		for (const [tenant_id, entries] of byTenant.slice(0, looks as number)) {
			if (due >= (most as number)) break;
			const is_due = entries.some((row) => row.dueAtMs <= (nowMs as number));
			found.push({ tenant_id, is_due });
			due += Number(is_due);
		}
		return found;
	},

	"lanes.lease": (view, [routeId, classNumber, tenantIds, nowMs, most, batchIds]) =>
		unnest<{ tenantId: string; batchId: string }>(
			[tenantIds, batchIds],
			"tenantId",
			"batchId",
		).flatMap(({ tenantId, batchId }) => {
			const { tables, writer } = view;
			const due = entriesWhere(
				view,
				(row) =>
					row.batchId === null &&
					row.routeId === routeId &&
					row.class === classNumber &&
					row.tenantId === tenantId &&
					row.dueAtMs <= (nowMs as number) &&
					isFree(tables.laneEntries, writer, rowKey(row.tenantId, row.messageId)),
			);
			return due
				.sort(inTurn)
				.slice(0, most as number)
				.map((row) => {
					const key = rowKey(row.tenantId, row.messageId);
					put(tables.laneEntries, writer, key, { ...row, batchId });
					return {
						batch_id: batchId,
						message_id: row.messageId,
						attempt: row.attempt,
						possible_duplicate: row.possibleDuplicate,
						abandoned: row.abandoned,
						environment: row.environment,
						apart: row.apart,
					};
				});
		}),

	"lanes.set_apart": (view, values) => {
		const { tables, writer } = view;
		type Moved = { tenantId: string; messageId: string; batchId: string; toBatchId: string };
		for (const moved of unnest<Moved>(values, "tenantId", "messageId", "batchId", "toBatchId")) {
			const key = rowKey(moved.tenantId, moved.messageId);
			const row = get(tables.laneEntries, writer, key);
			if (row?.batchId === moved.batchId && view.sees(moved.tenantId))
				put(tables.laneEntries, writer, key, { ...row, batchId: moved.toBatchId });
		}
		return [];
	},

	"lanes.load": (view, [tenantIds, ids]) =>
		unnest<{ tenantId: string; id: string }>([tenantIds, ids], "tenantId", "id").flatMap(
			({ tenantId, id }) => {
				const message = get(view.tables.messages, view.writer, rowKey(tenantId, id));
				if (message === undefined || !view.sees(tenantId)) return [];
				const { clearUntilMs } = message;
				return [
					{
						tenant_id: tenantId,
						id,
						environment: message.environment,
						class: message.class,
						address_index: message.addressIndex,
						sender_index: message.senderIndex,
						sealed: message.sealed,
						country: message.country,
						dlt_template_id: message.dltTemplateId,
						expires_at: new Date(message.expiresAtMs),
						ruleset: message.ruleset,
						clear_until: clearUntilMs === null ? null : new Date(clearUntilMs),
						seal: message.seal,
					},
				];
			},
		),

	"lanes.finish": (view, [tenantIds, ids]) => {
		const { tables, writer } = view;
		for (const [i, id] of (ids as string[]).entries()) {
			const tenantId = (tenantIds as string[])[i] as string;
			const key = rowKey(tenantId, id);
			if (get(tables.laneEntries, writer, key) !== undefined && view.sees(tenantId))
				put(tables.laneEntries, writer, key, undefined);
		}
		return [];
	},

	"lanes.return": (view, values) => {
		const { tables, writer } = view;
		type Returned = Pick<
			LaneEntryRow,
			| "tenantId"
			| "messageId"
			| "routeId"
			| "dueAtMs"
			| "attempt"
			| "possibleDuplicate"
			| "abandoned"
			| "batchId"
		> & { readonly apart: boolean | null };
		const returned = unnest<Returned>(
			values,
			"tenantId",
			"messageId",
			"routeId",
			"dueAtMs",
			"attempt",
			"possibleDuplicate",
			"abandoned",
			"batchId",
			"apart",
		);
		for (const one of returned) {
			const key = rowKey(one.tenantId, one.messageId);
			const row = get(tables.laneEntries, writer, key);
			if (!view.sees(one.tenantId)) continue;
			if (row !== undefined && row.batchId === one.batchId)
				put(tables.laneEntries, writer, key, {
					...row,
					...one,
					batchId: null,
					apart: one.apart ?? row.apart,
				});
			const batch = one.batchId === null ? undefined : get(tables.batches, writer, one.batchId);
			if (row !== undefined || batch === undefined || batch.handedOver === null) continue;
			put(tables.batches, writer, batch.id, batch);
			const message = get(tables.messages, writer, key);
			const hasLeft = (get(tables.states, writer, key)?.status ?? 0) >= 20;
			if (message !== undefined && !hasLeft)
				addEntry(view, message, { ...one, batchId: null, apart: one.apart ?? false });
		}
		return [];
	},

	"lanes.enter": (view, [batchIds]) => {
		const { tables, writer } = view;
		for (const id of batchIds as string[]) {
			const batch = get(tables.batches, writer, id);
			if (batch === undefined || batch.handedOver === null) continue;
			// For update: who has taken the batch meanwhile is waited for.
			put(tables.batches, writer, id, batch);
			const { tenantId, routeId, messageIds } = batch.handedOver;
			for (const messageId of messageIds) {
				const key = rowKey(tenantId, messageId);
				const message = get(tables.messages, writer, key);
				if (get(tables.laneEntries, writer, key) === undefined && message !== undefined)
					addEntry(view, message, { routeId, dueAtMs: message.createdAtMs });
			}
		}
		return [];
	},

	"lanes.waiting": (view, [routeIds, nowMs]) => {
		const due = entriesWhere(
			view,
			(row) =>
				row.batchId === null &&
				row.dueAtMs <= (nowMs as number) &&
				(routeIds as string[]).includes(row.routeId),
		);
		const lanes = new Map(due.map((row) => [`${row.routeId}/${row.class}`, row]));
		return [...lanes.values()].map((row) => ({ route_id: row.routeId, class: row.class }));
	},

	"lanes.release": (view, [, batchIds]) => {
		const { tables, writer } = view;
		const released = new Set(batchIds as string[]);
		for (const row of entriesWhere(
			view,
			(row) => row.batchId !== null && released.has(row.batchId),
		))
			if (view.sees(row.tenantId))
				put(tables.laneEntries, writer, rowKey(row.tenantId, row.messageId), {
					...row,
					batchId: null,
				});
		return [];
	},

	"lanes.expired": ({ tables, writer }, [atMs, most]) => {
		const expired = [...rows(tables.batches, writer)]
			.map(([, row]) => row)
			.filter(
				(row) => row.leaseUntilMs < (atMs as number) && isFree(tables.batches, writer, row.id),
			)
			.sort((a, b) => a.leaseUntilMs - b.leaseUntilMs)
			.slice(0, most as number);
		for (const row of expired) put(tables.batches, writer, row.id, row);
		return expired.map((row) => ({ batch_id: row.id, started: row.startedAtMs !== null }));
	},

	"lanes.entries_of": (view, [batchIds]) => {
		const asked = new Set(batchIds as string[]);
		const named = entriesWhere(view, (row) => row.batchId !== null && asked.has(row.batchId));
		return [...named, ...[...asked].flatMap((id) => handedOver(view, id))].map((row) => ({
			batch_id: row.batchId,
			tenant_id: row.tenantId,
			message_id: row.messageId,
			route_id: row.routeId,
			class: row.class,
			attempt: row.attempt,
			environment: row.environment,
			possible_duplicate: row.possibleDuplicate,
		}));
	},

	"lanes.expired_entries": (view, [routeId, atMs, look, ...after]) => {
		const looked = entriesWhere(
			view,
			(row) => row.batchId === null && row.routeId === routeId && row.dueAtMs <= (atMs as number),
		)
			.map((row) => ({ row, place: placeInLane(row) }))
			.filter(({ place }) => inOrder(after as unknown as Place, place) < 0)
			.sort((a, b) => inOrder(a.place, b.place))
			.slice(0, look as number);
		return looked
			.map(({ row, place: [classNumber, tenantId, due, messageId] }) => ({
				class: classNumber,
				tenant_id: tenantId,
				due_at: due,
				message_id: messageId,
				environment: row.environment,
				expired: row.expiresAtMs < (atMs as number),
			}))
			.filter(({ expired }, i) => expired || i === looked.length - 1);
	},

	"presence.note": ({ tables, writer }, [owner, untilMs]) => {
		put(tables.sendingProcesses, writer, owner as string, { presentUntilMs: untilMs as number });
		return [];
	},

	"presence.count": ({ tables, writer }, [atMs]) => {
		const there = [...rows(tables.sendingProcesses, writer)];
		return [{ present: there.filter(([, row]) => row.presentUntilMs > (atMs as number)).length }];
	},

	"presence.leave": ({ tables, writer }, [owner, goneMs]) => {
		for (const [id, row] of rows(tables.sendingProcesses, writer))
			if (id === owner || row.presentUntilMs < (goneMs as number))
				put(tables.sendingProcesses, writer, id, undefined);
		return [];
	},

	// No route is switched off in the simulation.
	"lanes.stranded": () => [],

	"lanes.bring_forward": (view, [beyondMs, dueMs, most]) => {
		const far = entriesWhere(view, (row) => {
			const isRetry = row.batchId === null && row.attempt > 0 && (row.abandoned || row.class <= 1);
			return isRetry && row.dueAtMs > (beyondMs as number);
		});
		const brought = far.sort(inTurn).slice(0, most as number);
		for (const row of brought) {
			const key = rowKey(row.tenantId, row.messageId);
			put(view.tables.laneEntries, view.writer, key, { ...row, dueAtMs: dueMs as number });
		}
		return [{ rows: brought.length }];
	},
};
