/**
 * Octets → PDU. Never throws and never reads outside the buffer it was given: every length is checked
 * and a PDU that breaks a rule is a value that says which command_status to answer with. Unknown
 * TLVs are kept. What the text means (UDH, alphabet, receipt) is not judged here.
 */
import { commandIds, otherCommands } from "./command.ts";
import type { Bare, Bind, BindResp, DeliverSm, MessageResp, Pdu, SubmitSm } from "./pdu.ts";
import { status } from "./status.ts";
import { readTime } from "./time.ts";
import { noTlvs, type Tlv, tags } from "./tlv.ts";

export interface DecodeFailure {
	readonly ok: false;
	/** The command id as sent, 0 when there are not 16 octets. */
	readonly commandId: number;
	/** To answer under; 0 when it cannot be read. */
	readonly sequence: number;
	/** What to answer. */
	readonly commandStatus: number;
	/** Names the field and the rule; holds nothing the peer sent. */
	readonly reason: string;
}

export type DecodeResult = { readonly ok: true; readonly pdu: Pdu } | DecodeFailure;

/**
 * Reads exactly one PDU: `octets` is the whole of it, as the framer cuts it. The PDU's octet fields
 * are views over `octets`.
 */
export function decode(octets: Buffer): DecodeResult {
	if (octets.length < 16) return refuse(0, 0, status.invalidCommandLength, "shorter than a header");
	const commandId = uint32(octets, 4);
	const sequence = uint32(octets, 12);
	if (uint32(octets, 0) !== octets.length)
		return refuse(
			commandId,
			sequence,
			status.invalidCommandLength,
			"command_length is not the length",
		);
	const reader: Reader = { octets, at: 16, failed: 0, reason: "" };
	const pdu = body(reader, commandId, uint32(octets, 8), sequence);
	if (reader.failed !== 0) return refuse(commandId, sequence, reader.failed, reader.reason);
	if (pdu === undefined)
		return refuse(commandId, sequence, status.invalidCommandId, "unknown command_id");
	return { ok: true, pdu };
}

function refuse(
	commandId: number,
	sequence: number,
	commandStatus: number,
	reason: string,
): DecodeFailure {
	return { ok: false, commandId, sequence, commandStatus, reason };
}

/** A cursor. The first failure is kept; after it every read gives an empty value. */
interface Reader {
	readonly octets: Buffer;
	at: number;
	failed: number;
	reason: string;
}

function body(
	reader: Reader,
	commandId: number,
	commandStatus: number,
	sequence: number,
): Pdu | undefined {
	switch (commandId) {
		case commandIds.submit_sm:
			return message(reader, "submit_sm", sequence);
		case commandIds.submit_sm_resp:
			return messageResp(reader, "submit_sm_resp", commandStatus, sequence);
		case commandIds.deliver_sm:
			return message(reader, "deliver_sm", sequence);
		case commandIds.deliver_sm_resp:
			return messageResp(reader, "deliver_sm_resp", commandStatus, sequence);
		case commandIds.enquire_link:
			return bare(reader, "enquire_link", commandStatus, sequence);
		case commandIds.enquire_link_resp:
			return bare(reader, "enquire_link_resp", commandStatus, sequence);
		case commandIds.unbind:
			return bare(reader, "unbind", commandStatus, sequence);
		case commandIds.unbind_resp:
			return bare(reader, "unbind_resp", commandStatus, sequence);
		case commandIds.generic_nack:
			return bare(reader, "generic_nack", commandStatus, sequence);
		case commandIds.bind_receiver:
			return bind(reader, "bind_receiver", sequence);
		case commandIds.bind_transmitter:
			return bind(reader, "bind_transmitter", sequence);
		case commandIds.bind_transceiver:
			return bind(reader, "bind_transceiver", sequence);
		case commandIds.bind_receiver_resp:
			return bindResp(reader, "bind_receiver_resp", commandStatus, sequence);
		case commandIds.bind_transmitter_resp:
			return bindResp(reader, "bind_transmitter_resp", commandStatus, sequence);
		case commandIds.bind_transceiver_resp:
			return bindResp(reader, "bind_transceiver_resp", commandStatus, sequence);
		default:
			if (!otherCommands.has(commandId)) return undefined;
			return { command: "other", commandId, sequence, status: commandStatus, body: rest(reader) };
	}
}

function bare(
	reader: Reader,
	command: Bare["command"],
	commandStatus: number,
	sequence: number,
): Bare {
	if (reader.octets.length !== 16)
		fail(reader, status.invalidCommandLength, "octets after a bare header");
	return { command, sequence, status: commandStatus };
}

function bind(reader: Reader, command: Bind["command"], sequence: number): Bind {
	const systemId = text(reader, 63, status.invalidSystemId, "system_id");
	const password = text(reader, 63, status.invalidPassword, "password");
	const systemType = text(reader, 12, status.invalidSystemType, "system_type");
	const interfaceVersion = octet(reader);
	const addressTon = octet(reader);
	const addressNpi = octet(reader);
	const addressRange = text(reader, 40, status.bindFailed, "address_range");
	return {
		command,
		sequence,
		systemId,
		password,
		systemType,
		interfaceVersion,
		addressTon,
		addressNpi,
		addressRange,
		tlvs: optionals(reader, 0),
	};
}

/** The body may be absent (§4.1.2), whatever the status. */
function bindResp(
	reader: Reader,
	command: BindResp["command"],
	commandStatus: number,
	sequence: number,
): BindResp {
	if (reader.octets.length === 16)
		return { command, sequence, status: commandStatus, systemId: "", tlvs: noTlvs };
	const systemId = text(reader, 63, status.invalidSystemId, "system_id");
	return { command, sequence, status: commandStatus, systemId, tlvs: optionals(reader, 0) };
}

/** The body is absent on an error with most carriers (§4.4.2). */
function messageResp(
	reader: Reader,
	command: MessageResp["command"],
	commandStatus: number,
	sequence: number,
): MessageResp {
	if (reader.octets.length === 16)
		return { command, sequence, status: commandStatus, messageId: "", tlvs: noTlvs };
	const messageId = text(reader, 64, status.invalidMessageId, "message_id");
	return { command, sequence, status: commandStatus, messageId, tlvs: optionals(reader, 0) };
}

function message(
	reader: Reader,
	command: "submit_sm" | "deliver_sm",
	sequence: number,
): SubmitSm | DeliverSm {
	const serviceType = text(reader, 5, status.invalidServiceType, "service_type");
	const source = {
		ton: octet(reader),
		npi: octet(reader),
		address: text(reader, 20, status.invalidSource, "source_addr"),
	};
	const destination = {
		ton: octet(reader),
		npi: octet(reader),
		address: text(reader, 20, status.invalidDestination, "destination_addr"),
	};
	const esmClass = octet(reader);
	const protocolId = octet(reader);
	const priority = octet(reader);
	const scheduleDeliveryTime = text(reader, 16, status.invalidSchedule, "schedule_delivery_time");
	const validityPeriod = text(reader, 16, status.invalidExpiry, "validity_period");
	if (command === "submit_sm") checkTimes(reader, scheduleDeliveryTime, validityPeriod);
	const registeredDelivery = octet(reader);
	const replaceIfPresent = octet(reader);
	const dataCoding = octet(reader);
	const defaultMessageId = octet(reader);
	const shortMessage = counted(reader);
	return {
		command: command as "submit_sm",
		sequence,
		serviceType,
		source,
		destination,
		esmClass,
		protocolId,
		priority,
		scheduleDeliveryTime,
		validityPeriod,
		registeredDelivery,
		replaceIfPresent,
		dataCoding,
		defaultMessageId,
		shortMessage,
		tlvs: optionals(reader, shortMessage.length),
	};
}

/** Only in submit_sm do these say anything (§4.6.1 wants them empty in deliver_sm). */
function checkTimes(reader: Reader, schedule: string, validity: string): void {
	if (schedule !== "" && readTime(schedule) === undefined)
		fail(reader, status.invalidSchedule, "schedule_delivery_time is malformed");
	if (validity !== "" && readTime(validity) === undefined)
		fail(reader, status.invalidExpiry, "validity_period is malformed");
}

/**
 * TLVs to the end of the PDU. The text is in short_message or in message_payload, in one place and
 * once (§4.4.1): `shortMessageBytes` is how much of it has been seen.
 */
function optionals(reader: Reader, shortMessageBytes: number): readonly Tlv[] {
	const { octets } = reader;
	const end = octets.length;
	if (reader.at >= end || reader.failed !== 0) return noTlvs;
	const found: Tlv[] = [];
	let texts = shortMessageBytes > 0 ? 1 : 0;
	let at = reader.at;
	while (at < end) {
		if (at + 4 > end)
			return failTlvs(reader, status.invalidOptionalPart, "octets left that are no TLV");
		const tag = ((octets[at] as number) << 8) | (octets[at + 1] as number);
		const length = ((octets[at + 2] as number) << 8) | (octets[at + 3] as number);
		at += 4;
		if (at + length > end)
			return failTlvs(reader, status.invalidOptionalPart, "a TLV ends after the PDU");
		if (tag === tags.message_payload && ++texts > 1)
			return failTlvs(reader, status.optionalNotAllowed, "a second text in message_payload");
		found.push({ tag, value: octets.subarray(at, at + length) });
		at += length;
	}
	reader.at = at;
	return found;
}

function failTlvs(reader: Reader, code: number, reason: string): readonly Tlv[] {
	fail(reader, code, reason);
	return noTlvs;
}

function fail(reader: Reader, code: number, reason: string): void {
	if (reader.failed !== 0) return;
	reader.failed = code;
	reader.reason = reason;
	reader.at = reader.octets.length;
}

function octet(reader: Reader): number {
	if (reader.at < reader.octets.length) return reader.octets[reader.at++] as number;
	fail(reader, status.invalidCommandLength, "the body ends too early");
	return 0;
}

/** A C-octet string of at most `most` characters; the NUL must be inside the PDU. */
function text(reader: Reader, most: number, code: number, field: string): string {
	const { octets, at: start } = reader;
	if (octets[start] === 0) {
		reader.at = start + 1;
		return "";
	}
	const end = Math.min(octets.length, start + most + 1);
	let at = start;
	while (at < end && octets[at] !== 0) at++;
	if (at < end) {
		reader.at = at + 1;
		return octets.toString("latin1", start, at);
	}
	if (end === octets.length) fail(reader, status.invalidCommandLength, `${field} has no end`);
	else fail(reader, code, `${field} is too long`);
	return "";
}

const noOctets = Buffer.alloc(0);

/** short_message after its own length octet. */
function counted(reader: Reader): Buffer {
	const length = octet(reader);
	if (length === 0) return noOctets;
	const start = reader.at;
	const end = start + length;
	if (end > reader.octets.length) {
		fail(reader, status.invalidMessageLength, "sm_length is more than there is");
		return noOctets;
	}
	reader.at = end;
	return reader.octets.subarray(start, end);
}

function rest(reader: Reader): Buffer {
	return reader.octets.subarray(reader.at);
}

function uint32(octets: Buffer, at: number): number {
	const high = ((octets[at] as number) << 8) | (octets[at + 1] as number);
	const low = ((octets[at + 2] as number) << 8) | (octets[at + 3] as number);
	return high * 65_536 + low;
}
