/**
 * The stage of one simulation: virtual time, one database, carriers, tenants, and the product's processes, which can
 * be started, killed, paused and stopped. What runs inside a process is the product's own message path, put together
 * by its own `startMessages`.
 */
import { createHash, type Hash } from "node:crypto";
import { createLedger } from "#audit/index.ts";
import { dialects } from "#channels/index.ts";
import type { Clock } from "#platform/clock.ts";
import type { Database, Environment, Scope } from "#platform/db.ts";
import { createIds, type Ids, type Random, seededRandom } from "#platform/ids.ts";
import { silentLog } from "#platform/log.ts";
import type { Metrics } from "#platform/metrics.ts";
import { createVault, type Vault } from "#vault/index.ts";
import {
	type RouteRuntime,
	type Sending,
	startAccepting,
	startSending,
	type Accepting,
} from "../../server/messages/index.ts";
import { type Carrier, createCarrier } from "./carrier.ts";
import { meanings } from "./meanings.ts";
import { addressKey } from "./meanings-facts.ts";
import { createMemoryDatabase, type Meanings, type MemoryDatabase } from "./memory-database.ts";
import { watchCommit, watchLeaving, watchStatement } from "./oracle.ts";
import { createOracle, type OracleState } from "./oracle-state.ts";
import { createTables, type Tables } from "./schema.ts";
import { createVirtualTime, type Owner, type VirtualTime } from "./virtual-time.ts";

export interface WorldOptions {
	readonly seed: number;
	/** The wall clock at the start. */
	readonly startMs: number;
	readonly window: number;
	readonly answerMs: number;
	readonly liveRoutes: number;
	readonly testRoutes: number;
	/** Whether a process may take at once what an earlier one held. */
	readonly alone: boolean;
	readonly traceLines?: number | undefined;
	/** Plants a bug in what statements mean. */
	readonly mutate?: ((meanings: Meanings) => Meanings) | undefined;
}

export interface Process {
	readonly owner: Owner;
	readonly db: Database;
	readonly worker: Database;
	readonly vault: Vault;
	readonly clock: Clock;
	readonly ids: Ids;
	readonly gauges: Map<string, () => number>;
	/** Once it has started. */
	path: MessagePath | undefined;
}

export interface Tenant {
	readonly id: string;
	readonly keyId: string;
	readonly sender: string;
}

export interface World {
	readonly options: WorldOptions;
	readonly time: VirtualTime;
	readonly random: Random;
	readonly tables: Tables;
	readonly database: MemoryDatabase;
	readonly carrier: Carrier;
	readonly oracle: OracleState;
	readonly tenants: readonly Tenant[];
	readonly trace: Trace;
	/** A vault of the world's own, for setting up. */
	readonly vault: Vault;
	wallMs(owner?: Owner): number;
}

export interface Trace {
	readonly last: string[];
	readonly digest: Hash;
	lines: number;
	readonly note: (text: string) => void;
}

/** Who ends the connection whenever a message comes. */
export const poisonAddress = "+919812345699";

const rootKey = Buffer.alloc(32, 7);
/** Lines of the trace that are kept, unless told. */
const traceKept = 40;
export const unknownReconcileMs = 6_000;
export const entityId = "1101172974420810001";

export async function createWorld(options: WorldOptions): Promise<World> {
	const random = seededRandom(options.seed);
	const time = createVirtualTime();
	const tables = createTables();
	const trace = createTrace(time, options.traceLines ?? traceKept);
	const wallMs = (owner?: Owner): number => options.startMs + time.now() + (owner?.skewMs ?? 0);
	const oracle = createOracle({ tables, answerMs: options.answerMs });
	const database = createMemoryDatabase({
		time,
		random,
		tables,
		meanings: options.mutate?.(meanings) ?? meanings,
		watcher: {
			executed: (session, name, values) => watchStatement(oracle, session, name, values),
			committed(session, changes) {
				if (changes.length > 0)
					trace.note(
						`${session.owner.name} tx ${session.id}: ${session.ran.filter((name) => !name.startsWith("enter")).join(" ")}`,
					);
				watchCommit(oracle, session, changes);
			},
		},
	});
	const carrier = createCarrier({
		time,
		random,
		window: options.window,
		answerMs: options.answerMs,
		poison: poisonAddress.slice(1),
		watcher: {
			leaves: (owner, _, submission, beside) =>
				watchLeaving(oracle, owner, submission, beside, wallMs()),
			receiptTaken(routeId, carrierId, state) {
				trace.note(`receipt ${state} of ${carrierId} is taken`);
				const key = `${routeId}/${carrierId}`;
				oracle.told.set(key, [...(oracle.told.get(key) ?? []), state]);
			},
			lateAnswer(owner, messageId, carrierId) {
				trace.note(`${owner.name} late answer for ${messageId.slice(-6)}`);
				oracle.late.push({ owner, messageId, carrierId });
			},
			note: trace.note,
		},
	});
	const vault = createVault({
		db: {
			inPlatform: async (work) =>
				work({
					query: async () =>
						[...tables.tenantKeys.committed.values()].map((row) => ({
							...row,
							epoch: 1,
							createdAtMs: 0,
						})),
				} as never),
		},
		rootKey,
		random,
		clock: { now: wallMs, elapsed: time.now },
	});
	const ids = createIds({ now: wallMs, elapsed: time.now }, random);
	const tenants = await makeTenants(tables, vault, ids, options);
	return {
		options,
		time,
		random,
		tables,
		database,
		carrier,
		oracle,
		tenants,
		trace,
		vault,
		wallMs,
	};
}

function createTrace(time: VirtualTime, most: number): Trace {
	const last: string[] = [];
	const digest = createHash("sha256");
	const trace: Trace = {
		last,
		digest,
		lines: 0,
		note(text) {
			const line = `${(time.now() / 1_000).toFixed(4)} ${text}`;
			digest.update(line);
			trace.lines++;
			last.push(line);
			if (last.length > most) last.shift();
		},
	};
	return trace;
}

const environments: readonly Environment[] = ["live", "test"];
const tenantCount = 3;

async function makeTenants(
	tables: Tables,
	vault: Vault,
	ids: Ids,
	{ liveRoutes, testRoutes }: Pick<WorldOptions, "liveRoutes" | "testRoutes">,
): Promise<Tenant[]> {
	for (let i = 0; i < liveRoutes + testRoutes; i++) {
		const id = ids.next();
		tables.routes.committed.set(id, { id, environment: i < liveRoutes ? "live" : "test" });
	}
	const tenants = Array.from({ length: tenantCount }, (_, i) => ({
		id: ids.next(),
		keyId: ids.next(),
		sender: `WAXW${i}`,
	}));
	for (const { id, keyId } of tenants) {
		tables.tenantKeys.committed.set(id, {
			tenantId: id,
			wrapped: (await vault.makeTenantKey(id)).wrapped,
		});
		tables.apiKeys.committed.set(keyId, { id: keyId, tenantId: id });
	}
	await vault.warm(tenants.map((tenant) => tenant.id));
	for (const { id: tenantId, sender } of tenants)
		for (const environment of environments) {
			tables.settings.committed.set(`${tenantId}/${environment}`, {
				tenantId,
				environment,
				countries: ["IN"],
				dltEntityId: entityId,
			});
			const addressIndex = vault.index(tenantId, environment, "sms.sender", sender);
			tables.senders.committed.set(addressKey(tenantId, environment, addressIndex), {
				tenantId,
				environment,
				addressIndex,
				active: true,
			});
		}
	return tenants;
}

/** Starts a process; `path` is there when it serves. */
export function startProcess(world: World, name: string, skewMs: number): Process {
	const { time, random, database } = world;
	const owner: Owner = { name, isAlive: true, frozenUntilMs: 0, skewMs };
	const clock: Clock = { now: () => Math.floor(world.wallMs(owner)), elapsed: time.now };
	const db = database.open(owner);
	const gauges = new Map<string, () => number>();
	const vault = watchMints(world, createVault({ db, rootKey, random, clock }));
	const ids = createIds(clock, random);
	const process: Process = { owner, db, worker: db, vault, clock, ids, gauges, path: undefined };
	world.trace.note(`${name} starts`);
	time.as(owner, () => {
		void startWhenPossible(world, process);
	});
	return process;
}

/** A process that cannot start is started again, as a supervisor does. */
async function startWhenPossible(world: World, process: Process): Promise<void> {
	const { db, worker, vault, clock, ids, owner, gauges } = process;
	const nothing = { add: () => undefined, observe: () => undefined };
	const metrics: Metrics = {
		counter: () => nothing,
		gauge: (name, _, read) => void gauges.set(name, read),
		histogram: () => nothing,
		text: () => Promise.resolve(""),
	};
	const routes = routesOf(world, owner, clock);
	for (;;) {
		try {
			const { random } = world;
			const { alone } = world.options;
			const ledger = createLedger({ vault, clock, ids });
			const keeping = { db, worker, vault, ledger, clock, ids };
			const shared = { ...keeping, metrics, random, log: silentLog, alone };
			process.path = await startPath({ ...shared, routes, unknownReconcileMs });
			return world.trace.note(`${owner.name} serves`);
		} catch {
			await new Promise<void>((resolve) => void world.time.schedule(500, owner, resolve));
		}
	}
}

/** Both halves, as a process has them: what one tells the other comes in a later turn, as plain data. */
async function startPath(parts: PathParts): Promise<MessagePath> {
	const later = (act: () => void): void => queueMicrotask(act);
	const other: { accepting?: Accepting } = {};
	const sending = await startSending({
		...parts,
		pollMs: 250,
		onEvents: () => undefined,
		post: (message) => later(() => other.accepting?.hear(structuredClone(message))),
	});
	const accepting = startAccepting({
		...parts,
		sending: {
			owner: sending.owner,
			post: (message) => later(() => sending.hear(structuredClone(message))),
		},
	});
	other.accepting = accepting;
	const { acceptor } = accepting;
	return {
		acceptor,
		async stop(graceMs) {
			await acceptor.idle();
			await sending.stop(graceMs);
		},
	};
}

type PathParts = Omit<Parameters<typeof startSending>[0], "pollMs" | "onEvents" | "post"> &
	Pick<Parameters<typeof startAccepting>[0], "worker">;

export interface MessagePath {
	readonly acceptor: Accepting["acceptor"];
	readonly stop: Sending["stop"];
}

function routesOf(world: World, owner: Owner, clock: Clock): RouteRuntime[] {
	const dialect = dialects.get("standard");
	if (dialect === undefined) throw new Error("there is no standard dialect");
	return [...world.tables.routes.committed.values()].map(({ id, environment }, i) => ({
		id,
		environment,
		countries: ["*"],
		priority: i,
		dialect,
		open: world.carrier.open(owner, id, dialect, clock),
	}));
}

/** Notes every clearance that policy mints, by its seal: what is not here was not minted. */
function watchMints({ oracle }: World, vault: Vault): Vault {
	return {
		...vault,
		mac(tenantId, purpose, parts) {
			if (purpose === "clearance") {
				const messageId = String(parts[2]);
				const known = oracle.minted.get(messageId) ?? [];
				oracle.minted.set(messageId, [...known, Number(parts[6])]);
			}
			return vault.mac(tenantId, purpose, parts);
		},
	};
}

/** kill -9: nothing of it runs any more; what it has sent may still arrive. */
export function kill(world: World, process: Process): void {
	world.trace.note(`${process.owner.name} is killed`);
	process.owner.isAlive = false;
	world.database.hangUp(process.owner);
}

export function scopeOf(tenant: Tenant, environment: Environment): Scope {
	return { tenantId: tenant.id, environment };
}
