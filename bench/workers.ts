/**
 * `npm run bench -- workers [--messages N] [--rounds N] [--note TEXT]`: one worker process against two, over one
 * PostgreSQL of its own. A process that only accepts takes N messages (30,000 unless told) while no worker runs, and is
 * then ended, so that neither it nor the load takes time from the workers. The workers start with the carrier away;
 * when it is there, the time between a fifth and nine tenths of the submits is taken, receipts and all. In turn, one
 * and two; medians; what the sink saw twice; and where the cores' time went, which says why two are no faster.
 */
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { describeMachine, medianOf, print, record } from "./journal.ts";
import { cpuSecondsOf, openMeter } from "./meter.ts";
import {
	makeDataDir,
	pause,
	removeDataDir,
	startProduct,
	startWorker,
	type WorkerProcess,
} from "./product.ts";
import { productRequest } from "./requests.ts";
import { ask, startHands } from "./run.ts";
import { startDatabase } from "./several.ts";
import { monotonicMs, type SinkReport } from "./sink.ts";
import type { LoadReport } from "./load.ts";

const { values } = parseArgs({
	allowPositionals: true,
	options: {
		messages: { type: "string", default: "30000" },
		rounds: { type: "string", default: "3" },
		note: { type: "string" },
	},
});
const messages = Number(values.messages);
const [from, until] = [0.2 * messages, 0.9 * messages];
const aim = 1.3;
const arriveMs = 180_000;
const settleMs = 1_500;

interface Run {
	readonly workers: number;
	readonly perSecond: number;
	readonly duplicates: number;
	/** Submits over each bind. */
	readonly binds: readonly number[];
	/** Cores used while it was measured. */
	readonly cores: { readonly workers: number; readonly postgres: number; readonly sink: number };
}

const [dataDir, databaseDir] = [makeDataDir(), makeDataDir()];
const hands = await startHands();
const database = await startDatabase(databaseDir);
try {
	const env = { DATABASE_URL: database.url };
	const meter = await openMeter(databaseDir);
	const machine = await describeMachine(meter);
	const runs: Run[] = [];
	for (let round = 1; round <= Number(values.rounds); round++)
		for (const count of round % 2 === 1 ? [1, 2] : [2, 1]) {
			const run = await measure(env, count);
			runs.push(run);
			print(`round ${round}: ${tell(run)}`);
		}
	await meter.close();
	record("workers", { note: values.note, machine, messages, ...conclude(runs), runs });
} finally {
	hands.stop();
	await database.stop();
	removeDataDir(dataDir);
	removeDataDir(databaseDir);
}

async function measure(env: Readonly<Record<string, string>>, count: number): Promise<Run> {
	await ask(hands.sink, { listen: false });
	await ask(hands.sink, { reset: messages, receipts: true });
	const product = { dataDir, smscPort: hands.smscPort, env };
	await accept(product);
	const workers: WorkerProcess[] = [];
	try {
		for (let i = 0; i < count; i++) workers.push(await startWorker(product));
		await pause(settleMs);
		await ask(hands.sink, { listen: true });
		const began = await reach(from);
		const cpuBefore = used(workers);
		const ended = await reach(until);
		const cpuAfter = used(workers);
		await reach(messages);
		const { duplicates, binds } = await ask<SinkReport>(hands.sink, {});
		const seconds = (ended.atMs - began.atMs) / 1_000;
		const cores = (name: keyof typeof cpuAfter): number =>
			(cpuAfter[name] - cpuBefore[name]) / seconds;
		return {
			workers: count,
			perSecond: (ended.unique - began.unique) / seconds,
			duplicates,
			binds: binds.filter((submits) => submits > 0),
			cores: { workers: cores("workers"), postgres: cores("postgres"), sink: cores("sink") },
		};
	} catch (error) {
		for (const worker of workers) print(worker.output().slice(-2_000));
		throw error;
	} finally {
		for (const worker of workers) await worker.end("SIGTERM");
	}
}

/** Nobody sends: what is accepted waits in the table. */
async function accept(options: Parameters<typeof startProduct>[0]): Promise<void> {
	const product = await startProduct({ ...options, role: "api" });
	try {
		const { report, error } = await ask<{ report?: LoadReport; error?: string }>(hands.load, {
			port: product.port,
			request: productRequest(product.dev, product.dev.samples.transactional, 1_000),
			connections: 8,
			perRequest: 1_000,
			durationMs: 3_600_000,
			messagesMax: messages,
		});
		if (report?.accepted !== messages || !report.firstAnswer.includes('"status":"accepted"'))
			throw new Error(`not accepted: ${error ?? report?.firstAnswer}\n${product.output()}`);
	} finally {
		await product.end("SIGTERM");
	}
}

async function reach(unique: number): Promise<{ unique: number; atMs: number }> {
	for (const untilMs = monotonicMs() + arriveMs; ; await pause(5)) {
		const report = await ask<SinkReport>(hands.sink, {});
		if (report.unique >= unique) return { unique: report.unique, atMs: monotonicMs() };
		if (monotonicMs() > untilMs)
			throw new Error(`only ${report.unique} of ${unique} submits came in ${arriveMs} ms`);
	}
}

/** CPU seconds so far. */
function used(workers: readonly WorkerProcess[]) {
	return {
		workers: workers.reduce((sum, { child }) => sum + cpuSecondsOf(child.pid ?? 0).server, 0),
		postgres: cpuSecondsOf(process.pid).postgres,
		sink: cpuSecondsOf(hands.sink.pid ?? 0).server,
	};
}

function tell({ workers, perSecond, duplicates, binds, cores }: Run): string {
	const share = binds.length < 2 ? "" : ` (${binds.join(" and ")})`;
	return `${workers} ${workers === 1 ? "worker" : "workers"}: ${Math.round(perSecond)}/s${share}, ${duplicates} twice; cores used: workers ${cores.workers.toFixed(2)}, PostgreSQL ${cores.postgres.toFixed(2)}, carrier ${cores.sink.toFixed(2)}`;
}

function conclude(runs: readonly Run[]) {
	const of = (count: number) => runs.filter((run) => run.workers === count);
	const rate = (count: number): number => medianOf(of(count).map((run) => run.perSecond));
	const [one, two] = [rate(1), rate(2)];
	const ratio = two / one;
	const duplicates = runs.reduce((sum, run) => sum + run.duplicates, 0);
	const busy = (count: number): number =>
		medianOf(of(count).map(({ cores }) => cores.workers + cores.postgres + cores.sink));
	print(
		`medians: one worker ${Math.round(one)}/s, two ${Math.round(two)}/s: ${ratio.toFixed(2)} ×; seen twice: ${duplicates}`,
	);
	if (ratio < aim)
		print(
			`less than ${aim} ×: with one worker ${busy(1).toFixed(2)} of ${cpus().length} cores were busy with what is measured, with two ${busy(2).toFixed(2)}; what is missing to all of them was taken by others, or waited for the disk.`,
		);
	if (duplicates > 0) process.exitCode = 1;
	return { one, two, ratio, duplicates, busyCores: { one: busy(1), two: busy(2) } };
}
