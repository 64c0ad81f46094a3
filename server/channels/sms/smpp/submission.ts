/**
 * One message → the submit_sm PDUs that carry it, by a dialect. What the carrier could not take anyway
 * is refused here under the status the carrier would give, before an octet leaves. Nothing is cut
 * short or changed to make it fit. SMPP v3.4 §4.4.1; 3GPP TS 23.040 §9.2.3.24.
 */
import type { Clock } from "#platform/clock.ts";
import { decodeSeptets } from "../alphabet.ts";
import type { Dialect, DltTags } from "./dialect.ts";
import { type Address, limits, type SubmitSm, submitSm } from "./pdu.ts";
import { type Disposition, status, statusName } from "./status.ts";
import { absoluteTime, relativeTime } from "./time.ts";
import { numberTlv, tags, textTlv, type Tlv } from "./tlv.ts";

export interface SmsSubmission {
	/** Ours, to recognise it by; never sent. */
	readonly id: string;
	readonly source: Address;
	/** Digits only, with the country code. */
	readonly destination: Address;
	/** User data without UDH: unpacked septets one per octet, or UTF-16BE. 1 to 255 parts. */
	readonly parts: readonly Buffer[];
	readonly encoding: "GSM_7BIT" | "UCS2";
	/** 16 bits, the same in all parts; 8-bit references take its low octet. */
	readonly reference: number;
	/** How long the carrier may keep trying; undefined: as long as it likes. */
	readonly validityMs: number | undefined;
	readonly dlt?: DltFacts;
	/** Whether to ask for a final delivery receipt. */
	readonly registeredDelivery: boolean;
	/** Goes before what is not, and into what is kept of the window. */
	readonly urgent?: boolean;
}

export interface DltFacts {
	readonly entityId: string;
	readonly templateId: string;
	/** "" when the chain needs no hash here. */
	readonly chainHash: string;
}

export type Built =
	| { readonly ok: true; readonly pdus: readonly SubmitSm[] }
	| {
			readonly ok: false;
			readonly commandStatus: number;
			readonly name: string;
			readonly disposition: Exclude<Disposition, "bind">;
	  };

const udhIndicator = 0x40;
const finalReceipt = 0x01;
const ucs2 = 0x08;
/** §5.2.21: more goes into message_payload. */
const shortMessageBytesMax = 254;

/** The PDUs of a message, without sequence numbers. */
export function buildSubmits(submission: SmsSubmission, dialect: Dialect, clock: Clock): Built {
	const { parts } = submission;
	if (!fits(submission.source)) return refused(status.invalidSource);
	if (!/^[0-9]{1,20}$/.test(submission.destination.address))
		return refused(status.invalidDestination);
	if (parts.length < 1 || parts.length > 255) return refused(status.invalidMessageLength);
	const texts = inAlphabet(submission, dialect);
	if (texts === undefined) return refused(status.invalidOptionalValue, "route");
	const dlt = dltTlvs(submission.dlt, dialect.dlt);
	if (typeof dlt === "number")
		return refused(dlt, dialect.dlt === undefined ? "route" : "permanent");
	const common = {
		serviceType: dialect.serviceType,
		source: submission.source,
		destination: submission.destination,
		validityPeriod: validityOf(submission.validityMs, dialect, clock),
		registeredDelivery: submission.registeredDelivery ? finalReceipt : 0,
		dataCoding: submission.encoding === "UCS2" ? ucs2 : 0,
		tlvs: dlt,
	};
	const pdus = split(texts, submission.reference & 0xffff, dialect, common);
	const tooLong = pdus.some((pdu) => pdu.shortMessage.length > shortMessageBytesMax);
	return tooLong ? refused(status.invalidMessageLength) : { ok: true, pdus };
}

function refused(commandStatus: number, disposition: "permanent" | "route" = "permanent"): Built {
	return { ok: false, commandStatus, name: statusName(commandStatus), disposition };
}

/** A source is 1 to 20 printable ASCII characters: the rest differs from carrier to carrier. */
function fits({ address }: Address): boolean {
	return address.length <= limits.address && /^[\x20-\x7e]+$/.test(address);
}

/** GSM septets as they are, or as Latin-1 for an SMSC whose default that is. */
function inAlphabet(submission: SmsSubmission, dialect: Dialect): readonly Buffer[] | undefined {
	if (submission.encoding === "UCS2" || dialect.defaultAlphabet === "gsm") return submission.parts;
	const texts = submission.parts.map((part) => decodeSeptets(part));
	if (texts.some((text) => !/^[\x00-\xff]*$/.test(text))) return undefined;
	return texts.map((text) => Buffer.from(text, "latin1"));
}

/** The TLVs, or the status of what is missing or too much. */
function dltTlvs(facts: DltFacts | undefined, map: DltTags | undefined): readonly Tlv[] | number {
	if (facts === undefined) return map?.required === true ? status.missingOptional : [];
	if (map === undefined) return status.optionalNotAllowed;
	const tlvs: Tlv[] = [];
	for (const field of ["entityId", "templateId", "chainHash"] as const) {
		const text = facts[field];
		if (text === "" && field === "chainHash") continue;
		if (!/^[\x21-\x7e]{1,255}$/.test(text)) return status.invalidOptionalValue;
		tlvs.push(textTlv(map[field], text, map.nulTerminated));
	}
	return tlvs;
}

function validityOf(validityMs: number | undefined, dialect: Dialect, clock: Clock): string {
	if (validityMs === undefined) return "";
	if (dialect.validity === "relative") return relativeTime(validityMs);
	return absoluteTime(clock.now() + validityMs);
}

type Common = Pick<SubmitSm, "source" | "destination" | "tlvs"> & Partial<SubmitSm>;

function split(
	texts: readonly Buffer[],
	reference: number,
	dialect: Dialect,
	common: Common,
): SubmitSm[] {
	const count = texts.length;
	if (dialect.longMessage === "message_payload") {
		const whole = count === 1 ? (texts[0] as Buffer) : Buffer.concat(texts);
		if (whole.length <= shortMessageBytesMax) return [submitSm({ ...common, shortMessage: whole })];
		return [
			submitSm({ ...common, tlvs: [...common.tlvs, { tag: tags.message_payload, value: whole }] }),
		];
	}
	if (count === 1) return [submitSm({ ...common, shortMessage: texts[0] as Buffer })];
	return texts.map((text, index) => {
		if (dialect.longMessage === "sar")
			return submitSm({
				...common,
				shortMessage: text,
				tlvs: [...sar(reference, count, index + 1), ...common.tlvs],
			});
		const header = userDataHeader(dialect.longMessage === "udh-8", reference, count, index + 1);
		return submitSm({
			...common,
			esmClass: udhIndicator,
			shortMessage: Buffer.concat([header, text]),
		});
	});
}

function userDataHeader(short: boolean, reference: number, count: number, part: number): Buffer {
	if (short) return Buffer.from([5, 0x00, 3, reference & 0xff, count, part]);
	return Buffer.from([6, 0x08, 4, reference >>> 8, reference & 0xff, count, part]);
}

function sar(reference: number, count: number, part: number): readonly Tlv[] {
	return [
		numberTlv(tags.sar_msg_ref_num, 2, reference),
		numberTlv(tags.sar_total_segments, 1, count),
		numberTlv(tags.sar_segment_seqnum, 1, part),
	];
}
