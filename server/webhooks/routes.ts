/** `/v1/webhooks`: endpoints that are told what happens. Thin handlers over manage.ts. */
import { Type } from "typebox";
import { Fault } from "#platform/errors.ts";
import { type Route, route } from "#platform/http.ts";
import {
	allEndpoints,
	attemptsOf,
	changeEndpoint,
	createEndpoint,
	endpointsMax,
	type ManageParts,
	oneEndpoint,
	removeEndpoint,
	rotateSecret,
	sendTrial,
	showEndpoint,
} from "./manage.ts";

export type WebhookRouteParts = ManageParts;

const closed = { additionalProperties: false };
const path = Type.Object({ id: Type.String({ minLength: 1, maxLength: 64 }) }, closed);
const url = Type.String({ minLength: 1, maxLength: 2048 });
const description = Type.String({ maxLength: 256 });
const events = Type.Array(Type.String({ minLength: 1, maxLength: 60 }), {
	minItems: 1,
	maxItems: 100,
	uniqueItems: true,
});
const moment = Type.String({ format: "date-time", maxLength: 40 });
const choice = (...values: string[]) => Type.Union(values.map((value) => Type.Literal(value)));
const number = Type.Union([Type.Integer(), Type.Null()]);

const endpoint = Type.Object({
	id: Type.String(),
	url,
	description: Type.Optional(description),
	events,
	status: choice("active", "degraded", "paused"),
	created_at: moment,
	updated_at: moment,
});
const secret = Type.String({ description: "Shown in this answer only." });
const answer = {
	status: choice("delivered", "failed"),
	response_status_code: number,
	response_body: Type.Optional(Type.String({ description: "The first KiB." })),
	response_duration_ms: Type.Integer(),
};
const missing = { 404: { description: "There is no such endpoint." } };
const common = { tag: "Webhooks" } as const;
const reading = {
	...common,
	permission: "webhooks:read",
	idempotency: "none",
	audited: false,
} as const;
const writing = { ...common, permission: "webhooks:write" } as const;

export function webhookRoutes(parts: WebhookRouteParts): Route[] {
	return [
		create(parts),
		list(parts),
		read(parts),
		change(parts),
		remove(parts),
		rotate(parts),
		trial(parts),
		attempts(parts),
	];
}

function create(parts: WebhookRouteParts): Route {
	return route({
		...writing,
		method: "POST",
		path: "/v1/webhooks",
		operationId: "createWebhook",
		audited: "webhook.created",
		summary: "Create a webhook endpoint",
		description: `Events are sent to the URL, signed as Standard Webhooks 1.0 says, and retried for three days. At most ${endpointsMax} per environment. Event types: ${parts.eventTypes.map((type) => `\`${type}\``).join(", ")}.`,
		idempotency: "stored",
		body: Type.Object({ url, events, description: Type.Optional(description) }, closed),
		answers: {
			201: {
				description: "The endpoint.",
				schema: Type.Object({ ...endpoint.properties, secret }),
			},
			409: { description: `There are already ${endpointsMax}.` },
			422: { description: "The URL may not be called, or an event type does not exist." },
		},
		handle: async ({ scope, body, audit }) => ({
			status: 201,
			body: await createEndpoint(parts, scope, body, audit),
		}),
	});
}

function list(parts: WebhookRouteParts): Route {
	const cursor = Type.Union([Type.String(), Type.Null()]);
	const page = {
		data: Type.Array(endpoint),
		next_cursor: cursor,
		prev_cursor: cursor,
		refresh_cursor: cursor,
		total: Type.Optional(Type.Integer()),
	};
	return route({
		...reading,
		method: "GET",
		path: "/v1/webhooks",
		operationId: "listWebhooks",
		summary: "List webhook endpoints",
		query: Type.Object(
			{
				limit: Type.Integer({ minimum: 1, maximum: 100, default: 20 }),
				starting_after: Type.Optional(Type.String({ maxLength: 64 })),
				ending_before: Type.Optional(Type.String({ maxLength: 64 })),
				sort: Type.Optional(choice("created_at", "url")),
				order: Type.Optional(choice("asc", "desc")),
				include_total: Type.Optional(Type.Boolean()),
			},
			closed,
		),
		answers: { 200: { description: "A page of endpoints.", schema: Type.Object(page) } },
		handle: async ({ scope, query }) => ({
			status: 200,
			body: pageOf(await allEndpoints(parts, scope), query),
		}),
	});
}

interface PageQuery {
	readonly limit: number;
	readonly starting_after?: string;
	readonly ending_before?: string;
	readonly sort?: string;
	readonly order?: string;
	readonly include_total?: boolean;
}

/** There are never many endpoints, so pages are cut here. `all` comes newest first. */
export function pageOf(all: readonly Record<string, unknown>[], query: PageQuery): unknown {
	const { limit, starting_after, ending_before, sort, order, include_total } = query;
	const sorted = [...all];
	if (sort === "url") sorted.sort((a, b) => (String(a["url"]) < String(b["url"]) ? 1 : -1));
	if (order === "asc") sorted.reverse();
	if (starting_after !== undefined && ending_before !== undefined)
		throw Fault.parameter("ending_before", "Give starting_after or ending_before, not both.");
	const position = (param: string, id: string): number => {
		const found = sorted.findIndex((one) => one["id"] === id);
		if (found < 0) throw Fault.parameter(param, `${param} is not an endpoint of this list.`);
		return found;
	};
	let from = 0;
	if (starting_after !== undefined) from = position("starting_after", starting_after) + 1;
	let to = Math.min(sorted.length, from + limit);
	if (ending_before !== undefined) {
		to = position("ending_before", ending_before);
		from = Math.max(0, to - limit);
	}
	const data = sorted.slice(from, to);
	const first = data[0]?.["id"] ?? null;
	return {
		data,
		next_cursor: to < sorted.length ? (data.at(-1)?.["id"] ?? null) : null,
		prev_cursor: from > 0 ? first : null,
		refresh_cursor: first,
		...(include_total === true ? { total: sorted.length } : {}),
	};
}

function read(parts: WebhookRouteParts): Route {
	return route({
		...reading,
		method: "GET",
		path: "/v1/webhooks/:id",
		operationId: "getWebhook",
		summary: "Read a webhook endpoint",
		params: path,
		answers: { 200: { description: "The endpoint.", schema: endpoint }, ...missing },
		handle: async ({ scope, params }) => ({
			status: 200,
			body: showEndpoint(parts.vault, await oneEndpoint(parts, scope, params.id)),
		}),
	});
}

function change(parts: WebhookRouteParts): Route {
	const body = {
		url: Type.Optional(url),
		events: Type.Optional(events),
		description: Type.Optional(description),
		status: Type.Optional(Type.Union([Type.Literal("active"), Type.Literal("paused")])),
	};
	return route({
		...writing,
		method: "PATCH",
		path: "/v1/webhooks/:id",
		operationId: "updateWebhook",
		audited: "webhook.changed",
		summary: "Change a webhook endpoint",
		description:
			"Only what is given changes. What waits for an endpoint when it is paused is delivered when it is made active again within ten days; what happens while it is paused is not delivered.",
		idempotency: "stored",
		params: path,
		body: Type.Object(body, { ...closed, minProperties: 1 }),
		answers: { 200: { description: "The endpoint.", schema: endpoint }, ...missing },
		handle: async ({ scope, params, body: input, audit }) => ({
			status: 200,
			body: await changeEndpoint(parts, scope, params.id, input, audit),
		}),
	});
}

function remove(parts: WebhookRouteParts): Route {
	return route({
		...writing,
		method: "DELETE",
		path: "/v1/webhooks/:id",
		operationId: "deleteWebhook",
		audited: "webhook.deleted",
		summary: "Delete a webhook endpoint",
		description: "What still waits for it is not delivered.",
		idempotency: "stored",
		params: path,
		answers: { 204: { description: "It is gone." }, ...missing },
		handle: async ({ scope, params, audit }) => {
			await removeEndpoint(parts, scope, params.id, audit);
			return { status: 204 };
		},
	});
}

function rotate(parts: WebhookRouteParts): Route {
	return route({
		...writing,
		method: "POST",
		path: "/v1/webhooks/:id/rotate-secret",
		operationId: "rotateWebhookSecret",
		audited: "webhook.secret_rotated",
		summary: "Replace the signing secret",
		description: "For 24 hours deliveries carry a signature of the replaced secret too.",
		idempotency: "stored",
		params: path,
		answers: {
			200: { description: "The new secret.", schema: Type.Object({ secret }) },
			...missing,
		},
		handle: async ({ scope, params, audit }) => ({
			status: 200,
			body: { secret: await rotateSecret(parts, scope, params.id, audit) },
		}),
	});
}

function trial(parts: WebhookRouteParts): Route {
	const trialAnswer = Type.Object({
		...answer,
		event_payload: Type.Object({ type: Type.String(), timestamp: moment, data: Type.Unknown() }),
		error: Type.Optional(Type.String()),
	});
	const trialsMax = 16;
	let running = 0;
	return route({
		...writing,
		method: "POST",
		path: "/v1/webhooks/:id/test",
		operationId: "testWebhook",
		audited: "webhook.tested",
		summary: "Send a trial event now",
		description: "Signed as any other, sent once, not retried, not listed among the attempts.",
		idempotency: "stored",
		params: path,
		body: Type.Object(
			{ event_type: Type.Optional(Type.String({ minLength: 1, maxLength: 60 })) },
			closed,
		),
		answers: {
			200: { description: "How the endpoint answered.", schema: trialAnswer },
			...missing,
		},
		handle: async ({ scope, params, body, audit }) => {
			if (running >= trialsMax) throw Fault.of("rate_limited", { retryAfterSeconds: 5 });
			running++;
			try {
				const trial = await sendTrial(parts, scope, params.id, body.event_type, audit);
				return { status: 200, body: trial };
			} finally {
				running--;
			}
		},
	});
}

function attempts(parts: WebhookRouteParts): Route {
	const attempt = Type.Object({
		id: Type.String(),
		event_id: Type.String(),
		event_type: Type.String(),
		...answer,
		url,
		attempted_at: moment,
	});
	return route({
		...reading,
		method: "GET",
		path: "/v1/webhooks/:id/attempts",
		operationId: "listWebhookAttempts",
		summary: "List attempts to deliver, newest first",
		description: "Kept for 14 days. A failed attempt is followed by others with the same event_id.",
		params: path,
		query: Type.Object(
			{
				limit: Type.Integer({ minimum: 1, maximum: 100, default: 50 }),
				before: Type.Optional(moment),
				after: Type.Optional(moment),
			},
			closed,
		),
		answers: {
			200: { description: "Attempts.", schema: Type.Object({ data: Type.Array(attempt) }) },
			...missing,
		},
		handle: async ({ scope, params, query }) => {
			const { limit } = query;
			const before = momentOf(query.before);
			const after = momentOf(query.after);
			const data = await attemptsOf(parts, scope, params.id, { before, after, limit });
			return { status: 200, body: { data } };
		},
	});
}

function momentOf(text: string | undefined): Date | null {
	return text === undefined ? null : new Date(Date.parse(text));
}
