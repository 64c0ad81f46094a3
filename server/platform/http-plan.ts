/**
 * One route, ready to serve: its declaration turned into the checks that run before its handler.
 * The order is fixed: who calls, what they may, how large, of what type, then what is inside.
 */
import type { FastifyRequest } from "fastify";
import { Compile } from "typebox/compile";
import { Fault } from "./errors.ts";
import type { Answer, Audit, Call, Caller, IdempotencyInput, Route } from "./http.ts";
import { bodyCheck, paramsCheck, queryCheck } from "./http-input.ts";
import { canonicalJson } from "./http-json.ts";

export const bodyLimitBytesDefault = 65_536;

/** The caller of a `public` route. */
export const nobody: Caller = {
	tenantId: "",
	environment: "test",
	keyId: "",
	scopes: [],
	operator: false,
};

/** Whether this caller may call this route. An operator's key opens operator routes and no others. */
export function permit(route: Route, caller: Caller): void {
	if (route.permission === "operator") {
		if (caller.operator) return;
		throw Fault.of("permission_denied", { message: "This route is for operator keys only." });
	}
	if (!caller.operator && caller.scopes.includes(route.permission)) return;
	throw Fault.of("permission_denied", {
		message: `The API key lacks the scope ${route.permission}.`,
	});
}

/** Size and type of the body, by the headers alone, before a byte of it is read. */
export function checkBodyHeaders(route: Route, request: FastifyRequest): void {
	const { headers, rawHeaders } = request.raw;
	const length = headers["content-length"];
	const empty =
		headers["transfer-encoding"] === undefined && (length === undefined || length === "0");
	if (empty) return;
	const limit = route.bodyLimitBytes ?? bodyLimitBytesDefault;
	if (length !== undefined && Number(length) > limit) throw Fault.of("body_too_large");
	if (!isJson(headers["content-type"]) || repeats(rawHeaders, "content-type"))
		throw Fault.of("unsupported_media_type");
}

const jsonPattern = /^application\/json(?:; ?charset=(?:utf-8|"utf-8"))?$/i;

function isJson(contentType: string | undefined): boolean {
	return contentType === "application/json" || jsonPattern.test(contentType ?? "");
}

function repeats(rawHeaders: readonly string[], name: string): boolean {
	let seen = 0;
	for (let at = 0; at < rawHeaders.length; at += 2) {
		const header = rawHeaders[at] as string;
		if (header.length === name.length && header.toLowerCase() === name) seen++;
	}
	return seen > 1;
}

/** Reads a request whose caller is known and whose body has been parsed. @throws Fault */
export function reader(
	route: Route,
): (request: FastifyRequest, caller: Caller, audit: Audit) => Call {
	const params = paramsCheck(route.params);
	const query = queryCheck(route.query);
	const body = bodyCheck(route.body);
	return (request, caller, audit) => {
		if (route.body !== undefined && request.body === undefined)
			throw Fault.of("invalid_json", { message: "The body is empty." });
		return {
			caller,
			scope: { tenantId: caller.tenantId, environment: caller.environment },
			params: params(request.params),
			query: query(request.query),
			body: body(request.body),
			requestId: request.id,
			idempotency: route.idempotency === "none" ? undefined : idempotencyOf(request),
			audit,
		};
	};
}

const keyPattern = /^[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?$/;

function idempotencyOf(request: FastifyRequest): IdempotencyInput | undefined {
	const key = request.headers["idempotency-key"];
	if (key === undefined) return undefined;
	if (typeof key !== "string" || !keyPattern.test(key))
		throw Fault.parameter(
			"Idempotency-Key",
			"Idempotency-Key must be 1 to 255 printable characters",
		);
	const body = request.body === undefined ? "" : canonicalJson(request.body);
	return { keyHashInput: key, fingerprintInput: `${request.method} ${request.url}\n${body}` };
}

/** Finds an answer that its declaration does not allow: a mistake of ours, never the caller's. */
export function answerCheck(route: Route): (answer: Answer) => void {
	const checks = new Map(
		Object.entries(route.answers).map(([status, { schema }]) => [
			Number(status),
			schema === undefined ? undefined : Compile(schema),
		]),
	);
	return ({ status, body }) => {
		const named = `${route.operationId} answered ${status}`;
		if (!checks.has(status)) throw new Error(`${named}, which it does not declare`);
		const check = checks.get(status);
		if (check === undefined || check.Check(JSON.parse(JSON.stringify(body ?? null)))) return;
		const [first] = check.Errors(body);
		throw new Error(
			`${named} with an undeclared shape at ${first?.instancePath}: ${first?.message}`,
		);
	};
}
