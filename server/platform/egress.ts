/**
 * The one door for outgoing connections. A name is resolved once, every address it has must be
 * permitted, the socket goes to a checked address and is looked at again before its first byte leaves.
 * No redirects, no proxies, no credentials; https with TLS 1.2 or later, except towards networks the
 * operator listed. Guards against server-side request forgery and DNS rebinding (OWASP SSRF, CWE-918).
 */
import http from "node:http";
import net from "node:net";
import tls from "node:tls";
import type { Clock } from "./clock.ts";
import { readRanges } from "./egress-address.ts";
import {
	asFailure,
	failure,
	type EgressFailure,
	type Exchange,
	exchange,
} from "./egress-exchange.ts";
import {
	createGuard,
	type Guard,
	type GuardParts,
	lookupThrough,
	type Resolved,
} from "./egress-guard.ts";
import { type JudgedUrl, judgeUrl, type UrlJudgement, type UrlRefusal } from "./egress-url.ts";

export type { EgressFailure } from "./egress-exchange.ts";
export type { Resolved, Resolver } from "./egress-guard.ts";

export interface EgressParts extends GuardParts {
	/** CIDR blocks that may be reached although private, and by plain http on any port. */
	readonly allow: readonly string[];
	readonly clock: Clock;
	/** Opens a socket to an address; replaced only by tests of the second look. */
	readonly dial?: (address: string, port: number) => net.Socket;
	/** Trusted roots instead of the system's, PEM. */
	readonly certificateAuthorities?: string;
	readonly totalTimeoutMs?: number;
	readonly responseBytesMax?: number;
}

export type PostOutcome =
	| {
			readonly kind: "answered";
			readonly status: number;
			/** From Retry-After, in seconds or as a date (RFC 9110 §10.2.3). */
			readonly retryAfterSeconds?: number;
			readonly durationMs: number;
			/** The first KiB of the body as text. */
			readonly bodyStart: string;
	  }
	| { readonly kind: "failed"; readonly reason: EgressFailure; readonly durationMs: number };

export interface Egress {
	/** The pure part: what the text alone shows. */
	judge(url: string): UrlJudgement;
	/** The URL and what its name resolves to now. An unresolvable name passes: `post` looks again. */
	check(
		url: string,
	): Promise<{ kind: "passed" } | { kind: "refused"; reason: UrlRefusal | "refused_address" }>;
	/** Addresses of a host for protocols other than HTTP; all are checked. Connect to one of them only. */
	checkedAddresses(host: string): Promise<Resolved>;
	/** The `lookup` of `net.connect` and `tls.connect`; gives checked addresses only. Node skips it for literal addresses: use `permits` too. */
	readonly checkedLookup: net.LookupFunction;
	/** The second look: whether a socket's remote address may be spoken to. */
	permits(address: string | undefined): boolean;
	/** One POST. Never throws, never follows a redirect; a duplicate is possible after `reset` or `timeout`. */
	post(
		url: string,
		headers: Readonly<Record<string, string>>,
		body: string | Buffer,
		options?: { readonly signal?: AbortSignal },
	): Promise<PostOutcome>;
	/** Closes idle connections. */
	close(): void;
}

const addressesTriedMax = 3;

export function createEgress(parts: EgressParts): Egress {
	const allow = readRanges(parts.allow);
	if (allow === undefined) throw new Error("the egress allow-list holds something that is no CIDR");
	const guard = createGuard(parts, allow);
	const agent = createAgent(parts, guard);
	const { clock } = parts;
	return {
		judge: (url) => judgeUrl(url, allow),
		checkedAddresses: (host) => guard.resolve(host, false),
		checkedLookup: lookupThrough(guard),
		permits: (address) => guard.permits(address, false),
		async check(url) {
			const judged = judgeUrl(url, allow);
			if (judged.kind === "refused") return judged;
			const found = await guard.resolve(judged.host, judged.onlyAllowed);
			return found.kind === "refused" && found.reason === "refused_address"
				? { kind: "refused", reason: found.reason }
				: { kind: "passed" };
		},
		async post(url, headers, body, options) {
			const began = clock.elapsed();
			const limits = {
				totalMs: parts.totalTimeoutMs ?? 15_000,
				bytesMax: parts.responseBytesMax ?? 65_536,
			};
			const spent = (): number => Math.round(clock.elapsed() - began);
			const judged = judgeUrl(url, allow);
			if (judged.kind === "refused")
				return { kind: "failed", reason: "refused_url", durationMs: 0 };
			const found = await guard.resolve(judged.host, judged.onlyAllowed);
			if (found.kind === "refused")
				return { kind: "failed", reason: found.reason, durationMs: spent() };
			const result = await tryAddresses(
				agent,
				judged,
				found.addresses,
				(remaining) => ({
					headers: { ...headers, "content-length": String(Buffer.byteLength(body)) },
					body,
					signal: options?.signal,
					timeoutMs: Math.max(1, remaining - spent()),
					bytesMax: limits.bytesMax,
				}),
				limits.totalMs,
			);
			if (result.kind === "failed")
				return { kind: "failed", reason: result.reason, durationMs: spent() };
			const wait = readRetryAfter(result.retryAfter, clock.now());
			const { status, bodyStart } = result;
			const retry = wait === undefined ? {} : { retryAfterSeconds: wait };
			return { kind: "answered", status, ...retry, durationMs: spent(), bodyStart };
		},
		close: () => agent.destroy(),
	};
}

/** What a pooled socket belongs to: nothing is shared between names, ports or addresses. */
interface Door {
	readonly address: string;
	readonly judged: JudgedUrl;
}

function createAgent(parts: EgressParts, guard: Guard): http.Agent {
	const agent = new http.Agent({ keepAlive: true, maxFreeSockets: 128, timeout: 10_000 });
	const doorOf = (options: object): Door => (options as { door: Door }).door;
	const hooks = agent as unknown as {
		getName(options: object): string;
		createConnection(
			options: object,
			done: (error: Error | null, socket?: net.Socket) => void,
		): void;
	};
	hooks.getName = (options) => {
		const { address, judged } = doorOf(options);
		return `${judged.secure ? "tls" : "plain"} ${address} ${judged.port} ${judged.host}`;
	};
	hooks.createConnection = (options, done) => {
		openSocket(parts, guard, doorOf(options)).then(
			(socket) => done(null, socket),
			(error) => done(error as Error),
		);
	};
	return agent;
}

/** Connects, looks at where it got, and only then speaks: for TLS the hello is the first byte. */
async function openSocket(parts: EgressParts, guard: Guard, door: Door): Promise<net.Socket> {
	const { address, judged } = door;
	const dial = parts.dial ?? ((host, port) => net.connect({ host, port, noDelay: true }));
	const raw = dial(address, judged.port);
	const timer = setTimeout(() => raw.destroy(failure("timeout")), parts.connectTimeoutMs ?? 5_000);
	try {
		await happens(raw, "connect", "connect");
		if (!guard.permits(raw.remoteAddress, judged.onlyAllowed)) throw failure("refused_address");
		if (!judged.secure) return raw;
		const secured = tls.connect({
			socket: raw,
			...(net.isIP(judged.host) === 0 ? { servername: judged.host } : { host: judged.host }),
			minVersion: "TLSv1.2",
			rejectUnauthorized: true,
			ALPNProtocols: ["http/1.1"],
			ca: parts.certificateAuthorities,
		});
		await happens(secured, "secureConnect", "tls");
		return secured;
	} catch (error) {
		raw.destroy();
		throw error;
	} finally {
		clearTimeout(timer);
	}
}

async function happens(socket: net.Socket, event: string, reason: EgressFailure): Promise<void> {
	const { promise, resolve, reject } = Promise.withResolvers<void>();
	const fail = (error?: unknown): void => reject(asFailure(error, reason));
	socket.once(event, resolve).once("error", fail).once("close", fail);
	try {
		await promise;
	} finally {
		socket.off(event, resolve).off("close", fail).off("error", fail);
		// The socket may still fail before its next owner listens; that must not end the process.
		socket.on("error", () => undefined);
	}
}

/** Goes on to the next checked address only when no connection came about, so nothing was sent. */
async function tryAddresses(
	agent: http.Agent,
	judged: JudgedUrl,
	addresses: readonly string[],
	request: (totalMs: number) => Exchange,
	totalMs: number,
): ReturnType<typeof exchange> {
	let result: Awaited<ReturnType<typeof exchange>> = { kind: "failed", reason: "connect" };
	for (const address of addresses.slice(0, addressesTriedMax)) {
		const options = { agent, door: { address, judged } satisfies Door };
		result = await exchange(judged, options, request(totalMs));
		if (result.kind !== "failed" || result.reason !== "connect") return result;
	}
	return result;
}

function readRetryAfter(text: string | undefined, nowMs: number): number | undefined {
	if (text === undefined) return undefined;
	if (/^\d{1,9}$/.test(text)) return Number(text);
	const at = Date.parse(text);
	return Number.isNaN(at) ? undefined : Math.max(0, Math.ceil((at - nowMs) / 1000));
}
