/** The routes that read messages, and the one that cancels. Handlers are thin: they find rows and show them. */
import type { Clock } from "#platform/clock.ts";
import type { Database, Scope, Tx } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import { type Route, route } from "#platform/http.ts";
import { type Ids, readId, showId } from "#platform/ids.ts";
import { describeLook, readPage, showPage } from "#platform/page.ts";
import { explain } from "#policy/index.ts";
import type { ContactKey, ContactKeys, Vault } from "#vault/index.ts";
import { readFilter } from "./list.ts";
import * as store from "./read-store.ts";
import { contactOf } from "./prepare.ts";
import { messagePrefix, openContents, renderError, renderStored } from "./render.ts";
import * as shapes from "./schemas.ts";
import { stateOfRank, states } from "./state.ts";
import { takeOutOfLane } from "./store.ts";
import { applyTransitions } from "./transition-store.ts";

export interface ReadRouteParts {
	readonly db: Database;
	readonly vault: Vault;
	readonly ids: Ids;
	readonly clock: Clock;
}

const notFound = (): Fault =>
	Fault.of("not_found", { message: "There is no such message in this tenant and environment." });
const refusals = {
	401: { description: "No valid key." },
	403: { description: "The key lacks the scope." },
	404: { description: "No such message here." },
} as const;

export function listRoute(parts: ReadRouteParts): Route {
	return route({
		method: "GET",
		path: "/v1/sms/messages",
		operationId: "listSms",
		tag: "SMS",
		permission: "sms:read",
		idempotency: "none",
		audited: false,
		summary: "List messages, newest first",
		description: describeLook("messages", "With a filter that few of them fit"),
		query: shapes.listQuery,
		answers: {
			200: { description: "A page.", schema: shapes.messageList },
			401: refusals[401],
			403: refusals[403],
			422: { description: "A filter is not acceptable." },
		},
		handle: async ({ scope, query }) => {
			await parts.vault.warm([scope.tenantId]);
			const nowMs = parts.clock.now();
			const page = readPage(messagePrefix, query);
			const filter = readFilter(parts.vault, scope, query, page, nowMs);
			const { listed, contacts } = await parts.db.inTenant(scope, async (tx) => {
				const listed = await store.listMessages(tx, scope, filter);
				return { listed, contacts: await loadContacts(parts, tx, scope, listed.rows) };
			});
			const keyOf = (row: store.StoredMessage): ContactKey | undefined =>
				contacts.of(contactOf(scope, row.address_index));
			const show = (row: store.StoredMessage) =>
				renderStored(parts.vault, keyOf(row), scope, row, nowMs);
			return { status: 200, body: showPage(messagePrefix, page, listed, show) };
		},
	});
}

export function readRoute(parts: ReadRouteParts): Route {
	return route({
		method: "GET",
		path: "/v1/sms/messages/:id",
		operationId: "getSms",
		tag: "SMS",
		permission: "sms:read",
		idempotency: "none",
		audited: false,
		summary: "Read a message",
		params: shapes.messageParams,
		answers: {
			200: { description: "The message.", schema: shapes.messageSchema },
			...refusals,
			410: { description: "The person it was for was erased: its contents are gone." },
		},
		handle: async ({ scope, params }) => {
			const { row, contact } = await find(parts, scope, params.id);
			if (openContents(parts.vault, contact, scope, row) === undefined)
				throw Fault.of("contact_erased");
			const nowMs = parts.clock.now();
			return { status: 200, body: renderStored(parts.vault, contact, scope, row, nowMs) };
		},
	});
}

interface Found {
	readonly row: store.StoredMessage;
	/** Undefined when the contact was erased, or had no key yet. */
	readonly contact: ContactKey | undefined;
}

async function find(parts: ReadRouteParts, scope: Scope, shown: string): Promise<Found> {
	const id = readId(messagePrefix, shown);
	if (id === undefined) throw notFound();
	await parts.vault.warm([scope.tenantId]);
	return parts.db.inTenant(scope, async (tx) => {
		const [row] = await store.messagesByIds(tx, scope, [id]);
		if (row === undefined) throw notFound();
		const contacts = await loadContacts(parts, tx, scope, [row]);
		return { row, contact: contacts.of(contactOf(scope, row.address_index)) };
	});
}

function loadContacts(
	{ vault }: ReadRouteParts,
	tx: Tx,
	scope: Scope,
	rows: readonly store.StoredMessage[],
): Promise<ContactKeys> {
	return vault.contacts.load(
		tx,
		rows.map((row) => contactOf(scope, row.address_index)),
	);
}

export function eventsRoute(parts: ReadRouteParts): Route {
	return route({
		method: "GET",
		path: "/v1/sms/messages/:id/events",
		operationId: "listSmsEvents",
		tag: "SMS",
		permission: "sms:read",
		idempotency: "none",
		audited: false,
		summary: "A message's timeline, oldest first",
		params: shapes.messageParams,
		query: shapes.eventsQuery,
		answers: { 200: { description: "All its events.", schema: shapes.eventList }, ...refusals },
		handle: async ({ scope, params, query }) => {
			const { row } = await find(parts, scope, params.id);
			const events = await parts.db.inTenant(scope, (tx) => store.eventsOf(tx, scope, row.id));
			// A rejected message was never accepted; an inbound one was received.
			const accepted =
				row.inbound ||
				events.some(
					(event) =>
						event.status === states.rejected.rank &&
						event.occurred_at.getTime() === row.created_at.getTime(),
				);
			const first = accepted
				? []
				: [
						{
							id: showId("evt", row.id),
							type: "sms.accepted",
							occurred_at: row.created_at.toISOString(),
						},
					];
			const later = events.map((event) => ({
				id: showId("evt", event.id),
				type: stateOfRank(event.status).event ?? "sms.unknown",
				occurred_at: event.occurred_at.toISOString(),
				...(event.error === null
					? {}
					: { error: renderError(event.error, event.carrier_error, event.occurred_at) }),
			}));
			return {
				status: 200,
				body: {
					data: [...first, ...later].filter(
						(event) => query.type === undefined || event.type === query.type,
					),
				},
			};
		},
	});
}

export function decisionRoute(parts: ReadRouteParts): Route {
	return route({
		method: "GET",
		path: "/v1/sms/messages/:id/decision",
		operationId: "getSmsDecision",
		tag: "SMS",
		permission: "sms:read",
		idempotency: "none",
		audited: false,
		summary: "Every rule's verdict on a message, with its citation",
		description:
			"One entry per time the message was judged in full: when it was accepted, and again on the way out when its clearance had aged.",
		params: shapes.messageParams,
		answers: { 200: { description: "The verdicts.", schema: shapes.decisionSchema }, ...refusals },
		handle: async ({ scope, params }) => {
			const { row } = await find(parts, scope, params.id);
			if (row.inbound)
				throw Fault.of("not_found", { message: "An inbound message is not judged." });
			const decisions = await parts.db.inTenant(scope, (tx) =>
				store.decisionsOf(tx, scope, [row.id]),
			);
			const data = decisions.map((decision) => ({
				judged_at: decision.judged_at.toISOString(),
				ruleset: decision.ruleset,
				outcome: decision.outcome,
				until: decision.until?.toISOString() ?? null,
				verdicts: explain(decision.verdicts, decision.ruleset) ?? [],
			}));
			return { status: 200, body: { message_id: showId(messagePrefix, row.id), data } };
		},
	});
}

export function cancelRoute(parts: ReadRouteParts): Route {
	return route({
		method: "POST",
		path: "/v1/sms/messages/:id/cancel",
		operationId: "cancelSms",
		tag: "SMS",
		permission: "sms:send",
		idempotency: "stored",
		audited: "message.canceled",
		summary: "Cancel a message that has not left",
		params: shapes.messageParams,
		answers: {
			200: { description: "The canceled message.", schema: shapes.messageSchema },
			...refusals,
			409: { description: "It is on its way or done." },
		},
		handle: async ({ scope, params, audit }) => {
			const { row } = await find(parts, scope, params.id);
			const nowMs = parts.clock.now();
			await parts.db.inTenant(scope, async (tx) => {
				if (!(await takeOutOfLane(tx, scope, row.id))) throw Fault.of("not_cancelable");
				applyTransitions(tx, nowMs, [
					{
						...scope,
						messageId: row.id,
						rank: states.canceled.rank,
						atMs: nowMs,
						error: null,
						carrierError: null,
						possibleDuplicate: false,
						eventId: parts.ids.next(),
					},
				]);
				await audit.record(tx, { targets: [params.id] });
			});
			const now = await find(parts, scope, params.id);
			const shown = renderStored(parts.vault, now.contact, scope, now.row, parts.clock.now());
			return { status: 200, about: now.row.address_index, body: shown };
		},
	});
}
