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

interface Judged extends Omit<MessageRow, "createdAtMs"> {
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
	"tenantId",
	"environment",
] as const satisfies readonly (keyof Judged | "")[];

interface HandedOver {
	readonly tenantId: string;
	readonly routeId: string;
	readonly messageIds: string[];
}

/** What one tenant's environment has of a group. */
interface Group {
	readonly id: string;
	readonly tenantId: string;
	readonly environment: Environment;
	readonly first: number;
	readonly last: number;
	readonly leaves: Buffer;
	readonly root: Buffer;
	readonly refs: string;
}

const groupColumns = [
	"id",
	"tenantId",
	"environment",
	"first",
	"last",
	"leaves",
	"root",
	"refs",
] as const satisfies readonly (keyof Group)[];

interface Claim {
	readonly tenantId: string;
	readonly environment: string;
	readonly keyHash: Buffer;
	readonly fingerprint: Buffer;
	readonly ids: string;
}

const claimKey = ({ tenantId, environment, keyHash }: Claim): string =>
	`${tenantId}/${environment}/${keyHash.toString("hex")}`;

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
		const [nowMs, owner, leaseUntilMs, started, ...groups] = values.slice(24);
		const batches = new Map<string, HandedOver>();
		for (const judged of unnest<Judged>(values, ...judgedColumns)) {
			const { routeId, dueAtMs, batchId, ...row } = judged;
			demandVisible(view, row.tenantId, row.environment);
			const message = { ...row, createdAtMs: nowMs as number };
			put(tables.messages, writer, rowKey(row.tenantId, row.id), message);
			if (routeId === null) continue;
			if (batchId === null) addEntry(view, message, { routeId, dueAtMs: dueAtMs as number });
			else {
				const { tenantId } = row;
				const batch = batches.get(batchId) ?? { tenantId, routeId, messageIds: [] };
				batch.messageIds.push(row.id);
				batches.set(batchId, batch);
			}
		}
		for (const [id, handedOver] of batches)
			put(tables.batches, writer, id, {
				id,
				owner: owner as string,
				leaseUntilMs: leaseUntilMs as number,
				startedAtMs: (started as string[]).includes(id) ? (nowMs as number) : null,
				handedOver,
			});
		for (const group of unnest<Group>(groups, ...groupColumns)) {
			const { id, tenantId, environment, first, last, leaves, root, refs } = group;
			demandVisible(view, tenantId, environment);
			const messageIds = (values[0] as string[]).slice(first - 1, last);
			put(tables.digests, writer, id, { tenantId, environment, messageIds, leaves, root });
			if (refs !== "[]") put(tables.outbox, writer, id, { tenantId, refs: JSON.parse(refs) });
		}
		return [];
	},

	"messages.decisions": () => [],

	"messages.claim_keys": (view, values) =>
		unnest<Claim>(values, "tenantId", "environment", "keyHash", "fingerprint", "ids").flatMap(
			(claim) => {
				const { tenantId, environment, keyHash, fingerprint, ids } = claim;
				demandVisible(view, tenantId, environment);
				const known = get(view.tables.idempotencyKeys, view.writer, claimKey(claim));
				// A key that another transaction is about to claim is waited for: `put` sees to that.
				if (known !== undefined) return [];
				put(view.tables.idempotencyKeys, view.writer, claimKey(claim), {
					tenantId,
					keyHash,
					fingerprint,
					messageIds: ids.split(","),
					createdAtMs: values[5] as number,
				});
				return [{ tenant_id: tenantId, environment, key_hash: keyHash }];
			},
		),

	"messages.read_keys": (view, values) =>
		unnest<Claim>(values, "tenantId", "environment", "keyHash").flatMap((claim) => {
			const { tenantId, environment, keyHash } = claim;
			const row = get(view.tables.idempotencyKeys, view.writer, claimKey(claim));
			if (row === undefined || !view.sees(tenantId, environment)) return [];
			const { fingerprint, messageIds } = row;
			const found = { key_hash: keyHash, fingerprint, message_ids: messageIds };
			return [{ tenant_id: tenantId, environment, ...found }];
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
