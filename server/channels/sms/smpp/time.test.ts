import assert from "node:assert/strict";
import { test } from "node:test";
import { absoluteTime, readTime, relativeTime } from "./time.ts";

const at = (text: string): number => Date.parse(text);

test("absolute times", () => {
	const cases: readonly (readonly [string, number | undefined])[] = [
		["260731120000000+", at("2026-07-31T12:00:00Z")],
		["260731173000022+", at("2026-07-31T12:00:00Z")],
		["260731070000020-", at("2026-07-31T12:00:00Z")],
		["240229235959900+", at("2024-02-29T23:59:59.900Z")],
		["991231235959000+", at("1999-12-31T23:59:59Z")],
		["371231235959048+", at("2037-12-31T11:59:59Z")],
		["250229000000000+", undefined],
		["260431000000000+", undefined],
		["261301000000000+", undefined],
		["260001000000000+", undefined],
		["260731240000000+", undefined],
		["260731126000000+", undefined],
		["260731120060000+", undefined],
		["260731120000049+", undefined],
		["260731120000000", undefined],
		["260731120000000Z", undefined],
		["26073112000000 +", undefined],
		["260731120000000+\n", undefined],
		["", undefined],
	];
	for (const [text, atMs] of cases)
		assert.deepEqual(
			readTime(text),
			atMs === undefined ? undefined : { kind: "absolute", atMs },
			text,
		);
});

test("relative times", () => {
	const cases: readonly (readonly [string, number | undefined])[] = [
		["000002000000000R", 2 * 86_400_000],
		["000000000001000R", 1000],
		["000000010203500R", 3_723_500],
		["010100000000000R", 395 * 86_400_000],
		["991332256199999R", undefined],
		["000032000000000R", undefined],
		["000000240000000R", undefined],
	];
	for (const [text, afterMs] of cases)
		assert.deepEqual(
			readTime(text),
			afterMs === undefined ? undefined : { kind: "relative", afterMs },
			text,
		);
});

test("what is written is read back", () => {
	for (const ms of [
		1000,
		59_000,
		60_000,
		3_599_000,
		86_399_000,
		86_400_000,
		259_200_000,
		31 * 86_400_000,
	])
		assert.deepEqual(readTime(relativeTime(ms)), { kind: "relative", afterMs: ms });
	assert.equal(relativeTime(0), "000000000001000R");
	assert.equal(relativeTime(-5), "000000000001000R");
	assert.equal(relativeTime(1001), "000000000002000R");
	assert.equal(relativeTime(90 * 86_400_000), "000031000000000R");
	for (const text of [
		"2026-07-31T12:34:56.700Z",
		"2037-01-01T00:00:00Z",
		"2000-02-29T23:59:59.900Z",
	])
		assert.deepEqual(readTime(absoluteTime(at(text))), { kind: "absolute", atMs: at(text) });
	assert.equal(absoluteTime(at("2026-07-31T12:34:56.789Z")), "260731123456700+");
});
