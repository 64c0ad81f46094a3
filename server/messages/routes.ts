/**
 * The message routes. Handlers are thin: they read drafts, hand them to the acceptor, and show rows.
 */
import type { Clock } from "#platform/clock.ts";
import type { Database, Scope } from "#platform/db.ts";
import { Fault, type FaultDetail } from "#platform/errors.ts";
import { type Answer, type Call, type Route, route } from "#platform/http.ts";
import { type Ids, readId, showId } from "#platform/ids.ts";
import { explain } from "#policy/index.ts";
import type { Vault } from "#vault/index.ts";
import { type Draft, type MessageRequest, readDraft } from "./draft.ts";
import type { Acceptor } from "./group.ts";
import { cursorsOf, type ListQuery, readFilter } from "./list.ts";
import { messagePrefix, renderAccepted, renderError, renderStored } from "./render.ts";
import * as shapes from "./schemas.ts";
import { stateOfRank, states } from "./state.ts";
import * as store from "./store.ts";
import { applyTransitions } from "./transition-store.ts";

export interface MessageRouteParts {
	readonly db: Database;
	readonly vault: Vault;
	readonly ids: Ids;
	readonly clock: Clock;
	readonly acceptor: Acceptor;
}

const notFound = (): Fault => Fault.of("not_found", { message: "There is no such message in this tenant and environment." });
const refusals = {
	401: { description: "No valid key." }, 403: { description: "The key lacks the scope." }, 404: { description: "No such message here." },
} as const;

export function messageRoutes(parts: MessageRouteParts): Route[] {
	return [sendRoute(parts), batchRoute(parts), listRoute(parts), readRoute(parts), eventsRoute(parts), decisionRoute(parts), cancelRoute(parts)];
}

function sendRoute(parts: MessageRouteParts): Route {
	return route({
		method: "POST", path: "/v1/sms/messages", operationId: "sendSms", tag: "SMS", permission: "sms:send", idempotency: "own", audited: false,
		summary: "Send one SMS",
		description: "Answered after the commit: an accepted message is never lost. A message that a rule refuses is answered with status `rejected`, the rule and its citation; one that must wait for a window with `scheduled`. Requests that arrive together share a commit.",
		body: shapes.messageRequest,
		answers: {
			202: { description: "Stored: accepted, scheduled or rejected by a rule.", schema: shapes.messageSchema }, 401: refusals[401], 403: refusals[403],
			409: { description: "The same Idempotency-Key is being executed." }, 422: { description: "A parameter is not acceptable." },
			429: { description: "Too much waits to be accepted." }, 503: { description: "Nothing was accepted; Retry-After says when to try again." },
		},
		handle: async (call) => {
			const read = readDraft(call.body as MessageRequest, parts.clock.now());
			if ("details" in read) throw complaint(read.details);
			return answer(await accept(parts, call, [read.draft]), (messages) => messages[0]);
		},
	});
}

function batchRoute(parts: MessageRouteParts): Route {
	return route({
		method: "POST", path: "/v1/sms/batches", operationId: "sendSmsBatch", tag: "SMS", permission: "sms:send", idempotency: "own", audited: false,
		summary: `Send up to ${shapes.batchMax} SMS`,
		description: "All messages are validated before any is stored: one that is malformed refuses the batch. Rules judge each message by itself.",
		body: shapes.batchRequest, bodyLimitBytes: 4 * 1024 * 1024,
		answers: {
			202: { description: "Stored, in the order given.", schema: shapes.batchAnswer }, 401: refusals[401], 403: refusals[403],
			413: { description: "The body is larger than 4 MiB." }, 422: { description: "A parameter is not acceptable." }, 503: { description: "Nothing was accepted." },
		},
		handle: async (call) => {
			const nowMs = parts.clock.now();
			const drafts: Draft[] = [];
			const details: FaultDetail[] = [];
			for (const [i, message] of (call.body.messages as MessageRequest[]).entries()) {
				const read = readDraft(message, nowMs, `messages[${i}].`);
				if ("draft" in read) drafts.push(read.draft);
				else details.push(...read.details);
				if (details.length >= 20) break;
			}
			if (details.length > 0) throw complaint(details);
			return answer(await accept(parts, call, drafts), (messages) => ({
				data: messages, summary: { accepted_count: messages.filter((message) => message["status"] !== "rejected").length },
			}));
		},
	});
}

function complaint(details: readonly FaultDetail[]): Fault {
	const first = details[0] as FaultDetail;
	return Fault.of("validation_failed", { message: `${first.param} ${first.message}.`, details });
}

interface Outcome {
	readonly messages: readonly Record<string, unknown>[];
	readonly replayed: boolean;
}

function answer(outcome: Outcome, shape: (messages: readonly Record<string, unknown>[]) => unknown): Answer {
	const body = shape(outcome.messages);
	return outcome.replayed ? { status: 202, body, headers: { "idempotent-replayed": "true" } } : { status: 202, body };
}

async function accept(parts: MessageRouteParts, call: Call, drafts: readonly Draft[]): Promise<Outcome> {
	const { scope, caller, idempotency } = call;
	const done = await parts.acceptor.accept({
		scope, keyId: caller.keyId, drafts,
		idempotency: idempotency === undefined ? undefined : {
			keyHash: parts.vault.digest("idempotency-key", idempotency.keyHashInput), fingerprint: parts.vault.digest(idempotency.fingerprintInput),
		},
	});
	switch (done.kind) {
		case "fault":
			throw done.fault;
		case "accepted":
			return { messages: done.messages.map((message) => renderAccepted(message, done.atMs)), replayed: false };
		case "replayed":
			return { messages: await replay(parts, scope, done.messageIds), replayed: true };
	}
}

/** The first answer, made again from what was stored then: a message's later states are left out. */
async function replay(parts: MessageRouteParts, scope: Scope, ids: readonly string[]): Promise<Record<string, unknown>[]> {
	await parts.vault.warm([scope.tenantId]);
	const [rows, decisions] = await parts.db.inTenant(scope, (tx) => Promise.all([store.messagesByIds(tx, scope, ids), store.decisionsOf(tx, scope, ids)]));
	const byId = new Map(rows.map((row) => [row.id, row]));
	return ids.flatMap((id) => {
		const row = byId.get(id);
		if (row === undefined) return [];
		const decision = decisions.find((one) => one.message_id === id);
		const rejected = row.status === states.rejected.rank && row.changed_at?.getTime() === row.created_at.getTime();
		const dueAt = decision?.until ?? row.scheduled_at;
		const then: store.StoredMessage = rejected ? row : { ...row, status: null, sent_at: null, error: null, possible_duplicate: null, due_at: dueAt };
		const outcome = rejected ? "refused" : (decision?.outcome ?? "cleared");
		return [{ ...renderStored(parts.vault, scope, then, row.created_at.getTime()), decision: { outcome, ...(decision?.until ? { until: decision.until.toISOString() } : {}) } }];
	});
}

function listRoute(parts: MessageRouteParts): Route {
	return route({
		method: "GET", path: "/v1/sms/messages", operationId: "listSms", tag: "SMS", permission: "sms:read", idempotency: "none", audited: false,
		summary: "List messages, newest first", query: shapes.listQuery,
		answers: { 200: { description: "A page.", schema: shapes.messageList }, 401: refusals[401], 403: refusals[403], 422: { description: "A filter is not acceptable." } },
		handle: async ({ scope, query }) => {
			await parts.vault.warm([scope.tenantId]);
			const nowMs = parts.clock.now();
			const filter = readFilter(parts.vault, scope, query as ListQuery, nowMs);
			const rows = filter === undefined ? [] : await parts.db.inTenant(scope, (tx) => store.listMessages(tx, scope, { ...filter, limit: filter.limit + 1 }));
			const page = cursorsOf(rows, query as ListQuery, filter?.limit ?? 0);
			return { status: 200, body: { ...page.cursors, data: page.rows.map((row) => renderStored(parts.vault, scope, row, nowMs)) } };
		},
	});
}

function readRoute(parts: MessageRouteParts): Route {
	return route({
		method: "GET", path: "/v1/sms/messages/:id", operationId: "getSms", tag: "SMS", permission: "sms:read", idempotency: "none", audited: false,
		summary: "Read a message", params: shapes.messageParams,
		answers: { 200: { description: "The message.", schema: shapes.messageSchema }, ...refusals },
		handle: async ({ scope, params }) => {
			const row = await find(parts, scope, params.id);
			return { status: 200, body: renderStored(parts.vault, scope, row, parts.clock.now()) };
		},
	});
}

async function find(parts: MessageRouteParts, scope: Scope, shown: string): Promise<store.StoredMessage> {
	const id = readId(messagePrefix, shown);
	if (id === undefined) throw notFound();
	await parts.vault.warm([scope.tenantId]);
	const [row] = await parts.db.inTenant(scope, (tx) => store.messagesByIds(tx, scope, [id]));
	if (row === undefined) throw notFound();
	return row;
}

function eventsRoute(parts: MessageRouteParts): Route {
	return route({
		method: "GET", path: "/v1/sms/messages/:id/events", operationId: "listSmsEvents", tag: "SMS", permission: "sms:read", idempotency: "none", audited: false,
		summary: "A message's timeline, oldest first", params: shapes.messageParams, query: shapes.eventsQuery,
		answers: { 200: { description: "All its events.", schema: shapes.eventList }, ...refusals },
		handle: async ({ scope, params, query }) => {
			const row = await find(parts, scope, params.id);
			const events = await parts.db.inTenant(scope, (tx) => store.eventsOf(tx, scope, row.id));
			// A rejected message was never accepted; an inbound one was received.
			const accepted = row.inbound || events.some((event) => event.status === states.rejected.rank && event.occurred_at.getTime() === row.created_at.getTime());
			const first = accepted ? [] : [{ id: showId("evt", row.id), type: "sms.accepted", occurred_at: row.created_at.toISOString() }];
			const later = events.map((event) => ({
				id: showId("evt", event.id), type: stateOfRank(event.status).event ?? "sms.unknown", occurred_at: event.occurred_at.toISOString(),
				...(event.error === null ? {} : { error: renderError(event.error, event.carrier_error, event.occurred_at) }),
			}));
			return { status: 200, body: { data: [...first, ...later].filter((event) => query.type === undefined || event.type === query.type) } };
		},
	});
}

function decisionRoute(parts: MessageRouteParts): Route {
	return route({
		method: "GET", path: "/v1/sms/messages/:id/decision", operationId: "getSmsDecision", tag: "SMS", permission: "sms:read", idempotency: "none", audited: false,
		summary: "Every rule's verdict on a message, with its citation",
		description: "One entry per time the message was judged in full: when it was accepted, and again on the way out when its clearance had aged.",
		params: shapes.messageParams, answers: { 200: { description: "The verdicts.", schema: shapes.decisionSchema }, ...refusals },
		handle: async ({ scope, params }) => {
			const row = await find(parts, scope, params.id);
			if (row.inbound) throw Fault.of("not_found", { message: "An inbound message is not judged." });
			const decisions = await parts.db.inTenant(scope, (tx) => store.decisionsOf(tx, scope, [row.id]));
			const data = decisions.map((decision) => ({
				judged_at: decision.judged_at.toISOString(), ruleset: decision.ruleset, outcome: decision.outcome,
				until: decision.until?.toISOString() ?? null, verdicts: explain(decision.verdicts, decision.ruleset) ?? [],
			}));
			return { status: 200, body: { message_id: showId(messagePrefix, row.id), data } };
		},
	});
}

function cancelRoute(parts: MessageRouteParts): Route {
	return route({
		method: "POST", path: "/v1/sms/messages/:id/cancel", operationId: "cancelSms", tag: "SMS", permission: "sms:send", idempotency: "stored", audited: true,
		summary: "Cancel a message that has not left", params: shapes.messageParams,
		answers: { 200: { description: "The canceled message.", schema: shapes.messageSchema }, ...refusals, 409: { description: "It is on its way or done." } },
		handle: async ({ scope, params }) => {
			const row = await find(parts, scope, params.id);
			const nowMs = parts.clock.now();
			await parts.db.inTenant(scope, async (tx) => {
				if (!(await store.takeOutOfLane(tx, scope, row.id))) throw Fault.of("not_cancelable");
				applyTransitions(tx, nowMs, [{
					...scope, messageId: row.id, rank: states.canceled.rank, atMs: nowMs, error: null, carrierError: null, possibleDuplicate: false, eventId: parts.ids.next(),
				}]);
			});
			return { status: 200, body: renderStored(parts.vault, scope, await find(parts, scope, params.id), parts.clock.now()) };
		},
	});
}
