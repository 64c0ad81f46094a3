/** One process accepts, two send, over one database: workers are killed with kill -9 at random moments, and started again. */
import assert from "node:assert/strict";
import {
	makeDataDir,
	pause,
	removeDataDir,
	startWorker,
	type WorkerProcess,
} from "../../bench/product.ts";
import { startExternalPostgres } from "./external-postgres.ts";
import { isRunning, killAll, openWorld } from "./world.ts";

export interface WorkersResult {
	readonly kills: number;
	readonly messages: number;
	readonly acknowledged: number;
	readonly submittedTwice: number;
}

const workerCount = 2;

/** Kills a worker so many times, each time while messages come and leave. */
export async function loseWorkers({
	kills,
	seed,
}: {
	kills: number;
	seed: number;
}): Promise<WorkersResult> {
	const databaseDir = makeDataDir();
	const postgres = await startExternalPostgres(databaseDir);
	const env = { DATABASE_URL: postgres.url, WAXWING_UNKNOWN_RECONCILE_SECONDS: "1" };
	const world = await openWorld({ seed, env, role: "api" });
	const start = (): Promise<WorkerProcess> =>
		startWorker({ dataDir: world.dataDir, smscPort: world.sink.port, window: 50, env });
	const workers: WorkerProcess[] = [];
	try {
		for (let i = 0; i < workerCount; i++) workers.push(await start());
		world.client.start(8, 1);
		for (let kill = 0; kill < kills; kill++) {
			await world.acceptMore(50);
			await world.someLoad(300);
			const victim = kill % workerCount;
			await killAll([(workers[victim] as WorkerProcess).child.pid as number]);
			await pause(world.random.fraction() * 500);
			workers[victim] = await start();
		}
		await world.client.stop();
		await world.client.retryUnanswered();
		const { sent, submits } = await world.settle(90_000);
		assert.ok(sent.length > 0);
		for (const worker of workers) assert.equal(await worker.end("SIGTERM"), 0, worker.output());
		return {
			kills,
			messages: sent.length,
			acknowledged: world.client.accepted(),
			submittedTwice: [...submits.values()].filter((count) => count > 1).length,
		};
	} finally {
		const left = workers.flatMap(({ child }) => child.pid ?? []).filter(isRunning);
		await killAll(left);
		await world.close();
		await postgres.stop();
		removeDataDir(databaseDir);
	}
}

export interface SharedRate {
	/** Submits in the busiest second of those that were measured, both workers together. */
	readonly mostInASecond: number;
	readonly perSecond: number;
	/** Submits of each worker. */
	readonly each: readonly number[];
}

/** Two workers on a route with a rate, for so long after both have their share; more waits than may leave. */
export async function shareRate(tps: number, seconds: number): Promise<SharedRate> {
	const databaseDir = makeDataDir();
	const postgres = await startExternalPostgres(databaseDir);
	const env = { DATABASE_URL: postgres.url };
	const routeTo = async (port: number): Promise<string> =>
		`smpp://bench:bench@127.0.0.1:${port}?window=50&tps=${tps}`;
	const world = await openWorld({ seed: 3, env, role: "api", routeTo });
	const workers: WorkerProcess[] = [];
	const seen: { readonly atMs: number; readonly connection: number }[] = [];
	try {
		const dev = { WAXWING_DEV_SMSC: await routeTo(world.sink.port) };
		const options = { dataDir: world.dataDir, env: { ...env, ...dev } };
		for (let i = 0; i < workerCount; i++) workers.push(await startWorker(options));
		world.sink.onSubmit = (_, connection) =>
			void seen.push({ atMs: performance.now(), connection });
		world.client.start(2, 2);
		const both = (): number => new Set(seen.map((one) => one.connection)).size;
		for (const until = performance.now() + 30_000; both() < workerCount; await pause(50))
			assert.ok(performance.now() < until, `${both()} of the workers have sent`);
		const fromMs = performance.now();
		await pause(seconds * 1_000);
		await world.client.stop();
		const measured = seen.filter(({ atMs }) => atMs >= fromMs && atMs < fromMs + seconds * 1_000);
		const times = measured.map(({ atMs }) => atMs);
		return {
			mostInASecond: Math.max(
				...times.map((from) => times.filter((at) => at >= from && at < from + 1_000).length),
			),
			perSecond: times.length / seconds,
			each: [...Map.groupBy(measured, ({ connection }) => connection).values()].map(
				({ length }) => length,
			),
		};
	} finally {
		await killAll(workers.flatMap(({ child }) => child.pid ?? []).filter(isRunning));
		await world.close();
		await postgres.stop();
		removeDataDir(databaseDir);
	}
}
