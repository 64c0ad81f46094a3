/**
 * A tenant's API keys over HTTP. A key's text leaves here once, in the answer that made it, and no
 * Idempotency-Key is honoured there: replaying the answer would mean keeping the text.
 */
import { Type } from "typebox";
import { Fault } from "#platform/errors.ts";
import { type Route, route } from "#platform/http.ts";
import { readId, showId } from "#platform/ids.ts";
import { requireActor } from "./actor.ts";
import {
	type AccessParts,
	type ApiKey,
	grantApiKey,
	type IssuedKey,
	readApiKeys,
	revokeApiKey,
} from "./api-keys.ts";
import type { Authenticator } from "./authenticate.ts";
import { keyPrefix } from "./key-text.ts";
import { pageQuery, pageSchema, readPage, showPage, shownIdSchema } from "./page.ts";
import { grantableScopes } from "./scopes.ts";

/** What the routes of access need. */
export interface AccessRouteParts extends AccessParts {
	readonly authenticator: Pick<Authenticator, "forgetKey" | "forgetTenant">;
}

const closed = { additionalProperties: false };
const time = Type.String({ format: "date-time" });
const timeOrNull = Type.Union([time, Type.Null()]);
const keyFields = {
	id: shownIdSchema(keyPrefix),
	name: Type.String(),
	environment: Type.Union([Type.Literal("live"), Type.Literal("test")]),
	scopes: Type.Array(Type.String()),
	created_at: time,
	expires_at: timeOrNull,
	revoked_at: timeOrNull,
};
const keySchema = Type.Object(keyFields, closed);
export const issuedKeySchema = Type.Object(
	{ ...keyFields, key: Type.String({ description: "The key itself. It is shown this once." }) },
	closed,
);

const newKeySchema = Type.Object(
	{
		name: Type.String({
			minLength: 1,
			maxLength: 100,
			description: "For people; stored encrypted.",
		}),
		scopes: Type.Array(Type.Union(grantableScopes.map((scope) => Type.Literal(scope))), {
			minItems: 1,
			maxItems: grantableScopes.length,
			uniqueItems: true,
			description: "`*` means every scope of a tenant, also those that are added later.",
		}),
		expires_at: Type.Optional(
			Type.String({
				format: "date-time",
				maxLength: 40,
				"x-rule": "must be a time as in RFC 3339, for example 2030-01-31T12:00:00Z",
			}),
		),
	},
	closed,
);

export function keyRoutes(parts: AccessRouteParts): Route[] {
	return [createRoute(parts), listRoute(parts), revokeRoute(parts)];
}

function createRoute(parts: AccessRouteParts): Route {
	return route({
		method: "POST",
		path: "/v1/api-keys",
		operationId: "api_key.create",
		tag: "API keys",
		summary: "Create an API key",
		description:
			"The new key works in the environment of the key that makes it, and can be given only scopes which that key has. Its text is in this answer and nowhere else.",
		permission: "keys:write",
		idempotency: "none",
		audited: "api_key.created",
		body: newKeySchema,
		answers: { 201: { description: "The key, with its text.", schema: issuedKeySchema } },
		handle: async ({ caller, body, audit }) => {
			const expiresAtMs = readExpiry(body.expires_at, parts.clock.now());
			const request = { name: body.name, scopes: body.scopes, expiresAtMs };
			const issued = await grantApiKey(parts, requireActor(caller), request, audit);
			return { status: 201, body: showIssuedKey(issued) };
		},
	});
}

function listRoute(parts: AccessRouteParts): Route {
	return route({
		method: "GET",
		path: "/v1/api-keys",
		operationId: "api_key.list",
		tag: "API keys",
		summary: "List API keys",
		description: "Keys of this environment, newest first, revoked ones too. Never their texts.",
		permission: "keys:read",
		idempotency: "none",
		audited: false,
		query: Type.Object(pageQuery(keyPrefix), closed),
		answers: { 200: { description: "A page of keys.", schema: pageSchema(keySchema) } },
		handle: async ({ scope, query }) => {
			const page = readPage(keyPrefix, query);
			const { keys, more } = await readApiKeys(parts, scope, page);
			return { status: 200, body: showPage(page, keys.map(showKey), more) };
		},
	});
}

function revokeRoute(parts: AccessRouteParts): Route {
	return route({
		method: "DELETE",
		path: "/v1/api-keys/:id",
		operationId: "api_key.revoke",
		tag: "API keys",
		summary: "Revoke an API key",
		description: "At once and for good. Revoking a revoked key changes nothing.",
		permission: "keys:write",
		idempotency: "none",
		audited: "api_key.revoked",
		params: Type.Object({ id: shownIdSchema(keyPrefix) }, closed),
		answers: { 204: { description: "The key is refused from now on." } },
		handle: async ({ scope, params, audit }) => {
			const id = readId(keyPrefix, params.id);
			if (id === undefined) throw Fault.of("not_found");
			await revokeApiKey(parts, scope, id, audit);
			return { status: 204 };
		},
	});
}

function readExpiry(given: string | undefined, nowMs: number): number | undefined {
	if (given === undefined) return undefined;
	const expiresAtMs = Date.parse(given);
	if (Number.isNaN(expiresAtMs))
		throw Fault.parameter("expires_at", "expires_at must be a time as in RFC 3339");
	if (expiresAtMs <= nowMs) throw Fault.parameter("expires_at", "expires_at must be in the future");
	return expiresAtMs;
}

function showKey(key: ApiKey) {
	return {
		id: showId(keyPrefix, key.id),
		name: key.name,
		environment: key.environment,
		scopes: key.scopes,
		created_at: showTime(key.createdAtMs),
		expires_at: showTime(key.expiresAtMs),
		revoked_at: showTime(key.revokedAtMs),
	};
}

/** With the key's text: for the answer that makes it and for no other. */
export function showIssuedKey(key: IssuedKey) {
	return { ...showKey(key), key: key.text.reveal() };
}

/** RFC 3339, UTC, milliseconds. */
export function showTime(ms: number | undefined): string | null {
	return ms === undefined ? null : new Date(ms).toISOString();
}
