/**
 * One structured event per request, job and session change, as JSON lines on stdout. No message text,
 * address, URL query or header has a way in: callers log ids, counts, codes and durations, and
 * `Secret` values print as `[hidden]`. The only writer of stdout.
 */
import { type Logger as PinoLogger, pino } from "pino";

export type Log = Pick<PinoLogger, "debug" | "info" | "warn" | "error" | "fatal" | "child">;

export function createLog(level: string): Log {
	return pino({
		level,
		base: null,
		timestamp: pino.stdTimeFunctions.isoTime,
		serializers: { err: describeError },
	});
}

export const silentLog: Log = pino({ level: "silent" });

/** An error without its values: PostgreSQL's `detail` and `where` quote rows, so they stay out. */
function describeError(error: unknown): unknown {
	if (!(error instanceof Error)) return { type: typeof error };
	const { code, constraint, table, routine } = error as unknown as Record<string, unknown>;
	return {
		type: error.name,
		message: error.message,
		stack: error.stack,
		code,
		constraint,
		table,
		routine,
	};
}

/**
 * Whoever read what we print may go: a pager is closed, a log shipper dies. Then nobody is told, and the platform goes on. The log itself
 * gives up such a pipe by itself (pino).
 */
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
	if (error.code !== "EPIPE") throw error;
});

/** Plain sentences for the person at the terminal (`npm start`): not log events. */
export function tell(sentence: string): void {
	process.stdout.write(`${sentence}\n`);
}
