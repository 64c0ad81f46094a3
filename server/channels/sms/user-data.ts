/**
 * The text of an inbound segment: header, alphabet and octets of a deliver_sm read together. A data
 * coding that is not text is no text: its octets are never shown as if they were.
 * SMPP v3.4 §5.2.19 (data_coding), §5.2.12 (esm_class 0x40: user data header), §5.3.2.22 (sar_*).
 */
import { decodeSeptets } from "./alphabet.ts";
import type { DeliverSm } from "./smpp/pdu.ts";
import { findTlv, tags, tlvNumber } from "./smpp/tlv.ts";
import { type Concatenation, readHeader, type UserDataHeader } from "./user-data-header.ts";

export type UserDataRead =
	| {
			readonly ok: true;
			readonly text: string;
			readonly encoding: "GSM_7BIT" | "UCS2" | "LATIN1";
			/** From the header or the sar_* TLVs; see reassemble.ts for what may be made of it. */
			readonly concatenation: Concatenation | undefined;
	  }
	| { readonly ok: false; readonly why: "header" | "not_text" };

const headerBit = 0x40;

/** Reads what a person wrote in one deliver_sm; never throws. */
export function readUserData(
	pdu: Pick<DeliverSm, "esmClass" | "dataCoding" | "shortMessage" | "tlvs">,
): UserDataRead {
	const payload = findTlv(pdu.tlvs, tags.message_payload);
	let octets = pdu.shortMessage.length > 0 ? pdu.shortMessage : (payload ?? pdu.shortMessage);
	let header: UserDataHeader = {};
	if ((pdu.esmClass & headerBit) !== 0) {
		const read = readHeader(octets);
		if (!read.ok) return { ok: false, why: "header" };
		header = read.header;
		octets = octets.subarray(read.octets);
	}
	const encoding = encodingOf(pdu.dataCoding);
	if (encoding === undefined) return { ok: false, why: "not_text" };
	const concatenation = header.concatenation ?? sarConcatenation(pdu);
	return { ok: true, text: textOf(octets, encoding, header), encoding, concatenation };
}

type Encoding = "GSM_7BIT" | "UCS2" | "LATIN1";

/** Also the GSM forms of data_coding: general (0b00xx) and message class (0b1111), TS 23.038 §4. */
function encodingOf(dataCoding: number): Encoding | undefined {
	if (dataCoding === 0) return "GSM_7BIT";
	// 1 is ASCII, which Latin-1 contains.
	if (dataCoding === 1 || dataCoding === 3) return "LATIN1";
	if (dataCoding === 8) return "UCS2";
	if ((dataCoding & 0xf4) === 0xf0) return "GSM_7BIT";
	// 0x10–0x1F: uncompressed, with a message class; bits 3 and 2 name the alphabet.
	if ((dataCoding & 0xf0) !== 0x10) return undefined;
	return (["GSM_7BIT" as const, undefined, "UCS2" as const, undefined] as const)[
		(dataCoding >> 2) & 3
	];
}

function textOf(octets: Buffer, encoding: Encoding, header: UserDataHeader): string {
	if (encoding === "LATIN1") return octets.toString("latin1");
	if (encoding === "GSM_7BIT") return decodeSeptets(octets, header.shift);
	// An odd octet at the end is half a character; a pair cut between two parts joins again later.
	const even = Buffer.from(octets.subarray(0, octets.length & ~1));
	return even.swap16().toString("utf16le");
}

function sarConcatenation(pdu: Pick<DeliverSm, "tlvs">): Concatenation | undefined {
	const reference = tlvNumber(pdu.tlvs, tags.sar_msg_ref_num);
	const total = tlvNumber(pdu.tlvs, tags.sar_total_segments);
	const part = tlvNumber(pdu.tlvs, tags.sar_segment_seqnum);
	if (reference === undefined || total === undefined || part === undefined) return undefined;
	return { wide: true, reference: reference & 0xffff, total, part };
}
