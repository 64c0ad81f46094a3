/**
 * `npm run bench -- tenants [--tenants N] [--seconds N] [--rounds N] [--note TEXT]`: the same load from one tenant and from N
 * (64 unless told), in turn over one product: single sends over as many connections as there are tenants, and never over fewer
 * than 64. Requests that arrive together share a commit whoever they are from; each tenant still has its own keys, facts,
 * batches, hashes and events. What counts is what arrived at the SMSC, each message once.
 */
import { parseArgs } from "node:util";
import { describeMachine, medianOf, print, record } from "./journal.ts";
import { cpuSecondsOf, openMeter } from "./meter.ts";
import { type DevelopmentFile, makeDataDir, removeDataDir, startProduct } from "./product.ts";
import { productRequest } from "./requests.ts";
import { drive, startHands } from "./run.ts";

const { values } = parseArgs({
	allowPositionals: true,
	options: {
		tenants: { type: "string", default: "64" },
		seconds: { type: "string", default: "6" },
		rounds: { type: "string", default: "5" },
		note: { type: "string" },
	},
});
const count = Number(values.tenants);
const durationMs = Number(values.seconds) * 1_000;
const load = { connections: Math.max(64, count), perRequest: 1, messagesMax: 1_000_000 };

const dataDir = makeDataDir();
const hands = await startHands();
const product = await startProduct({ dataDir, smscPort: hands.smscPort, window: 200 });
try {
	const meter = await openMeter(dataDir);
	const machine = await describeMachine(meter);
	const requests: string[] = [];
	for (let i = 0; i < count; i++) requests.push(await newTenant(product.dev, i));
	print(`${count} tenants beside one, ${load.connections} connections, one message a request`);
	const sides = { one: requests.slice(0, 1), many: requests };
	for (const side of [sides.one, sides.many]) await perSecond(side);
	const rates = { one: [] as number[], many: [] as number[] };
	const cpu = { one: [] as number[], many: [] as number[] };
	for (let round = 1; round <= Number(values.rounds); round++) {
		for (const name of round % 2 === 1 ? (["one", "many"] as const) : (["many", "one"] as const)) {
			const run = await perSecond(sides[name]);
			rates[name].push(run.perSecond);
			cpu[name].push(run.cpuMicros);
		}
		const last = (name: keyof typeof rates): string =>
			Math.round(rates[name].at(-1) ?? 0).toLocaleString("en");
		print(`round ${round}: one ${last("one")}/s, ${count} ${last("many")}/s`);
	}
	const median = { one: medianOf(rates.one), many: medianOf(rates.many) };
	const ratio = median.many / median.one;
	print(
		`medians: one ${median.one.toFixed(0)}/s, ${count} ${median.many.toFixed(0)}/s = ${ratio.toFixed(2)} ×; CPU a message, server and PostgreSQL, ${medianOf(cpu.one).toFixed(0)} and ${medianOf(cpu.many).toFixed(0)} µs`,
	);
	await meter.close();
	record("tenants", { note: values.note, machine, tenants: count, rates, median, ratio, cpu });
} catch (error) {
	print(product.output().slice(-3_000));
	throw error;
} finally {
	await product.end("SIGINT");
	hands.stop();
	removeDataDir(dataDir);
}

async function perSecond(
	requests: readonly string[],
): Promise<{ readonly perSecond: number; readonly cpuMicros: number }> {
	const [request = "", ...otherRequests] = requests;
	const before = cpuSeconds();
	const order = { ...load, port: product.port, request, otherRequests, durationMs };
	const { report, sink } = await drive(hands, order, false);
	if (!report.firstAnswer.includes('"status":"accepted"'))
		throw new Error(`the sample is not accepted: ${report.firstAnswer}`);
	if (sink.duplicates > 0) print(`${sink.duplicates} arrived twice`);
	const seconds = (sink.lastSubmitMs - report.startedMs) / 1_000;
	const cpuMicros = ((cpuSeconds() - before) * 1e6) / sink.unique;
	return { perSecond: sink.unique / seconds, cpuMicros };
}

function cpuSeconds(): number {
	const { server, postgres } = cpuSecondsOf(product.child.pid ?? 0);
	return server + postgres;
}

/** A tenant with a sender and a country, as its operator and its administrator make it; the request that it sends. */
async function newTenant(dev: DevelopmentFile, i: number): Promise<string> {
	const call = async (
		method: string,
		path: string,
		key: string,
		body: object,
	): Promise<Record<string, unknown>> => {
		const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
		const answer = await fetch(dev.baseUrl + path, { method, headers, body: JSON.stringify(body) });
		if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
		return (await answer.json()) as Record<string, unknown>;
	};
	const made = await call("POST", "/v1/operator/tenants", dev.operatorKey, { name: `Tenant ${i}` });
	const { live } = made["admin_keys"] as { live: { key: string } };
	const from = `TENANT${String(i).padStart(5, "0")}`;
	await call("POST", "/v1/senders", live.key, { address: from, kind: "alphanumeric" });
	await call("PATCH", "/v1/settings", live.key, { countries: ["DE"] });
	const scopes = ["sms:send"];
	const { key } = await call("POST", "/v1/api-keys", live.key, { name: "Sends", scopes });
	const text = "Your parcel 482913 is out for delivery today.";
	const sample = { to: "+4915100000000", from, category: "transactional", text };
	return productRequest({ baseUrl: dev.baseUrl, apiKey: String(key) }, sample, 1);
}
