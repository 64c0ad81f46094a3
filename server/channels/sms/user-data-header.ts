/**
 * The user data header: what stands before the text of a segment and says which part of what it is,
 * for which port, in which national alphabet. Reading never throws and never reads past its octets; an
 * element that is unknown or has the wrong length is passed over, as the specification asks.
 * 3GPP TS 23.040 §9.2.3.24 (elements: .1 and .8 concatenation, .3 and .4 ports, .15 and .16 language).
 */

export interface Concatenation {
	/** Whether the reference has 16 bits; 8-bit and 16-bit references never belong together. */
	readonly wide: boolean;
	readonly reference: number;
	readonly total: number;
	/** From 1. Reading passes on what it found, also 0 or more than `total`: reassembly judges. */
	readonly part: number;
}

export interface UserDataHeader {
	readonly concatenation?: Concatenation;
	readonly ports?: { readonly destination: number; readonly source: number };
	/** National language of the text (TS 23.038 §6.2.1.2.4). */
	readonly shift?: { readonly locking?: number; readonly single?: number };
}

export type HeaderRead =
	| {
			readonly ok: true;
			readonly header: UserDataHeader /** Header with its length octet. */;
			readonly octets: number;
	  }
	| { readonly ok: false; readonly why: "empty" | "header_past_end" | "element_past_end" };

const element = {
	concatenation8: 0x00,
	ports8: 0x04,
	ports16: 0x05,
	concatenation16: 0x08,
	singleShift: 0x24,
	lockingShift: 0x25,
} as const;

/** Octets a header can have besides its length octet: the whole user data (140) less that octet. */
const elementOctetsMax = 139;

/**
 * Octets of a header, its length octet first. The elements stand in the order of the interface.
 * undefined when a number does not fit its field (part 0, part above total, a port above 65535).
 */
export function buildHeader(header: UserDataHeader): Buffer | undefined {
	const octets: number[] = [0];
	const { concatenation, ports, shift } = header;
	if (concatenation !== undefined) {
		const { wide, reference, total, part } = concatenation;
		const fits = within(reference, 0, wide ? 0xffff : 0xff) && within(total, 1, 0xff);
		if (!fits || !within(part, 1, total)) return undefined;
		if (wide)
			octets.push(element.concatenation16, 4, reference >> 8, reference & 0xff, total, part);
		else octets.push(element.concatenation8, 3, reference, total, part);
	}
	if (ports !== undefined) {
		const { destination, source } = ports;
		if (!within(destination, 0, 0xffff) || !within(source, 0, 0xffff)) return undefined;
		octets.push(
			element.ports16,
			4,
			destination >> 8,
			destination & 0xff,
			source >> 8,
			source & 0xff,
		);
	}
	for (const [identifier, language] of [
		[element.singleShift, shift?.single],
		[element.lockingShift, shift?.locking],
	] as const) {
		if (language === undefined || language === 0) continue;
		if (!within(language, 1, 0xff)) return undefined;
		octets.push(identifier, 1, language);
	}
	octets[0] = octets.length - 1;
	return Buffer.from(octets);
}

function within(value: number, least: number, most: number): boolean {
	return Number.isInteger(value) && value >= least && value <= most;
}

/**
 * Reads the header at the start of user data (SMPP: esm_class bit 0x40). Of an element that comes
 * twice the last counts. A header that runs past its octets is refused whole: the caller then keeps
 * the user data as it is, without claiming to know its text.
 */
export function readHeader(userData: Uint8Array): HeaderRead {
	const length = userData[0];
	if (length === undefined) return { ok: false, why: "empty" };
	const end = 1 + length;
	if (length > elementOctetsMax || end > userData.length)
		return { ok: false, why: "header_past_end" };
	const found: { -readonly [K in keyof UserDataHeader]: UserDataHeader[K] } = {};
	for (let at = 1; at < end; ) {
		const size = userData[at + 1];
		if (at + 1 >= end || size === undefined || at + 2 + size > end)
			return { ok: false, why: "element_past_end" };
		readElement(found, userData[at] as number, userData.subarray(at + 2, at + 2 + size));
		at += 2 + size;
	}
	return { ok: true, header: found, octets: end };
}

function readElement(
	found: { -readonly [K in keyof UserDataHeader]: UserDataHeader[K] },
	identifier: number,
	value: Uint8Array,
): void {
	const [a = 0, b = 0, c = 0, d = 0] = value;
	const named = `${identifier}/${value.length}`;
	if (named === `${element.concatenation8}/3`)
		found.concatenation = { wide: false, reference: a, total: b, part: c };
	else if (named === `${element.concatenation16}/4`)
		found.concatenation = { wide: true, reference: (a << 8) | b, total: c, part: d };
	else if (named === `${element.ports8}/2`) found.ports = { destination: a, source: b };
	else if (named === `${element.ports16}/4`)
		found.ports = { destination: (a << 8) | b, source: (c << 8) | d };
	else if (named === `${element.singleShift}/1`) found.shift = { ...found.shift, single: a };
	else if (named === `${element.lockingShift}/1`) found.shift = { ...found.shift, locking: a };
}
