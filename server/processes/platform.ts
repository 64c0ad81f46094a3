/**
 * Puts the modules together and takes them apart again, in order. Everything that has a life of its own is
 * pushed on one list of things to stop.
 */
import { createAuthenticator } from "#access/index.ts";
import { startSandbox } from "#channels/index.ts";
import { eventTypeOf, type EventRef, renderEvents, startMessages } from "#messages/index.ts";
import { systemClock } from "#platform/clock.ts";
import type { Config } from "#platform/config.ts";
import type { Database } from "#platform/db.ts";
import { createEgress } from "#platform/egress.ts";
import { createHttp } from "#platform/http-server.ts";
import { openApiOf } from "#platform/http-openapi.ts";
import { createOnce } from "#platform/idempotency.ts";
import { createIds, systemRandom } from "#platform/ids.ts";
import { takeInstanceLock } from "#platform/instance-lock.ts";
import { createLog, tell } from "#platform/log.ts";
import { createMetrics, startMetrics } from "#platform/metrics.ts";
import { createVault } from "#vault/index.ts";
import { type EventSource, startWebhooks } from "#webhooks/index.ts";
import { openDatabases } from "./database.ts";
import { seedDevelopment, writeDevelopmentFile } from "./development.ts";
import { openLedger } from "./ledger.ts";
import { ensureOperatorKey } from "./operator.ts";
import { openApiInfo, routesOf } from "./routes.ts";
import { openRoutes, sandboxAccounts } from "./sms-routes.ts";

export interface Platform {
	readonly baseUrl: string;
	/** Resolves with a sentence when the platform cannot go on. */
	readonly failed: Promise<string>;
	stop(): Promise<void>;
}

/** How long in-flight submits may take to settle at a stop. */
const graceMs = 10_000;
/** How long events gather before webhooks look at the outbox. */
const gatherMs = 50;

export async function startPlatform(config: Config): Promise<Platform> {
	const onStop: (() => Promise<void> | void)[] = [];
	const stop = async (): Promise<void> => {
		for (const step of onStop.splice(0).reverse()) await step();
	};
	try {
		return await start(config, onStop, stop);
	} catch (error) {
		await stop();
		throw error;
	}
}

type OnStop = (() => Promise<void> | void)[];

async function start(config: Config, onStop: OnStop, stop: () => Promise<void>): Promise<Platform> {
	const startedAt = systemClock.elapsed();
	const core = await openCore(config, onStop);
	const { log, clock, databases } = core;
	const keys =
		config.mode === "development"
			? await seedDevelopment({ ...core.access, dataDir: config.dataDir })
			: undefined;
	if (config.mode === "production") await ensureOperatorKey(core.access, config.dataDir, tell);
	const sending = await openSending(config, core, onStop);
	const serving = await openServing(config, core, sending, onStop);
	if (keys !== undefined) {
		const places = { ...serving, sandbox: { smscPort: sending.sandbox.port } };
		announce(config, writeDevelopmentFile(config.dataDir, keys, places), serving);
	} else tell(`Waxwing serves ${serving.baseUrl}; metrics at ${serving.metricsUrl}.`);
	await core.started();
	const ms = Math.round(clock.elapsed() - startedAt);
	log.info({ event: "platform.started", ms, migrated: databases.migrated }, "started");
	return { baseUrl: serving.baseUrl, failed: databases.ended, stop };
}

/** What everything else stands on: the lock, the database, the vault, access. */
async function openCore(config: Config, onStop: OnStop) {
	const log = createLog(config.logLevel);
	const clock = systemClock;
	const random = systemRandom();
	const ids = createIds(clock, random);
	const metrics = createMetrics({ process: true });
	const lock = takeInstanceLock(config.dataDir);
	onStop.push(() => lock.release());
	const databases = await openDatabases(config, random);
	onStop.push(() => databases.stop());
	const { app: db, worker, rootKey } = databases;
	if (rootKey.warning !== undefined && config.mode === "production")
		tell(`Warning: ${rootKey.warning}`);
	const vault = createVault({ db, rootKey: rootKey.key, random, clock });
	const authenticator = createAuthenticator({ db, clock });
	const parts = { config, databases, vault, clock, ids, log, metrics };
	const { auditing, ledger, started, stop } = await openLedger(parts);
	onStop.push(stop);
	const access = { db, vault, clock, ids, random, authenticator, ledger };
	return { ...parts, random, db, worker, authenticator, access, auditing, started };
}

type Core = Awaited<ReturnType<typeof openCore>>;

/** Everything that sends: carriers, the message path, webhooks. */
async function openSending(config: Config, core: Core, onStop: OnStop) {
	const { clock, random, log, vault } = core;
	const accounts = sandboxAccounts(random);
	const sandbox = await startSandbox({
		host: "127.0.0.1",
		port: config.sandboxPort,
		clock,
		random,
		log,
		accounts,
	});
	onStop.push(() => sandbox.stop(1_000));
	const egress = createEgress({ allow: config.egressAllow, clock });
	const place = { port: sandbox.port, accounts };
	const routes = await openRoutes({ ...core, config, egress, sandbox: place });
	const { unknownReconcileMs } = config;
	const { alone } = core.databases;
	const poke = { webhooks: (): void => undefined };
	const onEvents = gathered(() => poke.webhooks());
	const messages = await startMessages({ ...core, routes, unknownReconcileMs, alone, onEvents });
	onStop.push(() => messages.stop(graceMs));
	const source: EventSource = {
		topic: "sms",
		eventTypeOf: (ref) => eventTypeOf(ref as unknown as EventRef),
		render: (refs, scope) =>
			renderEvents({ db: core.db, vault }, scope, refs as unknown as readonly EventRef[]),
	};
	const webhooks = startWebhooks({ ...core, db: core.worker, egress, sources: [source] });
	poke.webhooks = webhooks.poke;
	onStop.push(() => webhooks.stop());
	return { sandbox, egress, routes, messages };
}

/** Calls `act` soon after the first of any number of calls: many commits a second are one wake-up. */
function gathered(act: () => void): () => void {
	let timer: NodeJS.Timeout | undefined;
	return () => {
		timer ??= setTimeout(() => {
			timer = undefined;
			act();
		}, gatherMs).unref();
	};
}

type Sending = Awaited<ReturnType<typeof openSending>>;

interface Serving {
	readonly baseUrl: string;
	readonly metricsUrl: string;
}

async function openServing(
	config: Config,
	core: Core,
	{ egress, messages }: Sending,
	onStop: OnStop,
): Promise<Serving> {
	const { db, vault, clock, log, metrics } = core;
	const { warm, digest, seal, open } = vault;
	const { ledgerName } = config;
	const { acceptor } = messages;
	const routes = routesOf({ ...core.access, egress, acceptor, log, ledgerName });
	const http = createHttp({
		...core,
		routes,
		authenticate: core.authenticator.authenticate,
		once: createOnce({ db, clock, warm, digest, seal, open }),
		ready: () => databaseTroubles(db),
		openApi: openApiOf(routes, openApiInfo),
	});
	const baseUrl = await http.listen({ host: config.host, port: config.port });
	onStop.push(() => http.close());
	const metricsServer = await startMetrics({
		metrics,
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
