/**
 * The HTTP server: declared routes on Fastify, with everything their declarations promise enforced
 * here and nowhere else. It never logs a URL, a header or a body, and every failure leaves in the one
 * error shape. Sizes, times and connections are bounded; a slow sender is cut off.
 */
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import type { Clock } from "./clock.ts";
import { Fault } from "./errors.ts";
import type { Answer, Call, Caller, Route } from "./http.ts";
import {
	asFault,
	errorAnswer,
	faultOfConnection,
	jsonType,
	rawAnswer,
	securityHeaders,
} from "./http-answers.ts";
import { audited, type Auditing, beginAudit } from "./http-audit.ts";
import { type BodyAllowance, createBodyAllowance, largeBytes } from "./http-bodies.ts";
import { addDocs } from "./http-docs.ts";
import { parseJson } from "./http-json.ts";
import {
	answerCheck,
	bodyLimitBytesDefault,
	checkBodyHeaders,
	nobody,
	permit,
	reader,
} from "./http-plan.ts";
import { type Ids, showId } from "./ids.ts";
import type { Log } from "./log.ts";
import type { Count, Metrics, Observe } from "./metrics.ts";
import { createTurns } from "./turns.ts";

export interface HttpParts {
	readonly routes: readonly Route[];
	/** The caller named by an Authorization header. @throws Fault `key_missing` or `key_invalid` */
	readonly authenticate: (authorization: string | undefined) => Promise<Caller>;
	/** Executes a call of a route with idempotency `stored` once; see `idempotency.ts`. */
	readonly once: (call: Call, execute: () => Promise<Answer>) => Promise<Answer>;
	/** The ledger. Without it, routes that are audited answer `audit_unavailable`. */
	readonly auditing?: Auditing;
	/** Why this process cannot serve now, as sentences; empty when it can. */
	readonly ready: () => Promise<readonly string[]> | readonly string[];
	readonly clock: Clock;
	readonly ids: Ids;
	readonly log: Log;
	readonly metrics: Metrics;
	/** Makes the OpenAPI document: `openApiOf`. Called when it is first asked for. */
	readonly openApi: () => object;
	/** What an error's code is appended to for its `doc_url`; the built-in page unless given. */
	readonly errorDocsUrl?: string;
	/** Checks answers against their declarations and fails loudly: for tests and development. */
	readonly checkAnswers?: boolean;
	readonly limits?: Partial<HttpLimits>;
}

export interface HttpLimits {
	/** A whole request must arrive within this. */
	readonly requestMs: number;
	readonly headersMs: number;
	readonly keepAliveMs: number;
	readonly headerBytes: number;
	readonly connections: number;
}

const limitsDefault: HttpLimits = {
	requestMs: 30_000,
	headersMs: 10_000,
	keepAliveMs: 65_000,
	headerBytes: 16_384,
	connections: 4_096,
};

/**
 * How long "too many requests" is held back, milliseconds. A client that does not heed Retry-After waits all the same: a
 * refusal costs nearly nothing, but hundreds of connections that ask again at once fill the event loop, which accepts one
 * new connection a turn.
 */
const refusalMs = 500;

/** Requests slower than this are logged at `info`; faster ones that succeed at `debug`. */
const slowMs = 500;

declare module "fastify" {
	interface FastifyRequest {
		caller: Caller;
		startedMs: number;
		/** Of its body, what counts as being worked on. */
		bodyBytes: number;
		/** Its handler runs, or has run. */
		isHandled: boolean;
		failure: string | undefined;
	}
}

interface Instruments {
	readonly requests: Count<{ method: readonly string[]; route: number; status: number }>;
	readonly seconds: Observe<{ method: readonly string[]; route: number }>;
}

const methods = ["GET", "HEAD", "POST", "PATCH", "DELETE"];

/** Builds the server; `listen` starts it, `close` refuses new requests and waits for those in hand. */
export function createHttp(parts: HttpParts): FastifyInstance {
	const docsUrl = parts.errorDocsUrl ?? "/docs/errors#";
	const app = fastify(parts, docsUrl);
	const instruments: Instruments = {
		requests: parts.metrics.counter("wx_http_requests_total", "Requests answered.", {
			method: methods,
			route: parts.routes.length + 8,
			status: 40,
		}),
		seconds: parts.metrics.histogram("wx_http_request_seconds", "Time to answer.", {
			method: methods,
			route: parts.routes.length + 8,
		}),
	};
	readBodiesAsJson(app);
	answerFailures(app, parts, docsUrl);
	const paths = addPlatformRoutes(app, parts);
	const allowed = allowedMethods([...parts.routes, ...paths]);
	admitRequests(app, parts, allowed);
	const record = recorder(parts, instruments);
	app.addHook("onResponse", (request, reply, done) => {
		if (request.is404) record("none", request, reply);
		done();
	});
	const bodies = createBodyAllowance();
	for (const route of parts.routes) addRoute(app, route, { ...parts, bodies }, record);
	return app;
}

/** Requests are checked by their declarations (http-plan.ts). Fastify's own compilers would be loaded, and never used. */
const noCompilers = {
	buildValidator: () => withoutSchemas,
	buildSerializer: () => withoutSchemas,
};

function withoutSchemas(): never {
	throw new Error("a route of Fastify's own has a schema: declare it as a Route");
}

function fastify(parts: HttpParts, docsUrl: string): FastifyInstance {
	const limits = { ...limitsDefault, ...parts.limits };
	const nextId = requestIds(parts.ids);
	const app = Fastify({
		logger: false,
		genReqId: nextId,
		bodyLimit: bodyLimitBytesDefault,
		requestTimeout: limits.requestMs,
		keepAliveTimeout: limits.keepAliveMs,
		http: {
			headersTimeout: limits.headersMs,
			maxHeaderSize: limits.headerBytes,
			connectionsCheckingInterval: Math.min(5_000, limits.headersMs),
		},
		return503OnClosing: false,
		schemaController: { compilersFactory: noCompilers },
		routerOptions: { maxParamLength: 200 },
		frameworkErrors: (error, request, reply) => {
			const answer = errorAnswer(asFault(error), request.id, docsUrl);
			void send(reply.headers(securityHeaders).header("x-request-id", request.id), answer);
		},
		clientErrorHandler: (error, socket) => {
			const fault = faultOfConnection(error.code);
			if (fault === undefined || !socket.writable) return void socket.destroy();
			const id = nextId();
			socket.end(rawAnswer(errorAnswer(fault, id, docsUrl), id));
		},
	});
	app.server.maxConnections = limits.connections;
	app.decorateRequest("caller");
	app.decorateRequest("startedMs", 0);
	app.decorateRequest("bodyBytes", 0);
	app.decorateRequest("isHandled", false);
	app.decorateRequest("failure", undefined);
	return app;
}

/** Request ids: this process's own first 19 characters (time and chance), then a count in base 32. */
function requestIds(ids: Ids): () => string {
	const start = showId("req", ids.next()).slice(0, -7);
	let count = 0;
	return () => {
		count = (count + 1) % 32 ** 7;
		return start + count.toString(32).padStart(7, "0");
	};
}

/** One large body in a turn, with what its handler does at once: many may have arrived together. */
function readBodiesAsJson(app: FastifyInstance): void {
	const turns = createTurns();
	app.removeAllContentTypeParsers();
	app.addContentTypeParser(
		["application/json", "*"],
		{ parseAs: "buffer" },
		(_request, bytes, done) => {
			const read = (): void => {
				try {
					done(null, bytes.length === 0 ? undefined : parseJson(bytes as Buffer));
				} catch (error) {
					done(error as Error);
				}
			};
			if (bytes.length > largeBytes) turns(read);
			else read();
		},
	);
}

function answerFailures(app: FastifyInstance, parts: HttpParts, docsUrl: string): void {
	app.setErrorHandler(async (error, request, reply) => {
		const fault = asFault(error);
		request.failure = fault.name;
		// "Come back later" is said to thousands while a database is away: a line each, not a stack each.
		if (fault.entry.status === 503)
			parts.log.warn({ requestId: request.id, failure: fault.name }, "request not served");
		else if (fault.entry.status >= 500)
			parts.log.error({ requestId: request.id, err: fault.cause ?? fault }, "request failed");
		if (fault.name === "body_too_large") void reply.header("connection", "close");
		if (fault.entry.status === 429) await new Promise((resolve) => setTimeout(resolve, refusalMs));
		return send(reply, errorAnswer(fault, request.id, docsUrl));
	});
}

/** What every request meets first: its id and headers, and whether anything here serves it. */
function admitRequests(
	app: FastifyInstance,
	parts: HttpParts,
	allowed: (path: string) => readonly string[],
): void {
	let stopping = false;
	app.addHook("preClose", (done) => {
		stopping = true;
		// A connection whose answer is still under way would otherwise linger, idle, once it is sent.
		app.server.keepAliveTimeout = 1;
		done();
	});
	app.addHook("onRequest", (request, reply, done) => {
		request.startedMs = parts.clock.elapsed();
		request.caller = nobody;
		void reply.headers(securityHeaders).header("x-request-id", request.id);
		if (stopping) return done(Fault.of("shutting_down", { retryAfterSeconds: 1 }));
		if (!request.is404) return done();
		const methods = allowed(request.url.split("?", 1)[0] as string);
		if (methods.length === 0) return done(Fault.of("route_not_found"));
		void reply.header("allow", methods.join(", "));
		done(Fault.of("method_not_allowed"));
	});
	app.setNotFoundHandler(() => {
		throw Fault.of("route_not_found");
	});
}

function allowedMethods(
	routes: readonly Pick<Route, "method" | "path">[],
): (path: string) => readonly string[] {
	const patterns = routes.map(({ method, path }) => ({
		methods: method === "GET" ? ["GET", "HEAD"] : [method],
		pattern: new RegExp(`^${path.replaceAll(".", "\\.").replace(/:\w+/g, "[^/]+")}$`),
	}));
	return (path) => {
		const found = patterns.filter(({ pattern }) => pattern.test(path));
		return [...new Set(found.flatMap((one) => one.methods))].toSorted();
	};
}

type Record = (route: string, request: FastifyRequest, reply: FastifyReply) => void;

/** Counts each answer and writes its one event: ids, codes and durations only. */
function recorder({ clock, log }: HttpParts, { requests, seconds }: Instruments): Record {
	return (route, request, reply) => {
		const ms = clock.elapsed() - request.startedMs;
		const { method, caller, failure } = request;
		const status = reply.statusCode;
		requests.add({ method, route, status: String(status) });
		seconds.observe({ method, route }, ms / 1_000);
		const { tenantId, keyId } = caller;
		const event = { requestId: request.id, method, route, status, ms, tenantId, keyId, failure };
		if (status >= 500 || ms >= slowMs) log.info(event, "request");
		else log.debug(event, "request");
	};
}

interface RouteParts extends HttpParts {
	readonly bodies: BodyAllowance;
}

function addRoute(app: FastifyInstance, route: Route, parts: RouteParts, record: Record): void {
	const read = reader(route);
	const check = parts.checkAnswers === true ? answerCheck(route) : undefined;
	app.route({
		method: route.method,
		url: route.path,
		bodyLimit: route.bodyLimitBytes ?? bodyLimitBytesDefault,
		onRequest: (request, reply, done) => {
			admitCaller(route, parts, request, reply).then(() => done(), done);
		},
		handler: async (request, reply) => {
			request.isHandled = true;
			try {
				const audit = await beginAudit(parts.auditing, route, request.caller, request.id);
				const call = read(request, request.caller, audit);
				const execute = (): Promise<Answer> =>
					audited(route, audit, () => route.handle(call as Call<never, never, never>));
				const answer =
					route.idempotency === "stored" && call.idempotency !== undefined
						? await parts.once(call, execute)
						: await execute();
				check?.(answer);
				return send(reply, answer);
			} finally {
				giveBackBody(parts, request);
			}
		},
		onResponse: (request, reply, done) => {
			record(route.path, request, reply);
			done();
		},
	});
}

async function admitCaller(
	route: Route,
	parts: RouteParts,
	request: FastifyRequest,
	reply: FastifyReply,
): Promise<void> {
	if (route.permission !== "public") await admit(route, parts, request);
	checkBodyHeaders(route, request);
	request.bodyBytes = parts.bodies.take(request.headers["content-length"]);
	if (request.bodyBytes === 0) return;
	// Whose client has gone is never answered, and may never reach its handler: closing is what always comes.
	const gone = (): void => {
		if (!request.isHandled) giveBackBody(parts, request);
	};
	if (request.raw.socket.destroyed) gone();
	else reply.raw.once("close", gone);
}

async function admit(route: Route, parts: RouteParts, request: FastifyRequest): Promise<void> {
	let caller: Caller | undefined;
	try {
		caller = await parts.authenticate(request.headers.authorization);
		request.caller = caller;
		permit(route, caller);
	} catch (error) {
		if (error instanceof Fault && [401, 403].includes(error.entry.status))
			parts.auditing?.refused({
				why: error.name,
				source: request.ip,
				route: `${route.method} ${route.path}`,
				caller,
				requestId: request.id,
			});
		throw error;
	}
}

function giveBackBody({ bodies }: RouteParts, request: FastifyRequest): void {
	bodies.giveBack(request.bodyBytes);
	request.bodyBytes = 0;
}

function send(reply: FastifyReply, answer: Answer): FastifyReply {
	void reply.code(answer.status);
	if (answer.headers !== undefined) void reply.headers(answer.headers);
	if (answer.body === undefined) return reply.send();
	return reply.header("content-type", jsonType).send(JSON.stringify(answer.body));
}

/** The routes that are the platform's own: health, the OpenAPI document, the reference page. */
function addPlatformRoutes(
	app: FastifyInstance,
	parts: HttpParts,
): readonly Pick<Route, "method" | "path">[] {
	app.get("/healthz", async (_request, reply) => {
		const reasons = await parts.ready();
		if (reasons.length === 0) return send(reply, { status: 200, body: { status: "ok" } });
		return send(reply, { status: 503, body: { status: "unavailable", reasons } });
	});
	const paths = ["/healthz", ...addDocs(app, parts.openApi)];
	return paths.map((path) => ({ method: "GET", path }));
}
