/**
 * Puts the modules together and takes them apart again, in order. Everything that has a life of its own is
 * pushed on one list of things to stop.
 */
import { createAuthenticator } from "#access/index.ts";
import { startSandbox } from "#channels/index.ts";
import { eventTypeOf, type EventRef, renderEvents, startMessages } from "#messages/index.ts";
import { systemClock } from "#platform/clock.ts";
import type { Config } from "#platform/config.ts";
import { createEgress } from "#platform/egress.ts";
import { createHttp } from "#platform/http-server.ts";
import { openApiOf } from "#platform/http-openapi.ts";
import { createOnce } from "#platform/idempotency.ts";
import { createIds, systemRandom } from "#platform/ids.ts";
import { takeInstanceLock } from "#platform/instance-lock.ts";
import { createLog, tell } from "#platform/log.ts";
import { createMetrics, startMetrics } from "#platform/metrics.ts";
import { createVault } from "#vault/index.ts";
import { startWebhooks } from "#webhooks/index.ts";
import { openDatabases } from "./database.ts";
import { seedDevelopment, writeDevelopmentFile } from "./development.ts";
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

async function start(config: Config, onStop: (() => Promise<void> | void)[], stop: () => Promise<void>): Promise<Platform> {
	const startedAt = systemClock.elapsed();
	const log = createLog(config.logLevel);
	const clock = systemClock;
	const random = systemRandom();
	const ids = createIds(clock, random);
	const metrics = createMetrics({ process: true });
	const lock = takeInstanceLock(config.dataDir);
	onStop.push(() => lock.release());

	const databases = await openDatabases(config, random);
	onStop.push(() => databases.stop());
	if (databases.rootKey.warning !== undefined && config.mode === "production") tell(`Warning: ${databases.rootKey.warning}`);
	const { app: db, worker } = databases;
	const vault = createVault({ db, rootKey: databases.rootKey.key, random, clock });
	const authenticator = createAuthenticator({ db, clock });
	const access = { db, vault, clock, ids, random, authenticator };
	const keys = config.mode === "development" ? await seedDevelopment({ ...access, dataDir: config.dataDir }) : undefined;

	const accounts = sandboxAccounts(random);
	const sandbox = await startSandbox({ host: "127.0.0.1", port: config.sandboxPort, clock, random, log, accounts });
	onStop.push(() => sandbox.stop(1_000));
	const egress = createEgress({ allow: config.egressAllow, clock });
	const routes = await openRoutes({ config, db, worker, vault, clock, random, log, ids, egress, sandbox: { port: sandbox.port, accounts } });
	const parts = { db, worker, vault, ids, clock, random, log, metrics, routes, unknownReconcileMs: config.unknownReconcileMs, alone: databases.alone };
	const messages = await startMessages(parts);
	onStop.push(() => messages.stop(graceMs));
	const source = { topic: "sms", eventTypeOf: (ref: readonly unknown[]) => eventTypeOf(ref as EventRef), render: (refs: readonly (readonly unknown[])[], scope: Parameters<typeof renderEvents>[1]) => renderEvents(parts, scope, refs as readonly EventRef[]) };
	const webhooks = startWebhooks({ db: worker, vault, egress, clock, random, ids, log, sources: [source] });
	onStop.push(() => webhooks.stop());

	const declared = routesOf({ ...access, egress, acceptor: messages.acceptor, log });
	const once = createOnce({ db, clock, warm: vault.warm, digest: vault.digest, seal: vault.seal, open: vault.open });
	const http = createHttp({
		routes: declared, authenticate: authenticator.authenticate, once, ready: () => messages.troubles().length === routes.length ? messages.troubles() : [],
		clock, ids, log, metrics, openApi: openApiOf(declared, openApiInfo),
	});
	const baseUrl = await http.listen({ host: config.host, port: config.port });
	onStop.push(() => http.close());
	const metricsServer = await startMetrics({ metrics, host: "127.0.0.1", port: config.metricsPort });
	onStop.push(() => metricsServer.stop());

	const metricsUrl = `http://127.0.0.1:${metricsServer.port}/metrics`;
	if (keys !== undefined) announce(config, writeDevelopmentFile(config.dataDir, keys, { baseUrl, sandbox: { smscPort: sandbox.port }, metricsUrl }), baseUrl, metricsUrl);
	else tell(`Waxwing serves ${baseUrl}; metrics at ${metricsUrl}.`);
	log.info({ event: "platform.started", ms: Math.round(clock.elapsed() - startedAt), migrated: databases.migrated }, "started");
	return { baseUrl, failed: databases.ended, stop };
}

function announce(config: Config, devFile: string, baseUrl: string, metricsUrl: string): void {
	tell(`
Waxwing is running in development mode, with a sandbox carrier and two tenants.

  API           ${baseUrl}/v1
  Reference     ${baseUrl}/docs
  Keys, samples ${devFile}
  Metrics       ${metricsUrl}
  State         ${config.dataDir}${config.databaseUrl === undefined ? " (with an embedded PostgreSQL: for evaluation and a single box)" : ""}

Ctrl-C stops it.
`);
}
