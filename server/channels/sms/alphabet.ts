/**
 * The GSM 7 bit alphabet and its national language tables: text to septets and back, one septet per
 * octet, and the packed form of the air interface. What the alphabet does not hold is never replaced
 * by something that looks like it: such a text is not GSM text, and the caller sends UCS-2.
 * 3GPP TS 23.038 §6.1.2, §6.2.1 and Annex A; the tables are alphabet-tables.json.
 */
import data from "./alphabet-tables.json" with { type: "json" };

export const escapeSeptet = 0x1b;

/** Numbers of national languages (3GPP TS 23.040 §9.2.3.24.15); 0 or absent is the default alphabet. */
export interface Shift {
	readonly locking?: number;
	readonly single?: number;
}

interface Language {
	readonly id: number;
	readonly name: string;
	/** Code unit of each septet; `unassigned` where there is none. */
	readonly locking: Uint16Array;
	readonly single: Uint16Array;
	readonly hasLocking: boolean;
}

// The tables hold no surrogates and no U+FFFF, so one code unit says it all.
const unassigned = 0xffff;
const replacement = "\ufffd";

function readTable(rows: readonly string[]): Uint16Array {
	const fields = rows.join(" ").split(" ");
	return Uint16Array.from(fields, (field) =>
		/^[0-9A-F]{4}$/.test(field) ? Number.parseInt(field, 16) : unassigned,
	);
}

const defaultRows = data.languages[0]?.lockingShift ?? [];

const languages: readonly Language[] = data.languages.map((language) => ({
	id: language.id,
	name: language.name,
	locking: readTable(language.lockingShift ?? defaultRows),
	single: readTable(language.singleShift),
	hasLocking: language.lockingShift !== undefined,
}));

/** The national languages and which tables each has; for documentation and options. */
export const nationalLanguages = languages
	.slice(1)
	.map(({ id, name, hasLocking }) => ({ id, name, locking: hasLocking, single: true }));

/** In an encoder: no code; a code below 128 stands alone; with this bit it follows the escape. */
export const noCode = 0xff;
export const escapedBit = 0x80;

/**
 * Code unit to code, 64 KiB so that a lookup is one load. The lowest code wins where a character
 * occurs twice. ESC + 0x7F would collide with `noCode`; no table assigns it, and a test says so.
 */
function buildEncoder(locking: Uint16Array, single: Uint16Array): Uint8Array {
	const codes = new Uint8Array(0x10000).fill(noCode);
	for (let code = 127; code >= 0; code--) {
		const unit = single[code] as number;
		if (unit !== unassigned) codes[unit] = code | escapedBit;
	}
	for (let code = 127; code >= 0; code--) {
		const unit = locking[code] as number;
		if (unit !== unassigned && code !== escapeSeptet) codes[unit] = code;
	}
	return codes;
}

const encoders = new Map<number, Uint8Array>();

/** The code of every UTF-16 code unit under these tables; undefined when a language has no such table. */
export function encoderFor(shift: Shift = {}): Uint8Array | undefined {
	const { locking = 0, single = 0 } = shift;
	const known = encoders.get(locking * 256 + single);
	if (known !== undefined) return known;
	const [lockingLanguage, singleLanguage] = [languages[locking], languages[single]];
	if (lockingLanguage === undefined || singleLanguage === undefined) return undefined;
	if (!lockingLanguage.hasLocking) return undefined;
	const built = buildEncoder(lockingLanguage.locking, singleLanguage.single);
	encoders.set(locking * 256 + single, built);
	return built;
}

/**
 * Septets that `text` takes (an escaped character takes two), or -1 when a character is not in the
 * alphabet of `codes`.
 */
export function countSeptets(text: string, codes: Uint8Array): number {
	let count = text.length;
	for (let at = 0; at < text.length; at++) {
		const code = codes[text.charCodeAt(at)] as number;
		if (code < escapedBit) continue;
		if (code === noCode) return -1;
		count++;
	}
	return count;
}

/** Writes the septets of `text`, all of whose characters have a code, to `out`; returns how many. */
export function writeSeptets(text: string, codes: Uint8Array, out: Uint8Array): number {
	let end = 0;
	for (let at = 0; at < text.length; at++) {
		const code = codes[text.charCodeAt(at)] as number;
		if (code >= escapedBit) {
			out[end++] = escapeSeptet;
			out[end++] = code & 0x7f;
		} else {
			out[end++] = code;
		}
	}
	return end;
}

/**
 * The septets of a text, one per octet (SMPP data_coding 0), or undefined when a character is not in
 * the alphabet. National tables are used only when `shift` names them.
 */
export function encodeSeptets(text: string, shift?: Shift): Buffer | undefined {
	const codes = encoderFor(shift);
	if (codes === undefined) return undefined;
	const count = countSeptets(text, codes);
	if (count < 0) return undefined;
	const out = Buffer.allocUnsafe(count);
	writeSeptets(text, codes, out);
	return out;
}

/**
 * Text of septets, one per octet. Never refuses: an unassigned escape shows the base character, a
 * doubled or lonely escape a space (TS 23.038 §6.2.1.1), an unassigned septet or an octet above 127
 * U+FFFD, an unknown language the default alphabet.
 */
export function decodeSeptets(septets: Uint8Array, shift: Shift = {}): string {
	const { locking } = languages[shift.locking ?? 0] ?? (languages[0] as Language);
	const { single } = languages[shift.single ?? 0] ?? (languages[0] as Language);
	let text = "";
	for (let at = 0; at < septets.length; at++) {
		const septet = septets[at] as number;
		if (septet !== escapeSeptet) {
			text += show(locking[septet]);
			continue;
		}
		const next = septets[++at];
		if (next === undefined || next === escapeSeptet) text += " ";
		else text += show(single[next] === unassigned ? locking[next] : single[next]);
	}
	return text;
}

function show(unit: number | undefined): string {
	return unit === undefined || unit === unassigned ? replacement : String.fromCharCode(unit);
}

/**
 * Packs septets eight into seven octets (TS 23.038 §6.1.2.1), least significant bit first, after
 * `fillBits` (0–6) zero bits that align the text behind a header.
 */
export function packSeptets(septets: Uint8Array, fillBits = 0): Buffer {
	const out = Buffer.alloc(Math.ceil((septets.length * 7 + fillBits) / 8));
	for (let at = 0; at < septets.length; at++) {
		const bit = fillBits + at * 7;
		const octet = bit >> 3;
		const shifted = ((septets[at] as number) & 0x7f) << (bit & 7);
		out[octet] = (out[octet] as number) | (shifted & 0xff);
		if (shifted > 0xff) out[octet + 1] = shifted >> 8;
	}
	return out;
}

/** The inverse of `packSeptets`: at most `count` septets, fewer when the octets end before. */
export function unpackSeptets(octets: Uint8Array, count: number, fillBits = 0): Buffer {
	const held = Math.max(0, Math.floor((octets.length * 8 - fillBits) / 7));
	const out = Buffer.allocUnsafe(Math.max(0, Math.min(count, held)));
	for (let at = 0; at < out.length; at++) {
		const bit = fillBits + at * 7;
		const octet = bit >> 3;
		const pair = (octets[octet] as number) | ((octets[octet + 1] ?? 0) << 8);
		out[at] = (pair >> (bit & 7)) & 0x7f;
	}
	return out;
}
