/**
 * `npm run bench -- growth [--waiting N] [--rounds N] [--seconds N] [--minutes N] [--parts fill,speed,memory]
 * [--data-dir DIR] [--note TEXT]`: the same work with N messages waiting (10,000,000 unless told) as with 10,000, in
 * turn, each in a data directory of its own; fill.ts says what waits. Measured are the whole path from batches and from
 * single sends, and reading under a light load. Then the memory of the process through N minutes (10 unless told)
 * at full rate from batches. Statements whose time grew with the table are named. With --data-dir the filled folders are kept
 * and used again.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Filled, fill, filledEnv } from "./fill.ts";
import { describeMachine, type Machine, medianOf, print, record } from "./journal.ts";
import { openMeter, rssMiB } from "./meter.ts";
import {
	makeDataDir,
	pause,
	type Product,
	type ProductOptions,
	removeDataDir,
	startProduct,
} from "./product.ts";
import { kindsCount, mergeTimes, type ReadTimes, read, readsPerSecond } from "./reads.ts";
import { productRequest } from "./requests.ts";
import { ask, drive, startHands } from "./run.ts";
import type { SinkReport } from "./sink.ts";
import { openStatements, preloadStatements, type StatementFigures } from "./statements.ts";

const { values } = parseArgs({
	allowPositionals: true,
	options: {
		waiting: { type: "string", default: "10000000" },
		rounds: { type: "string", default: "3" },
		seconds: { type: "string", default: "8" },
		minutes: { type: "string", default: "10" },
		parts: { type: "string", default: "fill,speed,memory" },
		"data-dir": { type: "string" },
		note: { type: "string" },
	},
});
const sizes = { small: 10_000, large: Number(values.waiting) } as const;
type Size = keyof typeof sizes;
const durationMs = Number(values.seconds) * 1_000;
const warmMs = 3_000;
/** Single sends a second while messages are read. */
const lightPerSecond = 50;
const readsEach = 60;
const sampleMs = 5_000;

interface Life {
	readonly batch: Rates;
	readonly single: Rates;
	readonly reads: ReadTimes;
	readonly statements: readonly StatementFigures[];
	readonly choresFailed: number;
}

interface Rates {
	readonly submittedPerSecond: number;
	readonly deliveredPerSecond: number;
}

const parts = values.parts.split(",");
const root = values["data-dir"] ?? makeDataDir();
const hands = await startHands();
let machine: Machine | undefined;
try {
	const filled = { small: await prepare("small"), large: await prepare("large") };
	const figures: Record<string, object> = {};
	if (parts.includes("speed")) figures["speed"] = await measureSpeed(filled);
	if (parts.includes("memory")) figures["memory"] = await measureMemory();
	if (Object.keys(figures).length > 0)
		record("growth", { note: values.note, machine, waiting: sizes, ...figures });
} finally {
	hands.stop();
	if (values["data-dir"] === undefined) removeDataDir(root);
}

function optionsOf(size: Size): ProductOptions {
	return { dataDir: join(root, size), smscPort: hands.smscPort, env: filledEnv };
}

function start(size: Size): Promise<Product> {
	return startProduct(optionsOf(size));
}

/** Fills the folder unless that was done before. */
async function prepare(size: Size): Promise<Filled> {
	const { dataDir } = optionsOf(size);
	const note = join(dataDir, "filled.json");
	if (existsSync(note)) return JSON.parse(readFileSync(note, "utf8")) as Filled;
	mkdirSync(dataDir, { recursive: true });
	await preloadStatements(optionsOf(size));
	const product = await start(size);
	try {
		const filled = await fill(product, sizes[size]);
		writeFileSync(note, JSON.stringify(filled));
		print(`${sizes[size].toLocaleString("en")} waiting, filled in ${filled.seconds.toFixed(0)} s`);
		return filled;
	} finally {
		await product.end("SIGINT");
	}
}

async function measureSpeed(filled: Readonly<Record<Size, Filled>>) {
	const lives: Record<Size, Life[]> = { small: [], large: [] };
	for (let round = 1; round <= Number(values.rounds); round++) {
		const order: Size[] = round % 2 === 1 ? ["small", "large"] : ["large", "small"];
		for (const size of order) {
			const life = await live(size, filled[size]);
			lives[size].push(life);
			print(
				`round ${round}, ${sizes[size].toLocaleString("en")} waiting: from batches ${whole(life.batch.submittedPerSecond)}/s, single ${whole(life.single.submittedPerSecond)}/s, chores failed ${life.choresFailed}`,
			);
		}
	}
	const median = (size: Size, kind: "batch" | "single", rate: keyof Rates): number =>
		medianOf(lives[size].map((life) => life[kind][rate]));
	const rates = Object.fromEntries(
		(["batch", "single"] as const).map((kind) => [
			kind,
			Object.fromEntries(
				(["submittedPerSecond", "deliveredPerSecond"] as const).map((rate) => {
					const [small, large] = [median("small", kind, rate), median("large", kind, rate)];
					return [rate, { small, large, ratio: large / small }];
				}),
			),
		]),
	) as Record<"batch" | "single", Record<keyof Rates, Record<Size | "ratio", number>>>;
	const reads = {
		small: mergeTimes(lives.small.map((life) => life.reads)),
		large: mergeTimes(lives.large.map((life) => life.reads)),
	};
	for (const [kind, one] of Object.entries(rates))
		for (const [rate, { small, large, ratio }] of Object.entries(one))
			print(
				`${kind}, ${rate}: ${whole(small)} with ${sizes.small}, ${whole(large)} with ${sizes.large}: ${ratio.toFixed(3)}`,
			);
	print(`${"p50/p99 ms".padEnd(26)}${"small".padStart(14)}${"large".padStart(14)}`);
	for (const [name, large] of Object.entries(reads.large)) {
		const small = reads.small[name];
		print(
			`${name.padEnd(26)}${`${small?.p50.toFixed(1)}/${small?.p99.toFixed(1)}`.padStart(14)}${`${large.p50.toFixed(1)}/${large.p99.toFixed(1)}`.padStart(14)}`,
		);
	}
	const grown = grownStatements(lives);
	for (const { name, small, large, calls } of grown)
		print(
			`grew: ${name}: ${small.toFixed(2)} → ${large.toFixed(2)} ms a call, ${calls} calls with the large table`,
		);
	const choresFailed = lives.large.reduce((sum, life) => sum + life.choresFailed, 0);
	const perRound = { small: lives.small.map(ratesOf), large: lives.large.map(ratesOf) };
	return { rates, reads, grown, choresFailed, perRound };
}

function ratesOf({ batch, single }: Life) {
	return { batch, single };
}

async function describe({ dataDir }: Product): Promise<void> {
	if (machine !== undefined) return;
	const meter = await openMeter(dataDir);
	machine = await describeMachine(meter);
	await meter.close();
}

/** One start of the product, measured, and ended in good order. */
async function live(size: Size, filled: Filled): Promise<Life> {
	const product = await start(size);
	try {
		await describe(product);
		const statements = await openStatements(product.dataDir);
		await measureRate(product, 1_000, warmMs);
		const batch = await measureRate(product, 1_000, durationMs);
		const single = await measureRate(product, 1, durationMs);
		const light = measureRate(product, 1, 3_600_000, lightPerSecond);
		const reads = await read(product, filled, readsEach);
		await light;
		const figures = await statements.read();
		await statements.reset();
		await statements.close();
		const choresFailed = product.output().split("a chore failed").length - 1;
		if (choresFailed > 0) print(product.output().slice(0, 1_500));
		return { batch, single, reads, statements: figures, choresFailed };
	} catch (error) {
		print(product.output().slice(-3_000));
		throw error;
	} finally {
		await product.end("SIGINT");
	}
}

/** The whole path: until the sink has its receipts acknowledged. */
async function measureRate(
	{ dev, port }: Product,
	perRequest: number,
	forMs: number,
	perSecond?: number,
): Promise<Rates> {
	const readsMs = (readsEach * kindsCount * 1_000) / readsPerSecond;
	const messagesMax =
		perSecond === undefined ? 1_000_000 : Math.ceil((perSecond * readsMs) / 1_000);
	const { report, sink } = await drive(
		hands,
		{
			port,
			request: productRequest(dev, dev.samples.transactional, perRequest),
			connections: perRequest === 1 ? (perSecond === undefined ? 64 : 8) : 8,
			perRequest,
			durationMs: forMs,
			messagesMax,
			...(perSecond === undefined ? {} : { perSecond }),
		},
		true,
	);
	const seconds = (untilMs: number): number => (untilMs - report.startedMs) / 1_000;
	return {
		submittedPerSecond: sink.unique / seconds(sink.lastSubmitMs),
		deliveredPerSecond: report.accepted / seconds(sink.lastAcknowledgedMs),
	};
}

/** Statements of some weight whose mean time with the large table is well above that with the small one. */
function grownStatements(lives: Readonly<Record<Size, readonly Life[]>>) {
	const sum = (size: Size): Map<string, { calls: number; ms: number }> => {
		const sums = new Map<string, { calls: number; ms: number }>();
		for (const { statements } of lives[size])
			for (const { name, calls, totalMs, top } of statements) {
				// Only what the product declares: the filling has statements of its own.
				if (!top || !/^[a-z_]+\.[a-z_]+$/.test(name)) continue;
				const known = sums.get(name) ?? { calls: 0, ms: 0 };
				sums.set(name, { calls: known.calls + calls, ms: known.ms + totalMs });
			}
		return sums;
	};
	const [small, large] = [sum("small"), sum("large")];
	return [...large]
		.flatMap(([name, { calls, ms }]) => {
			const before = small.get(name);
			if (before === undefined) return [];
			return [{ name, calls, small: before.ms / before.calls, large: ms / calls, ms }];
		})
		.filter((one) => one.large > 1.3 * one.small && one.large - one.small > 0.1 && one.ms > 20)
		.sort((a, b) => b.ms - a.ms);
}

/** RSS every five seconds while batches come as fast as they are taken. */
async function measureMemory() {
	const product = await start("large");
	const minutes = Number(values.minutes);
	try {
		const { dev, port, child } = product;
		await describe(product);
		await ask(hands.sink, { reset: 10_000_000, receipts: true });
		const load = ask<{ error?: string }>(hands.load, {
			port,
			request: productRequest(dev, dev.samples.transactional, 1_000),
			connections: 8,
			perRequest: 1_000,
			durationMs: minutes * 60_000,
			messagesMax: 10_000_000,
		});
		const samples: number[] = [];
		for (let n = 0; n < (minutes * 60_000) / sampleMs; n++) {
			await pause(sampleMs);
			samples.push(rssMiB(child.pid ?? 0));
		}
		const { error } = await load;
		if (error !== undefined) throw new Error(`the load failed: ${error}`);
		const { unique } = await ask<SinkReport>(hands.sink, {});
		const perMinute = 60_000 / sampleMs;
		const second = medianOf(samples.slice(perMinute, 2 * perMinute));
		const last = medianOf(samples.slice(-perMinute));
		const growth = last / second - 1;
		const submittedPerSecond = unique / (minutes * 60);
		print(
			`memory over ${minutes} minutes at ${whole(submittedPerSecond)}/s: ${whole(second)} MiB in the second minute, ${whole(last)} in the last: ${(growth * 100).toFixed(1)} %`,
		);
		return {
			minutes,
			submittedPerSecond,
			second,
			last,
			growth,
			samplesMiB: samples.map(Math.round),
		};
	} finally {
		await product.end("SIGINT");
	}
}

function whole(number: number): string {
	return Math.round(number).toLocaleString("en");
}
