/**
 * Runs a process from start to end: starts it, says in plain words why it could not, and on SIGINT or SIGTERM drains:
 * no new work, what is in flight settled, exit 0.
 */
import { type Config, ConfigError, readConfig } from "#platform/config.ts";
import { EmbeddedPostgresError } from "#platform/embedded-postgres.ts";
import { InstanceLockError } from "#platform/instance-lock.ts";
import { tell } from "#platform/log.ts";
import { MigrationError } from "#platform/migrate.ts";
import { UncleanStop } from "#platform/unclean-stop.ts";
import { KeyProviderError, RestoreError, RootKeyError, VaultError } from "#vault/index.ts";

/** What runs. */
export interface Running {
	/** Resolves with a sentence when it cannot go on. */
	readonly failed: Promise<string>;
	stop(): Promise<void>;
}

/** Errors whose sentence is for the person who starts us; of others, the stack is. */
const plainErrors = [
	ConfigError,
	EmbeddedPostgresError,
	InstanceLockError,
	KeyProviderError,
	MigrationError,
	RestoreError,
	RootKeyError,
	VaultError,
];

/** Somebody else listens where we would: the system's sentence names address and port. */
function isPortTaken(error: unknown): boolean {
	return (error as { code?: unknown }).code === "EADDRINUSE";
}

function stackOf(error: unknown): string {
	return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

export async function run(start: (config: Config) => Promise<Running>): Promise<void> {
	try {
		const running = await start(readConfig());
		let stopping = false;
		const stop = (why: string, exitCode: number): void => {
			if (stopping) return;
			stopping = true;
			tell(`${why} Finishing what is in flight …`);
			void running.stop().then(
				() => {
					tell("Stopped.");
					process.exit(exitCode);
				},
				(error: unknown) => {
					const says = error instanceof UncleanStop ? error.message : stackOf(error);
					tell(`Could not stop cleanly. ${says}`);
					process.exit(1);
				},
			);
		};
		process.on("SIGINT", () => stop("Stopping.", 0));
		process.on("SIGTERM", () => stop("Stopping.", 0));
		void running.failed.then((why) => stop(why, 1));
	} catch (error) {
		const plain = plainErrors.some((kind) => error instanceof kind) || isPortTaken(error);
		tell(plain ? (error as Error).message : `Waxwing could not start: ${stackOf(error)}`);
		process.exit(1);
	}
}
