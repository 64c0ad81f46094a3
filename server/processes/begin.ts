/**
 * What of a start takes long by itself: the database is made or started, by processes of its own, and the thread that
 * sends loads its modules. Begun first and with few modules, so that both go on while the others are loaded.
 */
import { systemClock } from "#platform/clock.ts";
import { type Config, ConfigError } from "#platform/config.ts";
import { hasCluster } from "#platform/embedded-postgres.ts";
import { systemRandom } from "#platform/ids.ts";
import { takeInstanceLock } from "#platform/instance-lock.ts";
import { type Databases, openDatabases } from "./database.ts";
import { type OnStop, stopAll } from "./stop.ts";
import { type SendingThread, startSendingThread } from "./thread.ts";

/**
 * `all`: both halves in one process, the one that sends on a thread of its own. `api`: accepts only; workers send
 * (worker.ts), over a database of the operator's own.
 */
export type Role = "all" | "api";

export interface Begun {
	/** `systemClock.elapsed()` of then. */
	readonly atMs: number;
	/**
	 * The thread that sends, in the role `all`; the first call starts it, at once unless a new database is made: then it would
	 * take the core that initdb works on, and everything waits for initdb.
	 */
	readonly thread: () => SendingThread | undefined;
	readonly databases: Promise<Databases>;
	/**
	 * Resolves once the database is made or started by a process of its own, or nothing is to be waited for. Loading modules
	 * holds up this one's steps until then.
	 */
	readonly atWork: Promise<void>;
	/** What is to be taken apart, the last first; the databases are on it once they are open. */
	readonly onStop: OnStop;
	stop(): Promise<void>;
}

export function begin(config: Config, role: Role): Begun {
	const atMs = systemClock.elapsed();
	if (role === "api" && config.databaseUrl === undefined)
		throw new ConfigError(
			"An API process needs DATABASE_URL: workers must reach the database too. `npm start` has both in one process.",
		);
	const onStop: OnStop = [];
	const lock = takeInstanceLock(config.dataDir);
	onStop.push(() => lock.release());
	let started: SendingThread | undefined;
	const thread = (): SendingThread | undefined =>
		role === "all" ? (started ??= startSendingThread(config)) : undefined;
	onStop.push(() => started?.stop());
	if (config.databaseUrl !== undefined || hasCluster(config.dataDir)) thread();
	const { promise: atWork, resolve: onAtWork } = Promise.withResolvers<void>();
	const databases = openDatabases(config, systemRandom(), onAtWork).then((opened) => {
		onStop.push(() => opened.stop());
		return opened;
	});
	if (config.databaseUrl !== undefined) onAtWork();
	// Whoever waits for them is told; while the other modules are loaded nobody waits yet.
	databases.finally(onAtWork).catch(() => undefined);
	const stop = async (): Promise<void> => {
		await databases.catch(() => undefined);
		await stopAll(onStop);
	};
	return { atMs, thread, databases, atWork, onStop, stop };
}
