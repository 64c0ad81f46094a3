/**
 * The database, and the only user of the PostgreSQL driver. A transaction is the one way to a
 * connection, and it always says for whom: one tenant's environment (role `waxwing_app`), a set of
 * tenants (role `waxwing_worker`), or none (definer functions only). Row-level security reads that.
 *
 * Connections run in pipeline mode: BEGIN, the tenant's name and the first statements leave in one
 * round trip, and statements handed to `post` leave together with COMMIT.
 */
import type { Writable } from "node:stream";
import pg from "pg";
import { Fault } from "./errors.ts";

export interface Statement {
	readonly name: string;
	readonly text: string;
}

const registry = new Map<string, Statement>();

/** Declares a statement. A test prepares every declared statement against the migrated schema. */
export function sql(name: string, text: string): Statement {
	if (registry.has(name)) throw new Error(`two statements are called ${name}`);
	const statement = { name, text };
	registry.set(name, statement);
	return statement;
}

export function declaredStatements(): readonly Statement[] {
	return [...registry.values()];
}

export interface Scope {
	readonly tenantId: string;
	readonly environment: Environment;
}
export type Environment = "live" | "test";

export type Row = Record<string, unknown>;

export interface Tx {
	/** Runs a statement and waits for its rows. */
	query<R extends object = Row>(statement: Statement, values?: readonly unknown[]): Promise<R[]>;
	/** Sends a statement without waiting; its failure fails the transaction at commit. */
	post(statement: Statement, values?: readonly unknown[]): void;
	/** Changes the tenant that row-level security lets this transaction see. */
	enter(scope: Scope): void;
	/** The same for a worker: the tenants of the batch in hand. */
	enterTenants(tenantIds: readonly string[]): void;
}

export interface Database {
	/** One tenant's transaction. Commits when `work` returns, rolls back when it throws. */
	inTenant<T>(scope: Scope, work: (tx: Tx) => Promise<T>): Promise<T>;
	/** A worker's transaction over the rows of these tenants, both environments. */
	inTenants<T>(tenantIds: readonly string[], work: (tx: Tx) => Promise<T>): Promise<T>;
	/** A transaction that sees no tenant's rows: definer functions and platform tables. */
	inPlatform<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
	close(): Promise<void>;
}

export interface DatabaseOptions {
	readonly connectionString?: string;
	readonly host?: string;
	readonly port?: number;
	readonly database?: string;
	readonly user?: string;
	readonly password?: string;
	readonly max: number;
	readonly applicationName: string;
	/** Longest time a statement may run, milliseconds. */
	readonly statementTimeoutMs?: number;
}

const types = new pg.TypeOverrides();
types.setTypeParser(20, Number);

const begin = "begin";
const enterTenant: Statement = {
	name: "wx.enter",
	text: "select set_config('app.tenant', $1, true), set_config('app.environment', $2, true)",
};
const enterTenants: Statement = {
	name: "wx.enter_many",
	text: "select set_config('app.tenants', $1, true)",
};

export function openDatabase(options: DatabaseOptions): Database {
	const { max, applicationName, statementTimeoutMs = 8_000, ...connection } = options;
	const pool = new pg.Pool({
		...connection,
		max,
		types,
		pipeline: true,
		application_name: applicationName,
		statement_timeout: statementTimeoutMs,
		// A server that stands still cannot keep its own time: then the connection is given up from here.
		query_timeout: statementTimeoutMs + 2_000,
		idle_in_transaction_session_timeout: 30_000,
		connectionTimeoutMillis: 5_000,
		keepAlive: true,
	});
	// One that dies in use says so through its queries; its own event must only not be unheard.
	pool.on("connect", (client) => void client.on("error", () => undefined));
	// A connection that dies while idle is replaced at its next use; there is nothing to do now.
	pool.on("error", () => undefined);
	return {
		inTenant: (scope, work) => transact(pool, (tx) => tx.enter(scope), work),
		inTenants: (ids, work) => transact(pool, (tx) => tx.enterTenants(ids), work),
		inPlatform: (work) => transact(pool, () => undefined, work),
		close: () => pool.end(),
	};
}

async function transact<T>(
	pool: pg.Pool,
	enter: (tx: Tx) => void,
	work: (tx: Tx) => Promise<T>,
): Promise<T> {
	const client = await pool.connect().catch((cause) => {
		throw unavailable(cause);
	});
	const posted: Promise<unknown>[] = [];
	const gather = gatherWrites(client);
	const send = (query: string | pg.QueryConfig): Promise<pg.QueryResult> => {
		gather();
		const sent = client.query(query as pg.QueryConfig);
		sent.catch(() => undefined);
		return sent;
	};
	const tx: Tx = {
		query: async <R>({ name, text }: Statement, values: readonly unknown[] = []) =>
			(await send({ name, text, values: values as unknown[] })).rows as R[],
		post({ name, text }, values = []) {
			posted.push(send({ name, text, values: values as unknown[] }));
		},
		enter: (scope) => tx.post(enterTenant, [scope.tenantId, scope.environment]),
		enterTenants: (ids) => tx.post(enterTenants, [`{${ids.join(",")}}`]),
	};
	try {
		posted.push(send(begin));
		enter(tx);
		const result = await work(tx);
		const committed = send("commit");
		await Promise.all(posted);
		if ((await committed).command !== "COMMIT") throw new Error("the transaction rolled back");
		client.release();
		return result;
	} catch (error) {
		await abandon(client, posted);
		throw classify(error, posted.length > 0 ? await firstFailure(posted) : undefined);
	}
}

/**
 * Statements sent in one turn of the event loop leave in one write: a transaction's ten statements would
 * otherwise be ten system calls.
 */
function gatherWrites(client: pg.PoolClient): () => void {
	const { stream } = (client as unknown as { connection: { stream: Writable } }).connection;
	let corked = false;
	return () => {
		if (corked) return;
		corked = true;
		stream.cork();
		process.nextTick(() => {
			corked = false;
			stream.uncork();
		});
	};
}

/** Rolls back; a connection that cannot even do that is thrown away. */
async function abandon(client: pg.PoolClient, posted: readonly Promise<unknown>[]): Promise<void> {
	try {
		await client.query("rollback");
		await Promise.allSettled(posted);
		client.release();
	} catch (error) {
		client.release(error as Error);
	}
}

/** In a pipeline the first error is the cause; later ones only say that the transaction is over. */
async function firstFailure(posted: readonly Promise<unknown>[]): Promise<unknown> {
	for (const outcome of await Promise.allSettled(posted))
		if (outcome.status === "rejected" && !isAfterEffect(outcome.reason)) return outcome.reason;
	return undefined;
}

function isAfterEffect(error: unknown): boolean {
	return (error as { code?: unknown }).code === "25P02";
}

function classify(error: unknown, first: unknown): unknown {
	if (error instanceof Fault) return error;
	const cause =
		first !== undefined && (isAfterEffect(error) || !hasSqlState(error)) ? first : error;
	const code = codeOf(cause);
	if (code === "53100") return Fault.of("storage_full", { cause, retryAfterSeconds: 5 });
	const lost =
		code.startsWith("08") || code.startsWith("57P") || code.startsWith("53") || code === "25006";
	return lost || isConnectionLoss(cause, code) ? unavailable(cause) : cause;
}

function codeOf(error: unknown): string {
	const { code } = error as { code?: unknown };
	return typeof code === "string" ? code : "";
}

function hasSqlState(error: unknown): boolean {
	// Five characters, one of them a digit: EPIPE is the system's word, not PostgreSQL's.
	return /^(?=.*\d)[0-9A-Z]{5}$/.test(codeOf(error));
}

function isConnectionLoss(error: unknown, code: string): boolean {
	if (/^E[A-Z]+$/.test(code) && !hasSqlState(error)) return true;
	const message = error instanceof Error ? error.message : "";
	return /connection terminated|connection error|query read timeout|timeout exceeded when trying to connect|not queryable/i.test(
		message,
	);
}

function unavailable(cause: unknown): Fault {
	return Fault.of("database_unavailable", { cause, retryAfterSeconds: 2 });
}

/** PostgreSQL's error code of a failed statement, or undefined. */
export function sqlState(error: unknown): string | undefined {
	return hasSqlState(error) ? codeOf(error) : undefined;
}

export interface Admin {
	/** Runs a script or one statement with values, as the role that migrates. */
	run<R extends object = Row>(text: string, values?: readonly unknown[]): Promise<R[]>;
	close(): Promise<void>;
}

/** One connection for migrations and test set-up. Never used to serve. */
export async function connectAdmin(options: Omit<DatabaseOptions, "max">): Promise<Admin> {
	const { applicationName, statementTimeoutMs: _, ...connection } = options;
	const client = new pg.Client({
		...connection,
		application_name: applicationName,
		connectionTimeoutMillis: 10_000,
	});
	client.on("error", () => undefined);
	await client.connect();
	return {
		run: async <R>(text: string, values?: readonly unknown[]) =>
			(await client.query(text, values as unknown[] | undefined)).rows as R[],
		close: () => client.end(),
	};
}
