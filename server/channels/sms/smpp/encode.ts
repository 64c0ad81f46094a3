/**
 * PDU → octets. The size is computed first, so that the octets are written once, straight into place.
 * A value that no PDU can carry (too long, a NUL inside, beyond Latin-1) is a programming error of the
 * caller and throws: nothing is ever cut short silently.
 */
import { Fault } from "#platform/errors.ts";
import { commandIds } from "./command.ts";
import type { Address, Bind, Pdu, SubmitSm, DeliverSm } from "./pdu.ts";
import type { Tlv } from "./tlv.ts";

/** The PDU's octets in a buffer of their own. Throws a Fault for a value no PDU can carry. */
export function encode(pdu: Pdu): Buffer {
	const size = sizeOf(pdu);
	const target = Buffer.allocUnsafe(size);
	write(pdu, target, 0, size);
	return target;
}

/**
 * Writes the PDU at `offset` and returns the offset after it, or -1 when there is no room (nothing is
 * then written). Throws as `encode` does.
 */
export function encodeInto(pdu: Pdu, target: Buffer, offset: number): number {
	const size = sizeOf(pdu);
	if (offset + size > target.length) return -1;
	return write(pdu, target, offset, size);
}

function sizeOf(pdu: Pdu): number {
	switch (pdu.command) {
		case "submit_sm":
		case "deliver_sm":
			return 33 + messageTextBytes(pdu) + pdu.shortMessage.length + tlvBytes(pdu.tlvs);
		case "submit_sm_resp":
		case "deliver_sm_resp":
			return 17 + pdu.messageId.length + tlvBytes(pdu.tlvs);
		case "bind_receiver":
		case "bind_transmitter":
		case "bind_transceiver":
			return 23 + bindTextBytes(pdu) + tlvBytes(pdu.tlvs);
		case "bind_receiver_resp":
		case "bind_transmitter_resp":
		case "bind_transceiver_resp":
			return 17 + pdu.systemId.length + tlvBytes(pdu.tlvs);
		case "other":
			return 16 + pdu.body.length;
		case "enquire_link":
		case "enquire_link_resp":
		case "unbind":
		case "unbind_resp":
		case "generic_nack":
			return 16;
	}
}

function messageTextBytes(pdu: SubmitSm | DeliverSm): number {
	return (
		pdu.serviceType.length +
		pdu.source.address.length +
		pdu.destination.address.length +
		pdu.scheduleDeliveryTime.length +
		pdu.validityPeriod.length
	);
}

function bindTextBytes(pdu: Bind): number {
	return (
		pdu.systemId.length + pdu.password.length + pdu.systemType.length + pdu.addressRange.length
	);
}

function tlvBytes(tlvs: readonly Tlv[]): number {
	let size = 0;
	for (const tlv of tlvs) size += 4 + tlv.value.length;
	return size;
}

function write(pdu: Pdu, target: Buffer, start: number, size: number): number {
	writeUint32(target, start, size);
	writeUint32(target, start + 4, pdu.command === "other" ? pdu.commandId : commandIds[pdu.command]);
	writeUint32(target, start + 8, "status" in pdu ? pdu.status : 0);
	writeUint32(target, start + 12, pdu.sequence);
	const at = start + 16;
	switch (pdu.command) {
		case "submit_sm":
		case "deliver_sm":
			return writeMessage(pdu, target, at);
		case "submit_sm_resp":
		case "deliver_sm_resp":
			return writeTlvs(pdu.tlvs, target, writeText(pdu.messageId, 64, target, at));
		case "bind_receiver":
		case "bind_transmitter":
		case "bind_transceiver":
			return writeBind(pdu, target, at);
		case "bind_receiver_resp":
		case "bind_transmitter_resp":
		case "bind_transceiver_resp":
			return writeTlvs(pdu.tlvs, target, writeText(pdu.systemId, 63, target, at));
		case "other":
			target.set(pdu.body, at);
			return at + pdu.body.length;
		case "enquire_link":
		case "enquire_link_resp":
		case "unbind":
		case "unbind_resp":
		case "generic_nack":
			return at;
	}
}

function writeBind(pdu: Bind, target: Buffer, start: number): number {
	let at = writeText(pdu.systemId, 63, target, start);
	at = writeText(pdu.password, 63, target, at);
	at = writeText(pdu.systemType, 12, target, at);
	target[at++] = pdu.interfaceVersion;
	target[at++] = pdu.addressTon;
	target[at++] = pdu.addressNpi;
	at = writeText(pdu.addressRange, 40, target, at);
	return writeTlvs(pdu.tlvs, target, at);
}

function writeMessage(pdu: SubmitSm | DeliverSm, target: Buffer, start: number): number {
	let at = writeText(pdu.serviceType, 5, target, start);
	at = writeAddress(pdu.source, target, at);
	at = writeAddress(pdu.destination, target, at);
	target[at++] = pdu.esmClass;
	target[at++] = pdu.protocolId;
	target[at++] = pdu.priority;
	at = writeText(pdu.scheduleDeliveryTime, 16, target, at);
	at = writeText(pdu.validityPeriod, 16, target, at);
	target[at++] = pdu.registeredDelivery;
	target[at++] = pdu.replaceIfPresent;
	target[at++] = pdu.dataCoding;
	target[at++] = pdu.defaultMessageId;
	const text = pdu.shortMessage;
	if (text.length > 255) throw unencodable("a short_message longer than 255 octets");
	target[at++] = text.length;
	target.set(text, at);
	return writeTlvs(pdu.tlvs, target, at + text.length);
}

function writeAddress(address: Address, target: Buffer, at: number): number {
	target[at] = address.ton;
	target[at + 1] = address.npi;
	return writeText(address.address, 20, target, at + 2);
}

function writeTlvs(tlvs: readonly Tlv[], target: Buffer, start: number): number {
	let at = start;
	for (const { tag, value } of tlvs) {
		const length = value.length;
		if (length > 0xffff) throw unencodable("a TLV longer than 65535 octets");
		target[at++] = tag >>> 8;
		target[at++] = tag;
		target[at++] = length >>> 8;
		target[at++] = length;
		target.set(value, at);
		at += length;
	}
	return at;
}

/** A C-octet string: written octet by octet, which for these lengths beats a call into the runtime. */
function writeText(text: string, most: number, target: Buffer, start: number): number {
	const length = text.length;
	if (length > most) throw unencodable(`a text longer than ${most} characters`);
	let at = start;
	for (let i = 0; i < length; i++) {
		const code = text.charCodeAt(i);
		if (code === 0 || code > 0xff) throw unencodable("a text with NUL or beyond Latin-1");
		target[at++] = code;
	}
	target[at++] = 0;
	return at;
}

function writeUint32(target: Buffer, at: number, value: number): void {
	target[at] = value >>> 24;
	target[at + 1] = value >>> 16;
	target[at + 2] = value >>> 8;
	target[at + 3] = value;
}

function unencodable(what: string): Fault {
	return Fault.of("internal", { message: `An SMPP PDU cannot carry ${what}.` });
}
