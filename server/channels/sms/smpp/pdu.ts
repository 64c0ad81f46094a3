/**
 * The PDUs of SMPP v3.4 (§4) as values. `encode` and `decode` are in files of their own and exported
 * from here. Texts are Latin-1, one octet a character, without their NUL. Octets (`shortMessage`, TLV
 * values, bodies) that `decode` returns are views over the buffer it was given: copy what you keep.
 */
import type { Tlv } from "./tlv.ts";

export { decode, type DecodeFailure, type DecodeResult } from "./decode.ts";
export { encode, encodeInto } from "./encode.ts";
export { noTlvs, type Tlv } from "./tlv.ts";

export interface Address {
	/** Type of number (§5.2.5): 1 international, 3 network specific, 5 alphanumeric. */
	readonly ton: number;
	/** Numbering plan (§5.2.6): 1 E.164, 0 unknown. */
	readonly npi: number;
	/** At most 20 characters. */
	readonly address: string;
}

export type BindCommand = "bind_transmitter" | "bind_receiver" | "bind_transceiver";

export interface Bind {
	readonly command: BindCommand;
	readonly sequence: number;
	readonly systemId: string;
	readonly password: string;
	readonly systemType: string;
	/** 0x34 is v3.4. */
	readonly interfaceVersion: number;
	readonly addressTon: number;
	readonly addressNpi: number;
	readonly addressRange: string;
	readonly tlvs: readonly Tlv[];
}

export interface BindResp {
	readonly command: `${BindCommand}_resp`;
	readonly sequence: number;
	readonly status: number;
	readonly systemId: string;
	readonly tlvs: readonly Tlv[];
}

interface Message {
	readonly sequence: number;
	/** At most 5 characters. */
	readonly serviceType: string;
	readonly source: Address;
	readonly destination: Address;
	readonly esmClass: number;
	readonly protocolId: number;
	readonly priority: number;
	/** "" or the 16 characters of §7.1.1; see time.ts. */
	readonly scheduleDeliveryTime: string;
	readonly validityPeriod: string;
	readonly registeredDelivery: number;
	readonly replaceIfPresent: number;
	readonly dataCoding: number;
	readonly defaultMessageId: number;
	/** At most 255 octets; empty when the text is in the TLV message_payload. */
	readonly shortMessage: Buffer;
	readonly tlvs: readonly Tlv[];
}

export interface SubmitSm extends Message {
	readonly command: "submit_sm";
}

export interface DeliverSm extends Message {
	readonly command: "deliver_sm";
}

export interface MessageResp {
	readonly command: "submit_sm_resp" | "deliver_sm_resp";
	readonly sequence: number;
	readonly status: number;
	/** At most 64 characters; "" when the body is absent, as it may be on an error. */
	readonly messageId: string;
	readonly tlvs: readonly Tlv[];
}

/** PDUs that are only a header. `status` is 0 in the requests. */
export interface Bare {
	readonly command:
		| "enquire_link"
		| "enquire_link_resp"
		| "unbind"
		| "unbind_resp"
		| "generic_nack";
	readonly sequence: number;
	readonly status: number;
}

/** A command of the protocol that we do not read (query_sm, cancel_sm, data_sm, …). */
export interface Other {
	readonly command: "other";
	readonly commandId: number;
	readonly sequence: number;
	readonly status: number;
	readonly body: Buffer;
}

export type Pdu = Bind | BindResp | SubmitSm | DeliverSm | MessageResp | Bare | Other;

/** The header alone (§3.2). */
export const headerBytes = 16;

/** The longest PDU we take: a 64 KiB message_payload and everything around it. */
export const pduBytesMax = 65_536 + 1_024;

/** Most octets a field may have, without its NUL. */
export const limits = {
	/** §5.2.1 says 15 and §5.2.2 says 8; carriers hand out longer ones, so both are read to 63. */
	systemId: 63,
	password: 63,
	systemType: 12,
	addressRange: 40,
	serviceType: 5,
	address: 20,
	time: 16,
	messageId: 64,
	shortMessage: 255,
} as const;

const noOctets: Buffer = Buffer.alloc(0);

/** A submit_sm with every optional thing at its default; `fields` override. */
export function submitSm(
	fields: Pick<SubmitSm, "source" | "destination"> & Partial<Omit<SubmitSm, "command">>,
): SubmitSm {
	return { ...messageDefaults, ...fields, command: "submit_sm" };
}

/** A deliver_sm with every optional thing at its default; `fields` override. */
export function deliverSm(
	fields: Pick<DeliverSm, "source" | "destination"> & Partial<Omit<DeliverSm, "command">>,
): DeliverSm {
	return { ...messageDefaults, ...fields, command: "deliver_sm" };
}

const messageDefaults = {
	sequence: 0,
	serviceType: "",
	esmClass: 0,
	protocolId: 0,
	priority: 0,
	scheduleDeliveryTime: "",
	validityPeriod: "",
	registeredDelivery: 0,
	replaceIfPresent: 0,
	dataCoding: 0,
	defaultMessageId: 0,
	shortMessage: noOctets,
	tlvs: Object.freeze([]) as readonly Tlv[],
} as const;
