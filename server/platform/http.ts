/**
 * What an HTTP route is: a declaration (method, path, permission, shapes of input and answers) and a
 * thin handler. `http-server.ts` enforces the declaration, `http-openapi.ts` publishes it; nothing
 * else decides who may call what. A declaration holds data only: no I/O happens when it is made.
 */
import type { Static, TSchema, TUndefined } from "typebox";
import type { Scope, Tx } from "./db.ts";

/** Who is calling. `tenantId` is empty for an operator's key, which serves no tenant. */
export interface Caller {
	readonly tenantId: string;
	readonly environment: "live" | "test";
	readonly keyId: string;
	readonly scopes: readonly string[];
	readonly operator: boolean;
}

/** One request whose caller, permission and input have all been checked. */
export interface Call<P = unknown, Q = unknown, B = unknown> {
	readonly caller: Caller;
	readonly scope: Scope;
	readonly params: P;
	readonly query: Q;
	readonly body: B;
	/** `req_…`, shown to the caller and written in the log. */
	readonly requestId: string;
	/** Present when the caller sent an Idempotency-Key and the route honours it. */
	readonly idempotency: IdempotencyInput | undefined;
	/** Of an audited route: records the act that the route declares. */
	readonly audit: Audit;
}

/** Puts the act of one call into the ledger. */
export interface Audit {
	/**
	 * Adds the entry in the transaction of the act: both are there afterwards, or neither.
	 * @throws Fault `audit_unavailable`
	 */
	record(tx: Tx, act?: AuditedAct): Promise<void>;
}

export interface AuditedAct {
	/** Ids as shown of what was acted on. */
	readonly targets?: readonly string[];
	/** What was done, as JSON. Kept sealed, so it may hold what a caller wrote; never a secret. */
	readonly detail?: unknown;
	/** The tenant that an operator's act is about: its own log tells it too. */
	readonly tenantId?: string;
}

export interface IdempotencyInput {
	/** The header as sent: 1–255 printable ASCII characters. Hash it with tenant and environment. */
	readonly keyHashInput: string;
	/** Method, path and canonical body: equal for the same request, whatever its key order. */
	readonly fingerprintInput: string;
}

export interface Answer {
	readonly status: number;
	/** Sent as JSON; absent for 204. */
	readonly body?: unknown;
	readonly headers?: Readonly<Record<string, string>>;
	/**
	 * Whom the body is about, by the blind index of their address: what is kept of the answer for a retry goes when they
	 * are erased. Not sent.
	 */
	readonly about?: Buffer;
}

export type Method = "GET" | "POST" | "PATCH" | "DELETE";

export interface Route {
	readonly method: Method;
	/** `/v1/sms/messages/:id` */
	readonly path: string;
	readonly operationId: string;
	readonly tag: string;
	readonly summary: string;
	/** Markdown for the reference page. */
	readonly description?: string;
	/** A scope (`sms:send`), `operator` for operator keys only, or `public` for no key at all. */
	readonly permission: string;
	/**
	 * What an Idempotency-Key does here: nothing (`none`), the platform keeps the answer sealed and
	 * replays it (`stored`), or the handler sees to it in its own transaction (`own`).
	 */
	readonly idempotency: "none" | "stored" | "own";
	/**
	 * The ledger's event type that a successful call leaves, or false. What reads (GET) has its entries written
	 * around it; what changes something calls `audit.record` in its transaction.
	 */
	readonly audited: string | false;
	readonly params?: TSchema;
	/** Top-level `default`s of the query are filled in; those of bodies are documentation only. */
	readonly query?: TSchema;
	readonly body?: TSchema;
	/** Largest body accepted, bytes; 64 KiB unless said otherwise. */
	readonly bodyLimitBytes?: number;
	readonly answers: Readonly<Record<number, AnswerDeclaration>>;
	// oxlint-disable-next-line typescript/no-explicit-any -- a list of routes holds every input type
	readonly handle: (call: Call<any, any, any>) => Promise<Answer>;
}

export interface AnswerDeclaration {
	readonly description: string;
	readonly schema?: TSchema;
}

type Declaration<P extends TSchema, Q extends TSchema, B extends TSchema> = Omit<
	Route,
	"params" | "query" | "body" | "handle"
> & {
	readonly params?: P;
	readonly query?: Q;
	readonly body?: B;
	readonly handle: (call: Call<Static<P>, Static<Q>, Static<B>>) => Promise<Answer>;
};

/** Declares a route; the types of `call.params`, `call.query` and `call.body` follow the schemas. */
export function route<
	P extends TSchema = TUndefined,
	Q extends TSchema = TUndefined,
	B extends TSchema = TUndefined,
>(declaration: Declaration<P, Q, B>): Route {
	return declaration;
}
