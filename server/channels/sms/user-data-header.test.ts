import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "#platform/ids.ts";
import { buildHeader, readHeader, type UserDataHeader } from "./user-data-header.ts";

const built: [name: string, header: UserDataHeader, octets: string | undefined][] = [
	[
		"8-bit concatenation",
		{ concatenation: { wide: false, reference: 0xcc, total: 3, part: 2 } },
		"050003cc0302",
	],
	[
		"16-bit concatenation",
		{ concatenation: { wide: true, reference: 0xabcd, total: 255, part: 255 } },
		"060804abcdffff",
	],
	["ports", { ports: { destination: 2948, source: 9200 } }, "0605040b8423f0"],
	["both shifts", { shift: { single: 6, locking: 6 } }, "06240106250106"],
	[
		"8-bit and one shift",
		{ concatenation: { wide: false, reference: 1, total: 2, part: 1 }, shift: { single: 1 } },
		"080003010201240101",
	],
	["the default language needs no element", { shift: { single: 0 } }, "00"],
	[
		"reference too wide",
		{ concatenation: { wide: false, reference: 256, total: 2, part: 1 } },
		undefined,
	],
	["part 0", { concatenation: { wide: true, reference: 1, total: 2, part: 0 } }, undefined],
	[
		"part above total",
		{ concatenation: { wide: true, reference: 1, total: 2, part: 3 } },
		undefined,
	],
	[
		"total above 255",
		{ concatenation: { wide: true, reference: 1, total: 256, part: 1 } },
		undefined,
	],
	[
		"not a number",
		{ concatenation: { wide: true, reference: Number.NaN, total: 2, part: 1 } },
		undefined,
	],
	["port too high", { ports: { destination: 65536, source: 0 } }, undefined],
	["language too high", { shift: { locking: 300 } }, undefined],
];
for (const [name, header, octets] of built)
	test(`build: ${name}`, () => {
		const got = buildHeader(header);
		assert.equal(got?.toString("hex"), octets);
		if (got === undefined || name.includes("default language")) return;
		const read = readHeader(Buffer.concat([got, Buffer.from("text")]));
		assert.deepEqual(read, { ok: true, header, octets: got.length });
	});

const read: [name: string, octets: string, expected: object][] = [
	["nothing", "", { ok: false, why: "empty" }],
	["empty header", "0041", { ok: true, header: {}, octets: 1 }],
	["longer than the body", "0500", { ok: false, why: "header_past_end" }],
	["longer than any user data", `8c${"00".repeat(200)}`, { ok: false, why: "header_past_end" }],
	["identifier without length", "0100", { ok: false, why: "element_past_end" }],
	["element past the header", "0300030141", { ok: false, why: "element_past_end" }],
	[
		"element past the header, inside the body",
		"040003010203",
		{ ok: false, why: "element_past_end" },
	],
	[
		"unknown element is passed over",
		"0870010900030a0201",
		{
			ok: true,
			header: { concatenation: { wide: false, reference: 10, total: 2, part: 1 } },
			octets: 9,
		},
	],
	["wrong length is passed over", "0400020a02", { ok: true, header: {}, octets: 5 }],
	[
		"the last of two counts",
		"0a00030a02010003140302",
		{
			ok: true,
			header: { concatenation: { wide: false, reference: 20, total: 3, part: 2 } },
			octets: 11,
		},
	],
	[
		"8-bit ports",
		"0404020102",
		{ ok: true, header: { ports: { destination: 1, source: 2 } }, octets: 5 },
	],
	[
		"part 0 is passed on",
		"0500030a0200",
		{
			ok: true,
			header: { concatenation: { wide: false, reference: 10, total: 2, part: 0 } },
			octets: 6,
		},
	],
];
for (const [name, octets, expected] of read)
	test(`read: ${name}`, () => assert.deepEqual(readHeader(Buffer.from(octets, "hex")), expected));

test("no octets make reading throw or go past its end", () => {
	const random = seededRandom(11);
	for (let run = 0; run < 50_000; run++) {
		const octets = random.bytes(Math.floor(random.fraction() * 24));
		if (octets.length > 0 && run % 2 === 0) octets[0] = octets.length - 1;
		const got = readHeader(octets);
		if (got.ok) assert.ok(got.octets <= octets.length);
	}
});
