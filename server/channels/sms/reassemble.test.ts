import assert from "node:assert/strict";
import { test } from "node:test";
import {
	createCollector,
	type InboundPart,
	join,
	judgePart,
	referenceNumber,
	setKey,
} from "./reassemble.ts";

const part = (
	number: number,
	total: number,
	text: string,
	reference = 7,
	wide = false,
): InboundPart => ({
	concatenation: { wide, reference, total, part: number },
	text,
});

const joins: [name: string, parts: InboundPart[], expected: object][] = [
	["in order", [part(1, 2, "a"), part(2, 2, "b")], { kind: "whole", text: "ab", duplicates: 0 }],
	[
		"out of order",
		[part(3, 3, "c"), part(1, 3, "a"), part(2, 3, "b")],
		{ kind: "whole", text: "abc", duplicates: 0 },
	],
	[
		"one missing",
		[part(3, 3, "c"), part(1, 3, "a")],
		{ kind: "waiting", missing: [2], duplicates: 0 },
	],
	[
		"a duplicate",
		[part(1, 2, "a"), part(1, 2, "a"), part(2, 2, "b")],
		{ kind: "whole", text: "ab", duplicates: 1 },
	],
	[
		"a duplicate is not the missing part",
		[part(1, 2, "a"), part(1, 2, "a")],
		{ kind: "waiting", missing: [2], duplicates: 1 },
	],
	["one number, two texts", [part(1, 2, "a"), part(1, 2, "x")], { kind: "conflict", part: 1 }],
	["part 0", [part(0, 2, "a")], { kind: "inconsistent", why: "not_a_part" }],
	["part above total", [part(5, 3, "a")], { kind: "inconsistent", why: "not_a_part" }],
	["total 0", [part(0, 0, "a")], { kind: "inconsistent", why: "not_a_part" }],
	["total above 255", [part(1, 256, "a")], { kind: "inconsistent", why: "not_a_part" }],
	[
		"totals differ",
		[part(1, 2, "a"), part(2, 3, "b")],
		{ kind: "inconsistent", why: "totals_differ" },
	],
	["nothing", [], { kind: "waiting", missing: [], duplicates: 0 }],
	["one of one", [part(1, 1, "a")], { kind: "whole", text: "a", duplicates: 0 }],
	[
		"an empty part is a part",
		[part(1, 2, ""), part(2, 2, "b")],
		{ kind: "whole", text: "b", duplicates: 0 },
	],
	[
		"a flood",
		Array.from({ length: 2000 }, () => part(1, 2, "a")),
		{ kind: "inconsistent", why: "too_many" },
	],
	[
		"an absurd total allocates nothing",
		[part(1, 2 ** 32, "a")],
		{ kind: "inconsistent", why: "not_a_part" },
	],
];
for (const [name, parts, expected] of joins)
	test(`join: ${name}`, () => assert.deepEqual(join(parts), expected));

test("255 parts in reverse are one text", () => {
	const parts = Array.from({ length: 255 }, (_, i) => part(255 - i, 255, `${255 - i},`));
	const got = join(parts);
	assert.ok(got.kind === "whole" && got.text.startsWith("1,2,3,") && got.text.endsWith("255,"));
});

test("a surrogate pair cut between parts joins again", () => {
	const got = join([part(1, 2, "\ud83d"), part(2, 2, "\ude42")]);
	assert.deepEqual(got, { kind: "whole", text: "🙂", duplicates: 0 });
});

test("keys differ when any of their parts does, and cannot be forged", () => {
	const keys = [
		setKey("+9198", "WAX", part(1, 2, "").concatenation),
		setKey("+9198", "WAY", part(1, 2, "").concatenation),
		setKey("+9197", "WAX", part(1, 2, "").concatenation),
		setKey("+9198", "WAX", part(1, 3, "").concatenation),
		setKey("+9198", "WAX", part(1, 2, "", 8).concatenation),
		setKey("+9198", "WAX", part(1, 2, "", 7, true).concatenation),
		setKey("+9198W", "AX", part(1, 2, "").concatenation),
		setKey("+91983:WAX", "", part(1, 2, "").concatenation),
	];
	assert.equal(new Set(keys).size, keys.length);
	assert.equal(
		setKey("a", "b", part(1, 2, "").concatenation),
		setKey("a", "b", part(2, 2, "").concatenation),
	);
	assert.equal(judgePart(part(2, 2, "").concatenation), "part");
	assert.deepEqual(
		[
			referenceNumber(part(1, 2, "", 7).concatenation),
			referenceNumber(part(1, 2, "", 7, true).concatenation),
		],
		[7, 0x10007],
	);
});

test("the collector: duplicates, conflicts, age and bound", () => {
	const collector = createCollector({ setsMax: 2, lifetimeMs: 1000 });
	const add = (p: InboundPart, nowMs: number, from = "p"): object =>
		collector.add(from, "s", p, nowMs);
	assert.deepEqual(add(part(2, 3, "b"), 0), { kind: "waiting", missing: 2 });
	assert.deepEqual(add(part(2, 3, "b"), 1), { kind: "duplicate" });
	assert.deepEqual(add(part(1, 3, "a"), 2), { kind: "waiting", missing: 1 });
	assert.deepEqual(add(part(2, 3, "x"), 3), { kind: "restarted", missing: 2 });
	assert.deepEqual(add(part(4, 3, "x"), 3), { kind: "not_a_part" });
	assert.deepEqual(add(part(1, 1, "solo"), 3), { kind: "whole", text: "solo" });
	assert.deepEqual(add(part(1, 2, "a"), 4, "q"), { kind: "waiting", missing: 1 });
	assert.deepEqual(add(part(1, 2, "a"), 5, "r"), { kind: "waiting", missing: 1 });
	assert.equal(collector.size(), 2, "the oldest set gave way");
	assert.deepEqual(add(part(2, 2, "b"), 6, "r"), { kind: "whole", text: "ab" });
	assert.equal(collector.expire(1003), 0);
	assert.equal(collector.expire(1004), 1);
	assert.equal(collector.size(), 0);
});
