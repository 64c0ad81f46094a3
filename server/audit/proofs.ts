/** Proofs from what is stored: that an entry is under a checkpoint, that one checkpoint continues another. */
import type { Tx } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import { firstIdAt, showId } from "#platform/ids.ts";
import { writeProof } from "./checkpoint.ts";
import type { EventName } from "./events.ts";
import { showCheckpoint } from "./shapes.ts";
import {
	findAct,
	findCheckpoint,
	readNodes,
	type StoredCheckpoint,
	type StoredEntry,
} from "./store.ts";
import { bestCosignedSize, withCosignatures } from "./witness-store.ts";
import {
	consistencySteps,
	inclusionSteps,
	type NodeName,
	type ProofStep,
	stepHash,
} from "./tree.ts";

/**
 * The tlog-proof of an entry under the checkpoint of its epoch that most witnesses co-signed, or the newest. @throws Fault
 * `proof_pending`
 */
export async function proveEntry(
	tx: Tx,
	tenantId: string,
	{ entry, epoch, leaf_index: index }: StoredEntry,
): Promise<{ readonly proof: string; readonly checkpoint: StoredCheckpoint }> {
	if (epoch === null || index === null) throw Fault.of("proof_pending", { retryAfterSeconds: 2 });
	const cosigned = await bestCosignedSize(tx, tenantId, epoch, index);
	const found = await findCheckpoint(tx, tenantId, epoch, cosigned);
	const [checkpoint] = await withCosignatures(tx, tenantId, found === undefined ? [] : [found]);
	if (checkpoint === undefined || checkpoint.size <= index)
		throw Fault.of("proof_pending", { retryAfterSeconds: 2 });
	const steps = inclusionSteps(index, checkpoint.size);
	const path = await hashesOf(tx, tenantId, epoch, steps);
	return { proof: writeProof(entry, index, path, checkpoint.checkpoint), checkpoint };
}

/** An entry with its proof, as other documents carry it. */
export interface ActProof {
	readonly entry_id: string;
	readonly origin: string;
	readonly verifier_key: string;
	/** c2sp.org/tlog-proof@v1 with the entry, the path and the checkpoint. */
	readonly proof: string;
}

/** An act is recorded in its own transaction: it cannot take longer. */
const actMs = 10 * 60_000;

/** The proof of an act on `target` that began at this time; undefined when no entry, or no checkpoint, has it. */
export async function proveAct(
	tx: Tx,
	ledgerName: string,
	tenantId: string,
	act: { readonly event: EventName; readonly target: string; readonly atMs: number },
): Promise<ActProof | undefined> {
	const { event, target, atMs } = act;
	const between = [firstIdAt(atMs), firstIdAt(atMs + actMs)] as const;
	const entry = await findAct(tx, tenantId, event, between, target);
	if (entry === undefined || entry.epoch === null || entry.leaf_index === null) return undefined;
	const newest = await findCheckpoint(tx, tenantId, entry.epoch);
	if (newest === undefined || newest.size <= entry.leaf_index) return undefined;
	const { proof, checkpoint } = await proveEntry(tx, tenantId, entry);
	const { origin, verifier_key } = showCheckpoint(ledgerName, tenantId, checkpoint);
	return { entry_id: showId("aud", entry.id), origin, verifier_key, proof };
}

/** The hashes that show that the tree of `from` entries is the beginning of the one of `to`. */
export function proveConsistency(
	tx: Tx,
	tenantId: string,
	epoch: number,
	from: number,
	to: number,
): Promise<Buffer[]> {
	return hashesOf(tx, tenantId, epoch, consistencySteps(from, to));
}

async function hashesOf(
	tx: Tx,
	tenantId: string,
	epoch: number,
	steps: readonly ProofStep[],
): Promise<Buffer[]> {
	const names = steps.flat();
	const found = names.length === 0 ? [] : await readNodes(tx, tenantId, epoch, names);
	const hashes = new Map(found.map((node) => [`${node.level}/${node.position}`, node.hash]));
	const hashOf = ({ level, position }: NodeName): Buffer => {
		const hash = hashes.get(`${level}/${position}`);
		if (hash === undefined) throw new Error(`the ledger lacks node ${level}/${position}`);
		return hash;
	};
	return steps.map((step) => stepHash(step, hashOf));
}
