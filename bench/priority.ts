/**
 * `npm run bench -- priority [--waiting N] [--seconds N] [--note TEXT]`: one-time codes beside a heap. A tenant has N
 * promotional messages (1,000,000 unless told) waiting on a route; while they leave as fast as the carrier takes
 * them, class authentication comes at 100 a second on the same route, and another tenant sends 1,000
 * promotional ones. Prints how long the codes take to their submit_sm, from their request and from its answer, also with
 * nothing beside them, which is what the machine allows; and how long the small tenant took against its fair share.
 */
import { parseArgs } from "node:util";
import { describeMachine, print, record } from "./journal.ts";
import type { LoadOrder, LoadReport } from "./load.ts";
import { openMeter } from "./meter.ts";
import { makeDataDir, pause, type Product, removeDataDir, startProduct } from "./product.ts";
import { productRequest, promotion } from "./requests.ts";
import { ask, type Hands, type Quantiles, quantilesOf, startHands } from "./run.ts";
import { monotonicMs, type SinkReport } from "./sink.ts";

const { values } = parseArgs({
	allowPositionals: true,
	options: {
		waiting: { type: "string", default: "1000000" },
		seconds: { type: "string", default: "30" },
		note: { type: "string" },
	},
});
const waiting = Number(values.waiting);
const seconds = Number(values.seconds);
const codesPerSecond = 100;
const warmSeconds = 5;
const aloneSeconds = 15;
const smallTenant = 1_000;
/** The heap's numbers lie beyond those that the sink tells apart: it counts them in a lump, as duplicates. */
const heapFrom = 10_000_000;

const dataDir = makeDataDir();
const hands = await startHands();
const product = await startProduct({ dataDir, smscPort: hands.smscPort });
const { dev } = product;
const other = { ...dev, apiKey: dev.otherTenant.apiKey };
try {
	const meter = await openMeter(dataDir);
	const machine = await describeMachine(meter);
	await ask(hands.sink, { reset: 10 ** 6, receipts: true });
	await sendCodes(hands, product, warmSeconds);
	await ask(hands.sink, { reset: 10 ** 6, receipts: true });
	const alone = await sendCodes(hands, product, aloneSeconds);
	print(`authentication at ${codesPerSecond}/s alone, request → submit_sm: ${showWaits(alone)}`);
	print(`the same from the answer, accepted → submit_sm: ${showWaits(alone.sinceAnswer)}`);
	// The carrier is away: what is accepted waits in the table.
	await ask(hands.sink, { listen: false });
	const consentedAt = new Date().toISOString();
	const filled = await fill(hands, product, promotion("WAXWNG", consentedAt));
	print(`${waiting} waiting, accepted at ${Math.round(filled)}/s with the carrier away`);
	await ask(hands.sink, { reset: 10 ** 6, receipts: true });
	await ask(hands.sink, { listen: true });
	while ((await ask<SinkReport>(hands.sink, {})).duplicates < 1_000) await pause(20);
	const codes = await sendCodes(hands, product, seconds);
	const small = await sendSmall(hands, other, promotion("WXOTHR", consentedAt));
	await meter.close();
	print(
		`authentication at ${codesPerSecond}/s beside it, request → submit_sm: ${showWaits(codes)}; the heap left at ${Math.round(codes.heapPerSecond)}/s`,
	);
	print(`the same from the answer, accepted → submit_sm: ${showWaits(codes.sinceAnswer)}`);
	print(
		`${smallTenant} of another tenant: ${small.tookSeconds.toFixed(2)} s, ${small.ofFairShare.toFixed(2)} × its fair share's time`,
	);
	record("priority", {
		note: values.note,
		machine,
		waiting,
		filledPerSecond: filled,
		alone,
		codes,
		small,
	});
} catch (error) {
	print(product.output().slice(-3_000));
	throw error;
} finally {
	await product.end("SIGINT");
	hands.stop();
	removeDataDir(dataDir);
}

function order(place: Product["dev"], body: object, load: Partial<LoadOrder>): LoadOrder {
	const perRequest = load.perRequest ?? 1;
	return {
		port: product.port,
		request: productRequest(place, body as Record<string, unknown>, perRequest),
		connections: 8,
		durationMs: 3_600_000,
		messagesMax: waiting,
		...load,
		perRequest,
	};
}

async function run(on: Hands, load: LoadOrder): Promise<LoadReport> {
	const { report, error } = await ask<{ report?: LoadReport; error?: string }>(on.load, load);
	if (report === undefined) throw new Error(`the load failed: ${error}`);
	if (!/"status":"accepted"/.test(report.firstAnswer))
		throw new Error(`not accepted: ${report.firstAnswer}`);
	return report;
}

/** Messages accepted a second. */
async function fill(on: Hands, { dev: place }: Product, body: object): Promise<number> {
	const report = await run(on, order(place, body, { perRequest: 1_000, firstIndex: heapFrom }));
	return report.accepted / ((report.endedMs - report.startedMs) / 1_000);
}

async function sendCodes(on: Hands, { dev: place }: Product, forSeconds: number) {
	const before = await ask<SinkReport>(on.sink, {});
	const beganMs = monotonicMs();
	const body = { ...place.samples.authentication };
	const report = await run(
		on,
		order(place, body, {
			connections: 16,
			perSecond: codesPerSecond,
			messagesMax: codesPerSecond * forSeconds,
		}),
	);
	const after = await ask<SinkReport>(on.sink, { report: true });
	const heap = after.duplicates - before.duplicates;
	const seen = Array.from(report.sentAtMs.keys()).filter((i) => after.seenAtMs[i] !== 0);
	const since = (times: Float64Array): Waits =>
		waitsOf(seen.map((i) => (after.seenAtMs[i] as number) - (times[i] as number)));
	return {
		codes: report.accepted,
		seen: seen.length,
		...since(report.sentAtMs),
		sinceAnswer: since(report.answeredAtMs),
		heapPerSecond: heap / ((monotonicMs() - beganMs) / 1_000),
	};
}

interface Waits extends Quantiles {
	readonly p999: number;
}

function waitsOf(waits: readonly number[]): Waits {
	const sorted = Float64Array.from(waits).toSorted();
	const p999 = sorted[Math.floor(sorted.length * 0.999)] ?? Number.NaN;
	return { ...quantilesOf(sorted), p999 };
}

function showWaits({ p50, p99, p999 }: Waits): string {
	return `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, p99.9 ${p999.toFixed(1)} ms`;
}

/** A thousand of another tenant, while the heap goes on: how long, and against half of the rate meanwhile. */
async function sendSmall(on: Hands, place: Product["dev"], body: object) {
	await ask(on.sink, { reset: 10 ** 6, receipts: true });
	const beganMs = monotonicMs();
	await run(
		on,
		order(place, body, { connections: 1, perRequest: smallTenant, messagesMax: smallTenant }),
	);
	let report = await ask<SinkReport>(on.sink, {});
	while (report.unique < smallTenant) {
		if (monotonicMs() - beganMs > 120_000) throw new Error(`only ${report.unique} arrived`);
		await pause(10);
		report = await ask<SinkReport>(on.sink, {});
	}
	const tookSeconds = (report.lastSubmitMs - beganMs) / 1_000;
	const perSecond = (report.unique + report.duplicates) / tookSeconds;
	return { tookSeconds, ofFairShare: tookSeconds / (smallTenant / (perSecond / 2)) };
}
