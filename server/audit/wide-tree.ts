/**
 * The tree over the messages of an entry: as RFC 6962's, but a node has up to 32 children, so that a commit of a
 * thousand messages costs 33 hashes beyond the messages' own. Node: SHA-256(0x01 ‖ children). The root of one hash is
 * that hash; else hashes are joined in runs of 32, from the left, until one is left. Pure.
 */
import { sha256 } from "#vault/index.ts";
import { hashBytes } from "./tree.ts";

export const childrenMax = 32;
const runBytes = childrenMax * hashBytes;

/** All the children of one node on the way up, and which of them was proven below. */
export interface WideStep {
	readonly position: number;
	/** Joined, 32 bytes each. */
	readonly hashes: Buffer;
}

/** `hashes`: joined, 32 bytes each, at least one. */
export function wideRoot(hashes: Buffer): Buffer {
	let level = checked(hashes);
	while (level.length > hashBytes) level = parents(level);
	return level;
}

/** From the hash at `index` to the root. Empty when it is the only one. */
export function widePath(hashes: Buffer, index: number): WideStep[] {
	const steps: WideStep[] = [];
	let [level, at] = [checked(hashes), index];
	if (!Number.isInteger(at) || at < 0 || at >= level.length / hashBytes)
		throw new RangeError("there is no hash at this index");
	while (level.length > hashBytes) {
		const run = Math.floor(at / childrenMax);
		const run32 = level.subarray(run * runBytes, (run + 1) * runBytes);
		steps.push({ position: at % childrenMax, hashes: run32 });
		level = parents(level);
		at = run;
	}
	return steps;
}

/** The root that the steps lead to from `hash`; undefined when they do not hold it. */
export function followPath(hash: Buffer, steps: readonly WideStep[]): Buffer | undefined {
	let at = hash;
	for (const { position, hashes } of steps) {
		const fits = hashes.length % hashBytes === 0 && hashes.length <= runBytes;
		const own = hashes.subarray(position * hashBytes, (position + 1) * hashBytes);
		if (!fits || !own.equals(at)) return undefined;
		at = nodeOf(hashes);
	}
	return at;
}

function checked(hashes: Buffer): Buffer {
	if (hashes.length === 0 || hashes.length % hashBytes !== 0)
		throw new RangeError("hashes are 32 bytes each, at least one");
	return hashes;
}

function parents(level: Buffer): Buffer {
	const nodes: Buffer[] = [];
	for (let at = 0; at < level.length; at += runBytes)
		nodes.push(nodeOf(level.subarray(at, at + runBytes)));
	return nodes.length === 1 ? (nodes[0] as Buffer) : Buffer.concat(nodes);
}

function nodeOf(children: Buffer): Buffer {
	const octets = Buffer.allocUnsafe(1 + children.length);
	octets[0] = 1;
	children.copy(octets, 1);
	return sha256(octets);
}
