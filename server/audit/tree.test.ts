import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "#platform/ids.ts";
import { sha256 } from "#vault/index.ts";
import {
	append,
	consistencySteps,
	emptyEdge,
	inclusionSteps,
	leafHash,
	type Node,
	nodeHash,
	type NodeName,
	rootOf,
	stepHash,
	verifyConsistency,
	verifyInclusion,
} from "./tree.ts";

/** The eight leaves that implementations of RFC 6962 test with, and the first and last bytes of each root. */
const sixteen = Array.from({ length: 16 }, (_, i) => (0x60 + i).toString(16)).join("");
const referenceLeaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", sixteen];
const referenceRoots = [
	"e3b0c442…b855",
	"6e340b9c…a01d",
	"fac54203…c125",
	"aeb6bcfe…6e77",
	"d37ee418…14b7",
	"4e3bbb1f…64d4",
	"76e67dad…87ef",
	"ddb89be4…4c8c",
	"5dc9da79…4328",
];

test("the eight-leaf reference roots", () => {
	let edge = emptyEdge;
	for (const [size, expected] of referenceRoots.entries()) {
		const root = rootOf(edge).toString("hex");
		assert.equal(`${root.slice(0, 8)}…${root.slice(-4)}`, expected, `size ${size}`);
		edge = append(edge, [leafHash(Buffer.from(referenceLeaves[size] ?? "", "hex"))]);
	}
});

/** RFC 6962 §2.1 as it is written there, to compare with. */
function plainRoot(leaves: readonly Buffer[]): Buffer {
	if (leaves.length === 0) return sha256("");
	if (leaves.length === 1) return leaves[0] as Buffer;
	let split = 1;
	while (split * 2 < leaves.length) split *= 2;
	return nodeHash(plainRoot(leaves.slice(0, split)), plainRoot(leaves.slice(split)));
}

const sizeMax = 64;
const leaves = Array.from({ length: sizeMax }, (_, i) => leafHash(Buffer.from([i])));
const made: Node[] = [];
append(emptyEdge, leaves, made);
const nodes = new Map(made.map((node) => [`${node.level}/${node.position}`, node.hash]));
const hashOf = ({ level, position }: NodeName): Buffer => {
	const hash = nodes.get(`${level}/${position}`);
	assert.ok(hash !== undefined, `no node ${level}/${position}`);
	return hash;
};
const roots = Array.from({ length: sizeMax + 1 }, (_, size) => plainRoot(leaves.slice(0, size)));
const inclusion = (index: number, size: number): Buffer[] =>
	inclusionSteps(index, size).map((step) => stepHash(step, hashOf));
const consistency = (old: number, size: number): Buffer[] =>
	consistencySteps(old, size).map((step) => stepHash(step, hashOf));
const head = (size: number) => ({ size, root: roots[size] as Buffer });

test("the root is RFC 6962's for every size, however the leaves were added", () => {
	for (let size = 0; size <= sizeMax; size++) {
		const whole = append(emptyEdge, leaves.slice(0, size));
		for (const cut of [0, 1, size >> 1, Math.max(0, size - 1)]) {
			const first = append(emptyEdge, leaves.slice(0, Math.min(cut, size)));
			assert.deepEqual(append(first, leaves.slice(Math.min(cut, size), size)), whole);
		}
		assert.deepEqual(rootOf(whole), roots[size], `size ${size}`);
	}
});

test("every inclusion and consistency proof up to 64 leaves verifies, and in no other place", () => {
	for (let size = 1; size <= sizeMax; size++)
		for (let index = 0; index < size; index++) {
			const proof = inclusion(index, size);
			const leaf = leaves[index] as Buffer;
			assert.ok(verifyInclusion(leaf, index, size, proof, head(size).root), `${index}/${size}`);
			for (const other of [index - 1, index + 1, size, 2 * size])
				assert.equal(verifyInclusion(leaf, other, size, proof, head(size).root), false);
		}
	for (let size = 0; size <= sizeMax; size++)
		for (let old = 0; old <= size; old++) {
			const proof = old === 0 ? [] : consistency(old, size);
			assert.ok(verifyConsistency(head(old), head(size), proof), `${old} → ${size}`);
			if (old > 0 && old < size)
				assert.equal(
					verifyConsistency(head(old - 1), head(size), proof),
					false,
					`${old} → ${size}`,
				);
		}
});

/** Changes one thing about a proof; whatever it is, the proof is another one afterwards. */
function mutate(proof: readonly Buffer[], random: ReturnType<typeof seededRandom>): Buffer[] {
	const copy: Buffer[] = proof.map((hash) => Buffer.from(hash));
	const pick = Math.floor(random.fraction() * copy.length);
	const chosen = copy[pick];
	const kind = Math.floor(random.fraction() * 5);
	if (chosen === undefined || kind === 0) copy.splice(pick, 0, random.bytes(32));
	else if (kind === 1) copy.splice(pick, 1);
	else if (kind === 2 && pick + 1 < copy.length)
		copy.splice(pick, 2, copy[pick + 1] as Buffer, chosen);
	else if (kind === 3) copy[pick] = chosen.subarray(0, 31);
	else {
		const at = Math.floor(random.fraction() * 32);
		chosen[at] = (chosen[at] as number) ^ (1 << Math.floor(random.fraction() * 8));
	}
	return copy;
}

test("of 10,000 mutated proofs none is accepted", () => {
	const random = seededRandom(6962);
	const below = (n: number): number => Math.floor(random.fraction() * n);
	let accepted = 0;
	for (let n = 0; n < 10_000; n++) {
		const size = 2 + below(sizeMax - 1);
		if (n % 2 === 0) {
			const index = below(size);
			const proof = mutate(inclusion(index, size), random);
			if (verifyInclusion(leaves[index] as Buffer, index, size, proof, head(size).root)) accepted++;
		} else {
			const old = 1 + below(size - 1);
			const proof = mutate(consistency(old, size), random);
			if (verifyConsistency(head(old), head(size), proof)) accepted++;
		}
	}
	assert.equal(accepted, 0);
});

test("numbers that are no sizes are refused", () => {
	const leaf = leaves[0] as Buffer;
	for (const [index, size] of [
		[-1, 1],
		[0.5, 1],
		[0, 0],
		[Number.NaN, 1],
		[0, 2 ** 60],
	] as const)
		assert.equal(verifyInclusion(leaf, index, size, [], leaf), false, `${index}/${size}`);
	assert.equal(verifyConsistency(head(2), head(1), []), false);
	assert.equal(verifyConsistency({ size: -1, root: leaf }, head(1), []), false);
});
