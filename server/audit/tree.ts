/**
 * The hash tree of RFC 6962 §2.1 over the ledger's entries: leaf SHA-256(0x00 ‖ entry), node
 * SHA-256(0x01 ‖ left ‖ right). Pure. A log is carried as its *edge*, the roots of the complete subtrees that
 * make it up from left to right, one per bit of its size: what is needed to append and to know the root.
 */
import { sha256 } from "#vault/index.ts";

export const hashBytes = 32;

/** A complete subtree: its level (0 is a leaf) and its position from the left among those of its level. */
export interface Node {
	readonly level: number;
	readonly position: number;
	readonly hash: Buffer;
}

export interface Edge {
	readonly size: number;
	/** From the largest subtree to the smallest, one per bit that is set in `size`. */
	readonly hashes: readonly Buffer[];
}

export const emptyEdge: Edge = Object.freeze({ size: 0, hashes: [] });

export function leafHash(entry: Buffer): Buffer {
	const bytes = Buffer.allocUnsafe(1 + entry.length);
	bytes[0] = 0;
	entry.copy(bytes, 1);
	return sha256(bytes);
}

export function nodeHash(left: Buffer, right: Buffer): Buffer {
	const bytes = Buffer.allocUnsafe(1 + 2 * hashBytes);
	bytes[0] = 1;
	left.copy(bytes, 1);
	right.copy(bytes, 1 + hashBytes);
	return sha256(bytes);
}

/** Appends leaves. `made` gets every complete subtree that came to be, leaves included. */
export function append(edge: Edge, leaves: readonly Buffer[], made: Node[] = []): Edge {
	const hashes = [...edge.hashes];
	let { size } = edge;
	for (const leaf of leaves) {
		let node: Node = { level: 0, position: size, hash: leaf };
		made.push(node);
		for (let bits = size; bits % 2 === 1; bits = (bits - 1) / 2) {
			const hash = nodeHash(hashes.pop() as Buffer, node.hash);
			node = { level: node.level + 1, position: (node.position - 1) / 2, hash };
			made.push(node);
		}
		hashes.push(node.hash);
		size++;
	}
	return { size, hashes };
}

/** The root; of the empty log, SHA-256 of nothing. */
export function rootOf({ hashes }: Edge): Buffer {
	if (hashes.length === 0) return sha256("");
	return hashes.reduceRight((right, left) => nodeHash(left, right));
}

/** Which complete subtree: all that a proof is made of. */
export type NodeName = Omit<Node, "hash">;

/** The complete subtrees that the leaves from `start` (a multiple of the largest) to `end` fall into. */
export function subtreesOf(start: number, end: number): NodeName[] {
	const found: NodeName[] = [];
	for (let at = start; at < end; ) {
		let level = 0;
		while (at % 2 ** (level + 1) === 0 && at + 2 ** (level + 1) <= end) level++;
		found.push({ level, position: at / 2 ** level });
		at += 2 ** level;
	}
	return found;
}

/**
 * One step of a proof: the root of a run of leaves, as the complete subtrees whose hashes make it. A run of one
 * subtree is that subtree's hash; of several, they are joined from the right.
 */
export type ProofStep = readonly NodeName[];

/** RFC 6962 §2.1.1: PATH(index, D[size]), from the leaf's sibling up. */
export function inclusionSteps(index: number, size: number): ProofStep[] {
	const steps: ProofStep[] = [];
	let [start, end] = [0, size];
	while (end - start > 1) {
		const middle = start + splitOf(end - start);
		if (index < middle) {
			steps.push(subtreesOf(middle, end));
			end = middle;
		} else {
			steps.push(subtreesOf(start, middle));
			start = middle;
		}
	}
	return steps.reverse();
}

/** RFC 6962 §2.1.2: PROOF(old, D[size]), 0 < old ≤ size. */
export function consistencySteps(old: number, size: number): ProofStep[] {
	const steps: ProofStep[] = [];
	let [start, end, whole] = [0, size, true];
	while (old !== end) {
		const middle = start + splitOf(end - start);
		if (old <= middle) {
			steps.push(subtreesOf(middle, end));
			end = middle;
		} else {
			steps.push(subtreesOf(start, middle));
			start = middle;
			whole = false;
		}
	}
	if (!whole) steps.push(subtreesOf(start, end));
	return steps.reverse();
}

/** The largest power of two below `leaves` (at least 2). */
function splitOf(leaves: number): number {
	let split = 1;
	while (split * 2 < leaves) split *= 2;
	return split;
}

/** The hash of a step, its subtrees looked up. */
export function stepHash(step: ProofStep, hashOf: (name: NodeName) => Buffer): Buffer {
	return step.map(hashOf).reduceRight((right, left) => nodeHash(left, right));
}

/** Whether the proof shows this leaf at `index` in the tree of `size` leaves with this root. */
export function verifyInclusion(
	leaf: Buffer,
	index: number,
	size: number,
	proof: readonly Buffer[],
	root: Buffer,
): boolean {
	if (!isCount(index) || !isCount(size) || index >= size || !areHashes(proof)) return false;
	// RFC 9162 §2.1.3.2: walks up from the leaf; `last` is the rightmost node's position at each level.
	let [at, last, hash] = [index, size - 1, leaf];
	for (const other of proof) {
		if (last === 0) return false;
		if (at % 2 === 1 || at === last) {
			hash = nodeHash(other, hash);
			while (at % 2 === 0 && at !== 0) [at, last] = [at / 2, half(last)];
		} else hash = nodeHash(hash, other);
		[at, last] = [half(at), half(last)];
	}
	return last === 0 && hash.equals(root);
}

/** Whether the proof shows that the tree of `old` leaves is the beginning of the one of `size` leaves. */
export function verifyConsistency(
	old: { readonly size: number; readonly root: Buffer },
	now: { readonly size: number; readonly root: Buffer },
	proof: readonly Buffer[],
): boolean {
	if (!isCount(old.size) || !isCount(now.size) || old.size > now.size || !areHashes(proof))
		return false;
	if (old.size === now.size) return proof.length === 0 && old.root.equals(now.root);
	if (old.size === 0) return proof.length === 0 && old.root.equals(rootOf(emptyEdge));
	// RFC 9162 §2.1.4.2. When `old` is a whole subtree of the new tree its root is not in the proof.
	const isPower = 2 ** Math.round(Math.log2(old.size)) === old.size;
	const path = isPower ? [old.root, ...proof] : proof;
	let [at, last] = [old.size - 1, now.size - 1];
	while (at % 2 === 1) [at, last] = [half(at), half(last)];
	const [first, ...rest] = path;
	if (first === undefined) return false;
	let [oldHash, newHash] = [first, first];
	for (const other of rest) {
		if (last === 0) return false;
		if (at % 2 === 1 || at === last) {
			[oldHash, newHash] = [nodeHash(other, oldHash), nodeHash(other, newHash)];
			while (at % 2 === 0 && at !== 0) [at, last] = [at / 2, half(last)];
		} else newHash = nodeHash(newHash, other);
		[at, last] = [half(at), half(last)];
	}
	return last === 0 && oldHash.equals(old.root) && newHash.equals(now.root);
}

function half(number: number): number {
	return Math.floor(number / 2);
}

function isCount(number: number): boolean {
	return Number.isSafeInteger(number) && number >= 0;
}

function areHashes(proof: readonly Buffer[]): boolean {
	return proof.length <= 2 * 53 && proof.every((hash) => hash.length === hashBytes);
}
