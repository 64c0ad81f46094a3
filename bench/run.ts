/** One measured run: the load's order, the wait until everything has arrived, and the figures. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { LoadOrder, LoadReport } from "./load.ts";
import { cpuSecondsOf, type Meter, peakRssMiB } from "./meter.ts";
import { pause, type Product } from "./product.ts";
import { indexDigits, productRequest } from "./requests.ts";
import { monotonicMs, type SinkReport } from "./sink.ts";

export interface Quantiles {
	readonly p50: number;
	readonly p99: number;
	readonly max: number;
}

export interface Figures {
	readonly messages: number;
	readonly connections: number;
	readonly perRequest: number;
	readonly acceptedPerSecond: number;
	/** What the sink saw, unique, until the last of it. */
	readonly submittedPerSecond: number;
	/** Until every message was stored as delivered. */
	readonly deliveredPerSecond: number;
	readonly answerMs: Quantiles;
	readonly submitMs: Quantiles;
	readonly acceptToSubmitMs: Quantiles;
	readonly others: Readonly<Record<number, number>>;
	readonly duplicates: number;
	readonly outboxDrainedAfterSeconds: number;
	readonly walBytesPerMessage: number;
	readonly messagesPerCommit: number;
	readonly serverCpuSeconds: number;
	readonly postgresCpuSeconds: number;
	readonly peakRssMiB: number;
}

/** The processes beside the product. */
export interface Hands {
	readonly smscPort: number;
	readonly sink: ChildProcess;
	readonly load: ChildProcess;
	stop(): void;
}

const arriveMs = 30_000;

export async function startHands(): Promise<Hands> {
	const start = (file: string): ChildProcess =>
		fork(fileURLToPath(new URL(file, import.meta.url)), { serialization: "advanced" });
	const sink = start("sink.ts");
	const load = start("load.ts");
	const [{ port }] = (await once(sink, "message")) as [{ port: number }];
	return {
		smscPort: port,
		sink,
		load,
		stop() {
			sink.disconnect();
			load.disconnect();
		},
	};
}

/** Asks one of the hands and waits for its answer; one question at a time. */
export async function ask<T>(child: ChildProcess, question: object): Promise<T> {
	child.send(question);
	const [answer] = (await once(child, "message")) as [T];
	return answer;
}

/** How much load, from where; the request is added by who measures what. */
export type Load = Omit<LoadOrder, "port" | "request">;

export interface Drive {
	readonly report: LoadReport;
	readonly sink: SinkReport;
}

/** Loads a server until the order is done and the sink has all that was accepted, with receipts or without. */
export async function drive(hands: Hands, order: LoadOrder, receipts: boolean): Promise<Drive> {
	await ask(hands.sink, { reset: Math.min(10 ** indexDigits, order.messagesMax), receipts });
	const { report, error } = await ask<{ report?: LoadReport; error?: string }>(hands.load, order);
	if (report === undefined) throw new Error(`the load failed: ${error}`);
	await arrive(hands, report.accepted, receipts);
	return { report, sink: await ask<SinkReport>(hands.sink, { report: true }) };
}

export async function measure(
	hands: Hands,
	meter: Meter,
	product: Product,
	how: Load,
): Promise<Figures> {
	const { dev, port, child } = product;
	const before = {
		delivered: await meter.delivered(),
		wal: await meter.walBytes(),
		commits: await meter.commits(),
		cpu: cpuSecondsOf(child.pid ?? 0),
	};
	const request = productRequest(dev, dev.samples.transactional, how.perRequest);
	const { report, sink } = await drive(hands, { ...how, port, request }, true);
	if (!report.firstAnswer.includes('"status":"accepted"'))
		throw new Error(`the sample is not accepted: ${report.firstAnswer}`);
	while ((await meter.delivered()) - before.delivered < report.accepted) await pause(10);
	const after = { cpu: cpuSecondsOf(child.pid ?? 0), wal: await meter.walBytes() };
	const deliveredMs = monotonicMs();
	while ((await meter.outbox()) > 0) await pause(10);
	const drainedMs = monotonicMs();
	const seconds = (untilMs: number): number => (untilMs - report.startedMs) / 1_000;
	const arrived = indexesOf(report, sink);
	return {
		messages: report.accepted,
		connections: how.connections,
		perRequest: how.perRequest,
		acceptedPerSecond: report.accepted / seconds(report.endedMs),
		submittedPerSecond: sink.unique / seconds(sink.lastSubmitMs),
		// The carrier has its acknowledgement after the commit; the count above proves that none is missing.
		deliveredPerSecond: report.accepted / seconds(sink.lastAcknowledgedMs),
		answerMs: quantilesOf(
			arrived.map((i) => (report.answeredAtMs[i] as number) - (report.sentAtMs[i] as number)),
		),
		submitMs: quantilesOf(
			arrived.map((i) => (sink.seenAtMs[i] as number) - (report.sentAtMs[i] as number)),
		),
		acceptToSubmitMs: quantilesOf(
			arrived.map((i) => (sink.seenAtMs[i] as number) - (report.answeredAtMs[i] as number)),
		),
		others: report.others,
		duplicates: sink.duplicates,
		outboxDrainedAfterSeconds: (drainedMs - deliveredMs) / 1_000,
		walBytesPerMessage: (after.wal - before.wal) / report.accepted,
		messagesPerCommit: report.accepted / ((await meter.commits()) - before.commits),
		serverCpuSeconds: after.cpu.server - before.cpu.server,
		postgresCpuSeconds: after.cpu.postgres - before.cpu.postgres,
		peakRssMiB: peakRssMiB(child.pid ?? 0),
	};
}

/** Waits until the sink has seen all of them and, if it sends receipts, has them acknowledged. */
async function arrive(hands: Hands, messages: number, receipts: boolean): Promise<void> {
	for (const until = monotonicMs() + arriveMs; ; await pause(10)) {
		const { acknowledged, unique } = await ask<SinkReport>(hands.sink, {});
		if (unique >= messages && (!receipts || acknowledged >= messages)) return;
		if (monotonicMs() > until)
			throw new Error(
				`of ${messages} accepted messages ${unique} were submitted and ${acknowledged} delivered in ${arriveMs} ms`,
			);
	}
}

function indexesOf(report: LoadReport, sink: SinkReport): Float64Array {
	const indexes: number[] = [];
	for (let i = 0; i < report.sentAtMs.length; i++)
		if (report.sentAtMs[i] !== 0 && sink.seenAtMs[i] !== 0) indexes.push(i);
	return Float64Array.from(indexes);
}

export function quantilesOf(values: Float64Array): Quantiles {
	const sorted = values.toSorted();
	const at = (share: number): number =>
		sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
	return { p50: at(0.5), p99: at(0.99), max: at(1) };
}
