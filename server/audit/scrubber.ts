/**
 * Goes round and round through everything that has been signed, at a bounded pace, and compares every stored byte
 * with it: entries, their details, nodes, checkpoints. A single flipped bit ends the signing of its log, loudly.
 */
import type { Tx } from "#platform/db.ts";
import type { SigningKey } from "#vault/index.ts";
import { readCheckpoint, signCheckpoint } from "./checkpoint.ts";
import type { Signer, SignerParts } from "./signer.ts";
import type { LogState } from "./signer-state.ts";
import { countEqualNodes } from "./signer-store.ts";
import { checkpointsOf, type StoredCheckpoint } from "./store.ts";
import { LedgerTrouble, type LogName, readOn } from "./stored-log.ts";
import { append, type Edge, emptyEdge, type Node, rootOf } from "./tree.ts";

export interface Scrubber {
	/** Looks at the next `most` entries. True when it has come to the end of a round. */
	step(most: number): Promise<boolean>;
}

interface Place {
	readonly tenantId: string;
	/** As it was when the round came to this log. */
	readonly signed: LogState;
	readonly isReleased: boolean;
	edge: Edge;
	/** Checkpoints seen on the way. */
	checkpoints: number;
}

export function createScrubber(
	{ db, key }: Pick<SignerParts, "db" | "key">,
	signer: Signer,
): Scrubber {
	let round: string[] = [];
	let place: Place | undefined;

	const nextPlace = (): Place | undefined => {
		if (round.length === 0) round = [...signer.state.keys()];
		for (let tenantId = round.shift(); tenantId !== undefined; tenantId = round.shift()) {
			const signed = signer.state.get(tenantId);
			if (signed === undefined || signed.trouble !== undefined || signed.edge.size === 0) continue;
			const isReleased = signer.isReleased(tenantId);
			return { tenantId, signed, isReleased, edge: emptyEdge, checkpoints: 0 };
		}
		return undefined;
	};

	return {
		async step(most) {
			place ??= nextPlace();
			if (place === undefined) return true;
			const { tenantId, signed } = place;
			const looked = place;
			const log = { tenantId, epoch: signed.epoch };
			try {
				const { edge, checkpoints } = await db.inPlatform((tx) => look(tx, key, log, looked, most));
				place.edge = edge;
				place.checkpoints += checkpoints;
			} catch (error) {
				if (!(error instanceof LedgerTrouble)) throw error;
				place = undefined;
				signer.giveUp(tenantId, error.message);
				return round.length === 0;
			}
			if (place.edge.size === signed.edge.size) place = undefined;
			return place === undefined && round.length === 0;
		},
	};
}

/** Compares the next run of a log with what was signed; gives the edge behind it, and how many checkpoints it had. */
async function look(
	tx: Tx,
	key: SigningKey,
	log: LogName,
	{ signed, edge, isReleased, checkpoints }: Omit<Place, "tenantId">,
	most: number,
): Promise<Pick<Place, "edge" | "checkpoints">> {
	const nodes: Node[] = [];
	const end = signed.edge.size;
	const next = await readOn(tx, log, edge, end, most, nodes);
	if ((await countEqualNodes(tx, log, nodes)) !== nodes.length)
		throw new LedgerTrouble(`nodes over entries ${edge.size} to ${next.size} are not as they were`);
	const { tenantId, epoch } = log;
	const stored = await checkpointsOf(tx, tenantId, epoch, edge.size, next.size, most);
	compareCheckpoints(key, signed.origin, edge, nodes, stored);
	const found = { edge: next, checkpoints: stored.length };
	if (next.size < end) return found;
	if (!rootOf(next).equals(rootOf(signed.edge)))
		throw new LedgerTrouble(`what is stored of ${end} entries is not what was signed`);
	const seen = checkpoints + stored.length;
	if (isReleased && seen !== signed.checkpoints)
		throw new LedgerTrouble(`${signed.checkpoints} checkpoints were signed, and ${seen} are there`);
	return found;
}

/** A stored checkpoint must be what this key would sign: the same bytes, for Ed25519 has no chance in it. */
function compareCheckpoints(
	key: SigningKey,
	origin: string,
	edge: Edge,
	nodes: readonly Node[],
	stored: readonly StoredCheckpoint[],
): void {
	const leaves = nodes.filter(({ level }) => level === 0).map(({ hash }) => hash);
	let at = edge;
	for (const { size, root, checkpoint, public_key } of stored) {
		at = append(at, leaves.slice(at.size - edge.size, size - edge.size));
		const ours = { origin, size, root: rootOf(at) };
		// One of an earlier key cannot be signed again; it must verify, and its root must be right.
		const isKept = public_key.equals(key.publicKey)
			? checkpoint === signCheckpoint(ours, key)
			: readCheckpoint(checkpoint, origin, public_key)?.root.equals(ours.root) === true;
		if (!isKept || !root.equals(ours.root))
			throw new LedgerTrouble(`the checkpoint of ${size} entries is not as it was signed`);
	}
}
