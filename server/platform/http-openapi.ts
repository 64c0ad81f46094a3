/**
 * The OpenAPI 3.1 document of the declared routes (OpenAPI 3.1.1). TypeBox schemas are JSON Schema
 * already, so they are published as they stand; one that carries a `$id` becomes a named component.
 * Pure: the same routes give the same document, byte for byte.
 */
import { STATUS_CODES } from "node:http";
import { type TSchema, Type } from "typebox";
import { catalogue } from "./errors.ts";
import type { Route } from "./http.ts";

export interface ApiInfo {
	readonly title: string;
	readonly version: string;
	/** Markdown. */
	readonly description: string;
	/** Order and descriptions of the tags; tags not named here follow in order of appearance. */
	readonly tags?: readonly { readonly name: string; readonly description: string }[];
}

const errorDetail = Type.Object({
	param: Type.String({
		description: "The parameter as you wrote it: `to`, `messages[3].text`, `query.limit`.",
	}),
	message: Type.String(),
});

/** The shape of every failure. */
export const errorSchema: TSchema = Type.Object(
	{
		error: Type.Object({
			code: Type.String({ description: "Stable; see /docs/errors.", examples: ["W01005"] }),
			type: Type.String({ examples: ["validation_error"] }),
			name: Type.String({ examples: ["validation_failed"] }),
			message: Type.String(),
			doc_url: Type.String(),
			request_id: Type.String({
				description: "Also in the header `X-Request-Id`. Quote it to the operator.",
			}),
			param: Type.Optional(Type.String()),
			remediation: Type.String({ description: "What to do about it." }),
			details: Type.Optional(Type.Array(errorDetail)),
			retryable: Type.Boolean({ description: "Whether the same request may succeed later." }),
		}),
	},
	{ $id: "Error" },
);

type Json = Record<string, unknown>;

/** `openapi.json` as a value. @throws Error when two routes share an operationId or method and path. */
export function openApiOf(routes: readonly Route[], info: ApiInfo): object {
	refuseDoubles(routes);
	const components: Json = {};
	const paths: Record<string, Json> = {};
	for (const route of routes) {
		const path = route.path.replace(/:(\w+)/g, "{$1}");
		paths[path] ??= {};
		paths[path][route.method.toLowerCase()] = operation(route, components);
	}
	const { title, version, description } = info;
	return {
		openapi: "3.1.1",
		info: { title, version, description },
		servers: [{ url: "/" }],
		tags: tagsOf(routes, info.tags ?? []),
		security: [{ key: [] }],
		paths,
		components: {
			securitySchemes: {
				key: {
					type: "http",
					scheme: "bearer",
					description: "An API key: `wx_live_…` or `wx_test_…`.",
				},
			},
			schemas: Object.fromEntries(Object.entries(components).toSorted(byName)),
		},
	};
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
	return a < b ? -1 : a > b ? 1 : 0;
}

function refuseDoubles(routes: readonly Route[]): void {
	const seen = new Set<string>();
	for (const { method, path, operationId } of routes)
		for (const name of [`${method} ${path}`, operationId]) {
			if (seen.has(name)) throw new Error(`two routes are declared as ${name}`);
			seen.add(name);
		}
}

function tagsOf(
	routes: readonly Route[],
	described: NonNullable<ApiInfo["tags"]>,
): readonly Json[] {
	const used = new Set(routes.map((route) => route.tag));
	const first = described.filter(({ name }) => used.has(name));
	for (const { name } of first) used.delete(name);
	return [...first.map((tag) => ({ ...tag })), ...[...used].map((name) => ({ name }))];
}

function operation(route: Route, components: Json): Json {
	const { operationId, tag, summary, permission } = route;
	const parameters = [
		...parametersOf("path", route.params, components),
		...parametersOf("query", route.query, components),
		...(route.idempotency === "none" ? [] : [idempotencyKey]),
	];
	return {
		operationId,
		tags: [tag],
		summary,
		description: [route.description, permissionNote(permission)].filter(Boolean).join("\n\n"),
		...(permission === "public" ? { security: [] } : {}),
		"x-permission": permission,
		...(parameters.length === 0 ? {} : { parameters }),
		...(route.body === undefined ? {} : { requestBody: requestBody(route.body, components) }),
		responses: responsesOf(route, components),
	};
}

function permissionNote(permission: string): string {
	if (permission === "public") return "Needs no key.";
	if (permission === "operator") return "Needs an operator key.";
	return `Needs the scope \`${permission}\`.`;
}

const idempotencyKey: Json = {
	name: "Idempotency-Key",
	in: "header",
	description: "Makes a retry safe: the same key and body are executed once, for 72 hours.",
	schema: { type: "string", minLength: 1, maxLength: 255 },
};

function parametersOf(
	place: "path" | "query",
	schema: TSchema | undefined,
	components: Json,
): readonly Json[] {
	const { properties = {}, required = [] } = (schema ?? {}) as {
		properties?: Record<string, Json>;
		required?: readonly string[];
	};
	return Object.entries(properties).map(([name, property]) => {
		const { description, ...rest } = property;
		return {
			name,
			in: place,
			...(place === "path" || (required.includes(name) && !("default" in property))
				? { required: true }
				: {}),
			...(description === undefined ? {} : { description }),
			...(rest["type"] === "array" ? { style: "form", explode: true } : {}),
			schema: publish(rest, components),
		};
	});
}

function requestBody(schema: TSchema, components: Json): Json {
	return {
		required: true,
		content: { "application/json": { schema: publish(schema, components) } },
	};
}

function responsesOf(route: Route, components: Json): Json {
	const responses: Json = {};
	for (const [status, { description, schema }] of Object.entries(route.answers))
		responses[status] = answer(description, schema, components);
	for (const [status, description] of failuresOf(route))
		responses[status] ??= answer(description, errorSchema, components);
	return responses;
}

/** The failures a declaration implies; `default` stands for the rest of the catalogue. */
function failuresOf(route: Route): readonly (readonly [status: string, description: string])[] {
	const failures: [string, string][] = [];
	if (route.permission !== "public")
		failures.push(
			["401", catalogue.key_invalid.message],
			["403", catalogue.permission_denied.message],
		);
	if (route.params !== undefined) failures.push(["404", catalogue.not_found.message]);
	if (route.body !== undefined || route.query !== undefined)
		failures.push(["422", catalogue.validation_failed.message]);
	failures.push(["default", "Any other failure, in the same shape."]);
	return failures;
}

function answer(description: string, schema: TSchema | undefined, components: Json): Json {
	if (schema === undefined) return { description: description || STATUS_CODES[200] };
	return { description, content: { "application/json": { schema: publish(schema, components) } } };
}

/** A schema as plain JSON; named ones move to `components` and are referred to. */
function publish(schema: unknown, components: Json): unknown {
	if (Array.isArray(schema)) return schema.map((item) => publish(item, components));
	if (typeof schema !== "object" || schema === null) return schema;
	const { $id, ...rest } = schema as Json;
	const inner = Object.fromEntries(
		Object.entries(rest).map(([key, value]) => [key, publish(value, components)]),
	);
	if (typeof $id !== "string") return inner;
	const known = components[$id];
	if (known !== undefined && JSON.stringify(known) !== JSON.stringify(inner))
		throw new Error(`two different schemas are called ${$id}`);
	components[$id] = inner;
	return { $ref: `#/components/schemas/${$id}` };
}
