/**
 * What a carrier says became of a message: reads delivery receipts out of deliver_sm, from the TLVs
 * where there are any, else from the text that carriers have agreed on and each writes differently.
 * Linear in a bounded text, never throws, keeps nothing of the message's own text. A state it does
 * not know is `unknown`, never a guess.
 * SMPP v3.4 §5.2.12 (esm_class), §5.2.28 (message_state), §5.3.2.31 (network_error_code), Appendix B.
 */
import type { DeliverSm } from "./smpp/pdu.ts";
import { findTlv, tags, tlvText } from "./smpp/tlv.ts";

/** By the number of message_state; 0 and 9 are v5.0's. */
export const receiptStates = [
	"scheduled",
	"enroute",
	"delivered",
	"expired",
	"deleted",
	"undelivered",
	"accepted",
	"unknown",
	"rejected",
	"skipped",
] as const;

export type ReceiptState = (typeof receiptStates)[number];

export interface Receipt {
	/** As the receipt writes it; see `candidateIds`. Printable, at most 64 characters. */
	readonly carrierId: string;
	readonly state: ReceiptState;
	/** Index of `state` in `receiptStates`: message_state. */
	readonly messageState: number;
	/** The carrier's own code, 1–8 letters and digits; meaningful only with the carrier's name. */
	readonly errorCode: string | undefined;
	/** Milliseconds since the epoch; only when the carrier's zone is known. */
	readonly doneAtMs: number | undefined;
}

export type ReceiptRead =
	| { readonly ok: true; readonly receipt: Receipt }
	| { readonly ok: false; readonly why: "no_id" };

export interface ReceiptOptions {
	/** The carrier's offset from UTC: the dates in receipts have no zone. India: 330. */
	readonly zoneMinutes?: number;
}

type ReceiptPdu = Pick<DeliverSm, "esmClass" | "dataCoding" | "shortMessage" | "tlvs">;

/** Everything a receipt says stands in its first octets; the rest is a copy of the message. */
const textOctetsMax = 512;
const idCharactersMax = 64;

/**
 * Whether a deliver_sm is about a message of ours rather than from a person. An esm_class that says
 * nothing is believed only with the TLV receipted_message_id: a person can write any text, no TLV.
 */
export function isReceipt(pdu: Pick<DeliverSm, "esmClass" | "tlvs">): boolean {
	const kind = pdu.esmClass & 0x3c;
	if (kind === 0x04 || kind === 0x20) return true;
	return kind === 0 && findTlv(pdu.tlvs, tags.receipted_message_id) !== undefined;
}

/** Reads a receipt; call it when `isReceipt`. Refuses only one that names no message. */
export function readReceipt(pdu: ReceiptPdu, options: ReceiptOptions = {}): ReceiptRead {
	const fields = readFields(receiptText(pdu));
	const carrierId = cleanId(tlvText(pdu.tlvs, tags.receipted_message_id) ?? "") || fields.id;
	if (carrierId === "") return { ok: false, why: "no_id" };
	const messageState = stateOf(pdu, fields.stat);
	const receipt = {
		carrierId,
		state: receiptStates[messageState] ?? "unknown",
		messageState,
		errorCode: errorOf(fields.err) ?? networkError(pdu) ?? cleanCode(fields.err),
		doneAtMs:
			options.zoneMinutes === undefined ? undefined : time(fields.done, options.zoneMinutes),
	};
	return { ok: true, receipt };
}

/** The start of the text as Latin-1: what matters is ASCII in every data coding but UCS-2. */
function receiptText(pdu: ReceiptPdu): string {
	const payload = findTlv(pdu.tlvs, tags.message_payload);
	const octets = pdu.shortMessage.length > 0 ? pdu.shortMessage : (payload ?? pdu.shortMessage);
	const start = octets.toString("latin1", 0, textOctetsMax);
	return pdu.dataCoding === 8 ? start.replaceAll("\0", "") : start;
}

interface Fields {
	id: string;
	stat: string;
	err: string;
	done: string;
}

/**
 * A field's name, after the start or a separator, and its value up to white space. Each name is a
 * fixed text and each value bounded, so that the scan is linear whatever the carrier sends.
 */
const fieldPattern =
	/(?:^|[\s,;])(id|sub|dlvrd|submit[ _]?date|done[ _]?date|stat|err|text)[ \t]{0,2}:/gi;

function readFields(text: string): Fields {
	const fields: Fields = { id: "", stat: "", err: "", done: "" };
	const starts: { name: string; from: number; to: number }[] = [];
	for (const found of text.matchAll(fieldPattern)) {
		const name = (found[1] as string).toLowerCase().replace(/[ _]/, "");
		starts.push({ name, from: found.index + found[0].length, to: text.length });
		const before = starts.at(-2);
		if (before !== undefined) before.to = found.index;
		// Behind it is the message's own text, whose words are not fields.
		if (name === "text") break;
	}
	for (const { name, from, to } of starts) {
		const value = /^[ \t]{0,2}([^\s,;]*)/.exec(text.slice(from, to))?.[1] ?? "";
		if (name === "id" && fields.id === "") fields.id = cleanId(value);
		else if (name === "stat" && fields.stat === "") fields.stat = value.toUpperCase();
		else if (name === "err" && fields.err === "") fields.err = value;
		else if (name === "donedate" && fields.done === "") fields.done = value;
	}
	return fields;
}

/** Without blanks around it; "" when too long or not printable ASCII. */
function cleanId(text: string): string {
	if (text.length > idCharactersMax * 2) return "";
	const id = text.trim();
	return id.length <= idCharactersMax && /^[!-~]+$/.test(id) ? id : "";
}

const statNames: ReadonlyMap<string, ReceiptState> = new Map([
	["SCHEDULED", "scheduled"],
	["ENROUTE", "enroute"],
	["DELIVRD", "delivered"],
	["DELIVERED", "delivered"],
	["EXPIRED", "expired"],
	["DELETED", "deleted"],
	["UNDELIV", "undelivered"],
	["UNDELIVERED", "undelivered"],
	["UNDELIVERABLE", "undelivered"],
	["ACCEPTD", "accepted"],
	["ACCEPTED", "accepted"],
	["UNKNOWN", "unknown"],
	["REJECTD", "rejected"],
	["REJECTED", "rejected"],
	["SKIPPED", "skipped"],
]);

const unknownState = receiptStates.indexOf("unknown");

function stateOf(pdu: ReceiptPdu, stat: string): number {
	const said = findTlv(pdu.tlvs, tags.message_state);
	if (said !== undefined && said.length === 1) {
		const number = said[0] as number;
		return number < receiptStates.length ? number : unknownState;
	}
	return receiptStates.indexOf(statNames.get(stat) ?? "unknown");
}

/** The TLV's number in decimal; 0 says nothing, and the text may say more. */
function networkError(pdu: ReceiptPdu): string | undefined {
	const value = findTlv(pdu.tlvs, tags.network_error_code);
	if (value?.length !== 3) return undefined;
	const code = value.readUInt16BE(1);
	return code === 0 ? undefined : String(code);
}

/** The text's code as the carrier documents it (`001`, `633`); the TLV has lost its zeros. */
function errorOf(text: string): string | undefined {
	const code = cleanCode(text);
	return code === undefined || /^0+$/.test(code) ? undefined : code;
}

function cleanCode(text: string): string | undefined {
	return /^[0-9A-Za-z]{1,8}$/.test(text) ? text : undefined;
}

/** YYMMDDhhmm, YYMMDDhhmmss or YYYYMMDDhhmmss in the carrier's zone. */
function time(text: string, zoneMinutes: number): number | undefined {
	if (!/^(\d{10}|\d{12}|\d{14})$/.test(text)) return undefined;
	const digits = (text.length === 14 ? text : `20${text}`).padEnd(14, "0");
	const [year, month, day] = [digits.slice(0, 4), digits.slice(4, 6), digits.slice(6, 8)];
	const [hour, minute, second] = [digits.slice(8, 10), digits.slice(10, 12), digits.slice(12)];
	const utcMs = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
	// Date.parse turns 30 February into 2 March: a date that does not come back was none.
	if (Number.isNaN(utcMs) || new Date(utcMs).getUTCDate() !== Number(day)) return undefined;
	return utcMs - zoneMinutes * 60_000;
}

export type ReceiptIds = "auto" | "same" | "hex-in-receipt" | "decimal-in-receipt";

/**
 * The ids under which the submit may have been answered when its receipt says `id`, likeliest first.
 * `same`: as written. `hex-in-receipt`: the answer was in decimal. `decimal-in-receipt`: the answer
 * was in hexadecimal. `auto` tries all, as written first: among a carrier's small consecutive numbers
 * it can meet another message's id, so a carrier that converts should be told so in its dialect.
 * An id that is no number of 64 bits is only ever tried as written.
 */
export function candidateIds(id: string, mode: ReceiptIds): readonly string[] {
	if (id === "" || id.length > idCharactersMax) return [];
	const fromHex = /^[0-9a-f]{1,16}$/i.test(id) ? BigInt(`0x${id}`) : undefined;
	const fromDecimal = /^\d{1,20}$/.test(id) ? BigInt(id) : undefined;
	const decimals =
		fromHex === undefined ? [] : [fromHex.toString(), padded(fromHex.toString(), 10)];
	const hexes = fromDecimal === undefined ? [] : hexForms(fromDecimal);
	if (mode === "hex-in-receipt" && decimals.length > 0) return unique(decimals);
	if (mode === "decimal-in-receipt" && hexes.length > 0) return unique(hexes);
	if (mode !== "auto") return [id];
	return unique([id, ...sameNumber(id), ...decimals, ...hexes]);
}

function padded(digits: string, width: number): string {
	return digits.padStart(width, "0");
}

function hexForms(number: bigint): string[] {
	const hex = number.toString(16);
	return [hex, hex.toUpperCase(), padded(hex, 8), padded(hex, 8).toUpperCase()];
}

/** The same digits in the other case, without leading zeros, or filled up to a usual width. */
function sameNumber(id: string): string[] {
	const bare = id.replace(/^0+(?=.)/, "");
	const forms = [id.toLowerCase(), id.toUpperCase(), bare, bare.toLowerCase(), bare.toUpperCase()];
	return /^\d+$/.test(id) ? [...forms, padded(bare, 8), padded(bare, 10)] : forms;
}

function unique(ids: readonly string[]): readonly string[] {
	return [...new Set(ids)];
}
