/**
 * A small HTTP client for journeys: JSON in, JSON out, over real sockets. Every successful answer is
 * compared with what its route declares, so that no journey can pass on an undocumented shape.
 */
import assert from "node:assert/strict";
import type { Route } from "#platform/http.ts";
import { answerCheck } from "#platform/http-plan.ts";
import { declaredRoutes } from "#processes/routes.ts";

export type Json = Readonly<Record<string, unknown>>;

export interface Reply {
	readonly status: number;
	readonly headers: Headers;
	readonly text: string;
	/** The body as an object; fails when it is none. */
	readonly body: Json;
	/** The `error` of a failure. */
	readonly error: Json;
	/** The `data` of a list. */
	readonly data: readonly Json[];
}

export interface Client {
	get(path: string, headers?: Record<string, string>): Promise<Reply>;
	post(path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>;
	patch(path: string, body: unknown, headers?: Record<string, string>): Promise<Reply>;
	delete(path: string, headers?: Record<string, string>): Promise<Reply>;
	/** As it is: no JSON is made of the body, no header is added. */
	raw(path: string, init: RequestInit): Promise<Reply>;
}

/** `key` undefined sends no Authorization header. */
export function client(baseUrl: string, key?: string): Client {
	const own: Record<string, string> = key === undefined ? {} : { authorization: `Bearer ${key}` };
	const send = (method: string, path: string, body: unknown, headers = {}): Promise<Reply> =>
		ask(baseUrl, path, {
			method,
			headers: {
				...own,
				...(body === undefined ? {} : { "content-type": "application/json" }),
				...headers,
			},
			...(body === undefined ? {} : { body: JSON.stringify(body) }),
		});
	return {
		get: (path, headers) => send("GET", path, undefined, headers),
		post: (path, body, headers) => send("POST", path, body, headers),
		patch: (path, body, headers) => send("PATCH", path, body, headers),
		delete: (path, headers) => send("DELETE", path, undefined, headers),
		raw: (path, init) => ask(baseUrl, path, init),
	};
}

async function ask(baseUrl: string, path: string, init: RequestInit): Promise<Reply> {
	const response = await fetch(`${baseUrl}${path}`, { redirect: "manual", ...init });
	const text = await response.text();
	const { status, headers } = response;
	const reply: Reply = {
		status,
		headers,
		text,
		get body() {
			return object(text, `${init.method} ${path} answered ${status}`);
		},
		get error() {
			return object(JSON.stringify(reply.body["error"] ?? null), `${status} ${text}`);
		},
		get data() {
			const list = reply.body["data"];
			assert.ok(Array.isArray(list), `${init.method} ${path} answered ${status} ${text}`);
			return list as Json[];
		},
	};
	if (status < 300) compareWithDeclaration(init.method ?? "GET", path, reply);
	return reply;
}

function object(text: string, says: string): Json {
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch {
		assert.fail(`${says}: not JSON: ${text.slice(0, 200)}`);
	}
	assert.ok(typeof value === "object" && value !== null, `${says}: ${text}`);
	return value as Json;
}

/** Which declared route serves this path, if any. */
export function routeOf(method: string, path: string): Route | undefined {
	const wanted = (path.split("?", 1)[0] as string).split("/");
	return declared().find(({ route }) => {
		const steps = route.path.split("/");
		return (
			route.method === method &&
			steps.length === wanted.length &&
			steps.every((step, i) => step.startsWith(":") || step === wanted[i])
		);
	})?.route;
}

interface Checked {
	readonly route: Route;
	readonly check: ReturnType<typeof answerCheck>;
}

let cached: readonly Checked[] | undefined;

function declared(): readonly Checked[] {
	cached ??= declaredRoutes().map((route) => ({ route, check: answerCheck(route) }));
	return cached;
}

function compareWithDeclaration(method: string, path: string, { status, text }: Reply): void {
	const route = routeOf(method, path);
	if (route === undefined) return;
	const found = declared().find((one) => one.route === route);
	found?.check(text === "" ? { status } : { status, body: JSON.parse(text) });
}

/** Asks again and again until `done` says so; fails with the last answer after `withinMs`. */
export async function until<T>(
	what: string,
	look: () => Promise<T> | T,
	done: (value: T) => boolean,
	withinMs = 25_000,
): Promise<T> {
	const end = performance.now() + withinMs;
	for (let wait = 10; ; wait = Math.min(wait * 1.5, 100)) {
		const value = await look();
		if (done(value)) return value;
		if (performance.now() > end)
			assert.fail(`${what}: not within ${withinMs} ms; last seen ${JSON.stringify(value)}`);
		await new Promise((resolve) => void setTimeout(resolve, wait));
	}
}
