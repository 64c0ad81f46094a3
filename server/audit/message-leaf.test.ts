import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { sha256 } from "#vault/index.ts";
import { isLeafOf, messageBytes, type MessageFacts, messageLeaf } from "./message-leaf.ts";

const facts: MessageFacts = {
	tenantId: "01900000-0000-7000-8000-00000000000a",
	environment: "live",
	id: "01900000-0000-7000-8000-00000000000b",
	inbound: false,
	class: 1,
	encoding: 0,
	segments: 1,
	characters: 12,
	country: "IN",
	dltTemplateId: null,
	apiKeyId: "01900000-0000-7000-8000-00000000000c",
	createdAtMs: 1_764_200_000_000,
	scheduledAtMs: null,
	expiresAtMs: 1_764_200_060_000,
	ruleset: "abc",
	verdicts: "ppn",
	deferredUntilMs: null,
	clearUntilMs: 1_764_200_030_000,
	addressIndex: Buffer.alloc(32, 1),
	senderIndex: Buffer.alloc(32, 2),
	tagIndexes: null,
	seal: Buffer.alloc(32, 3),
	sealed: Buffer.from("sealed contents"),
};

test("the leaf is the hash of the bytes, whose form the guide describes", () => {
	assert.deepEqual(messageLeaf(facts), sha256(messageBytes(facts)));
	const bytes = messageBytes(facts);
	const end = bytes.indexOf("\n\n\x00\x00\x00\x20") + 2;
	assert.equal(
		bytes.subarray(0, end).toString(),
		`\0waxwing message 1\n${facts.tenantId}\nlive\n${facts.id}\noutbound\n1\n0\n1\n12\nIN\n\n=${facts.apiKeyId}\n1764200000000000\n\n1764200060000000\n=abc\n=ppn\n\n1764200030000000\n\n`,
	);
	const octets = (part: Buffer | null): Buffer => {
		const length = Buffer.alloc(4);
		length.writeUInt32BE(part?.length ?? 0xffff_ffff);
		return Buffer.concat([length, part ?? Buffer.alloc(0)]);
	};
	const { addressIndex, senderIndex, tagIndexes, seal, sealed } = facts;
	const parts = [addressIndex, senderIndex, tagIndexes, seal, sealed].map(octets);
	assert.deepEqual(bytes.subarray(end), Buffer.concat(parts));
});

/** Another value of the same column: what a superuser could write there. */
const other = (value: unknown): unknown[] => {
	if (value === null) return ["", "null", 0, Buffer.alloc(0), Buffer.alloc(1)];
	if (typeof value === "boolean") return [!value];
	if (typeof value === "number") return [value + 1, value + 0.001, -value - 1];
	if (Buffer.isBuffer(value))
		return [Buffer.alloc(0), Buffer.concat([value, Buffer.of(0)]), value.subarray(1)];
	return [`${String(value)}\n`, `${String(value)} `, String(value).slice(1), ""];
};
const octetColumns: readonly string[] = [
	"addressIndex",
	"senderIndex",
	"tagIndexes",
	"seal",
	"sealed",
];
const textColumns: readonly string[] = ["dltTemplateId", "apiKeyId", "ruleset", "verdicts"];
const nullable = new Set([...textColumns, "tagIndexes", "seal", "scheduledAtMs", "clearUntilMs"]);

test("another value in any column is another leaf; so is a missing one", () => {
	const leaf = messageLeaf(facts);
	let changes = 0;
	for (const [column, value] of Object.entries(facts)) {
		const isOctets = octetColumns.includes(column);
		const isText = textColumns.includes(column);
		const fits = (one: unknown): boolean =>
			value !== null ||
			(isOctets
				? Buffer.isBuffer(one)
				: isText
					? typeof one === "string"
					: typeof one === "number");
		const values = other(value).filter(fits);
		if (value !== null && nullable.has(column)) values.push(null);
		assert.ok(values.length > 0, column);
		for (const one of values) {
			const changed = { ...facts, [column]: one } as MessageFacts;
			assert.notDeepEqual(messageLeaf(changed), leaf, `${column}: ${String(one)}`);
			changes++;
		}
	}
	assert.ok(changes > 60);
	assert.equal(isLeafOf(facts, leaf), true);
	assert.equal(isLeafOf({ ...facts, country: null } as unknown as MessageFacts, leaf), false);
});

test("contents of any length are hashed whole", () => {
	fc.assert(
		fc.property(fc.integer({ min: 0, max: 70_000 }), fc.nat(), (length, where) => {
			const sealed = Buffer.alloc(length, 7);
			const one = { ...facts, sealed };
			const leaf = messageLeaf(one);
			assert.deepEqual(leaf, sha256(messageBytes(one)));
			if (length === 0) return;
			sealed[where % length] = 8;
			assert.notDeepEqual(messageLeaf(one), leaf);
		}),
		{ numRuns: 200 },
	);
});
