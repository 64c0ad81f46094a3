/**
 * What of a start takes long by itself: the thread that sends loads its modules, and a new database is made, in a
 * process of its own. Begun first and with few modules, so that both go on while the others are loaded.
 */
import { systemClock } from "#platform/clock.ts";
import { type Config, ConfigError } from "#platform/config.ts";
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
	readonly thread: SendingThread | undefined;
	readonly databases: Promise<Databases>;
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
	const thread = role === "all" ? startSendingThread(config) : undefined;
	onStop.push(() => thread?.stop());
	const databases = openDatabases(config, systemRandom()).then((opened) => {
		onStop.push(() => opened.stop());
		return opened;
	});
	// Whoever waits for them is told; while the other modules are loaded nobody waits yet.
	databases.catch(() => undefined);
	const stop = async (): Promise<void> => {
		await databases.catch(() => undefined);
		await stopAll(onStop);
	};
	return { atMs, thread, databases, onStop, stop };
}
