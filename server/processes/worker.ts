/**
 * A process that sends: carriers, receipts, webhooks. Any number of them work on one database; each binds to every
 * route. Needs DATABASE_URL, and the root key and the key files of the process that serves the API.
 */
import type { Config } from "#platform/config.ts";
import { tell } from "#platform/log.ts";
import { startMetrics } from "#platform/metrics.ts";
import { joinDatabase } from "./database.ts";
import { run, type Running } from "./run.ts";
import { openSendingHalf } from "./sending.ts";
import { stopAll } from "./stop.ts";

async function startWorker(config: Config): Promise<Running> {
	const options = { config, place: await joinDatabase(config), alone: false };
	const half = await openSendingHalf({ ...options, post: undefined, process: true });
	try {
		const { text } = half.metrics;
		const metrics = await startMetrics({ text, host: "127.0.0.1", port: config.metricsPort });
		const count = half.routes.length;
		tell(
			`A worker for ${count} ${count === 1 ? "route" : "routes"}; metrics at http://127.0.0.1:${metrics.port}/metrics. Ctrl-C stops it.`,
		);
		return {
			failed: new Promise(() => undefined),
			stop: () => stopAll([() => half.stop(), () => metrics.stop()]),
		};
	} catch (error) {
		await half.stop();
		throw error;
	}
}

await run(startWorker);
