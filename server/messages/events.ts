/**
 * What customers are told of their messages: makes the payloads of webhooks from references, at the moment
 * of sending, so that nothing personal is copied into queues. Shapes are the SDK's.
 */
import type { Database, Scope } from "#platform/db.ts";
import { showId } from "#platform/ids.ts";
import type { Vault } from "#vault/index.ts";
import type { Sealed } from "./parcel.ts";
import { contactOf } from "./prepare.ts";
import { messagePrefix, openContents, renderError } from "./render.ts";
import { stateOfRank, states } from "./state.ts";
import { eventsByIds, messagesByIds, type StoredEvent, type StoredMessage } from "./read-store.ts";

/** [message id, event id, state rank]: a reference in the outbox. */
export type EventRef = readonly [messageId: string, eventId: string, rank: number];

export interface EventPayload {
	readonly type: string;
	/** RFC 3339. */
	readonly timestamp: string;
	readonly data: Readonly<Record<string, unknown>>;
}

export function eventTypeOf(ref: EventRef): string | undefined {
	return stateOfRank(ref[2]).event;
}

/** Payloads by event id; a reference whose message is gone has none. */
export async function renderEvents(
	parts: { db: Database; vault: Vault },
	scope: Scope,
	refs: readonly EventRef[],
): Promise<Map<string, EventPayload>> {
	await parts.vault.warm([scope.tenantId]);
	const [messages, events, contacts] = await parts.db.inTenant(scope, async (tx) => {
		const [messages, events] = await Promise.all([
			messagesByIds(tx, scope, [...new Set(refs.map(([messageId]) => messageId))]),
			eventsByIds(
				tx,
				scope,
				refs.map(([messageId]) => messageId),
				refs.map(([, eventId]) => eventId),
			),
		]);
		const people = messages.map((row) => contactOf(scope, row.address_index));
		return [messages, events, await parts.vault.contacts.load(tx, people)] as const;
	});
	const messageById = new Map(messages.map((message) => [message.id, message]));
	const eventById = new Map(events.map((event) => [event.id, event]));
	const payloads = new Map<string, EventPayload>();
	for (const ref of refs) {
		const message = messageById.get(ref[0]);
		if (message === undefined) continue;
		const contact = contacts.of(contactOf(scope, message.address_index));
		const sealed = openContents(parts.vault, contact, scope, message);
		// Of a person who was erased nothing is told any more.
		if (sealed !== undefined)
			payloads.set(ref[1], renderEvent(sealed, scope, ref, message, eventById.get(ref[1])));
	}
	return payloads;
}

function renderEvent(
	sealed: Sealed,
	scope: Scope,
	ref: EventRef,
	row: StoredMessage,
	event: StoredEvent | undefined,
): EventPayload {
	const [address, sender, text, tags, metadata] = sealed;
	const at = event?.occurred_at ?? row.created_at;
	const data: Record<string, unknown> = {
		sms_id: showId(messagePrefix, row.id),
		workspace_id: showId("ten", scope.tenantId),
		to: row.inbound ? sender : address,
		from: row.inbound ? address : sender,
		tags: tags ?? [],
		metadata: metadata ?? {},
	};
	if (ref[2] === states.received.rank) {
		data["text"] = text;
		data["segments"] = {
			count: row.segments,
			encoding: row.encoding === 0 ? "GSM_7BIT" : "UCS2",
			characters: row.characters,
		};
	}
	if (event !== undefined && event.error !== null)
		data["error"] = renderError(event.error, event.carrier_error, at);
	if (row.possible_duplicate === true) data["possible_duplicate"] = true;
	return { type: eventTypeOf(ref) ?? "sms.unknown", timestamp: at.toISOString(), data };
}
