/**
 * Puts the modules together and takes them apart again, in order. Everything that has a life of its own is
 * pushed on one list of things to stop.
 */
import { createAuthenticator } from "#access/index.ts";
import { startReindexing } from "#contacts/index.ts";
import { startAccepting } from "#messages/index.ts";
import { systemClock } from "#platform/clock.ts";
import type { Config } from "#platform/config.ts";
import type { Database } from "#platform/db.ts";
import { createEgress } from "#platform/egress.ts";
import { listenHttp } from "#platform/http-listen.ts";
import { createHttp } from "#platform/http-server.ts";
import { openApiOf } from "#platform/http-openapi.ts";
import { createOnce } from "#platform/idempotency.ts";
import { createIds, systemRandom } from "#platform/ids.ts";
import { createLog, tell } from "#platform/log.ts";
import { createMetrics, startMetrics } from "#platform/metrics.ts";
import { createVault } from "#vault/index.ts";
import { type Begun, begin } from "./begin.ts";
import type { Databases } from "./database.ts";
import { seedDevelopment, writeDevelopmentFile } from "./development.ts";
import { answerSeals } from "./kept-answers.ts";
import { openKeyWork } from "./keys.ts";
import { openLedger } from "./ledger.ts";
import { ensureOperatorKey } from "./operator.ts";
import { openApiInfo, routesOf } from "./routes.ts";
import { openRoutes, sandboxAccounts } from "./sms-routes.ts";
import type { OnStop } from "./stop.ts";
import type { Opened, SendingThread } from "./thread.ts";

export interface Platform {
	readonly baseUrl: string;
	/** Resolves with a sentence when the platform cannot go on. */
	readonly failed: Promise<string>;
	stop(): Promise<void>;
}

/** `begun`: `begin(config, …)` unless told. */
export async function startPlatform(
	config: Config,
	begun = begin(config, "all"),
): Promise<Platform> {
	try {
		return await start(config, begun);
	} catch (error) {
		await begun.stop();
		throw error;
	}
}

async function start(config: Config, begun: Begun): Promise<Platform> {
	const { onStop, stop } = begun;
	const thread = begun.thread();
	const core = await openCore(config, await begun.databases, onStop);
	const { log, clock, databases } = core;
	const { place, alone, partitioned } = databases;
	// It opens while the other half goes on.
	const opening = thread?.open(place, alone);
	opening?.catch(() => undefined);
	// Before the databases, also when the start fails from here on.
	onStop.push(() => thread?.stop());
	const keys =
		config.mode === "development"
			? await seedDevelopment({ ...core.access, dataDir: config.dataDir })
			: undefined;
	if (config.mode === "production") await ensureOperatorKey(core.access, config.dataDir, tell);
	await partitioned;
	const accepting = await openAccepting(config, core, thread, opening, onStop);
	const serving = await openServing(config, core, accepting, thread, onStop);
	if (keys !== undefined) {
		const { smscPort } = accepting;
		const places = { ...serving, ...(smscPort !== undefined && { sandbox: { smscPort } }) };
		announce(config, writeDevelopmentFile(config.dataDir, keys, places), serving);
	} else tell(`Waxwing serves ${serving.baseUrl}; metrics at ${serving.metricsUrl}.`);
	await core.started();
	const ms = Math.round(clock.elapsed() - begun.atMs);
	const { migrated, made: cluster } = databases;
	log.info({ event: "platform.started", ms, migrated, cluster }, "started");
	const never = new Promise<string>(() => undefined);
	const failed = Promise.race([databases.ended.then(databaseEnded), thread?.ended ?? never]);
	return { baseUrl: serving.baseUrl, failed, stop };
}

function databaseEnded(why: string): string {
	return `${why}\nThe database has ended by itself.`;
}

/** What everything else stands on: the database, the vault, access. */
async function openCore(config: Config, databases: Databases, onStop: OnStop) {
	const log = createLog(config.logLevel);
	const clock = systemClock;
	const random = systemRandom();
	const ids = createIds(clock, random);
	const metrics = createMetrics({ process: true });
	const { app: db, keys } = databases;
	onStop.push(() => keys.close());
	if (keys.warning !== undefined && config.mode === "production") tell(`Warning: ${keys.warning}`);
	const vault = createVault({ db, ...keys, random, clock });
	const shared = { log, clock, random, ids, metrics, db, vault };
	const work = await openKeyWork({ ...shared, worker: databases.worker, config, keys });
	onStop.push(() => work.keyWork.stop());
	const reindexing = startReindexing({ ...shared, worker: databases.worker });
	onStop.push(() => reindexing.stop());
	const authenticator = createAuthenticator({ db, clock });
	const parts = { config, databases, vault, clock, ids, log, metrics };
	const { auditing, ledger, started, stop } = await openLedger(parts);
	onStop.push(stop);
	const access = { db, vault, clock, ids, random, authenticator, ledger };
	return { ...shared, ...work, databases, authenticator, access, auditing, started };
}

type Core = Awaited<ReturnType<typeof openCore>>;

/** The half that accepts; and the thread that sends, opened while both can reach the database. */
async function openAccepting(
	config: Config,
	core: Core,
	thread: SendingThread | undefined,
	opening: Promise<Opened> | undefined,
	onStop: OnStop,
) {
	const { databases, random } = core;
	const { worker } = databases;
	const egress = createEgress({ allow: config.egressAllow, clock: core.clock });
	if (thread === undefined || opening === undefined) {
		const sandbox = { port: sandboxPortOfWorkers, accounts: sandboxAccounts(random) };
		const routes = await openRoutes({ ...core, config, egress, sandbox });
		const { acceptor } = startAccepting({ ...core, worker, routes });
		onStop.push(() => acceptor.idle());
		return { acceptor, egress, smscPort: undefined };
	}
	const { owner, routes, smscPort } = await opening;
	const { post } = thread;
	const accepting = startAccepting({ ...core, worker, routes, sending: { owner, post } });
	thread.onMessage(accepting.hear);
	let patienceMs: number | undefined;
	// A server that is gone is not waited for.
	void databases.ended.then(() => (patienceMs = 0));
	onStop.push(async () => {
		await accepting.acceptor.idle();
		await thread.stop(patienceMs);
	});
	return { acceptor: accepting.acceptor, egress, smscPort };
}

/** Each worker has a sandbox of its own; who only accepts never binds to it. */
const sandboxPortOfWorkers = 1;

type AcceptingHalf = Awaited<ReturnType<typeof openAccepting>>;

interface Serving {
	readonly baseUrl: string;
	readonly metricsUrl: string;
}

async function openServing(
	config: Config,
	core: Core,
	{ egress, acceptor }: AcceptingHalf,
	thread: SendingThread | undefined,
	onStop: OnStop,
): Promise<Serving> {
	const { db, vault, clock, log, metrics, erasures, keyWork } = core;
	const { ledgerName } = config;
	const { erasureWindowDays } = config.keys;
	const own = { egress, acceptor, log, ledgerName, erasures, keyWork, erasureWindowDays };
	const routes = routesOf({ ...core.access, ...own });
	const http = createHttp({
		...core,
		routes,
		authenticate: core.authenticator.authenticate,
		once: createOnce({ db, clock, ...answerSeals(vault) }),
		ready: () => databaseTroubles(db),
		openApi: () => openApiOf(routes, openApiInfo),
	});
	const baseUrl = await listenHttp(http, config);
	onStop.push(() => http.close());
	const metricsServer = await startMetrics({
		text: async () => (await metrics.text()) + ((await thread?.metrics()) ?? ""),
		host: "127.0.0.1",
		port: config.metricsPort,
	});
	onStop.push(() => metricsServer.stop());
	log.debug({ event: "http.listening", baseUrl }, "listening");
	return { baseUrl, metricsUrl: `http://127.0.0.1:${metricsServer.port}/metrics` };
}

/** Carriers may be down: what is accepted waits. Without the database nothing can be accepted. */
async function databaseTroubles(db: Database): Promise<string[]> {
	try {
		await db.inPlatform(async () => undefined);
		return [];
	} catch {
		return ["The database cannot be reached."];
	}
}

function announce(config: Config, devFile: string, { baseUrl, metricsUrl }: Serving): void {
	const embedded =
		config.databaseUrl === undefined
			? " (with an embedded PostgreSQL: for evaluation and a single box)"
			: "";
	tell(`
Waxwing is running in development mode, with a sandbox carrier and two tenants.

  API           ${baseUrl}/v1
  Reference     ${baseUrl}/docs
  Keys, samples ${devFile}
  Metrics       ${metricsUrl}
  State         ${config.dataDir}${embedded}

Ctrl-C stops it.
`);
}
