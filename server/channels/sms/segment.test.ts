import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeSeptets, encodeSeptets } from "./alphabet.ts";
import { type SegmentOptions, segment, unitsBeside } from "./segment.ts";

const units = (encoding: string, part: Buffer): number =>
	encoding === "UCS2" ? part.length / 2 : part.length;

interface Case {
	name: string;
	text: string;
	options?: SegmentOptions;
	encoding: "GSM_7BIT" | "UCS2";
	characters: number;
	parts: number[];
}
const narrow: SegmentOptions = { reference: "8-bit" };
const a = (count: number): string => "a".repeat(count);
const family = "👨‍👩‍👧‍👦"; // eleven UTF-16 units, one grapheme

const cases: Case[] = [
	{ name: "empty", text: "", encoding: "GSM_7BIT", characters: 0, parts: [0] },
	{ name: "160", text: a(160), encoding: "GSM_7BIT", characters: 160, parts: [160] },
	{ name: "161", text: a(161), encoding: "GSM_7BIT", characters: 161, parts: [152, 9] },
	{
		name: "161, 8-bit",
		text: a(161),
		options: narrow,
		encoding: "GSM_7BIT",
		characters: 161,
		parts: [153, 8],
	},
	{ name: "304", text: a(304), encoding: "GSM_7BIT", characters: 304, parts: [152, 152] },
	{ name: "305", text: a(305), encoding: "GSM_7BIT", characters: 305, parts: [152, 152, 1] },
	{
		name: "ten full segments",
		text: a(1520),
		encoding: "GSM_7BIT",
		characters: 1520,
		parts: Array(10).fill(152),
	},
	{
		name: "159 and an escaped character",
		text: `${a(159)}€`,
		encoding: "GSM_7BIT",
		characters: 161,
		parts: [152, 9],
	},
	{
		name: "158 and an escaped character",
		text: `${a(158)}€`,
		encoding: "GSM_7BIT",
		characters: 160,
		parts: [160],
	},
	{
		name: "escape pair at the cut",
		text: `${a(151)}€${a(20)}`,
		encoding: "GSM_7BIT",
		characters: 173,
		parts: [151, 22],
	},
	{
		name: "escape pair before the cut",
		text: `${a(150)}€${a(20)}`,
		encoding: "GSM_7BIT",
		characters: 172,
		parts: [152, 20],
	},
	{
		name: "escape pair at the 8-bit cut",
		text: `${a(152)}{${a(20)}`,
		options: narrow,
		encoding: "GSM_7BIT",
		characters: 174,
		parts: [152, 22],
	},
	{
		name: "only escape pairs",
		text: "€".repeat(100),
		encoding: "GSM_7BIT",
		characters: 200,
		parts: [152, 48],
	},
	{
		name: "only escape pairs, odd room",
		text: "€".repeat(100),
		options: narrow,
		encoding: "GSM_7BIT",
		characters: 200,
		parts: [152, 48],
	},
	{
		name: "CR LF at the cut",
		text: `${a(151)}\r\n${a(20)}`,
		encoding: "GSM_7BIT",
		characters: 173,
		parts: [151, 22],
	},
	{ name: "70", text: "я".repeat(70), encoding: "UCS2", characters: 70, parts: [70] },
	{ name: "71", text: "я".repeat(71), encoding: "UCS2", characters: 71, parts: [66, 5] },
	{
		name: "71, 8-bit",
		text: "я".repeat(71),
		options: narrow,
		encoding: "UCS2",
		characters: 71,
		parts: [67, 4],
	},
	{
		name: "one character turns it all",
		text: `${a(69)}ç`,
		encoding: "UCS2",
		characters: 70,
		parts: [70],
	},
	{ name: "emoji counts two", text: `${a(68)}🙂`, encoding: "UCS2", characters: 70, parts: [70] },
	{
		name: "emoji one too many",
		text: `${a(69)}🙂`,
		encoding: "UCS2",
		characters: 71,
		parts: [66, 5],
	},
	{
		name: "emoji at the cut",
		text: `${a(65)}🙂${a(10)}`,
		encoding: "UCS2",
		characters: 77,
		parts: [65, 12],
	},
	{
		name: "emoji before the cut",
		text: `${a(64)}🙂${a(10)}`,
		encoding: "UCS2",
		characters: 76,
		parts: [66, 10],
	},
	{
		name: "family at the cut",
		text: `${a(60)}${family}${a(10)}`,
		encoding: "UCS2",
		characters: 81,
		parts: [60, 21],
	},
	{
		name: "accent at the cut",
		text: `${a(65)}e\u0301${a(10)}`,
		encoding: "UCS2",
		characters: 77,
		parts: [65, 12],
	},
	{
		name: "flag at the cut",
		text: `${a(64)}🇮🇳${a(10)}`,
		encoding: "UCS2",
		characters: 78,
		parts: [64, 14],
	},
	{
		name: "flags pair up from the start",
		text: "🇮🇳".repeat(20),
		encoding: "UCS2",
		characters: 80,
		parts: [64, 16],
	},
	{
		name: "Hindi syllable at the cut",
		text: `${"क".repeat(65)}कि${"क".repeat(5)}`,
		encoding: "UCS2",
		characters: 72,
		parts: [65, 7],
	},
	{
		name: "CR LF at the cut, UCS-2",
		text: `ç${a(64)}\r\n${a(10)}`,
		encoding: "UCS2",
		characters: 77,
		parts: [65, 12],
	},
	{
		name: "a cluster longer than a segment is cut",
		text: `ç${"\u0301".repeat(100)}`,
		encoding: "UCS2",
		characters: 101,
		parts: [66, 35],
	},
	{
		name: "…but not inside a surrogate pair",
		text: `x${"\u{1F3FB}".repeat(50)}`,
		encoding: "UCS2",
		characters: 101,
		parts: [65, 36],
	},
	{
		name: "Spanish single shift, one segment",
		text: `${a(153)}ç`,
		options: { shift: { single: 2 } },
		encoding: "GSM_7BIT",
		characters: 155,
		parts: [155],
	},
	{
		name: "Spanish single shift, 8-bit reference",
		text: `${a(160)}`,
		options: { shift: { single: 2 }, reference: "8-bit" },
		encoding: "GSM_7BIT",
		characters: 160,
		parts: [149, 11],
	},
	{
		name: "Hindi both shifts",
		text: "न".repeat(152),
		options: { shift: { single: 6, locking: 6 } },
		encoding: "GSM_7BIT",
		characters: 152,
		parts: [152],
	},
	{
		name: "Hindi both shifts, more",
		text: "न".repeat(153),
		options: { shift: { single: 6, locking: 6 }, reference: "8-bit" },
		encoding: "GSM_7BIT",
		characters: 153,
		parts: [146, 7],
	},
];
for (const { name, text, options, ...expected } of cases)
	test(`segment: ${name}`, () => {
		const got = segment(text, options);
		assert.ok(got.ok);
		const sizes = got.parts.map((part) => units(got.encoding, part));
		assert.deepEqual(
			{ encoding: got.encoding, characters: got.characters, parts: sizes },
			expected,
		);
	});

const refusals: [
	name: string,
	text: string,
	options: SegmentOptions | undefined,
	expected: object,
][] = [
	[
		"11 segments, 10 allowed",
		a(1521),
		undefined,
		{ ok: false, why: "too_long", segmentsNeeded: 11, segmentsMax: 10 },
	],
	[
		"12 segments in UCS-2",
		"я".repeat(66 * 11 + 1),
		undefined,
		{ ok: false, why: "too_long", segmentsNeeded: 12, segmentsMax: 10 },
	],
	[
		"one allowed",
		a(161),
		{ segmentsMax: 1 },
		{ ok: false, why: "too_long", segmentsNeeded: 2, segmentsMax: 1 },
	],
	[
		"above 255 whatever is allowed",
		a(152 * 256),
		{ segmentsMax: 300 },
		{ ok: false, why: "too_long", segmentsNeeded: 256, segmentsMax: 300 },
	],
	["lone high surrogate", "a\ud83d", undefined, { ok: false, why: "lone_surrogate", at: 1 }],
	["lone low surrogate", "🙂\ude00x", undefined, { ok: false, why: "lone_surrogate", at: 2 }],
	[
		"two high surrogates",
		"\ud83d\ud83d\ude00",
		undefined,
		{ ok: false, why: "lone_surrogate", at: 0 },
	],
];
for (const [name, text, options, expected] of refusals)
	test(`segment refuses: ${name}`, () => assert.deepEqual(segment(text, options), expected));

test("room beside headers is the table of TS 23.040", () => {
	const room = [0, 6, 7, 4, 9, 12].map((octets) => unitsBeside("GSM_7BIT", octets));
	assert.deepEqual(room, [160, 153, 152, 155, 149, 146]);
	assert.deepEqual(
		[0, 6, 7].map((octets) => unitsBeside("UCS2", octets)),
		[70, 67, 66],
	);
});

test("a text a megabyte long costs little and needs more than 255", () => {
	for (const text of [a(1_000_000), "я".repeat(1_000_000), "e\u0301".repeat(500_000)]) {
		const got = segment(text);
		assert.ok(!got.ok && got.why === "too_long" && got.segmentsNeeded > 255);
	}
});

test("the parts together are the text, each within its room, no pair cut", () => {
	const piece = fc.constantFrom(
		"a",
		"€",
		"{",
		"\r\n",
		"я",
		"🙂",
		"e\u0301",
		family,
		"क्षि",
		"🇮🇳",
		" ",
	);
	const gsmPiece = fc.constantFrom("a", "€", "{", "\r\n", "Ç", " ", "Z");
	const texts = fc.oneof(
		fc.array(piece, { maxLength: 300 }),
		fc.array(gsmPiece, { maxLength: 900 }),
	);
	fc.assert(
		fc.property(texts, fc.boolean(), (pieces, isWide) => {
			const text = pieces.join("");
			const got = segment(text, { reference: isWide ? "16-bit" : "8-bit", segmentsMax: 255 });
			assert.ok(got.ok);
			const whole = Buffer.concat(got.parts);
			const back =
				got.encoding === "UCS2"
					? Buffer.from(whole).swap16().toString("utf16le")
					: decodeSeptets(whole);
			assert.equal(back, text);
			assert.equal(got.encoding === "GSM_7BIT", encodeSeptets(text) !== undefined);
			const room = unitsBeside(got.encoding, got.parts.length === 1 ? 0 : isWide ? 7 : 6);
			for (const part of got.parts) {
				assert.ok(units(got.encoding, part) <= room);
				if (got.encoding === "GSM_7BIT") {
					const tail = part.subarray(-2);
					assert.ok(tail.at(-1) !== 0x1b, "an escape at the end of a part");
				} else assert.ok(Buffer.from(part).swap16().toString("utf16le").isWellFormed());
			}
		}),
		{ numRuns: 400, seed: 20261 },
	);
});
