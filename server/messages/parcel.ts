/**
 * A message on its way out, in memory: everything a carrier needs, with its clearance. Parcels of one
 * route, class and tenant travel in batches; the batch is what is leased, started and given back.
 */
import type { Segmented } from "#channels/index.ts";
import type { Environment } from "#platform/db.ts";
import type { Clearance, Facts } from "#policy/index.ts";

export interface Parcel {
	readonly tenantId: string;
	readonly environment: Environment;
	readonly messageId: string;
	/** 0 authentication … 3 promotional. */
	readonly class: number;
	readonly routeId: string;
	readonly to: string;
	readonly from: string;
	readonly segmented: Segmented;
	readonly country: string;
	readonly dlt: Dlt | undefined;
	readonly addressIndex: Buffer;
	/** Of the same address, that suppressions are found by. */
	readonly suppressionIndex: Buffer;
	readonly senderIndex: Buffer;
	readonly bodyDigest: Buffer;
	readonly clearance: Clearance;
	readonly expiresAtMs: number;
	/** Whether the lane's table has an entry of it; what was handed over in memory has none. */
	readonly inTable: boolean;
	/** Submits tried before this one. */
	readonly attempt: number;
	readonly possibleDuplicate: boolean;
	/** Not to be sent: its outcome stayed unknown and its class is sent at most once. */
	readonly abandoned: boolean;
	/**
	 * Its last submit ended with the connection, or with the process: it may be what ended it. It leaves with nothing beside it,
	 * so that it takes nobody along.
	 */
	readonly apart: boolean;
}

export interface Dlt {
	/** As the message names it; else the tenant's registered one is used. */
	readonly entityId: string | null;
	readonly templateId: string | null;
}

export interface Batch {
	readonly id: string;
	readonly routeId: string;
	readonly class: number;
	readonly tenantId: string;
	readonly parcels: readonly Parcel[];
	/** Handed over by the half that accepts, which waits to hear that it has left the lanes. */
	readonly handed: boolean;
	/** Marked as started by the commit that accepted it. */
	readonly started: boolean;
}

/** What a sealed message row holds. Order is the format: [to, from, text, tags, metadata, entity id, smart encoding]. */
export type Sealed = readonly [
	to: string,
	from: string,
	text: string,
	tags: readonly Tag[] | null,
	metadata: Readonly<Record<string, unknown>> | null,
	entityId: string | null,
	smartEncoding: boolean,
];

export interface Tag {
	readonly name: string;
	readonly value: string;
}

/** What a clearance is bound to, and what the rules are told, of one message. */
export type Subject = Pick<
	Facts,
	"tenantId" | "environment" | "messageId" | "recipient" | "bodyDigest" | "class"
> & {
	/** Of the recipient's address, that suppressions are found by. */
	readonly suppressionIndex: Buffer;
	readonly senderIndex: Buffer;
	readonly country: string;
	readonly dlt: Dlt | undefined;
	/** When it would leave, milliseconds since the epoch. */
	readonly at: number;
};
