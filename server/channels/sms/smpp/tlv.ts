/**
 * Optional parameters (TLVs, SMPP v3.4 §5.3): tag, length and value, kept raw and in the order they
 * arrived, so that a tag we do not know survives. Readers return undefined for a value whose length
 * does not fit; they never throw.
 */
export interface Tlv {
	readonly tag: number;
	readonly value: Buffer;
}

export const noTlvs: readonly Tlv[] = Object.freeze([]);

export const tags = {
	payload_type: 0x0019,
	additional_status_info_text: 0x001d,
	receipted_message_id: 0x001e,
	user_message_reference: 0x0204,
	source_port: 0x020a,
	destination_port: 0x020b,
	sar_msg_ref_num: 0x020c,
	sar_total_segments: 0x020e,
	sar_segment_seqnum: 0x020f,
	sc_interface_version: 0x0210,
	network_error_code: 0x0423,
	message_payload: 0x0424,
	delivery_failure_reason: 0x0425,
	more_messages_to_send: 0x0426,
	message_state: 0x0427,
} as const;

/** The value of the first TLV with this tag. */
export function findTlv(tlvs: readonly Tlv[], tag: number): Buffer | undefined {
	for (const tlv of tlvs) if (tlv.tag === tag) return tlv.value;
	return undefined;
}

/** An unsigned integer of 1, 2 or 4 octets; undefined when absent or of another length. */
export function tlvNumber(tlvs: readonly Tlv[], tag: number): number | undefined {
	const value = findTlv(tlvs, tag);
	if (value === undefined || (value.length !== 1 && value.length !== 2 && value.length !== 4))
		return undefined;
	return value.readUIntBE(0, value.length);
}

/** Text in Latin-1, up to the first NUL: with or without a terminator, as peers send it. */
export function tlvText(tlvs: readonly Tlv[], tag: number): string | undefined {
	const value = findTlv(tlvs, tag);
	if (value === undefined) return undefined;
	const end = value.indexOf(0);
	return value.toString("latin1", 0, end < 0 ? value.length : end);
}

/** `number` as an integer of `octets` octets, most significant first. */
export function numberTlv(tag: number, octets: 1 | 2 | 4, number: number): Tlv {
	const value = Buffer.allocUnsafe(octets);
	value.writeUIntBE(number, 0, octets);
	return { tag, value };
}

/** Latin-1 text; with a NUL at the end for the peers that want a C-octet string. */
export function textTlv(tag: number, text: string, nulTerminated: boolean): Tlv {
	return { tag, value: Buffer.from(nulTerminated ? `${text}\0` : text, "latin1") };
}
