/**
 * What one `deliver_sm` says: who wrote, to which number, which text, and which part of a long one it is.
 * Pure, and done when the PDU arrives: its octets are views over what the socket read, and nothing of them
 * may be kept while a text waits to be written.
 */
import { type DeliverSm, judgePart, readUserData, type referenceNumber } from "#channels/index.ts";
import type { Environment } from "#platform/db.ts";

/** One text message from a person, as a carrier handed it up. */
export interface FromPerson {
	readonly environment: Environment;
	readonly pdu: DeliverSm;
}

export type PartOf = Parameters<typeof referenceNumber>[0];

export interface InboundText {
	readonly environment: Environment;
	/** The person, E.164 with its plus. */
	readonly address: string;
	/** How the number or sender they wrote to may be registered, likeliest first. */
	readonly forms: readonly string[];
	readonly text: string;
	readonly encoding: "GSM_7BIT" | "UCS2" | "LATIN1";
	/** Set when the text is one of several parts. */
	readonly part: PartOf | undefined;
}

export type InboundRead =
	| { readonly ok: true; readonly text: InboundText }
	| { readonly ok: false; readonly why: "no_number" | "not_text" };

export function readInbound({ environment, pdu }: FromPerson): InboundRead {
	const address = personOf(pdu);
	if (address === undefined) return { ok: false, why: "no_number" };
	const read = readUserData(pdu);
	if (!read.ok) return { ok: false, why: "not_text" };
	const { text, encoding, concatenation } = read;
	const part = isPart(concatenation) ? concatenation : undefined;
	return { ok: true, text: { environment, address, forms: formsOf(pdu), text, encoding, part } };
}

/** A person's number in E.164. Carriers send it with or without a plus. */
function personOf(pdu: DeliverSm): string | undefined {
	const digits = pdu.source.address.replace(/^\+/, "");
	return /^[1-9][0-9]{5,14}$/.test(digits) ? `+${digits}` : undefined;
}

function formsOf(pdu: DeliverSm): string[] {
	const to = pdu.destination.address;
	return /^[0-9]{9,15}$/.test(to) ? [`+${to}`, to] : [to];
}

/** A message of one part is whole by itself, and what cannot be a part is a text like any other. */
function isPart(concatenation: PartOf | undefined): boolean {
	return (
		concatenation !== undefined && judgePart(concatenation) === "part" && concatenation.total > 1
	);
}
