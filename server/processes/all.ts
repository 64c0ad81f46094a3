/**
 * The default process: every role in one. Starts the database, migrates, opens the routes, serves the API,
 * says where to go, and on SIGINT or SIGTERM drains: no new work, what is in flight settled, exit 0.
 */
import { ConfigError, readConfig } from "#platform/config.ts";
import { EmbeddedPostgresError } from "#platform/embedded-postgres.ts";
import { InstanceLockError } from "#platform/instance-lock.ts";
import { tell } from "#platform/log.ts";
import { MigrationError } from "#platform/migrate.ts";
import { RootKeyError } from "#vault/index.ts";
import { startPlatform } from "./platform.ts";

/** Errors whose sentence is for the person who starts us; of others, the stack is. */
const plainErrors = [
	ConfigError,
	EmbeddedPostgresError,
	InstanceLockError,
	MigrationError,
	RootKeyError,
];

/** Somebody else listens where we would: the system's sentence names address and port. */
function isPortTaken(error: unknown): boolean {
	return (error as { code?: unknown }).code === "EADDRINUSE";
}

try {
	const platform = await startPlatform(readConfig());
	let stopping = false;
	const stop = (why: string, exitCode: number): void => {
		if (stopping) return;
		stopping = true;
		tell(`${why} Finishing what is in flight …`);
		void platform.stop().then(
			() => {
				tell("Stopped.");
				process.exit(exitCode);
			},
			(error: unknown) => {
				tell(
					`Could not stop cleanly: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
				);
				process.exit(1);
			},
		);
	};
	process.on("SIGINT", () => stop("Stopping.", 0));
	process.on("SIGTERM", () => stop("Stopping.", 0));
	void platform.failed.then((why) => stop(`${why}\nThe database has ended by itself.`, 1));
} catch (error) {
	const plain = plainErrors.some((kind) => error instanceof kind) || isPortTaken(error);
	tell(
		plain
			? (error as Error).message
			: `Waxwing could not start: ${error instanceof Error ? error.stack : String(error)}`,
	);
	process.exit(1);
}
