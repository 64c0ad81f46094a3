/**
 * One HTTP/1.1 request and its answer over a socket that egress.ts has opened and checked: bounded in
 * time and in bytes read. Decides nothing about where it goes. Only egress.ts calls it.
 */
import http from "node:http";
import type { JudgedUrl } from "./egress-url.ts";

export type EgressFailure =
	| "refused_url"
	| "refused_address"
	| "dns"
	| "connect"
	| "tls"
	| "timeout"
	| "reset"
	| "too_large"
	| "protocol";

export interface Exchange {
	readonly headers: Readonly<Record<string, string>>;
	readonly body: string | Buffer;
	readonly timeoutMs: number;
	/** Body bytes read before the rest is thrown away with its connection. */
	readonly bytesMax: number;
	readonly signal: AbortSignal | undefined;
}

export type ExchangeResult =
	| {
			readonly kind: "answered";
			readonly status: number;
			readonly retryAfter: string | undefined;
			readonly bodyStart: string;
	  }
	| { readonly kind: "failed"; readonly reason: EgressFailure };

const bodyStartBytes = 1024;
const interimMax = 8;

/**
 * Sends once; once more on a fresh connection when a kept-alive one turned out to be closed before any
 * answer, as every client must expect (RFC 9112 §9.3.1).
 */
export async function exchange(
	url: JudgedUrl,
	connection: object,
	request: Exchange,
): Promise<ExchangeResult> {
	const first = await attempt(url, connection, request);
	return first === "stale" ? reused(await attempt(url, connection, request)) : first;
}

function reused(result: ExchangeResult | "stale"): ExchangeResult {
	return result === "stale" ? { kind: "failed", reason: "reset" } : result;
}

function attempt(
	url: JudgedUrl,
	connection: object,
	request: Exchange,
): Promise<ExchangeResult | "stale"> {
	return new Promise((resolve) => {
		const sent = http.request({
			...connection,
			method: "POST",
			path: url.target,
			headers: { host: url.authority, "user-agent": "Waxwing", ...request.headers },
			setDefaultHeaders: true,
			setHost: false,
			maxHeaderSize: 16_384,
			insecureHTTPParser: false,
		});
		const timer = setTimeout(() => end({ kind: "failed", reason: "timeout" }), request.timeoutMs);
		const abort = (): void => end({ kind: "failed", reason: "reset" });
		request.signal?.addEventListener("abort", abort, { once: true });
		let interim = 0;
		let answering = false;
		function end(result: ExchangeResult | "stale", keep = false): void {
			clearTimeout(timer);
			request.signal?.removeEventListener("abort", abort);
			resolve(result);
			if (!keep) sent.destroy();
		}
		sent.on("error", (error) =>
			end(sent.reusedSocket && !answering ? "stale" : { kind: "failed", reason: reasonOf(error) }),
		);
		sent.on("information", () => {
			if (++interim > interimMax) end({ kind: "failed", reason: "protocol" });
		});
		sent.on("response", (response) => {
			answering = true;
			readBody(response, request.bytesMax, end);
		});
		if (request.signal?.aborted === true) abort();
		else sent.end(request.body);
	});
}

function readBody(
	response: http.IncomingMessage,
	bytesMax: number,
	end: (result: ExchangeResult, keep?: boolean) => void,
): void {
	const start: Buffer[] = [];
	let bytes = 0;
	const answer = (): ExchangeResult => ({
		kind: "answered",
		status: response.statusCode ?? 0,
		retryAfter: response.headers["retry-after"],
		bodyStart: Buffer.concat(start).subarray(0, bodyStartBytes).toString("utf8"),
	});
	response.on("data", (chunk: Buffer) => {
		if (bytes < bodyStartBytes) start.push(chunk.subarray(0, bodyStartBytes - bytes));
		bytes += chunk.length;
		if (bytes > bytesMax) end(answer());
	});
	response.on("end", () => end(answer(), true));
	response.on("error", () => end({ kind: "failed", reason: "reset" }));
}

const failureOf = new WeakMap<Error, EgressFailure>();

/** An error that says why; OpenSSL's and Node's own errors have a `reason` of another kind. */
export function failure(reason: EgressFailure): Error {
	const error = new Error(reason);
	failureOf.set(error, reason);
	return error;
}

/** Keeps what is known to have gone wrong; otherwise it is what was being done at the time. */
export function asFailure(error: unknown, meanwhile: EgressFailure): Error {
	return error instanceof Error && failureOf.has(error) ? error : failure(meanwhile);
}

function reasonOf(error: Error & { code?: string }): EgressFailure {
	const known = failureOf.get(error);
	if (known !== undefined) return known;
	if (error.code === "HPE_HEADER_OVERFLOW") return "too_large";
	return error.code?.startsWith("HPE_") === true ? "protocol" : "reset";
}
