/**
 * `npm run bench -- where [--seconds N] [--only single|batch] [--note TEXT]`: where the time goes. The whole path from single
 * sends, then from batches of 1,000, each in a product of its own under `node --cpu-prof` and pg_stat_statements, warm.
 * Prints for the server what each kind of work costs a message, and for PostgreSQL what each statement costs in time and
 * in write-ahead log. Both tools cost some of the rate: it is for shares, not to be compared with other figures.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { describeMachine, type Machine, print, record } from "./journal.ts";
import { cpuSecondsOf, openMeter } from "./meter.ts";
import { makeDataDir, type Product, removeDataDir, startProduct } from "./product.ts";
import { productRequest } from "./requests.ts";
import { drive, type Hands, startHands } from "./run.ts";
import { type Shares, sharesOf } from "./shares.ts";
import { openStatements, preloadStatements, type StatementFigures } from "./statements.ts";

const { values } = parseArgs({
	allowPositionals: true,
	options: {
		seconds: { type: "string", default: "10" },
		only: { type: "string" },
		note: { type: "string" },
	},
});
const kinds = [
	{ name: "single", connections: 64, perRequest: 1 },
	{ name: "batch", connections: 8, perRequest: 1_000 },
].filter(({ name }) => values.only === undefined || values.only === name);
type Kind = (typeof kinds)[number];
const warmMs = 5_000;
const statementsShown = 16;

const hands = await startHands();
let machine: Machine | undefined;
const results: Record<string, object> = {};
try {
	for (const kind of kinds) results[kind.name] = await profileKind(hands, kind);
	record("where", { note: values.note, machine, ...results });
} finally {
	hands.stop();
}

async function profileKind(on: Hands, kind: Kind): Promise<object> {
	const dataDir = makeDataDir();
	const folder = mkdtempSync(join(tmpdir(), "waxwing-profile-"));
	try {
		const options = { dataDir, smscPort: on.smscPort };
		await preloadStatements(options);
		const nodeArgs = ["--cpu-prof", `--cpu-prof-dir=${folder}`];
		const measured = await measureKind(on, await startProduct({ ...options, nodeArgs }), kind);
		const shares = sharesOf(folder, measured.window);
		print(serverTable(kind.name, measured, shares));
		print(postgresTable(measured));
		const { window: _, ...figures } = measured;
		return { ...figures, shares: Object.fromEntries(shares.micros), busyMicros: shares.busyMicros };
	} finally {
		removeDataDir(dataDir);
		rmSync(folder, { recursive: true, force: true });
	}
}

interface Measured {
	readonly messages: number;
	readonly deliveredPerSecond: number;
	/** Milliseconds of the machine's monotonic clock. */
	readonly window: { readonly from: number; readonly until: number };
	readonly cpuSeconds: { readonly server: number; readonly postgres: number };
	readonly walBytes: number;
	readonly flushes: { readonly count: number; readonly ms: number };
	readonly statements: readonly StatementFigures[];
}

/** Runs the load and ends the product, so that its profile is written. */
async function measureKind(on: Hands, product: Product, kind: Kind): Promise<Measured> {
	const { dev, port, child, dataDir } = product;
	try {
		const meter = await openMeter(dataDir);
		machine ??= await describeMachine(meter);
		const statements = await openStatements(dataDir);
		const { connections, perRequest } = kind;
		const request = productRequest(dev, dev.samples.transactional, perRequest);
		const run = (durationMs: number) =>
			drive(
				on,
				{ port, request, connections, perRequest, durationMs, messagesMax: 2_000_000 },
				true,
			);
		await run(warmMs);
		await statements.reset();
		const before = { cpu: cpuSecondsOf(child.pid ?? 0), wal: await meter.walBytes() };
		const { report, sink } = await run(Number(values.seconds) * 1_000);
		const after = { cpu: cpuSecondsOf(child.pid ?? 0), wal: await meter.walBytes() };
		const measured = {
			messages: report.accepted,
			deliveredPerSecond: report.accepted / ((sink.lastAcknowledgedMs - report.startedMs) / 1_000),
			window: { from: report.startedMs, until: sink.lastAcknowledgedMs },
			cpuSeconds: {
				server: after.cpu.server - before.cpu.server,
				postgres: after.cpu.postgres - before.cpu.postgres,
			},
			walBytes: after.wal - before.wal,
			flushes: await statements.flushes(),
			statements: (await statements.read())
				.filter(({ top }) => top)
				.sort((a, b) => b.totalMs - a.totalMs)
				.slice(0, statementsShown),
		};
		await statements.close();
		await meter.close();
		return measured;
	} catch (error) {
		print(product.output().slice(-3_000));
		throw error;
	} finally {
		await product.end("SIGINT");
	}
}

function serverTable(name: string, measured: Measured, shares: Shares): string {
	const { messages, deliveredPerSecond, cpuSeconds } = measured;
	const row = (label: string, micros: number): string =>
		`${label.padEnd(44)}${((micros / shares.busyMicros) * 100).toFixed(1).padStart(7)} %${(micros / messages).toFixed(1).padStart(9)}`;
	const idle = shares.idleMicros / (shares.idleMicros + shares.busyMicros);
	const otherThreads = cpuSeconds.server * 1e6 - shares.busyMicros;
	return [
		"",
		`${name}: ${messages.toLocaleString("en")} messages, delivered at ${Math.round(deliveredPerSecond).toLocaleString("en")}/s; the server's thread idle ${(idle * 100).toFixed(0)} %`,
		`${"server, its thread".padEnd(44)}${"share".padStart(9)}${"µs each".padStart(9)}`,
		...[...shares.micros].sort((a, b) => b[1] - a[1]).map(([label, micros]) => row(label, micros)),
		row("together (wall time of the thread when busy)", shares.busyMicros),
		`CPU of the whole server process: ${((cpuSeconds.server / messages) * 1e6).toFixed(1)} µs a message (beside the thread ${(otherThreads / messages).toFixed(1)}; below 0 when the thread waited for a core)`,
	].join("\n");
}

function postgresTable({ messages, cpuSeconds, walBytes, flushes, statements }: Measured): string {
	const sum = statements.reduce((total, { totalMs }) => total + totalMs, 0);
	const each = (value: number, digits = 1): string =>
		(value / messages).toFixed(digits).padStart(9);
	return [
		`${"PostgreSQL, by statement (time with its waits)".padEnd(44)}${"share".padStart(9)}${"µs each".padStart(9)}${"calls".padStart(9)}${"rows".padStart(9)}${"WAL B".padStart(9)}`,
		...statements.map(
			({ name, calls, rows, totalMs, walBytes: wal }) =>
				`${name.slice(0, 43).padEnd(44)}${((totalMs / sum) * 100).toFixed(1).padStart(7)} %${each(totalMs * 1_000)}${each(calls, 3)}${each(rows, 2)}${each(wal, 0)}`,
		),
		`CPU of PostgreSQL: ${((cpuSeconds.postgres / messages) * 1e6).toFixed(1)} µs a message; log ${Math.round(walBytes / messages)} bytes a message, flushed ${flushes.count} times, ${(messages / flushes.count).toFixed(1)} messages each, ${(flushes.ms / flushes.count).toFixed(2)} ms each`,
		"",
	].join("\n");
}
