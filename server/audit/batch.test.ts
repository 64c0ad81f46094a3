import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { batchDigest, messageDigest } from "./batch.ts";
import { leafHash, nodeHash } from "./tree.ts";

const message = fc.record({
	id: fc.uuid(),
	parts: fc.array(
		fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
		{
			minLength: 1,
			maxLength: 4,
		},
	),
});
const batch = fc.uniqueArray(message, { minLength: 1, maxLength: 20, selector: ({ id }) => id });
const digestsOf = (messages: readonly { id: string; parts: Buffer[] }[]) =>
	messages.map((one) => ({ id: one.id, digest: messageDigest(one) }));

test("the digest of a batch is that of its messages in order of id", () => {
	const digest = Buffer.alloc(32, 1);
	const a = { id: "01900000-0000-7000-8000-00000000000a", digest };
	const b = { id: "01900000-0000-7000-8000-00000000000b", digest: Buffer.alloc(32, 2) };
	const root = nodeHash(leafHash(a.digest), leafHash(b.digest));
	const expected = { count: 2, first: a.id, last: b.id, root };
	assert.deepEqual(batchDigest([a, b]), expected);
	assert.deepEqual(batchDigest([b, a]), expected);
	assert.equal(batchDigest([]), undefined);
	assert.throws(() => batchDigest([a, a]), RangeError);
});

test("an edited, missing or moved part of any message changes the root", () => {
	fc.assert(
		fc.property(batch, fc.nat(), fc.nat(), (messages, which, where) => {
			const before = batchDigest(digestsOf(messages))?.root;
			const target = messages[which % messages.length] as (typeof messages)[number];
			const part = target.parts[where % target.parts.length] as Buffer;
			const others = messages.filter((one) => one !== target);
			const split = [part.subarray(0, part.length >> 1), part.subarray(part.length >> 1)];
			const changed = [
				[...target.parts, Buffer.alloc(0)],
				target.parts.flatMap((one) => (one === part ? split : [one])),
				target.parts.map((one) => (one === part ? Buffer.concat([part, Buffer.of(0)]) : one)),
			];
			for (const parts of changed) {
				const after = batchDigest(digestsOf([...others, { ...target, parts }]))?.root;
				assert.notDeepEqual(after, before);
			}
			assert.notDeepEqual(batchDigest(digestsOf(others))?.root, before);
		}),
		{ numRuns: 300 },
	);
});
