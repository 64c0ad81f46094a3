/**
 * What is known about one message when the rules judge it. Facts are gathered by their owners
 * (contacts, templates, messages) in batches; a rule never fetches one. `undefined` always means
 * "nobody looked" and never "no": the rule that needs such a fact refuses.
 */
import type { Environment } from "#platform/db.ts";

export type Channel = "sms";
export const channels: readonly Channel[] = ["sms"];

/** In the order in which they leave; the index is the number stored and sorted by. */
export const messageClasses = [
	"authentication",
	"transactional",
	"service",
	"promotional",
] as const;
export type MessageClass = (typeof messageClasses)[number];

/** 0 authentication, 1 transactional, 2 service, 3 promotional. */
export function classNumber(name: MessageClass): 0 | 1 | 2 | 3 {
	return messageClasses.indexOf(name) as 0 | 1 | 2 | 3;
}

/** The inverse of `classNumber`; undefined for any other number. */
export function classOfNumber(number: number): MessageClass | undefined {
	return messageClasses[number];
}

/** A tenant's own, narrower hours: minutes after local midnight; null is the law's own bound. */
export interface NarrowedWindow {
	readonly fromMinute: number | null;
	readonly untilMinute: number | null;
}

/** India's Distributed Ledger registration, each id 19 digits; null is "not given". */
export interface DltFacts {
	/** What the message itself names as principal entity. */
	readonly entityId: string | null;
	/** What the tenant has registered in its settings. */
	readonly registeredEntityId: string | null;
	readonly templateId: string | null;
}

/** Every key must be written down, so that whoever builds facts has thought of each. */
export interface Facts {
	/** When the message would leave, milliseconds since the epoch: now, or its scheduled time. */
	readonly now: number;
	readonly tenantId: string;
	readonly environment: Environment;
	readonly messageId: string;
	readonly channel: Channel;
	readonly class: MessageClass;
	/** Blind index of the recipient's address, 32 bytes. */
	readonly recipient: Buffer;
	/** Digest of all that will be said, 32 bytes. */
	readonly bodyDigest: Buffer;
	/** Destination, ISO 3166-1 alpha-2, upper case. */
	readonly country: string | undefined;
	readonly sender: { readonly registered: boolean; readonly active: boolean } | undefined;
	readonly suppressed: boolean | undefined;
	readonly promotionalConsent: "granted" | "revoked" | "none" | undefined;
	/** Countries the tenant has opened, as `country`. */
	readonly countriesAllowed: readonly string[] | undefined;
	/** What the tenant wants outside a window: wait for the next opening, or be told no. */
	readonly outsideWindow: "defer" | "refuse" | undefined;
	readonly promotionalWindow: NarrowedWindow | undefined;
	readonly dlt: DltFacts | undefined;
}

export type FactName = keyof Facts;
