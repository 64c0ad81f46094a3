/** The server over real sockets where bytes matter, by injection elsewhere. */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import type { FastifyInstance, InjectOptions } from "fastify";
import { Type } from "typebox";
import { systemClock } from "./clock.ts";
import { Fault } from "./errors.ts";
import { type Caller, route } from "./http.ts";
import { openApiOf } from "./http-openapi.ts";
import { createHttp, type HttpParts } from "./http-server.ts";
import { createIds, seededRandom } from "./ids.ts";
import { silentLog } from "./log.ts";
import { createMetrics } from "./metrics.ts";

const tenant: Caller = {
	tenantId: "0198a000-0000-7000-8000-000000000001",
	environment: "test",
	keyId: "key_1",
	scopes: ["things:read", "things:write"],
	operator: false,
};
const operator: Caller = { ...tenant, tenantId: "", scopes: [], operator: true };

const closed = { additionalProperties: false };
const bodySchema = Type.Object(
	{
		to: Type.String({ pattern: "^\\+[1-9][0-9]{6,14}$", "x-rule": "must be an E.164 number" }),
		count: Type.Optional(Type.Integer({ minimum: 1, maximum: 5 })),
		metadata: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
	},
	closed,
);
const common = { tag: "Things", summary: "…", idempotency: "none", audited: false } as const;
const shared = { ...common, answers: { 200: { description: "Done" } } };

const routes = [
	route({
		...common,
		method: "POST",
		path: "/v1/things",
		operationId: "thing.create",
		permission: "things:write",
		idempotency: "own",
		body: bodySchema,
		bodyLimitBytes: 2_000,
		answers: { 202: { description: "Taken", schema: Type.Object({ to: Type.String() }, closed) } },
		handle: async ({ body, idempotency }) => ({
			status: 202,
			body: body.count === 5 ? { wrong: true } : { to: body.to },
			headers: { "x-fingerprint": idempotency?.fingerprintInput.replace("\n", "|") ?? "none" },
		}),
	}),
	route({
		...shared,
		method: "GET",
		path: "/v1/things",
		operationId: "thing.list",
		permission: "things:read",
		query: Type.Object(
			{
				limit: Type.Integer({ minimum: 1, maximum: 100, default: 20 }),
				status: Type.Optional(
					Type.Array(Type.Union([Type.Literal("sent"), Type.Literal("failed")]), { maxItems: 3 }),
				),
				deep: Type.Optional(Type.Boolean()),
				to: Type.Optional(Type.String({ maxLength: 16 })),
			},
			closed,
		),
		handle: async ({ query }) => ({ status: 200, body: query }),
	}),
	route({
		...shared,
		method: "GET",
		path: "/v1/things/:id",
		operationId: "thing.get",
		permission: "things:read",
		params: Type.Object({ id: Type.String({ pattern: "^thg_[a-z0-9]{4}$" }) }, closed),
		handle: async ({ params }) => {
			if (params.id === "thg_boom") throw new Error("secret 4111111111111111");
			if (params.id === "thg_wait")
				throw Fault.of("database_unavailable", { retryAfterSeconds: 1.2 });
			return { status: 200, body: params };
		},
	}),
	route({
		...common,
		method: "DELETE",
		path: "/v1/things/:id",
		operationId: "thing.delete",
		permission: "things:delete",
		answers: { 204: { description: "Gone" } },
		handle: async () => ({ status: 204 }),
	}),
	route({
		...shared,
		method: "POST",
		path: "/v1/things/:id/touch",
		operationId: "thing.touch",
		permission: "things:write",
		idempotency: "stored",
		handle: async ({ caller }) => ({ status: 200, body: { key: caller.keyId } }),
	}),
	route({
		...shared,
		method: "GET",
		path: "/v1/everything",
		operationId: "everything",
		permission: "operator",
		handle: async () => ({ status: 200, body: {} }),
	}),
];

let notReady: string[] = [];
const once: string[] = [];

function server(over: Partial<HttpParts> = {}): FastifyInstance {
	return createHttp({
		routes,
		authenticate: async (header) => {
			if (header === undefined) throw Fault.of("key_missing");
			if (header === "Bearer tenant") return tenant;
			if (header === "Bearer operator") return operator;
			throw Fault.of("key_invalid");
		},
		once: (call, execute) => {
			once.push(call.idempotency?.keyHashInput ?? "");
			return execute();
		},
		ready: () => notReady,
		clock: systemClock,
		ids: createIds(systemClock, seededRandom(1)),
		log: silentLog,
		metrics: createMetrics(),
		openApi: () => openApiOf(routes, { title: "Test", version: "1", description: "" }),
		checkAnswers: true,
		...over,
	});
}

const app = server();
after(() => app.close());

const json = { "content-type": "application/json", authorization: "Bearer tenant" };

interface Seen {
	status: number;
	headers: Record<string, unknown>;
	body: { error?: Record<string, unknown>; [key: string]: unknown };
}
async function ask(options: InjectOptions): Promise<Seen> {
	const { statusCode, headers, payload } = await app.inject(options);
	return { status: statusCode, headers, body: payload === "" ? {} : JSON.parse(payload) };
}
const post = (payload: string | Buffer, headers: Record<string, string> = {}): Promise<Seen> =>
	ask({ method: "POST", url: "/v1/things", payload, headers: { ...json, ...headers } });
const get = (url: string, authorization = "Bearer tenant"): Promise<Seen> =>
	ask({ method: "GET", url, headers: { authorization } });

describe("who may call", () => {
	const cases: [url: string, authorization: string | undefined, status: number, name?: string][] = [
		["/v1/things", undefined, 401, "key_missing"],
		["/v1/things", "Bearer stranger", 401, "key_invalid"],
		["/v1/things", "Bearer operator", 403, "permission_denied"],
		["/v1/everything", "Bearer tenant", 403, "permission_denied"],
		["/v1/everything", "Bearer operator", 200],
		["/v1/things", "Bearer tenant", 200],
		["/healthz", undefined, 200],
	];
	for (const [url, authorization, status, name] of cases)
		test(`${url} with ${authorization ?? "no key"} is ${status}`, async () => {
			const headers = authorization === undefined ? {} : { authorization };
			const seen = await ask({ method: "GET", url, headers });
			assert.equal(seen.status, status);
			assert.equal(seen.body.error?.["name"], name);
			assert.equal("www-authenticate" in seen.headers, status === 401);
		});

	test("a missing scope is named", async () => {
		const seen = await ask({ method: "DELETE", url: "/v1/things/thg_abcd", headers: json });
		assert.equal(seen.status, 403);
		assert.match(String(seen.body.error?.["message"]), /things:delete/);
	});
});

describe("what a body may be", () => {
	const good = '{"to":"+919876543210"}';
	const types: [type: string, status: number][] = [
		["application/json", 202],
		["application/json; charset=utf-8", 202],
		["application/json;charset=UTF-8", 202],
		["application/json\ta", 415],
		[" application/json", 415],
		["application/json garbage", 415],
		["application/json;charset=utf-7", 415],
		["application/json; charset=utf-8; x=1", 415],
		["text/plain", 415],
		["application/x-www-form-urlencoded", 415],
		["multipart/form-data; boundary=x", 415],
		["application/jsonp", 415],
		["", 415],
	];
	for (const [type, status] of types)
		test(`content type ${JSON.stringify(type)} is ${status}`, async () => {
			assert.equal((await post(good, { "content-type": type })).status, status);
		});

	const deep = `{"to":"+919876543210","metadata":${"[".repeat(40)}${"]".repeat(40)}}`;
	const bodies: [what: string, bytes: string | Buffer, status: number, name: string][] = [
		["nothing", "", 400, "invalid_json"],
		["half an object", '{"to":', 400, "invalid_json"],
		["a comment", `/**/${good}`, 400, "invalid_json"],
		["NaN", '{"to":NaN}', 400, "invalid_json"],
		["a byte order mark", `\ufeff${good}`, 400, "invalid_json"],
		["bytes that are not UTF-8", Buffer.from('{"to":"\xff"}', "latin1"), 400, "invalid_json"],
		["nesting of 41 levels", deep, 400, "invalid_json"],
		["brackets by the thousand", "[".repeat(1_900), 400, "invalid_json"],
		["__proto__", '{"to":"+919876543210","metadata":{"__proto__":{"a":1}}}', 400, "invalid_json"],
		["an escaped __proto__", '{"metadata":{"\\u005f_proto__":1}}', 400, "invalid_json"],
		["half a surrogate pair", '{"to":"\\ud83d"}', 400, "invalid_json"],
		["a list", "[]", 422, "validation_failed"],
		["null", "null", 422, "validation_failed"],
		["a number that is infinite", '{"to":"+919876543210","count":1e400}', 422, "validation_failed"],
		["a number as text", '{"to":"+919876543210","count":"1"}', 422, "validation_failed"],
		["2,001 bytes", `${good}${" ".repeat(2_001 - good.length)}`, 413, "body_too_large"],
	];
	for (const [what, bytes, status, name] of bodies)
		test(`${what} is ${status} ${name}`, async () => {
			const seen = await post(bytes);
			assert.deepEqual([seen.status, seen.body.error?.["name"]], [status, name]);
		});

	test("repeated keys keep the last, a whole pair passes", async () => {
		assert.equal((await post('{"to":"x","to":"+919876543210"}')).status, 202);
		const pair = '{"to":"+919876543210","metadata":{"a":"\\ud83d\\ude00"}}';
		assert.equal((await post(pair)).status, 202);
	});

	test("each wrong parameter is named with a sentence", async () => {
		const seen = await post('{"to":"98765","count":9,"colour":"red"}');
		assert.equal(seen.status, 422);
		assert.deepEqual(seen.body.error?.["details"], [
			{ param: "to", message: "to must be an E.164 number" },
			{ param: "count", message: "count must be 5 or less" },
			{ param: "colour", message: "colour is not a known parameter" },
		]);
		assert.equal(seen.body.error?.["param"], "to");
	});

	test("a route without a body takes none, or an empty object", async () => {
		const touch = (payload?: string): Promise<Seen> => {
			const headers = payload === undefined ? { authorization: "Bearer tenant" } : json;
			const url = "/v1/things/thg_abcd/touch";
			return ask({ method: "POST", url, headers, ...(payload === undefined ? {} : { payload }) });
		};
		assert.equal((await touch()).status, 200);
		assert.equal((await touch("{}")).status, 200);
		const seen = await touch('{"a":1}');
		assert.deepEqual([seen.status, seen.body.error?.["param"]], [422, "a"]);
	});
});

describe("what a query may be", () => {
	const cases: [query: string, expected: object | string][] = [
		["", { limit: 20 }],
		["?limit=7&deep=true&to=5", { limit: 7, deep: true, to: "5" }],
		["?status=sent", { limit: 20, status: ["sent"] }],
		["?status=sent&status=failed", { limit: 20, status: ["sent", "failed"] }],
		["?limit=x", "query.limit must be a whole number"],
		["?limit=", "query.limit must be a whole number"],
		["?limit=1e3", "query.limit must be a whole number"],
		["?limit=101", "query.limit must be 100 or less"],
		["?limit=1&limit=2", "query.limit must be given once"],
		["?deep=1", "query.deep must be true or false"],
		["?status=sent&status=x", "query.status[1] must be one of sent, failed"],
		["?colour=red", "query.colour is not a known parameter"],
		["?__proto__=1", "query.__proto__ is not a known parameter"],
	];
	for (const [query, expected] of cases)
		test(`${query || "none"}`, async () => {
			const seen = await get(`/v1/things${query}`);
			if (typeof expected === "string") {
				assert.equal(seen.status, 422);
				assert.equal(seen.body.error?.["message"], expected);
			} else assert.deepEqual(seen.body, expected);
		});
});

describe("failures", () => {
	test("have the shape of the API and a request id in the header", async () => {
		const { status, headers, body } = await get("/v1/things/thg_wait");
		assert.equal(status, 503);
		assert.equal(headers["retry-after"], "2");
		const error = body.error ?? {};
		assert.match(String(error["request_id"]), /^req_[0-9a-z]{26}$/);
		assert.equal(headers["x-request-id"], error["request_id"]);
		assert.deepEqual(
			{ ...error, request_id: "", message: "", remediation: "" },
			{
				code: "W05002",
				type: "service_unavailable_error",
				name: "database_unavailable",
				message: "",
				doc_url: "/docs/errors#W05002",
				request_id: "",
				remediation: "",
				retryable: true,
			},
		);
	});

	test("an exception shows nothing of itself", async () => {
		const answer = await app.inject({
			url: "/v1/things/thg_boom",
			headers: { authorization: "Bearer tenant" },
		});
		assert.equal(answer.statusCode, 500);
		assert.equal(answer.json().error.name, "internal");
		assert.ok(!answer.payload.includes("4111"));
	});

	const cases: [method: string, url: string, status: number, name: string, allow?: string][] = [
		["GET", "/v1/nothing", 404, "route_not_found"],
		["POST", "/v1/nothing", 404, "route_not_found"],
		["GET", "/v1/things/thg_TOOLONG", 404, "not_found"],
		["GET", "/v1/things/%zz", 400, "bad_request"],
		["PUT", "/v1/things", 405, "method_not_allowed", "GET, HEAD, POST"],
		["PATCH", "/v1/things/thg_abcd?x=1", 405, "method_not_allowed", "DELETE, GET, HEAD"],
		["POST", "/healthz", 405, "method_not_allowed", "GET, HEAD"],
	];
	for (const [method, url, status, name, allow] of cases)
		test(`${method} ${url} is ${status} ${name}`, async () => {
			const headers = { authorization: "Bearer tenant" };
			const seen = await ask({ method: method, url, headers });
			assert.deepEqual([seen.status, seen.body.error?.["name"]], [status, name]);
			assert.equal(seen.headers["allow"], allow);
			assert.equal(seen.headers["x-content-type-options"], "nosniff");
		});

	test("an answer its route does not declare is our mistake", async () => {
		const seen = await post('{"to":"+919876543210","count":5}');
		assert.deepEqual([seen.status, seen.body.error?.["name"]], [500, "internal"]);
	});
});

describe("idempotency keys", () => {
	const fingerprint = async (body: string, key: string): Promise<unknown> =>
		(await post(body, { "idempotency-key": key })).headers["x-fingerprint"];

	test("the fingerprint is of method, path and canonical body", async () => {
		const expected = 'POST /v1/things|{"count":1,"to":"+919876543210"}';
		assert.equal(await fingerprint('{"to":"+919876543210","count":1}', "k"), expected);
		assert.equal(await fingerprint('{ "count":1, "to":"+919876543210"}', "k"), expected);
	});

	for (const [what, key] of [
		["256 characters", "k".repeat(256)],
		["a control character", "a\u0001b"],
		["letters beyond ASCII", "clé"],
		["nothing", ""],
	] as const)
		test(`${what} is refused`, async () => {
			const seen = await post('{"to":"+919876543210"}', { "idempotency-key": key });
			assert.deepEqual([seen.status, seen.body.error?.["param"]], [422, "Idempotency-Key"]);
		});

	test("a stored route goes through `once` only when a key is given", async () => {
		once.length = 0;
		const url = "/v1/things/thg_abcd/touch";
		const authorization = "Bearer tenant";
		await ask({ method: "POST", url, headers: { authorization } });
		assert.deepEqual(once, []);
		await ask({ method: "POST", url, headers: { authorization, "idempotency-key": "k1" } });
		assert.deepEqual(once, ["k1"]);
	});
});

describe("health", () => {
	test("says why when it is not ready", async () => {
		notReady = ["The database cannot be reached."];
		const seen = await ask({ url: "/healthz" });
		notReady = [];
		assert.deepEqual(
			[seen.status, seen.body["reasons"]],
			[503, ["The database cannot be reached."]],
		);
	});
});

describe("the wire", () => {
	const limits = { headersMs: 250, requestMs: 400, headerBytes: 4_096 };
	const wired = server({ limits });
	let port = 0;
	before(async () => {
		await wired.listen({ host: "127.0.0.1", port: 0 });
		const address = wired.server.address();
		port = typeof address === "object" && address !== null ? address.port : 0;
	});
	after(() => wired.close());

	/** Sends bytes, returns all that comes back until the server closes. */
	function talk(bytes: string): Promise<string> {
		return new Promise((resolve, reject) => {
			let seen = "";
			const socket = connect(port, "127.0.0.1", () => socket.write(bytes));
			socket.setEncoding("utf8").on("data", (text: string) => {
				seen += text;
			});
			socket.on("error", reject).on("close", () => resolve(seen));
		});
	}

	const host = "Host: a\r\nConnection: close\r\n";
	const auth = "Authorization: Bearer tenant\r\n";
	const head = `POST /v1/things HTTP/1.1\r\n${host}${auth}`;
	const cases: [what: string, bytes: string, status: number, name: string][] = [
		["headers of 5 kB", `${head}X: ${"x".repeat(5_000)}\r\n\r\n`, 431, "headers_too_large"],
		["no HTTP at all", "\x00\x00\x00\x10hello\r\n\r\n", 400, "bad_request"],
		["headers that never end", `${head}X: 1\r\n`, 408, "request_timeout"],
		[
			"a body that never ends",
			`${head}Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{`,
			408,
			"request_timeout",
		],
		["two lengths", `${head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`, 400, "bad_request"],
		[
			"a length and chunks",
			`${head}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
			400,
			"bad_request",
		],
		[
			"two content types",
			`${head}Content-Type: application/json\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}`,
			415,
			"unsupported_media_type",
		],
		[
			"chunks beyond the limit",
			`${head}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${`7d0\r\n${" ".repeat(2_000)}\r\n`.repeat(2)}0\r\n\r\n`,
			413,
			"body_too_large",
		],
		[
			"no key, refused before the body has come",
			`POST /v1/things HTTP/1.1\r\n${host}Content-Type: application/json\r\nContent-Length: 50\r\n\r\n`,
			401,
			"key_missing",
		],
	];
	for (const [what, bytes, status, name] of cases)
		test(`${what}: ${status} ${name}`, { timeout: 10_000 }, async () => {
			const seen = await talk(bytes);
			assert.match(seen, new RegExp(`^HTTP/1.1 ${status} `));
			assert.match(seen, new RegExp(`"name":"${name}"`));
			assert.match(seen, /x-request-id: req_/i);
		});

	test("while it stops, work in hand is finished and new work is refused", async () => {
		const slow = route({
			...shared,
			method: "GET",
			path: "/v1/slow",
			operationId: "slow",
			permission: "public",
			handle: () => new Promise((resolve) => setTimeout(resolve, 200, { status: 200, body: 1 })),
		});
		const stopping = server({ routes: [slow] });
		const url = new URL(await stopping.listen({ host: "127.0.0.1", port: 0 }));
		let seen = "";
		const socket = connect(Number(url.port), url.hostname).setEncoding("utf8");
		socket.on("data", (text: string) => {
			seen += text;
		});
		socket.write("GET /v1/slow HTTP/1.1\r\nHost: a\r\n\r\n");
		await new Promise((resolve) => setTimeout(resolve, 50));
		const ended = new Promise((resolve) => socket.on("close", resolve));
		const closed = stopping.close();
		socket.write("GET /v1/slow HTTP/1.1\r\nHost: a\r\n\r\n");
		await Promise.all([closed, ended]);
		assert.deepEqual(seen.match(/HTTP\/1\.1 \d+/g), ["HTTP/1.1 200", "HTTP/1.1 503"]);
		assert.match(seen, /"name":"shutting_down"/);
		assert.match(seen, /retry-after: 1/i);
		assert.match(seen, /connection: close/i);
	});
});
