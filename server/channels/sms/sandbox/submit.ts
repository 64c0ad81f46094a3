/**
 * What the sandbox makes of one submit_sm: judges it as an SMSC would, then acts as the destination's
 * magic number says. Keeps no text: only addresses, an id and, for the numbers that refuse twice, a
 * bounded count of tries.
 */
import type { Clock } from "#platform/clock.ts";
import type { Random } from "#platform/ids.ts";
import type { MessageResp, SubmitSm } from "../smpp/pdu.ts";
import type { Session } from "../smpp/session.ts";
import { status } from "../smpp/status.ts";
import { findTlv, tags, tlvNumber, tlvText } from "../smpp/tlv.ts";
import { readHeader } from "../user-data-header.ts";
import type { Agenda } from "./agenda.ts";
import { type Behaviour, behaviourOf } from "./magic-numbers.ts";
import type { Postbox } from "./postbox.ts";
import { type Submitted, writeReceipt, writeReply } from "./write-receipt.ts";

export interface Account {
	readonly systemId: string;
	readonly password: string;
	/** Refuses messages to India without well-formed DLT parameters (TLVs 0x1400, 0x1401, 0x1402). */
	readonly dlt?: boolean;
}

export interface SubmitCounts {
	submitted: number;
	accepted: number;
	refused: number;
	unanswered: number;
	receipts: number;
	replies: number;
}

export interface SubmitParts {
	readonly clock: Clock;
	readonly random: Random;
	readonly agenda: Agenda;
	readonly counts: SubmitCounts;
	readonly lateAnswerMs: number;
}

/** One session's side of it: how to answer, where receipts go, and how to vanish. */
export interface Submitter {
	readonly account: Account;
	readonly session: Session;
	readonly postbox: Postbox;
	/** Notes a submit that stays unanswered. */
	readonly leave: (sequence: number) => void;
}

const receiptLeastMs = 20;
const receiptSpreadMs = 30;
/** From the receipt to what the person writes. */
const replyAfterMs = 60;
/** From a receipt that comes first to the answer. */
const answerAfterReceiptMs = 40;
const triesRemembered = 10_000;

/** Returns what to do with each submit_sm of a bound session. */
export function createSubmit(parts: SubmitParts): (from: Submitter, pdu: SubmitSm) => void {
	const { clock, agenda, counts } = parts;
	// Ids go on from the clock, so that a restarted sandbox never gives one out twice.
	let lastId = clock.now() * 1_000;
	const refusesYet = createTries();
	return (from, pdu) => {
		counts.submitted++;
		const answer = (commandStatus: number, id = ""): void => {
			if (commandStatus === status.ok) counts.accepted++;
			else counts.refused++;
			from.session.answer(respond(pdu.sequence, commandStatus, id));
		};
		const fault = judge(from.account, pdu);
		if (fault !== status.ok) return answer(fault);
		// Room for the answer, the receipt and the reply: a full carrier says so instead of losing one.
		if (agenda.size() > agendaSizeMax - 3) return answer(status.queueFull);
		const behaviour = behaviourOf(pdu.destination.address);
		if (behaviour.answer === "drop") return from.session.close();
		if (behaviour.answer === "refuse") return answer(behaviour.commandStatus);
		if (behaviour.answer === "first_twice" && refusesYet(from.account, pdu))
			return answer(behaviour.commandStatus);
		lastId = Math.max(lastId + 1, clock.now() * 1_000);
		const message = accepted(pdu, String(lastId), clock.now());
		const { id } = message.submitted;
		switch (behaviour.answer) {
			case "never":
				counts.unanswered++;
				from.leave(pdu.sequence);
				return deliver(parts, from, behaviour, message, 0);
			case "late":
				agenda.add(parts.lateAnswerMs, () => answer(status.ok, id));
				return deliver(parts, from, behaviour, message, parts.lateAnswerMs);
			case "after_receipt":
				agenda.add(answerAfterReceiptMs, () => answer(status.ok, id));
				return deliver(parts, from, behaviour, message, 0);
			default:
				answer(status.ok, id);
				return deliver(parts, from, behaviour, message, 0);
		}
	};
}

/** Everything that follows once the message is the carrier's, `sinceMs` from now. */
function deliver(
	{ clock, random, agenda, counts }: SubmitParts,
	from: Submitter,
	behaviour: Behaviour,
	{ submitted, registered, isLast }: Accepted,
	sinceMs: number,
): void {
	const copies = receiptCopies(behaviour, registered, isLast);
	const dueMs = sinceMs + receiptDelay(behaviour, random);
	const post = (): void => {
		const receipt = writeReceipt(submitted, behaviour, clock.now());
		for (let copy = 0; copy < copies; copy++) from.postbox.post(receipt, from.session);
		counts.receipts += copies;
	};
	if (copies > 0 && dueMs === 0) post();
	else if (copies > 0) agenda.add(dueMs, post);
	const { reply } = behaviour;
	if (reply === undefined || !isLast) return;
	agenda.add(dueMs + replyAfterMs, () => {
		const reference = random.bytes(1)[0] as number;
		for (const part of writeReply(submitted, reply, reference))
			from.postbox.post(part, from.session);
		counts.replies++;
	});
}

function receiptDelay(behaviour: Behaviour, random: Random): number {
	if (behaviour.answer === "after_receipt") return 0;
	return behaviour.receiptAfterMs ?? receiptLeastMs + random.fraction() * receiptSpreadMs;
}

/** Acts that may wait at once: about four seconds of receipts at full speed. */
export const agendaSizeMax = 200_000;

export function respond(sequence: number, commandStatus: number, messageId: string): MessageResp {
	return { command: "submit_sm_resp", sequence, status: commandStatus, messageId, tlvs: [] };
}

interface Accepted {
	readonly submitted: Submitted;
	/** registered_delivery, its receipt bits (§5.2.17). */
	readonly registered: number;
	/** A message of one segment, or the last of several. */
	readonly isLast: boolean;
}

function accepted(pdu: SubmitSm, id: string, nowMs: number): Accepted {
	const { source, destination } = pdu;
	return {
		submitted: { id, source, destination, submittedAtMs: nowMs },
		registered: pdu.registeredDelivery & 3,
		isLast: isLastSegment(pdu),
	};
}

function isLastSegment(pdu: SubmitSm): boolean {
	if ((pdu.esmClass & 0x40) !== 0) {
		const read = readHeader(pdu.shortMessage);
		const place = read.ok ? read.header.concatenation : undefined;
		return place === undefined || place.part >= place.total;
	}
	const total = tlvNumber(pdu.tlvs, tags.sar_total_segments);
	const part = tlvNumber(pdu.tlvs, tags.sar_segment_seqnum);
	return total === undefined || part === undefined || part >= total;
}

/** 1 asks for any final state, 2 for failures, 3 (v5.0) for success. */
function receiptCopies(behaviour: Behaviour, registered: number, isLast: boolean): number {
	const isDelivered = behaviour.stat === "DELIVRD";
	if (behaviour.receipt === "never" || registered === 0) return 0;
	if (registered === 2 && isDelivered) return 0;
	if (registered === 3 && !isDelivered) return 0;
	if (behaviour.receipt === "last_segment" && !isLast) return 0;
	return behaviour.receipt === "twice" ? 2 : 1;
}

/** The command_status an SMSC would refuse with before it looks at the network. */
function judge(account: Account, pdu: SubmitSm): number {
	if (!/^\+?\d{5,19}$/.test(pdu.destination.address)) return status.invalidDestination;
	if (pdu.source.address === "") return status.invalidSource;
	if ((pdu.esmClass & 0x40) !== 0) {
		const octets =
			pdu.shortMessage.length > 0 ? pdu.shortMessage : findTlv(pdu.tlvs, tags.message_payload);
		if (octets === undefined || !readHeader(octets).ok) return status.invalidEsmClass;
	}
	return account.dlt === true && /^\+?91/.test(pdu.destination.address) ? judgeDlt(pdu) : status.ok;
}

const dltShapes: readonly (readonly [tag: number, shape: RegExp])[] = [
	[0x1400, /^\d{1,30}$/],
	[0x1401, /^\d{1,30}$/],
	[0x1402, /^([0-9a-f]{64}|\d{1,30}(,\d{1,30}){0,9})$/],
];

function judgeDlt(pdu: SubmitSm): number {
	for (const [tag, shape] of dltShapes) {
		const value = tlvText(pdu.tlvs, tag);
		if (value === undefined) return status.missingOptional;
		if (value.length > 400 || !shape.test(value)) return status.invalidOptionalValue;
	}
	return status.ok;
}

/** True for the first two tries of one text to one number; the third is let pass and forgotten. */
function createTries(): (account: Account, pdu: SubmitSm) => boolean {
	const tries = new Map<string, number>();
	return (account, pdu) => {
		const text = pdu.shortMessage.toString("latin1");
		const key = `${account.systemId}\0${pdu.destination.address}\0${pdu.source.address}\0${text}`;
		const before = tries.get(key) ?? 0;
		tries.delete(key);
		if (before >= 2) return false;
		tries.set(key, before + 1);
		if (tries.size > triesRemembered) tries.delete(tries.keys().next().value as string);
		return true;
	};
}
