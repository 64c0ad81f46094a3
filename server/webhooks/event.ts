/**
 * What happened, as webhooks see it: a reference in the outbox that its owner turns into a payload at the
 * moment of sending, so that nothing personal waits in a queue. And the signed request that carries it:
 * Standard Webhooks 1.0.0.
 */
import type { Scope } from "#platform/db.ts";
import { showId } from "#platform/ids.ts";
import { signWebhook } from "#vault/index.ts";

/** A JSON array whose second element is the event's id, a UUID; the rest is its owner's business. */
export type EventRef = readonly unknown[];

export interface RenderedEvent {
	readonly type: string;
	/** When it happened, RFC 3339. */
	readonly timestamp: string;
	readonly data: unknown;
}

/** A module whose outbox rows become webhooks. */
export interface EventSource {
	readonly topic: string;
	/** The event's type, from the reference alone; undefined when nobody outside is told of it. */
	eventTypeOf(ref: EventRef): string | undefined;
	/**
	 * Payloads by event id. An event that is missing from the map no longer has anything to tell (its message was
	 * erased) and is dropped. Opens its own transaction; at most 1,000 references of one scope.
	 */
	render(refs: readonly EventRef[], scope: Scope): Promise<ReadonlyMap<string, RenderedEvent>>;
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export function eventIdOf(ref: unknown): string | undefined {
	const id = Array.isArray(ref) ? (ref[1] as unknown) : undefined;
	return typeof id === "string" && uuid.test(id) ? id : undefined;
}

/**
 * Headers for one attempt. `webhook-id` names the event and is the same for every attempt and endpoint;
 * the timestamp is the attempt's own. One signature per key, newest first.
 */
export function signedHeaders(
	keys: readonly Buffer[],
	eventId: string,
	nowMs: number,
	body: string,
): Record<string, string> {
	const id = showId("evt", eventId);
	const seconds = Math.floor(nowMs / 1000);
	return {
		"content-type": "application/json",
		"webhook-id": id,
		"webhook-timestamp": String(seconds),
		"webhook-signature": keys.map((key) => signWebhook(key, id, seconds, body)).join(" "),
	};
}
