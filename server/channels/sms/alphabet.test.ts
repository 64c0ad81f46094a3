import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { seededRandom } from "#platform/ids.ts";
import {
	decodeSeptets,
	encoderFor,
	encodeSeptets,
	escapedBit,
	nationalLanguages,
	noCode,
	packSeptets,
	type Shift,
	unpackSeptets,
} from "./alphabet.ts";

// The npm package `smpp` keeps tables of its own: somebody else's reading of the specification.
const peer = createRequire(import.meta.url)("smpp/lib/defs").gsmCoder as {
	encode(text: string, table: number): Buffer;
	decode(septets: Buffer, table: number): string;
};

const hex = (octets: Uint8Array | undefined): string | undefined =>
	octets === undefined ? undefined : Buffer.from(octets).toString("hex").toUpperCase();

const encoded: [name: string, text: string, septets: string | undefined, shift?: Shift][] = [
	["letters", "Hi", "4869"],
	["at is zero", "@", "00"],
	["dollar and pound", "$£", "0201"],
	["euro is two", "€", "1B65"],
	["braces", "{}[]~|\\^\f", "1B281B291B3C1B3E1B3D1B401B2F1B141B0A"],
	["capital cedilla is in", "Ç", "09"],
	["small cedilla is not", "ç", undefined],
	["backtick is not", "`", undefined],
	["typographic quotes are not", "’", undefined],
	["a raw escape is not", "\u001b", undefined],
	["NUL is not", "\0", undefined],
	["emoji is not", "🙂", undefined],
	["empty", "", ""],
	["small cedilla in Spanish", "ç", "1B09", { single: 2 }],
	["Turkish locking", "ışğ", "071D0C", { locking: 1 }],
	["Hindi locking", "नम,", "2F422C", { locking: 6 }],
	["Spanish has no locking table", "a", undefined, { locking: 2 }],
	["no such language", "a", undefined, { single: 14 }],
];
for (const [name, text, septets, shift] of encoded)
	test(`encode: ${name}`, () => assert.equal(hex(encodeSeptets(text, shift)), septets));

const decoded: [name: string, septets: string, text: string, shift?: Shift][] = [
	["letters", "4869", "Hi"],
	["escape pair", "1B65", "€"],
	["unassigned escape shows the base character", "1B41", "A"],
	["two escapes are a space", "1B1B41", " A"],
	["a lonely escape at the end is a space", "411B", "A "],
	["octets above 127", "80FF41", "\ufffd\ufffdA"],
	["Turkish single shift", "1B47", "Ğ", { single: 1 }],
	["unassigned in the language, base of the locking table", "1B70", "p", { single: 6, locking: 6 }],
	["unassigned septet", "0C", "\ufffd", { locking: 7 }],
	["an unknown language reads as the default", "1B65", "€", { single: 99, locking: 99 }],
];
for (const [name, septets, text, shift] of decoded)
	test(`decode: ${name}`, () =>
		assert.equal(decodeSeptets(Buffer.from(septets, "hex"), shift), text));

test("every character of every table comes back, from the lowest code", () => {
	const shifts: Shift[] = [{}];
	for (const { id, locking } of nationalLanguages) {
		shifts.push({ single: id });
		if (locking) shifts.push({ locking: id }, { locking: id, single: id });
	}
	assert.equal(shifts.length, 1 + 13 + 12 * 2);
	for (const shift of shifts) {
		const codes = encoderFor(shift) as Uint8Array;
		let characters = 0;
		for (let unit = 0; unit < 0x10000; unit++) {
			if (codes[unit] === noCode) continue;
			characters++;
			const text = String.fromCharCode(unit);
			const septets = encodeSeptets(text, shift) as Buffer;
			assert.equal(decodeSeptets(septets, shift), text);
			assert.equal(septets.length, (codes[unit] as number) & escapedBit ? 2 : 1);
			// ESC + 0x7F would be the value that stands for "none".
			assert.notDeepEqual([...septets], [0x1b, 0x7f]);
		}
		assert.ok(characters >= 100, JSON.stringify(shift));
	}
	assert.equal(
		(encoderFor() as Uint8Array).filter((code) => code !== noCode).length,
		127 + 10,
		"127 characters and the 10 of the extension",
	);
});

test("digits of the Indic and Urdu tables stand in order after the escape", () => {
	for (let id = 4; id <= 13; id++) {
		// Bengali's 0 and 1 stand before ESC and after it, like everyone's.
		const from2 = Array.from({ length: 8 }, (_, digit) =>
			decodeSeptets(Buffer.from([0x1b, 0x1c + digit]), { single: id, locking: id }),
		);
		const first = (from2[0] as string).charCodeAt(0);
		assert.deepEqual(
			from2.map((digit) => digit.charCodeAt(0) - first),
			[0, 1, 2, 3, 4, 5, 6, 7],
			`language ${id}`,
		);
		assert.equal(decodeSeptets(Buffer.from([0x2c]), { locking: id }), ",", `comma of ${id}`);
	}
});

test("the default alphabet agrees with npm smpp, both ways", () => {
	const codes = encoderFor() as Uint8Array;
	for (let unit = 0; unit < 0x10000; unit++) {
		if (codes[unit] === noCode) continue;
		const text = String.fromCharCode(unit);
		assert.equal(hex(encodeSeptets(text)), hex(peer.encode(text, 0)), `U+${unit.toString(16)}`);
	}
	for (let code = 0; code < 128; code++) {
		if (code === 0x1b) continue;
		assert.equal(decodeSeptets(Buffer.from([code])), peer.decode(Buffer.from([code]), 0));
	}
});

const packed: [text: string, fillBits: number, octets: string][] = [
	["hellohello", 0, "E8329BFD4697D9EC37"],
	["hellohello", 1, "D06536FB8D2EB3D96F"],
	["", 0, ""],
	["a", 0, "61"],
	["12345678", 0, "31D98C56B3DD70"],
];
for (const [text, fillBits, octets] of packed)
	test(`pack ${JSON.stringify(text)} with ${fillBits} fill bits`, () => {
		const septets = encodeSeptets(text) as Buffer;
		assert.equal(hex(packSeptets(septets, fillBits)), octets);
		const back = unpackSeptets(Buffer.from(octets, "hex"), septets.length, fillBits);
		assert.deepEqual(back, septets);
	});

test("packing comes back for every length and fill", () => {
	const random = seededRandom(7);
	for (let length = 0; length < 200; length++) {
		const septets = Buffer.from(random.bytes(length).map((octet) => octet & 0x7f));
		for (let fillBits = 0; fillBits < 7; fillBits++)
			assert.deepEqual(unpackSeptets(packSeptets(septets, fillBits), length, fillBits), septets);
	}
	assert.equal(unpackSeptets(Buffer.alloc(2), 100).length, 2, "never more than the octets hold");
});
