/** What the statements of accepting and of changing states mean, over the simulation's tables. */
import type { Environment } from "#platform/db.ts";
import { demandVisible, unnest } from "./meanings-facts.ts";
import { type Meanings, SqlError, type View } from "./memory-database.ts";
import type { LaneEntryRow, MessageRow } from "./schema.ts";
import { get, put } from "./tables.ts";

export function rowKey(tenantId: string, messageId: string): string {
	return `${tenantId}/${messageId}`;
}

interface Applied {
	readonly tenantId: string;
	readonly messageId: string;
	readonly environment: string;
	readonly status: number;
	readonly atMs: number;
	readonly error: number | null;
	readonly carrierError: string | null;
	readonly possibleDuplicate: boolean;
	readonly eventId: string;
}

/** The same rule as `mayMove`, written again: it stands as SQL in the product. */
function isForward(from: number, to: number): boolean {
	return to > from && from < 40;
}

function applyOne(view: View, one: Applied): Applied | undefined {
	const { tables, writer } = view;
	demandVisible(view, one.tenantId, one.environment);
	const key = rowKey(one.tenantId, one.messageId);
	const known = get(tables.states, writer, key);
	if (known !== undefined && !isForward(known.status, one.status)) {
		// PostgreSQL locks the row before it looks at the condition.
		put(tables.states, writer, key, known);
		return undefined;
	}
	const { tenantId, messageId, environment, status, error, eventId } = one;
	const possibleDuplicate = one.possibleDuplicate || known?.possibleDuplicate === true;
	const row = { tenantId, messageId, environment, status, error, possibleDuplicate, eventId };
	put(tables.states, writer, key, row);
	put(tables.events, writer, eventId, { tenantId, messageId, id: eventId, status });
	return one;
}

interface Judged extends Omit<MessageRow, "tenantId" | "environment" | "createdAtMs"> {
	readonly routeId: string | null;
	readonly dueAtMs: number | null;
	readonly batchId: string | null;
}

/** The columns of `messages.insert_judged` in order; "" for what the simulation does not keep. */
const judgedColumns = [
	"id",
	"class",
	"addressIndex",
	"senderIndex",
	"sealed",
	"",
	"",
	"",
	"country",
	"dltTemplateId",
	"",
	"",
	"",
	"expiresAtMs",
	"ruleset",
	"",
	"",
	"clearUntilMs",
	"seal",
	"routeId",
	"dueAtMs",
	"batchId",
] as const satisfies readonly (keyof Judged | "")[];

/** Puts a message into its lane; as the table demands it, with the seal of its clearance. */
export function addEntry(
	{ tables, writer }: View,
	message: MessageRow,
	entry: Pick<LaneEntryRow, "routeId" | "dueAtMs"> & Partial<LaneEntryRow>,
): void {
	if (message.seal === null) throw new SqlError("23502", "a lane entry without a clearance");
	const { tenantId, id: messageId, environment, expiresAtMs } = message;
	put(tables.laneEntries, writer, rowKey(tenantId, messageId), {
		tenantId,
		messageId,
		environment,
		class: message.class,
		expiresAtMs,
		attempt: 0,
		batchId: null,
		possibleDuplicate: false,
		abandoned: false,
		apart: false,
		...entry,
	});
}

export const acceptMeanings: Meanings = {
	"messages.insert_judged": (view, values) => {
		const { tables, writer } = view;
		const [
			tenantId,
			environment,
			nowMs,
			owner,
			leaseUntilMs,
			outboxId,
			refs,
			started,
			leaves,
			root,
		] = values.slice(22);
		const scope = { tenantId: tenantId as string, environment: environment as Environment };
		demandVisible(view, scope.tenantId, scope.environment);
		const batches = new Map<string, { routeId: string; messageIds: string[] }>();
		for (const judged of unnest<Judged>(values, ...judgedColumns)) {
			const { routeId, dueAtMs, batchId, ...row } = judged;
			const message = { ...row, ...scope, createdAtMs: nowMs as number };
			put(tables.messages, writer, rowKey(scope.tenantId, row.id), message);
			if (routeId === null) continue;
			if (batchId === null) addEntry(view, message, { routeId, dueAtMs: dueAtMs as number });
			else {
				const batch = batches.get(batchId) ?? { routeId, messageIds: [] };
				batch.messageIds.push(row.id);
				batches.set(batchId, batch);
			}
		}
		for (const [id, batch] of batches)
			put(tables.batches, writer, id, {
				id,
				owner: owner as string,
				leaseUntilMs: leaseUntilMs as number,
				startedAtMs: (started as string[]).includes(id) ? (nowMs as number) : null,
				handedOver: { tenantId: scope.tenantId, ...batch },
			});
		put(tables.digests, writer, outboxId as string, {
			...scope,
			messageIds: values[0] as string[],
			leaves: leaves as Buffer,
			root: root as Buffer,
		});
		if (refs !== "[]")
			put(tables.outbox, writer, outboxId as string, {
				tenantId: scope.tenantId,
				refs: JSON.parse(refs as string),
			});
		return [];
	},

	"messages.decisions": () => [],

	"messages.claim_keys": (view, [tenantId, environment, hashes, prints, ids, nowMs]) =>
		unnest<{ keyHash: Buffer; fingerprint: Buffer; ids: string }>(
			[hashes, prints, ids],
			"keyHash",
			"fingerprint",
			"ids",
		).flatMap(({ keyHash, fingerprint, ids }) => {
			const key = `${tenantId}/${environment}/${keyHash.toString("hex")}`;
			const known = get(view.tables.idempotencyKeys, view.writer, key);
			// A key that another transaction is about to claim is waited for: `put` sees to that.
			if (known !== undefined) return [];
			put(view.tables.idempotencyKeys, view.writer, key, {
				tenantId: tenantId as string,
				keyHash,
				fingerprint,
				messageIds: ids.split(","),
				createdAtMs: nowMs as number,
			});
			return [{ key_hash: keyHash }];
		}),

	"messages.read_keys": (view, [tenantId, environment, hashes]) =>
		(hashes as Buffer[]).flatMap((keyHash) => {
			const key = `${tenantId}/${environment}/${keyHash.toString("hex")}`;
			const row = get(view.tables.idempotencyKeys, view.writer, key);
			return row === undefined
				? []
				: [{ key_hash: keyHash, fingerprint: row.fingerprint, message_ids: row.messageIds }];
		}),

	"messages.apply": (view, values) => {
		const { tables, writer } = view;
		const asked = unnest<Applied>(
			values,
			"tenantId",
			"messageId",
			"environment",
			"status",
			"atMs",
			"error",
			"carrierError",
			"possibleDuplicate",
			"eventId",
		).sort((a, b) => (rowKey(a.tenantId, a.messageId) < rowKey(b.tenantId, b.messageId) ? -1 : 1));
		const applied = asked.flatMap((one) => applyOne(view, one) ?? []);
		const byScope = Map.groupBy(applied, (one) => `${one.tenantId}/${one.environment}`);
		for (const [, [first, ...rest]] of byScope) {
			if (first === undefined) continue;
			put(tables.outbox, writer, first.eventId, {
				tenantId: first.tenantId,
				refs: [first, ...rest].map((one) => [one.messageId, one.eventId, one.status] as const),
			});
		}
		return [];
	},
};
