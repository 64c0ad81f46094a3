/**
 * What the ledger hashes of a message: every column that is stored of it, for none of them ever changes. The bytes
 * are a header of text lines, read by people and by waxwing-verify, and the columns that are octets. Pure.
 */
import { sha256 } from "#vault/index.ts";

/** A message as it is stored. Times are milliseconds since the epoch. */
export interface MessageFacts {
	readonly tenantId: string;
	readonly environment: string;
	readonly id: string;
	readonly inbound: boolean;
	readonly class: number;
	readonly encoding: number;
	readonly segments: number;
	readonly characters: number;
	readonly country: string;
	readonly dltTemplateId: string | null;
	readonly apiKeyId: string | null;
	readonly createdAtMs: number;
	readonly scheduledAtMs: number | null;
	readonly expiresAtMs: number;
	readonly ruleset: string | null;
	readonly verdicts: string | null;
	readonly deferredUntilMs: number | null;
	readonly clearUntilMs: number | null;
	readonly addressIndex: Buffer;
	readonly senderIndex: Buffer;
	readonly tagIndexes: Buffer | null;
	readonly seal: Buffer | null;
	/** The contents, as they are stored: an erasure destroys the key and leaves these bytes. */
	readonly sealed: Buffer;
}

/** First octet of what a leaf is the hash of; a node's is 1 (RFC 6962 §2.1). */
const title = "\0waxwing message 1";
const lengthBytes = 4;
const nullLength = 0xffff_ffff;
/** Enough for nearly every message: used again and again, for hashing comes at once. */
const room = Buffer.alloc(16_384);
const headerMax = 1_024;

/** 32 bytes. */
export function messageLeaf(facts: MessageFacts): Buffer {
	const size = sizeOf(facts);
	return sha256(write(facts, size <= room.length ? room : Buffer.allocUnsafe(size)));
}

/** Whether this leaf is that of what is stored, in which anything may stand by now: nothing where nothing may be, too. */
export function isLeafOf(stored: MessageFacts, leaf: Buffer): boolean {
	try {
		return messageLeaf(stored).equals(leaf);
	} catch {
		return false;
	}
}

/** What the leaf is the SHA-256 of. A buffer of the caller's own. */
export function messageBytes(facts: MessageFacts): Buffer {
	return write(facts, Buffer.allocUnsafe(sizeOf(facts)));
}

function sizeOf(facts: MessageFacts): number {
	const octets = facts.addressIndex.length + facts.senderIndex.length + facts.sealed.length;
	const texts = facts.country.length + (facts.ruleset?.length ?? 0) + (facts.verdicts?.length ?? 0);
	return (
		headerMax + 4 * texts + octets + (facts.tagIndexes?.length ?? 0) + (facts.seal?.length ?? 0)
	);
}

function write(facts: MessageFacts, octets: Buffer): Buffer {
	let at = octets.write(headerOf(facts), 0, "utf8");
	at = put(octets, at, facts.addressIndex);
	at = put(octets, at, facts.senderIndex);
	at = put(octets, at, facts.tagIndexes);
	at = put(octets, at, facts.seal);
	at = put(octets, at, facts.sealed);
	return octets.subarray(0, at);
}

/** Lines in this order, an empty one at the end. No value holds a line's end. */
function headerOf(facts: MessageFacts): string {
	const way = facts.inbound ? "inbound" : "outbound";
	const who = `${title}\n${facts.tenantId}\n${facts.environment}\n${facts.id}\n${way}\n${facts.class}`;
	const size = `${facts.encoding}\n${facts.segments}\n${facts.characters}\n${facts.country}`;
	const given = `${said(facts.dltTemplateId)}\n${said(facts.apiKeyId)}`;
	const when = `${micros(facts.createdAtMs)}\n${micros(facts.scheduledAtMs)}\n${micros(facts.expiresAtMs)}`;
	const judged = `${said(facts.ruleset)}\n${said(facts.verdicts)}`;
	const until = `${micros(facts.deferredUntilMs)}\n${micros(facts.clearUntilMs)}`;
	return `${who}\n${size}\n${given}\n${when}\n${judged}\n${until}\n\n`;
}

/** A text that may be missing: `=text`, or nothing. */
function said(text: string | null): string {
	return text === null ? "" : `=${text}`;
}

/** As exactly as PostgreSQL keeps times. */
function micros(ms: number | null): string {
	return ms === null ? "" : `${Math.round(ms * 1_000)}`;
}

/** Behind its length, 4 bytes big-endian; a missing one is the greatest length alone. */
function put(octets: Buffer, at: number, part: Buffer | null): number {
	octets.writeUInt32BE(part?.length ?? nullLength, at);
	if (part !== null) part.copy(octets, at + lengthBytes);
	return at + lengthBytes + (part?.length ?? 0);
}
