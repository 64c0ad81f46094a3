/**
 * Answers on the wire: a route's `Answer`, and every failure as the one error shape. Only catalogue
 * sentences and parameter names leave here; an exception that is not a `Fault` is told as `internal`
 * and its text stays in the log.
 */
import { STATUS_CODES } from "node:http";
import { Fault } from "./errors.ts";
import type { Answer } from "./http.ts";

/** Sent with every answer: nothing is cached or sniffed. The pages at /docs add their own policy. */
export const securityHeaders = {
	"cache-control": "no-store",
	"x-content-type-options": "nosniff",
} as const;

export const jsonType = "application/json; charset=utf-8";

/** The error shape of the API. `docsUrl` is what the error's code is appended to. */
export function errorBody(fault: Fault, requestId: string, docsUrl: string): object {
	const { code, type, remedy, retry } = fault.entry;
	const [first] = fault.details;
	return {
		error: {
			code,
			type,
			name: fault.name,
			message: fault.message,
			doc_url: `${docsUrl}${code}`,
			request_id: requestId,
			...(first === undefined ? {} : { param: first.param }),
			remediation: remedy,
			...(first === undefined ? {} : { details: fault.details }),
			retryable: retry,
		},
	};
}

export function errorAnswer(fault: Fault, requestId: string, docsUrl: string): Answer {
	const { status } = fault.entry;
	const headers: Record<string, string> = {};
	if (fault.retryAfterSeconds !== undefined)
		headers["retry-after"] = String(Math.max(1, Math.ceil(fault.retryAfterSeconds)));
	if (status === 401) headers["www-authenticate"] = 'Bearer realm="waxwing"';
	if (fault.name === "shutting_down") headers["connection"] = "close";
	return { status, body: errorBody(fault, requestId, docsUrl), headers };
}

/** Fastify's own refusals, by its error code; what it blames on the caller is a bad request. */
export function asFault(error: unknown): Fault {
	if (error instanceof Fault) return error;
	// An error of a module that says itself what the caller is to be told.
	if (error instanceof Error && error.cause instanceof Fault) return error.cause;
	const { code, statusCode } = error as { code?: unknown; statusCode?: unknown };
	if (typeof code === "string" && code.startsWith("FST_ERR_")) {
		if (code === "FST_ERR_CTP_BODY_TOO_LARGE") return Fault.of("body_too_large");
		if (code === "FST_ERR_CTP_INVALID_MEDIA_TYPE") return Fault.of("unsupported_media_type");
		if (typeof statusCode === "number" && statusCode < 500) return Fault.of("bad_request");
	}
	return Fault.of("internal", { cause: error });
}

/** The fault of a connection whose bytes were no request, by Node's error code; undefined: just gone. */
export function faultOfConnection(code: string | undefined): Fault | undefined {
	if (code === "ECONNRESET" || code === "EPIPE") return undefined;
	if (code === "HPE_HEADER_OVERFLOW") return Fault.of("headers_too_large");
	if (code === "ERR_HTTP_REQUEST_TIMEOUT") return Fault.of("request_timeout");
	return Fault.of("bad_request");
}

/** An answer as the bytes of HTTP/1.1, for a connection that never became a request. */
export function rawAnswer(answer: Answer, requestId: string): string {
	const body = JSON.stringify(answer.body);
	const headers = {
		...securityHeaders,
		...answer.headers,
		"content-type": jsonType,
		"content-length": String(Buffer.byteLength(body)),
		"x-request-id": requestId,
		connection: "close",
	};
	const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
	const reason = STATUS_CODES[answer.status] ?? "Error";
	return `HTTP/1.1 ${answer.status} ${reason}\r\n${lines.join("\r\n")}\r\n\r\n${body}`;
}
