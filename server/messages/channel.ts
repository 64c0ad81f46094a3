/**
 * What passes between the half that accepts and the half that sends, when both live in one process: messages just
 * committed, so that nothing is read back from the table, and how full the lanes are. Plain data, for they run on
 * threads of their own. Everything here may be lost: the table is the truth.
 */
import { type Segmented, segment } from "#channels/index.ts";
import { recall, type StoredClearance } from "#policy/index.ts";
import type { TenantSettings } from "#templates/index.ts";
import type { Vault } from "#vault/index.ts";
import type { StartedBatch } from "./dispatch.ts";
import { factsOf, type Judged, type Known } from "./facts.ts";
import type { Parcel, Subject } from "./parcel.ts";

/** A batch as it is handed over: under a lease of the half that sends. */
export interface HandedBatch {
	readonly id: string;
	readonly routeId: string;
	readonly class: number;
	readonly tenantId: string;
	/** Marked as started by the commit that accepted it; else it must be started before it leaves. */
	readonly started: boolean;
	readonly settings: TenantSettings | undefined;
	readonly messages: HandedMessage[];
}

export interface HandedMessage {
	readonly subject: Omit<
		Subject,
		"tenantId" | "recipient" | "bodyDigest" | "senderIndex" | "suppressionIndex"
	>;
	/** Made by `packOctets`. */
	readonly octets: string;
	readonly clearance: Omit<StoredClearance, "seal">;
	readonly to: string;
	readonly from: string;
	readonly text: string;
	readonly expiresAtMs: number;
	readonly judged: Judged;
}

export type ToSending =
	/** `batches`: each the JSON of a HandedBatch, so that they can be read one at a time. Their leases end at `untilMs`. */
	| { readonly kind: "handed"; readonly batches: readonly string[]; readonly untilMs: number }
	/** Messages were put into these lanes of the table, as `route/class`. */
	| { readonly kind: "waits"; readonly lanes: readonly string[] }
	/** Something is in the outbox. */
	| { readonly kind: "told" };

export type ToAccepting =
	/** Routes with a bind that stands, and lanes (`route/class`) with work in the table: neither is handed anything. */
	| {
			readonly kind: "lanes";
			readonly bound: readonly string[];
			readonly backlog: readonly string[];
	  }
	/** Batches that have left the lanes. */
	| { readonly kind: "left"; readonly batches: readonly LeftBatch[] };

export interface LeftBatch {
	readonly routeId: string;
	readonly class: number;
	readonly tenantId: string;
	readonly started: boolean;
	readonly messages: number;
}

/** What of a message is octets, 32 each. */
export type HandedOctets = readonly [
	recipient: Buffer,
	bodyDigest: Buffer,
	sender: Buffer,
	seal: Buffer,
	suppression: Buffer,
];

const partBytes = 32;
const packed = Buffer.alloc(5 * partBytes);

/** In base64, as one: five texts would cost five times as much. */
export function packOctets(parts: HandedOctets): string {
	for (const [i, part] of parts.entries()) {
		if (part.length !== partBytes) throw new RangeError("what is handed over is 32 octets each");
		packed.set(part, i * partBytes);
	}
	return packed.toString("base64");
}

function unpackOctets(text: string): HandedOctets {
	const octets = Buffer.from(text, "base64");
	if (octets.length !== packed.length) throw new RangeError("not what packOctets makes");
	const part = (i: number): Buffer => octets.subarray(i * partBytes, (i + 1) * partBytes);
	return [part(0), part(1), part(2), part(3), part(4)];
}

/** Reads what was handed over; the tenant's keys must be warm. A clearance that is not the message's own throws. */
export function readHanded(batch: HandedBatch, vault: Vault): StartedBatch {
	const known: Known[] = [];
	const parcels = batch.messages.map((message) => {
		const octets = unpackOctets(message.octets);
		const subject = subjectOf(batch.tenantId, message, octets);
		const { settings } = batch;
		if (batch.started) known.push({ facts: factsOf(subject, settings, message.judged), settings });
		return parcelOf(batch, message, subject, octets, vault);
	});
	const { id, routeId, class: classNumber, tenantId, started } = batch;
	return { id, routeId, class: classNumber, tenantId, handed: true, started, parcels, known };
}

function subjectOf(tenantId: string, { subject }: HandedMessage, octets: HandedOctets): Subject {
	const [recipient, bodyDigest, senderIndex, , suppressionIndex] = octets;
	return { ...subject, tenantId, recipient, bodyDigest, senderIndex, suppressionIndex };
}

function parcelOf(
	batch: HandedBatch,
	message: HandedMessage,
	subject: Subject,
	[, , , seal]: HandedOctets,
	vault: Vault,
): Parcel {
	const clearance = recall({ ...message.clearance, seal }, subject, vault);
	if (clearance === undefined)
		throw new Error(`the clearance of ${subject.messageId} is not its own`);
	return {
		tenantId: batch.tenantId,
		environment: subject.environment,
		messageId: subject.messageId,
		class: batch.class,
		routeId: batch.routeId,
		to: message.to,
		from: message.from,
		segmented: cut(message.text),
		country: subject.country,
		dlt: subject.dlt,
		addressIndex: subject.recipient,
		suppressionIndex: subject.suppressionIndex,
		senderIndex: subject.senderIndex,
		bodyDigest: subject.bodyDigest,
		clearance,
		expiresAtMs: message.expiresAtMs,
		inTable: false,
		attempt: 0,
		possibleDuplicate: false,
		abandoned: false,
		apart: false,
	};
}

function cut(text: string): Segmented {
	const segmented = segment(text);
	if (!segmented.ok) throw new Error("an accepted text cannot be cut into segments");
	return segmented;
}
