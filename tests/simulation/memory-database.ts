/**
 * The database of a simulation, behind the product's own `Database`: sessions, locks and commits over tables in
 * memory, with what a real one does to its clients. What a statement means is looked up by its name (meanings.ts);
 * its text is never read. Statements of other sessions may run between any two of a transaction's.
 */
import type { Database, Scope, Statement, Tx } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import type { Random } from "#platform/ids.ts";
import { plain } from "./arrays.ts";
import type { Tables } from "./schema.ts";
import { type Change, commit, createWriter, Held, release, type Writer } from "./tables.ts";
import type { Event, Owner, VirtualTime } from "./virtual-time.ts";
import { calmDatabase, type DatabaseWeather } from "./weather.ts";

/** A statement failed with this SQLSTATE. */
export class SqlError extends Error {
	readonly code: string;
	constructor(code: string, message: string) {
		super(message);
		this.code = code;
	}
}

export interface View {
	readonly tables: Tables;
	readonly writer: Writer;
	/** What row-level security says of a tenant's rows. */
	readonly sees: (tenantId: string, environment?: string) => boolean;
}

/** What a declared statement does: pure but for its writes through the view. */
export type Meaning = (view: View, values: readonly unknown[]) => object[];
export type Meanings = Readonly<Record<string, Meaning>>;

export interface Watcher {
	executed(session: Session, name: string, values: readonly unknown[], rows: object[]): void;
	committed(session: Session, changes: readonly Change[]): void;
}

export interface MemoryDatabase {
	open(owner: Owner): Database;
	/** The process has died: what it has sent may still happen. */
	hangUp(owner: Owner): void;
	/** All connections are lost and none is accepted for so long. */
	goAway(ms: number): void;
	weather: DatabaseWeather;
	/** Sessions that have not ended. */
	openSessions(): number;
}

interface Sent {
	readonly name: string;
	readonly values: readonly unknown[];
	readonly resolve: (rows: object[]) => void;
	readonly reject: (error: unknown) => void;
}

export interface Session {
	readonly id: number;
	readonly owner: Owner;
	readonly writer: Writer;
	readonly pipeline: Sent[];
	/** Names of the statements that ran. */
	readonly ran: string[];
	scope: Scope | undefined;
	tenants: ReadonlySet<string>;
	blockedBy: Writer | undefined;
	scheduled: boolean;
	/** Ends a session whose client is silent. */
	idle: Event | undefined;
	ended: boolean;
	failure: unknown;
}

interface Inner {
	readonly parts: MemoryDatabaseParts;
	readonly sessions: Set<Session>;
	next: number;
	awayUntilMs: number;
	weather: DatabaseWeather;
}

export interface MemoryDatabaseParts {
	readonly time: VirtualTime;
	readonly random: Random;
	readonly tables: Tables;
	readonly meanings: Meanings;
	readonly watcher: Watcher;
}

const commitName = "commit";
/** idle_in_transaction_session_timeout. */
const idleMaxMs = 30_000;

export function createMemoryDatabase(parts: MemoryDatabaseParts): MemoryDatabase {
	const inner: Inner = {
		parts,
		sessions: new Set(),
		next: 1,
		awayUntilMs: 0,
		weather: calmDatabase,
	};
	return {
		open: (owner) => openDatabase(inner, owner),
		hangUp(owner) {
			for (const session of inner.sessions)
				if (session.owner === owner)
					parts.time.schedule(parts.random.fraction() * 30, undefined, () =>
						end(inner, session, unavailable()),
					);
		},
		goAway(ms) {
			inner.awayUntilMs = parts.time.now() + ms;
			for (const session of inner.sessions) {
				const isCommitting = session.pipeline[0]?.name === commitName;
				if (isCommitting && parts.random.fraction() < 0.5) makeDurable(inner, session);
				end(inner, session, unavailable());
			}
		},
		get weather() {
			return inner.weather;
		},
		set weather(weather) {
			inner.weather = weather;
		},
		openSessions: () => inner.sessions.size,
	};
}

function unavailable(): Fault {
	return Fault.of("database_unavailable", { retryAfterSeconds: 2 });
}

function openDatabase(inner: Inner, owner: Owner): Database {
	const nobody: ReadonlySet<string> = new Set();
	return {
		inTenant: (scope, work) => transact(inner, owner, scope, nobody, work),
		inTenants: (ids, work) => transact(inner, owner, undefined, new Set(ids), work),
		inPlatform: (work) => transact(inner, owner, undefined, nobody, work),
		close: () => Promise.resolve(),
	};
}

async function transact<T>(
	inner: Inner,
	owner: Owner,
	scope: Scope | undefined,
	tenants: ReadonlySet<string>,
	work: (tx: Tx) => Promise<T>,
): Promise<T> {
	const { time, random } = inner.parts;
	if (time.now() < inner.awayUntilMs || random.fraction() < inner.weather.refused) {
		await new Promise<void>((resolve) => void time.schedule(1, owner, resolve));
		throw unavailable();
	}
	const session: Session = {
		id: inner.next++,
		owner,
		writer: createWriter(inner.next),
		pipeline: [],
		ran: [],
		scope,
		tenants,
		blockedBy: undefined,
		scheduled: false,
		idle: undefined,
		ended: false,
		failure: undefined,
	};
	inner.sessions.add(session);
	const tx: Tx = {
		query: (statement: Statement, values = []) =>
			send(inner, session, statement.name, values) as Promise<never[]>,
		post: (statement, values = []) =>
			void send(inner, session, statement.name, values).catch(() => undefined),
		enter: (entered) => void send(inner, session, "enter", [entered]).catch(() => undefined),
		enterTenants: (ids) => void send(inner, session, "enter_many", [ids]).catch(() => undefined),
	};
	try {
		const result = await work(tx);
		await send(inner, session, commitName, []);
		return result;
	} catch (error) {
		end(inner, session, error);
		throw session.failure ?? error;
	}
}

function send(
	inner: Inner,
	session: Session,
	name: string,
	values: readonly unknown[],
): Promise<object[]> {
	if (session.ended) return Promise.reject(session.failure);
	return new Promise((resolve, reject) => {
		session.pipeline.push({ name, values: values.map(plain), resolve, reject });
		wake(inner, session, inner.parts.random.fraction() * 2);
	});
}

function wake(inner: Inner, session: Session, delayMs: number): void {
	if (session.scheduled || session.ended) return;
	if (session.idle !== undefined) session.idle.work = undefined;
	session.scheduled = true;
	inner.parts.time.schedule(delayMs, undefined, () => {
		session.scheduled = false;
		run(inner, session);
	});
}

/** Runs what the session has sent, until something makes it wait. */
function run(inner: Inner, session: Session): void {
	const { random } = inner.parts;
	while (!session.ended && session.pipeline.length > 0) {
		const sent = session.pipeline[0] as Sent;
		if (sent.name === commitName) return finish(inner, session, sent);
		if (random.fraction() < inner.weather.statementFails)
			return end(inner, session, new SqlError("57014", "canceling statement"));
		const held = execute(inner, session, sent);
		if (held !== undefined) {
			session.blockedBy = held;
			const circle = deadlockOf(inner, session);
			const victim = circle[Math.floor(random.fraction() * circle.length)];
			if (victim !== undefined) end(inner, victim, new SqlError("40P01", "deadlock"));
			return;
		}
		session.pipeline.shift();
		if (session.pipeline.length > 0 && random.fraction() < inner.weather.pause)
			return wake(inner, session, random.fraction() * 5);
	}
	if (session.ended) return;
	// Nothing to do until the client speaks again: for how long, the server does not care to wait for ever.
	session.idle = inner.parts.time.schedule(idleMaxMs, undefined, () =>
		end(inner, session, unavailable()),
	);
}

/** Runs one statement; answers with who holds a row that it needs, having changed nothing then. */
function execute(
	inner: Inner,
	session: Session,
	{ name, values, resolve }: Sent,
): Writer | undefined {
	const { writer } = session;
	writer.undo = [];
	try {
		const rows = mean(inner, session, name, values);
		session.ran.push(name);
		inner.parts.watcher.executed(session, name, values, rows);
		answer(inner, session.owner, () => resolve(rows));
	} catch (error) {
		for (const undo of writer.undo.toReversed()) undo();
		if (error instanceof Held) return error.by;
		if (!(error instanceof SqlError)) throw error;
		end(inner, session, error);
	}
	return undefined;
}

function mean(inner: Inner, session: Session, name: string, values: readonly unknown[]): object[] {
	if (name === "enter") session.scope = values[0] as Scope;
	else if (name === "enter_many") session.tenants = new Set(values[0] as string[]);
	if (name === "enter" || name === "enter_many") return [];
	const meaning = inner.parts.meanings[name];
	if (meaning === undefined) throw new Error(`the simulation does not know the statement ${name}`);
	const { scope, tenants } = session;
	return meaning(
		{
			tables: inner.parts.tables,
			writer: session.writer,
			sees: (tenantId, environment) =>
				tenants.has(tenantId) ||
				(scope?.tenantId === tenantId &&
					(environment === undefined || scope.environment === environment)),
		},
		values,
	);
}

/** The answer travels: at once as a rule, later than what others do now and then. */
function answer(inner: Inner, owner: Owner, work: () => void): void {
	const { time, random } = inner.parts;
	const isDirect = owner.isAlive && owner.frozenUntilMs <= time.now() && random.fraction() < 0.7;
	if (isDirect) time.as(owner, work);
	else time.schedule(random.fraction() * 3, owner, work);
}

function finish(inner: Inner, session: Session, { resolve }: Sent): void {
	const { random } = inner.parts;
	const { lostBeforeCommit, lostAfterCommit } = inner.weather;
	const fate = random.fraction();
	if (fate < lostBeforeCommit) return end(inner, session, unavailable());
	makeDurable(inner, session);
	if (fate < lostBeforeCommit + lostAfterCommit) return end(inner, session, unavailable());
	session.pipeline.shift();
	close(inner, session);
	answer(inner, session.owner, () => resolve([]));
}

function makeDurable(inner: Inner, session: Session): void {
	inner.parts.watcher.committed(session, commit(session.writer));
}

/** Rolls back what is not durable; whoever waits for an answer has the failure instead. */
function end(inner: Inner, session: Session, failure: unknown): void {
	if (session.ended) return;
	session.failure ??= failure;
	const waiting = session.pipeline.splice(0);
	close(inner, session);
	if (waiting.length > 0)
		answer(inner, session.owner, () => {
			for (const sent of waiting) sent.reject(failure);
		});
}

function close(inner: Inner, session: Session): void {
	session.ended = true;
	if (session.idle !== undefined) session.idle.work = undefined;
	inner.sessions.delete(session);
	release(session.writer);
	for (const other of inner.sessions)
		if (other.blockedBy === session.writer) {
			other.blockedBy = undefined;
			wake(inner, other, 0);
		}
}

/** Those who wait for each other in a circle with this session; any of them may be the victim. */
function deadlockOf(inner: Inner, session: Session): Session[] {
	const byWriter = new Map([...inner.sessions].map((one) => [one.writer, one]));
	const circle: Session[] = [];
	let at: Session | undefined = session;
	while (at?.blockedBy !== undefined && circle.length <= inner.sessions.size) {
		circle.push(at);
		at = byWriter.get(at.blockedBy);
		if (at === session) return circle;
	}
	return [];
}
