import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { sha256 } from "#vault/index.ts";
import { followPath, widePath, wideRoot } from "./wide-tree.ts";

const hashes = (count: number): Buffer =>
	Buffer.concat(Array.from({ length: count }, (_, n) => sha256(`hash ${n}`)));
const at = (all: Buffer, n: number): Buffer => all.subarray(n * 32, (n + 1) * 32);
const node = (...children: Buffer[]): Buffer => sha256(Buffer.concat([Buffer.of(1), ...children]));

test("the root of one hash is that hash; up to 32 are one node; more are runs of 32, from the left", () => {
	assert.deepEqual(wideRoot(hashes(1)), hashes(1));
	assert.deepEqual(wideRoot(hashes(2)), node(hashes(2)));
	assert.deepEqual(wideRoot(hashes(32)), node(hashes(32)));
	const all = hashes(70);
	const runs = [all.subarray(0, 1024), all.subarray(1024, 2048), all.subarray(2048)];
	assert.deepEqual(wideRoot(all), node(...runs.map((run) => node(run))));
	assert.throws(() => wideRoot(Buffer.alloc(0)), RangeError);
	assert.throws(() => wideRoot(Buffer.alloc(33)), RangeError);
});

test("every hash's path leads to the root, and no other hash's does", () => {
	for (const count of [1, 2, 31, 32, 33, 64, 1_000, 1_025]) {
		const all = hashes(count);
		const root = wideRoot(all);
		for (const n of new Set([0, 1, 31, 32, count >> 1, count - 1].filter((n) => n < count))) {
			const path = widePath(all, n);
			assert.deepEqual(followPath(at(all, n), path), root, `${n} of ${count}`);
			if (count > 1) assert.equal(followPath(sha256("another"), path), undefined);
		}
		assert.throws(() => widePath(all, count), RangeError);
	}
});

test("a path with any bit flipped, or its position moved, does not lead to the root", () => {
	const all = hashes(100);
	const root = wideRoot(all);
	fc.assert(
		fc.property(fc.nat(99), fc.nat(), fc.integer({ min: 1, max: 31 }), (n, bit, by) => {
			const path = widePath(all, n);
			const step = bit % path.length;
			const changed = path.map((one) => ({ ...one, hashes: Buffer.from(one.hashes) }));
			const { hashes: octets } = changed[step] as { hashes: Buffer };
			const where = bit % octets.length;
			octets[where] = (octets[where] as number) ^ (1 << (bit % 8));
			assert.notDeepEqual(followPath(at(all, n), changed), root);
			const moved = path.map((one, i) =>
				i === step ? { ...one, position: (one.position + by) % 32 } : one,
			);
			assert.equal(followPath(at(all, n), moved), undefined);
		}),
		{ numRuns: 300 },
	);
});
