/**
 * The deliver_sm that the sandbox sends: receipts in the form carriers have agreed on (SMPP v3.4
 * Appendix B and §5.3.2), and what a person writes back. No copy of the message's text goes into a
 * receipt.
 */
import { encodeSeptets } from "../alphabet.ts";
import { segment } from "../segment.ts";
import { type Address, type DeliverSm, deliverSm } from "../smpp/pdu.ts";
import { numberTlv, type Tlv, tags, textTlv } from "../smpp/tlv.ts";
import { buildHeader } from "../user-data-header.ts";
import { type Behaviour, longReply, type Said } from "./magic-numbers.ts";

/** What is kept of a submit until its receipt and replies have left. */
export interface Submitted {
	/** As the answer wrote it: decimal. */
	readonly id: string;
	readonly source: Address;
	readonly destination: Address;
	readonly submittedAtMs: number;
}

const messageStates = {
	DELIVRD: 2,
	EXPIRED: 3,
	DELETED: 4,
	UNDELIV: 5,
	UNKNOWN: 7,
	REJECTD: 8,
} as const satisfies Record<Behaviour["stat"], number>;

/** YYMMDDhhmm in UTC. */
function receiptDate(atMs: number): string {
	return new Date(atMs).toISOString().slice(2, 16).replace(/\D/g, "");
}

export function writeReceipt(submitted: Submitted, behaviour: Behaviour, nowMs: number): DeliverSm {
	const { stat, errorCode, form } = behaviour;
	const id = behaviour.hexInReceipt ? BigInt(submitted.id).toString(16) : submitted.id;
	const dates = `submit date:${receiptDate(submitted.submittedAtMs)} done date:${receiptDate(nowMs)}`;
	const delivered = stat === "DELIVRD" ? "001" : "000";
	const text = `id:${id} sub:001 dlvrd:${delivered} ${dates} stat:${stat} err:${errorCode} text:`;
	return deliverSm({
		source: submitted.destination,
		destination: submitted.source,
		esmClass: 0x04,
		shortMessage: form === "tlvs" ? noOctets : Buffer.from(text, "latin1"),
		tlvs: form === "text" ? [] : receiptTlvs(id, messageStates[stat], Number(errorCode)),
	});
}

const noOctets = Buffer.alloc(0);

function receiptTlvs(id: string, messageState: number, errorCode: number): Tlv[] {
	const tlvs = [
		textTlv(tags.receipted_message_id, id, true),
		numberTlv(tags.message_state, 1, messageState),
	];
	if (errorCode === 0) return tlvs;
	// Network type 3 is GSM; the code is two octets (§5.3.2.31).
	const value = Buffer.from([3, errorCode >> 8, errorCode & 0xff]);
	return [...tlvs, { tag: tags.network_error_code, value }];
}

/** What the person at the destination writes back to the sender, one PDU a part. */
export function writeReply(submitted: Submitted, said: Said, reference: number): DeliverSm[] {
	const { source: sender, destination: person } = submitted;
	const from = { source: person, destination: sender };
	if (said !== "long" && said !== "long_shuffled")
		return [deliverSm({ ...from, shortMessage: encodeSeptets(said) ?? noOctets })];
	const parts = longParts(reference & 0xff);
	const pdus = parts.map((part) =>
		deliverSm({ ...from, esmClass: 0x40, dataCoding: 8, shortMessage: part }),
	);
	if (said === "long") return pdus;
	const [first, ...others] = pdus;
	return first === undefined ? [] : [...others.reverse(), ...others.slice(0, 1), first];
}

function longParts(reference: number): Buffer[] {
	const cut = segment(longReply, { reference: "8-bit" });
	if (!cut.ok) return [];
	return cut.parts.map((text, index) => {
		const concatenation = { wide: false, reference, total: cut.parts.length, part: index + 1 };
		return Buffer.concat([buildHeader({ concatenation }) ?? noOctets, text]);
	});
}
