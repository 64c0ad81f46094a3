/**
 * `npm run bench -- kannel [--seconds N] [--rounds N] [--note TEXT]`: Waxwing beside Kannel 1.4.5 against the same SMSC
 * on loopback, in turn, three rounds unless told. Kannel takes a message over HTTP and submits it over SMPP
 * with a window of 200 and a spool folder; Waxwing accepts it durably, screens, encrypts and submits it, as it
 * always does. Both are warmed up. What counts is what arrived at the SMSC, each message once.
 */
import { parseArgs } from "node:util";
import { describeMachine, medianOf, print, record } from "./journal.ts";
import { kannelMissing, startKannel } from "./kannel-gateway.ts";
import { type Machine } from "./journal.ts";
import { openMeter } from "./meter.ts";
import { makeDataDir, type Product, removeDataDir, startProduct } from "./product.ts";
import { kannelRequest, productRequest } from "./requests.ts";
import { drive, type Hands, type Load, startHands } from "./run.ts";

const { values } = parseArgs({
	allowPositionals: true,
	options: {
		seconds: { type: "string", default: "8" },
		rounds: { type: "string", default: "3" },
		note: { type: "string" },
	},
});
const missing = kannelMissing();
if (missing !== undefined) {
	print(missing);
	process.exit(1);
}
const durationMs = Number(values.seconds) * 1_000;
const warmMs = 8_000;
const messagesMax = 2_000_000;
const single: Load = { connections: 64, perRequest: 1, durationMs, messagesMax };
const batch: Load = { connections: 8, perRequest: 1_000, durationMs, messagesMax };

const dataDir = makeDataDir();
const hands = await startHands();
const rates = { kannel: [] as number[], single: [] as number[], batch: [] as number[] };
/** The same text to both; its other fields mean nothing to Kannel. */
let sample: Product["dev"]["samples"]["transactional"] | undefined;
let machine: Machine | undefined;
try {
	for (let round = 1; round <= Number(values.rounds); round++) {
		await measureProduct();
		await measureKannel();
		const last = (name: keyof typeof rates): string =>
			Math.round(rates[name].at(-1) ?? 0).toLocaleString("en");
		print(
			`round ${round}: Kannel ${last("kannel")}/s, Waxwing single ${last("single")}/s, from batches ${last("batch")}/s`,
		);
	}
} finally {
	hands.stop();
	removeDataDir(dataDir);
}
const median = {
	kannel: medianOf(rates.kannel),
	single: medianOf(rates.single),
	batch: medianOf(rates.batch),
};
const ratios = { single: median.single / median.kannel, batch: median.batch / median.kannel };
print(
	`medians: Kannel ${median.kannel.toFixed(0)}/s; Waxwing single ${median.single.toFixed(0)}/s = ${ratios.single.toFixed(2)} × Kannel; from batches ${median.batch.toFixed(0)}/s = ${ratios.batch.toFixed(2)} ×`,
);
record("kannel", { note: values.note, machine, rates, median, ratios });

async function measureProduct(): Promise<void> {
	const product = await startProduct({ dataDir, smscPort: hands.smscPort, window: 200 });
	try {
		if (machine === undefined) {
			const meter = await openMeter(dataDir);
			machine = await describeMachine(meter);
			await meter.close();
		}
		const { dev, port } = product;
		sample = dev.samples.transactional;
		for (const load of [single, batch]) {
			const request = productRequest(dev, sample, load.perRequest);
			await arrivedPerSecond(hands, port, request, { ...load, durationMs: warmMs });
			rates[load === single ? "single" : "batch"].push(
				await arrivedPerSecond(hands, port, request, load),
			);
		}
	} finally {
		await product.end("SIGINT");
	}
}

async function measureKannel(): Promise<void> {
	const kannel = await startKannel(hands.smscPort);
	try {
		const request = kannelRequest(kannel.port, sample ?? {});
		await arrivedPerSecond(hands, kannel.port, request, { ...single, durationMs: warmMs });
		rates.kannel.push(await arrivedPerSecond(hands, kannel.port, request, single));
	} finally {
		await kannel.stop();
	}
}

async function arrivedPerSecond(
	on: Hands,
	port: number,
	request: string,
	load: Load,
): Promise<number> {
	const { report, sink } = await drive(on, { ...load, port, request }, false);
	if (sink.duplicates > 0) print(`${sink.duplicates} arrived twice`);
	return sink.unique / ((sink.lastSubmitMs - report.startedMs) / 1_000);
}
