/**
 * A sandbox carrier of a test's own, made the default route of live keys: its timers are short, and
 * what it was given can be counted. Test keys go on using the platform's own sandbox.
 */
import { after } from "node:test";
import { type Sandbox, startSandbox } from "#channels/index.ts";
import { systemClock } from "#platform/clock.ts";
import { systemRandom } from "#platform/ids.ts";
import { silentLog } from "#platform/log.ts";

export interface OwnSmsc {
	readonly sandbox: Sandbox;
	/** For `testPlatform`. */
	readonly settings: Readonly<Record<string, string>>;
}

export async function startOwnSmsc(options: {
	readonly responseMs: number;
	readonly lateAnswerMs: number;
	readonly binds?: number;
}): Promise<OwnSmsc> {
	const { responseMs, lateAnswerMs, binds = 1 } = options;
	const sandbox = await startSandbox({
		host: "127.0.0.1",
		port: 0,
		clock: systemClock,
		random: systemRandom(),
		log: silentLog,
		accounts: [{ systemId: "own", password: "pw" }],
		lateAnswerMs,
	});
	after(() => sandbox.stop(500));
	const query = `window=100&binds=${binds}&response_ms=${responseMs}`;
	const url = `smpp://own:pw@127.0.0.1:${sandbox.port}?${query}`;
	return { sandbox, settings: { WAXWING_DEV_SMSC: url } };
}
