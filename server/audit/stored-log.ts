/**
 * Reading a log's stored bytes back, believing none of them: the next run of entries must continue the edge, say
 * what their searchable copies say, and carry the detail they name. Used before signing, and again and again for
 * what is signed already.
 */
import type { Tx } from "#platform/db.ts";
import { showId } from "#platform/ids.ts";
import { sha256 } from "#vault/index.ts";
import { readEntry } from "./entry.ts";
import { shownLog } from "./ledger.ts";
import { type SignedEntry, storedEntries } from "./signer-store.ts";
import { append, type Edge, leafHash, type Node } from "./tree.ts";

export interface LogName {
	readonly tenantId: string;
	readonly epoch: number;
}

/** What is stored is not what was, or cannot be, signed. The message names the log and the place. */
export class LedgerTrouble extends Error {
	override readonly name = "LedgerTrouble";
}

/** The edge after the entries up to `until`, at most `most` of them; `made` gets the nodes that came to be. */
export async function readOn(
	tx: Tx,
	log: LogName,
	edge: Edge,
	until: number,
	most: number,
	made: Node[] = [],
): Promise<Edge> {
	const wanted = Math.min(until - edge.size, most);
	if (wanted <= 0) return edge;
	const entries = await storedEntries(tx, log, edge.size, edge.size + wanted, wanted);
	for (const [i, entry] of entries.entries()) {
		if (entry.index !== edge.size + i)
			throw new LedgerTrouble(`entry ${edge.size + i} is not there`);
		checkEntry(log, entry);
	}
	if (entries.length < wanted)
		throw new LedgerTrouble(`entry ${edge.size + entries.length} is not there`);
	const leaves = entries.map(({ entry }) => leafHash(entry));
	return append(edge, leaves, made);
}

function checkEntry({ tenantId }: LogName, stored: SignedEntry): void {
	const wrong = (what: string): LedgerTrouble => new LedgerTrouble(`entry ${stored.index} ${what}`);
	const read = readEntry(stored.entry);
	if (read === undefined) throw wrong("is no entry");
	const { id, log, action, actor, detail_sha256: digest } = read;
	if (log !== shownLog(tenantId)) throw wrong("is of another log");
	const says = [id, action, actor.id ?? actor.type];
	const stands = [showId("aud", stored.id), stored.action, stored.actor];
	if (says.join() !== stands.join()) throw wrong("is filed under what it does not say");
	const found = stored.detail === null ? null : sha256(stored.detail).toString("hex");
	if (digest !== found) throw wrong("has a detail that is not its own");
}
