/**
 * What differs from one SMPP carrier to the next, as data: addresses, long messages, DLT parameters,
 * the reading of its own refusals. To add a carrier, add an entry to `dialects`. A dialect holds no
 * code and no credentials.
 */
import type { ReceiptIds } from "../receipt.ts";
import type { Address } from "./pdu.ts";
import type { StatusEntry } from "./status.ts";

export interface Numbering {
	readonly ton: number;
	readonly npi: number;
}

/** How a message of several parts is sent; one way per carrier, never two at once (v3.4 §3.2.3). */
export type LongMessage =
	/** A UDH with a 16-bit reference (3GPP TS 23.040 §9.2.3.24.8): 7 octets. */
	| "udh-16"
	/** A UDH with an 8-bit reference (§9.2.3.24.1): 6 octets. */
	| "udh-8"
	/** sar_msg_ref_num, sar_total_segments, sar_segment_seqnum. */
	| "sar"
	/** One submit_sm with the whole text in message_payload. */
	| "message_payload";

/** Vendor TLVs that carry India's DLT registration (TCCCPR 2018, the access providers' practice). */
export interface DltTags {
	readonly entityId: number;
	readonly templateId: number;
	readonly chainHash: number;
	/** Some SMSCs want C-octet strings. */
	readonly nulTerminated: boolean;
	/** Whether a message without them is held back here instead of being refused there. */
	readonly required: boolean;
}

export interface Dialect {
	readonly id: string;
	readonly source: {
		readonly alphanumeric: Numbering;
		readonly number: Numbering;
		readonly shortCode: Numbering;
	};
	readonly destination: Numbering;
	readonly longMessage: LongMessage;
	readonly dlt: DltTags | undefined;
	/** How the id in a receipt relates to the one in submit_sm_resp. */
	readonly receiptIds: ReceiptIds;
	/** What data_coding 0 means to this SMSC. */
	readonly defaultAlphabet: "gsm" | "latin1";
	/** The form of validity_period. */
	readonly validity: "relative" | "absolute";
	/** The carrier's own codes, and its own reading of common ones. */
	readonly refusals: ReadonlyMap<number, StatusEntry>;
	readonly serviceType: string;
	readonly systemType: string;
	readonly interfaceVersion: number;
}

const dltTags: DltTags = {
	entityId: 0x1400,
	templateId: 0x1401,
	chainHash: 0x1402,
	nulTerminated: false,
	required: false,
};

/** The protocol as written. DLT parameters go out when a message has them; others ignore them (§3.3). */
const standard: Dialect = {
	id: "standard",
	source: {
		alphanumeric: { ton: 5, npi: 0 },
		number: { ton: 1, npi: 1 },
		shortCode: { ton: 3, npi: 0 },
	},
	destination: { ton: 1, npi: 1 },
	longMessage: "udh-16",
	dlt: dltTags,
	receiptIds: "auto",
	defaultAlphabet: "gsm",
	validity: "relative",
	refusals: new Map(),
	serviceType: "",
	systemType: "",
	interfaceVersion: 0x34,
};

/** An Indian access provider: no message leaves without its entity and template. */
const indiaDlt: Dialect = {
	...standard,
	id: "india-dlt",
	dlt: { ...dltTags, required: true },
};

export const dialects: ReadonlyMap<string, Dialect> = new Map(
	[standard, indiaDlt].map((dialect) => [dialect.id, dialect]),
);

/** Numbers of up to so many digits are short codes, not telephone numbers. */
const shortCodeDigitsMax = 8;

/** A sender as the carrier wants it: `WAXWNG`, `+919812345678` (sent without its +), `56767`. */
export function sourceAddress(dialect: Dialect, sender: string): Address {
	if (/^\+[0-9]+$/.test(sender)) return { ...dialect.source.number, address: sender.slice(1) };
	if (!/^[0-9]+$/.test(sender)) return { ...dialect.source.alphanumeric, address: sender };
	const short = sender.length <= shortCodeDigitsMax;
	return { ...(short ? dialect.source.shortCode : dialect.source.number), address: sender };
}

/** A recipient in E.164 (`+919812345678`), as digits alone. */
export function destinationAddress(dialect: Dialect, e164: string): Address {
	return { ...dialect.destination, address: e164.startsWith("+") ? e164.slice(1) : e164 };
}
