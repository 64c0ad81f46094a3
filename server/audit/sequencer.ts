/**
 * The sequencer gives each new entry its place in its log's tree and puts every signed checkpoint of a tenant's
 * log into the platform's log. One at a time in the whole installation (an advisory lock); each step is one
 * transaction, so a step that dies has not happened. It signs nothing and is believed by nobody.
 */
import type { Clock } from "#platform/clock.ts";
import type { Database, Tx } from "#platform/db.ts";
import type { Log } from "#platform/log.ts";
import { zeroId } from "#platform/page.ts";
import { originOf } from "./checkpoint.ts";
import { type Ledger, shownLog, system } from "./ledger.ts";
import {
	checkpointsToNote,
	insertNodes,
	lockSequence,
	logsWaiting,
	markNoted,
	placeEntries,
	readEdges,
	readHeads,
	readUnplaced,
	saveHeads,
	type StoredHead,
	type Unplaced,
} from "./sequencer-store.ts";
import { platformLog } from "./store.ts";
import { append, type Edge, emptyEdge, leafHash, type Node, rootOf, subtreesOf } from "./tree.ts";

export interface SequencerParts {
	/** With the worker's role. */
	readonly db: Pick<Database, "inPlatform">;
	readonly ledger: Ledger;
	readonly clock: Clock;
	readonly log: Log;
	/** First part of every origin. */
	readonly name: string;
	/** Entries have got their places: there is something to sign. */
	readonly onPlaced?: () => void;
}

/** Of one step: tenants' logs beside the platform's, entries of all of them together, checkpoints noted. */
const logsMax = 512;
const entriesMax = 1_024;
const notesMax = 512;

/** The tenant whose log was looked at last: a step goes on behind it, and begins again at the first. */
export interface Turn {
	after: string;
}

export function firstTurn(): Turn {
	return { after: zeroId };
}

/** One step. True when there may be more to do at once. `turn` is kept from one step to the next. */
export async function sequence(parts: SequencerParts, turn = firstTurn()): Promise<boolean> {
	const { noted, placed, more } = await parts.db.inPlatform(async (tx) => {
		if (!(await lockSequence(tx))) return { noted: 0, placed: 0, more: false };
		const noted = await noteCheckpoints(parts, tx);
		const logs = await logsInTurn(tx, turn);
		const { placed, full } = await placeWaiting(parts, tx, logs);
		return { noted, placed, more: full || logs.length >= logsMax };
	});
	if (placed > 0) parts.onPlaced?.();
	return noted === notesMax || (placed > 0 && more);
}

async function logsInTurn(tx: Tx, turn: Turn): Promise<readonly string[]> {
	const found = await logsWaiting(tx, turn.after, logsMax);
	const behind = found.filter((log) => log !== platformLog);
	const left = logsMax - behind.length;
	const again = left > 0 && turn.after !== zeroId ? await logsWaiting(tx, zeroId, left) : [];
	turn.after = (left > 0 ? again : behind).at(-1) ?? zeroId;
	return [...new Set([...found, ...again])];
}

/** The log of logs: whoever takes a tenant's log back to an earlier state contradicts the platform's. */
async function noteCheckpoints({ ledger, name }: SequencerParts, tx: Tx): Promise<number> {
	const found = await checkpointsToNote(tx, notesMax);
	if (found.length === 0) return 0;
	tx.enterTenants([platformLog, ...new Set(found.map((one) => one.tenantId))]);
	await ledger.record(
		tx,
		found.map(({ tenantId, epoch, size, root }) => ({
			log: platformLog,
			event: "ledger.checkpoint",
			actor: system,
			data: {
				origin: originOf(name, shownLog(tenantId), epoch),
				size,
				root: root.toString("hex"),
			},
		})),
	);
	markNoted(tx, found);
	return found.length;
}

/** `full`: a log may have more than it had room for. */
async function placeWaiting(
	parts: SequencerParts,
	tx: Tx,
	waiting: readonly string[],
): Promise<{ readonly placed: number; readonly full: boolean }> {
	const nothing = { placed: 0, full: false };
	if (waiting.length === 0) return nothing;
	tx.enterTenants(waiting);
	const known = await readHeads(tx, waiting);
	const heads = new Map(known.map((head) => [head.tenantId, head]));
	const edges = await edgesOf(tx, known);
	const edgeOf = (log: string): Edge | undefined => (heads.has(log) ? edges.get(log) : emptyEdge);
	// Of the others somebody took nodes away or changed them. Signer and verifiers rest on the entries themselves.
	const whole = waiting.filter((log) => edgeOf(log) !== undefined);
	for (const log of waiting.filter((one) => !whole.includes(one)))
		parts.log.error({ event: "ledger.broken_edge", ledger: shownLog(log) }, "a log cannot grow");
	const each = Math.ceil(entriesMax / Math.max(1, whole.length));
	const entries = whole.length === 0 ? [] : await readUnplaced(tx, whole, each);
	if (entries.length === 0) return nothing;
	const byLog = [...Map.groupBy(entries, (entry) => entry.tenantId)];
	const grown = byLog.map(([log, those]) =>
		grow(log, heads.get(log)?.epoch ?? 1, edgeOf(log) ?? emptyEdge, those),
	);
	const placed = grown.flatMap((one) => one.placed);
	if ((await placeEntries(tx, placed)) !== placed.length)
		throw new Error("an entry got its place from somebody else");
	insertNodes(
		tx,
		grown.flatMap(({ head, nodes }) => nodes.map((node) => ({ ...head, ...node }))),
	);
	saveHeads(
		tx,
		grown.map((one) => one.head),
		new Date(parts.clock.now()),
	);
	return { placed: entries.length, full: byLog.some(([, those]) => those.length === each) };
}

/** The edges of these logs, read from their nodes; a log is missing if they do not give its root. */
async function edgesOf(tx: Tx, heads: readonly StoredHead[]): Promise<Map<string, Edge>> {
	const names = heads.flatMap(({ tenantId, epoch, size }) =>
		subtreesOf(0, size).map((name) => ({ tenantId, epoch, ...name })),
	);
	const found = names.length === 0 ? [] : await readEdges(tx, names);
	const hashes = new Map(found.map((node) => [`${node.tenantId}/${node.level}`, node.hash]));
	const edges = heads.flatMap(({ tenantId, size, root }): [string, Edge][] => {
		const own = subtreesOf(0, size).flatMap(
			({ level }) => hashes.get(`${tenantId}/${level}`) ?? [],
		);
		const edge = { size, hashes: own };
		return own.length === subtreesOf(0, size).length && rootOf(edge).equals(root)
			? [[tenantId, edge]]
			: [];
	});
	return new Map(edges);
}

function grow(tenantId: string, epoch: number, edge: Edge, entries: readonly Unplaced[]) {
	const nodes: Node[] = [];
	const grown = append(
		edge,
		entries.map(({ entry }) => leafHash(entry)),
		nodes,
	);
	const head = { tenantId, epoch, size: grown.size, root: rootOf(grown) };
	const placed = entries.map(({ id }, i) => ({ tenantId, epoch, id, index: edge.size + i }));
	return { head, nodes, placed };
}
