/**
 * How a text is cut into SMS segments: GSM 7 bit when every character is in the alphabet, else UCS-2.
 * Never cuts an escape pair or a surrogate pair, and a grapheme cluster (an accented letter, a flag, a
 * family emoji) only when it alone is longer than a segment. Never changes a character: the law of
 * some countries compares the text with a registered template.
 * 3GPP TS 23.038 §6.2, TS 23.040 §9.2.3.24 (140 octets of user data, header included).
 */
import { countSeptets, encoderFor, escapeSeptet, type Shift, writeSeptets } from "./alphabet.ts";

export interface Segmented {
	readonly ok: true;
	readonly encoding: "GSM_7BIT" | "UCS2";
	/** Septets (an escaped character counts two) or UTF-16 code units, over all segments, as billed. */
	readonly characters: number;
	/** User data without header: one septet per octet, or UTF-16 big endian. At least one. */
	readonly parts: readonly Buffer[];
}

export type Unsegmented =
	| {
			readonly ok: false;
			readonly why: "too_long";
			/** Segments the text would need; above 255 a lower bound. */
			readonly segmentsNeeded: number;
			readonly segmentsMax: number;
	  }
	| {
			readonly ok: false;
			/** Half of a surrogate pair: the text is not Unicode text. */
			readonly why: "lone_surrogate";
			/** Index of the first one, in UTF-16 code units. */
			readonly at: number;
	  };

export interface SegmentOptions {
	/** Width of the concatenation reference: 16 bits leave 152 or 66, 8 bits 153 or 67. Default 16. */
	readonly reference?: "8-bit" | "16-bit";
	/** Segments allowed, 1–255. Default 10. */
	readonly segmentsMax?: number;
	/** National tables, for a connector that is known to carry them. Their headers take their room. */
	readonly shift?: Shift;
}

/** Most that one concatenated message can have (TS 23.040 §9.2.3.24.1). */
const segmentsEver = 255;
const userDataOctets = 140;

/**
 * Units (septets, or UTF-16 code units) that fit beside a header of `headerOctets`, its length octet
 * included: 0 → 160 or 70, 6 → 153 or 67, 7 → 152 or 66.
 */
export function unitsBeside(encoding: Segmented["encoding"], headerOctets: number): number {
	const octets = userDataOctets - headerOctets;
	return Math.floor(encoding === "UCS2" ? octets / 2 : (octets * 8) / 7);
}

/** Octets of the elements in a header, without its length octet. */
function headerElements(options: SegmentOptions, concatenated: boolean): number {
	let octets = 0;
	if (concatenated) octets += options.reference === "8-bit" ? 5 : 6;
	if (options.shift?.locking) octets += 3;
	if (options.shift?.single) octets += 3;
	return octets;
}

function limit(encoding: Segmented["encoding"], elements: number): number {
	return unitsBeside(encoding, elements === 0 ? 0 : elements + 1);
}

/** Cuts `text` into segments. Linear in its length; the empty text is one empty segment. */
export function segment(text: string, options: SegmentOptions = {}): Segmented | Unsegmented {
	const codes = encoderFor(options.shift);
	const septets = codes === undefined ? -1 : countSeptets(text, codes);
	return septets >= 0 && codes !== undefined
		? segmentSeptets(text, codes, septets, options)
		: segmentUcs2(text, options);
}

function segmentSeptets(
	text: string,
	codes: Uint8Array,
	septets: number,
	options: SegmentOptions,
): Segmented | Unsegmented {
	const single = limit("GSM_7BIT", headerElements(options, false));
	const each = limit("GSM_7BIT", headerElements(options, true));
	const segmentsMax = options.segmentsMax ?? 10;
	if (septets > single && septets > each * segmentsEver) return tooLong(septets, each, segmentsMax);
	const octets = Buffer.allocUnsafe(septets);
	writeSeptets(text, codes, octets);
	if (septets <= single)
		return { ok: true, encoding: "GSM_7BIT", characters: septets, parts: [octets] };
	const parts: Buffer[] = [];
	for (let start = 0; start < septets; ) {
		const end = cutSeptets(octets, start, each);
		parts.push(octets.subarray(start, end));
		start = end;
	}
	return within(parts, segmentsMax, { encoding: "GSM_7BIT", characters: septets });
}

/** In the alphabet only escape pairs and CR LF hold together. */
function cutSeptets(octets: Buffer, start: number, each: number): number {
	const end = start + each;
	if (end >= octets.length) return octets.length;
	const last = octets[end - 1];
	// The octet after an escape is never itself an escape, so this one opens a pair.
	if (last === escapeSeptet) return end - 1;
	const isCrLf = last === 0x0d && octets[end] === 0x0a && octets[end - 2] !== escapeSeptet;
	return isCrLf ? end - 1 : end;
}

function segmentUcs2(text: string, options: SegmentOptions): Segmented | Unsegmented {
	const plain: SegmentOptions =
		options.reference === undefined ? {} : { reference: options.reference };
	const single = limit("UCS2", 0);
	const each = limit("UCS2", headerElements(plain, true));
	const segmentsMax = options.segmentsMax ?? 10;
	if (text.length > each * segmentsEver) return tooLong(text.length, each, segmentsMax);
	if (!text.isWellFormed()) return { ok: false, why: "lone_surrogate", at: loneSurrogate(text) };
	const octets = Buffer.from(text, "utf16le").swap16();
	const shape = { encoding: "UCS2", characters: text.length } as const;
	if (text.length <= single) return { ok: true, ...shape, parts: [octets] };
	const parts: Buffer[] = [];
	for (let start = 0; start < text.length; ) {
		const end = cutUcs2(text, start, each);
		parts.push(octets.subarray(start * 2, end * 2));
		start = end;
	}
	return within(parts, segmentsMax, shape);
}

const graphemes = new Intl.Segmenter("und", { granularity: "grapheme" });

function cutUcs2(text: string, start: number, each: number): number {
	const end = start + each;
	if (end >= text.length) return text.length;
	const [before, after] = [text.charCodeAt(end - 1), text.charCodeAt(end)];
	// Below U+0300 nothing joins but CR LF: the common cut needs no segmenter.
	if (before < 0x300 && after < 0x300 && !(before === 0x0d && after === 0x0a)) return end;
	// Whether there is a boundary at `end` depends on what is before and on one code point after.
	const cluster = graphemes.segment(text.slice(start, end + 2)).containing(each);
	if (cluster === undefined || cluster.index > 0) return start + (cluster?.index ?? each);
	// One cluster fills the segment: keep at least the surrogate pair whole.
	return after >= 0xdc00 && after <= 0xdfff ? end - 1 : end;
}

function within(
	parts: readonly Buffer[],
	segmentsMax: number,
	shape: Pick<Segmented, "encoding" | "characters">,
): Segmented | Unsegmented {
	if (parts.length <= Math.min(segmentsMax, segmentsEver)) return { ok: true, ...shape, parts };
	return { ok: false, why: "too_long", segmentsNeeded: parts.length, segmentsMax };
}

function tooLong(units: number, each: number, segmentsMax: number): Unsegmented {
	return { ok: false, why: "too_long", segmentsNeeded: Math.ceil(units / each), segmentsMax };
}

function loneSurrogate(text: string): number {
	for (let at = 0; at < text.length; at++) {
		const unit = text.charCodeAt(at);
		if (unit < 0xd800 || unit > 0xdfff) continue;
		const next = text.charCodeAt(at + 1);
		if (unit > 0xdbff || !(next >= 0xdc00 && next <= 0xdfff)) return at;
		at++;
	}
	return -1;
}
