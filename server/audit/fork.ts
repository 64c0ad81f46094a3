/**
 * Beginning a log anew when the database no longer continues what was signed: after a restore, after damage, after
 * the signer's state was lost. The new epoch's first entry says, for good, what had been signed and what was found,
 * so everybody can see what is missing. Only an operator's decision leads here.
 */
import type { Tx } from "#platform/db.ts";
import type { EntryData } from "./entry.ts";
import { type Ledger, shownLog, system } from "./ledger.ts";
import { insertNodes, placeEntries, readHeads, saveHeads } from "./sequencer-store.ts";
import type { LogState, SignerState } from "./signer-state.ts";
import { findEntry } from "./store.ts";
import { append, emptyEdge, leafHash, type Node, rootOf } from "./tree.ts";

export interface Fork {
	readonly tenantId: string;
	/** As shown: `ten_…` or `platform`. */
	readonly log: string;
	readonly signed: LogState;
	/** What the database holds of it. */
	readonly foundSize: number;
	readonly why: string;
}

/** The logs that the signer will not, or could not, go on with. `tx` with the worker's role. */
export async function logsToFork(tx: Tx, state: SignerState): Promise<Fork[]> {
	const logs = [...state.keys()];
	if (logs.length === 0) return [];
	tx.enterTenants(logs);
	const heads = new Map((await readHeads(tx, logs)).map((head) => [head.tenantId, head]));
	return [...state].flatMap(([tenantId, signed]) => {
		const head = heads.get(tenantId);
		// Forked already, and not yet signed.
		if (head !== undefined && head.epoch > signed.epoch) return [];
		const foundSize = head?.epoch === signed.epoch ? head.size : 0;
		const behind = `${signed.edge.size} entries were signed, and ${foundSize} are there`;
		const why = signed.trouble ?? (foundSize < signed.edge.size ? behind : undefined);
		return why === undefined ? [] : [{ tenantId, log: shownLog(tenantId), signed, foundSize, why }];
	});
}

/** Begins the next epoch of this log; the signer goes on with it. `tx` with the worker's role. */
export async function forkLog(tx: Tx, ledger: Ledger, fork: Fork, at: Date): Promise<void> {
	const { tenantId, signed, foundSize } = fork;
	tx.enterTenants([tenantId]);
	const [head] = await readHeads(tx, [tenantId]);
	const found = head?.epoch === signed.epoch ? head.root : rootOf(emptyEdge);
	const data: EntryData = {
		origin: signed.origin,
		signed_size: signed.edge.size,
		signed_root: rootOf(signed.edge).toString("hex"),
		found_size: foundSize,
		found_root: found.toString("hex"),
	};
	const act = { log: tenantId, event: "ledger.forked", actor: system, data } as const;
	const [id = ""] = await ledger.record(tx, [act]);
	const first = await findEntry(tx, tenantId, id);
	if (first === undefined) throw new Error("the fork's own entry is not there");
	const nodes: Node[] = [];
	const edge = append(emptyEdge, [leafHash(first.entry)], nodes);
	const epoch = signed.epoch + 1;
	await placeEntries(tx, [{ tenantId, epoch, id, index: 0 }]);
	insertNodes(
		tx,
		nodes.map((node) => ({ tenantId, epoch, ...node })),
	);
	saveHeads(tx, [{ tenantId, epoch, size: 1, root: rootOf(edge) }], at);
}
