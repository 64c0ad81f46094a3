/**
 * `npm run bench -- limit [--messages N] [--rounds N] [--note TEXT]`: durable acceptance against what the database could
 * do at best. The carrier is away, so that batches of 1,000 are accepted and wait in their lane, and nothing else is
 * done: by one process that accepts, then by two; then one client loads the same rows into the same tables with COPY, under
 * new ids (copy.ts says what is in force for it and what not). In turn, N rounds (3 unless told) of N messages (40,000
 * unless told), for transactional messages and for promotional ones with consent stated. Beside it: COPY into bare tables
 * and what the disk commits.
 */
import { parseArgs } from "node:util";
import { commitsPerSecond, copyPlainRows } from "./disk.ts";
import { type Loadable, readRows } from "./copy.ts";
import { describeMachine, medianOf, print, record } from "./journal.ts";
import type { LoadReport } from "./load.ts";
import { cpuSecondsOf, type Meter, openMeter } from "./meter.ts";
import { pause } from "./product.ts";
import { productRequest, promotion } from "./requests.ts";
import { ask, startHands } from "./run.ts";
import { startSeveral } from "./several.ts";
import { monotonicMs } from "./sink.ts";

const { values } = parseArgs({
	allowPositionals: true,
	options: {
		messages: { type: "string", default: "40000" },
		rounds: { type: "string", default: "3" },
		note: { type: "string" },
	},
});
const messages = Number(values.messages);
const rounds = Number(values.rounds);
const choresMs = 120_000;

/** What one side of one round took. */
interface Cost {
	readonly perSecond: number;
	readonly walBytes: number;
	readonly serverMicros: number;
	readonly postgresMicros: number;
}

/** Accepted by one process, and by two. */
const sides = ["one", "two"] as const;
type Side = (typeof sides)[number];

interface Round extends Readonly<Record<Side | "copy", Cost>> {
	readonly bareCopyPerSecond: number;
	readonly policiesPerSecond: number;
	readonly rowsPerMessage: number;
}

const hands = await startHands();
const several = await startSeveral(sides.length, hands.smscPort);
const { dev, ports, databaseDir } = several;
const kinds = {
	transactional: { ...dev.samples.transactional },
	promotional: promotion("WAXWNG"),
};
let next = 0;
try {
	const meter = await openMeter(databaseDir);
	const machine = await describeMachine(meter);
	const disk = {
		plainCopyPerSecond: await copyPlainRows(databaseDir),
		commitsPerSecond: await commitsPerSecond(databaseDir, 1),
		commitsPerSecondOfEight: await commitsPerSecond(databaseDir, 8),
	};
	await ask(hands.sink, { listen: false });
	// The bind is gone a moment later; what came until then would not wait in the lane.
	await pause(1_000);
	const results: Record<string, object> = {};
	for (const kind of ["transactional", "promotional"] as const) {
		for (const side of sides) await accept(meter, kinds[kind], side);
		const measured: Round[] = [];
		for (let round = 1; round <= rounds; round++) {
			const one = await measureRound(meter, kinds[kind], round);
			measured.push(one);
			print(
				`${kind}, round ${round}: accepted ${whole(one.one.perSecond)}/s by one, ${whole(one.two.perSecond)}/s by two, COPY ${whole(one.copy.perSecond)}/s`,
			);
		}
		results[kind] = { ...summaryOf(measured), rounds: measured };
		print(tableOf(kind, measured));
	}
	print(
		[
			`COPY of plain rows (id, number, 64 characters) into a bare table: ${whole(disk.plainCopyPerSecond)} rows/s`,
			`commits: ${whole(disk.commitsPerSecond)}/s by one client, ${whole(disk.commitsPerSecondOfEight)}/s by eight`,
		].join("\n"),
	);
	await meter.close();
	record("limit", { note: values.note, machine, messages, disk, ...results });
} catch (error) {
	print(several.output().slice(-3_000));
	throw error;
} finally {
	await several.end();
	hands.stop();
}

/** Messages accepted, to numbers that were not written to before. */
async function accept(meter: Meter, body: object, side: Side): Promise<Cost> {
	const first = next;
	next += messages;
	return costOf(meter, async () => {
		const [port = 0, ...otherPorts] = side === "one" ? ports.slice(0, 1) : ports;
		const { report, error } = await ask<{ report?: LoadReport; error?: string }>(hands.load, {
			port,
			otherPorts,
			request: productRequest(dev, body as Record<string, unknown>, 1_000),
			connections: 8,
			perRequest: 1_000,
			durationMs: 600_000,
			messagesMax: messages,
			firstIndex: first,
		});
		if (report === undefined) throw new Error(`the load failed: ${error}`);
		if (!report.firstAnswer.includes('"status":"accepted"'))
			throw new Error(`the sample is not accepted: ${report.firstAnswer}`);
		return (report.endedMs - report.startedMs) / 1_000;
	});
}

async function measureRound(meter: Meter, body: object, round: number): Promise<Round> {
	const accepted = new Map<Side, Cost>();
	let since = new Date();
	for (const side of round % 2 === 1 ? sides : sides.toReversed()) {
		const before = await meter.waiting();
		since = new Date();
		accepted.set(side, await accept(meter, body, side));
		if ((await meter.waiting()) - before !== messages)
			throw new Error("not all of the accepted messages wait in their lane");
	}
	const rows: Loadable = await readRows(databaseDir, messages, "waiting", since);
	try {
		return {
			one: accepted.get("one") as Cost,
			two: accepted.get("two") as Cost,
			copy: await costOf(meter, rows.copy),
			bareCopyPerSecond: rows.messages / (await rows.copyBare()),
			policiesPerSecond: rows.messages / (await rows.insertUnderPolicies()),
			rowsPerMessage: rows.rows / rows.messages,
		};
	} finally {
		await rows.close();
	}
}

/**
 * `work` gives the seconds it took; the rest is read before and after. It begins when the chores that the rows before have
 * left are done: of rows loaded by COPY, too, events are told and hashes enter the ledger, and tables are analysed.
 */
async function costOf(meter: Meter, work: () => Promise<number>): Promise<Cost> {
	for (const untilMs = monotonicMs() + choresMs; (await meter.chores()) > 0; await pause(50))
		if (monotonicMs() > untilMs) throw new Error("the chores of the rows before do not end");
	const before = { wal: await meter.walBytes(), cpu: cpuSeconds() };
	const seconds = await work();
	const after = { cpu: cpuSeconds(), wal: await meter.walBytes() };
	return {
		perSecond: messages / seconds,
		walBytes: (after.wal - before.wal) / messages,
		serverMicros: ((after.cpu.server - before.cpu.server) / messages) * 1e6,
		postgresMicros: ((after.cpu.postgres - before.cpu.postgres) / messages) * 1e6,
	};
}

function cpuSeconds(): { readonly server: number; readonly postgres: number } {
	const servers = several.pids.map((pid) => cpuSecondsOf(pid).server);
	// PostgreSQL is a child of this process.
	return { server: servers.reduce((a, b) => a + b), postgres: cpuSecondsOf(process.pid).postgres };
}

function summaryOf(measured: readonly Round[]) {
	const median = (of: (round: Round) => number): number => medianOf(measured.map(of));
	const cost = (side: Side | "copy"): Cost => ({
		perSecond: median((round) => round[side].perSecond),
		walBytes: median((round) => round[side].walBytes),
		serverMicros: median((round) => round[side].serverMicros),
		postgresMicros: median((round) => round[side].postgresMicros),
	});
	const costs = { one: cost("one"), two: cost("two"), copy: cost("copy") };
	const ratio = (side: Side): number =>
		median((round) => round[side].perSecond / round.copy.perSecond);
	return {
		...costs,
		ratios: { one: ratio("one"), two: ratio("two") },
		bareCopyPerSecond: median((round) => round.bareCopyPerSecond),
		policiesPerSecond: median((round) => round.policiesPerSecond),
		rowsPerMessage: median((round) => round.rowsPerMessage),
	};
}

function tableOf(kind: string, measured: readonly Round[]): string {
	const summary = summaryOf(measured);
	const { one, two, copy, ratios } = summary;
	const row = (label: string, of: (cost: Cost) => number): string =>
		label.padEnd(34) + [one, two, copy].map((cost) => whole(of(cost)).padStart(12)).join("");
	const heads = ["by one", "by two", "COPY"].map((head) => head.padStart(12)).join("");
	return [
		"",
		`${`${kind}, medians of ${measured.length}`.padEnd(34)}${heads}`,
		row("messages /s", (cost) => cost.perSecond),
		row("WAL bytes per message", (cost) => cost.walBytes),
		row("server CPU, µs per message", (cost) => cost.serverMicros),
		row("PostgreSQL CPU, µs per message", (cost) => cost.postgresMicros),
		`acceptance ÷ COPY, by the round: one process ${ratios.one.toFixed(3)}, two ${ratios.two.toFixed(3)} (${summary.rowsPerMessage.toFixed(2)} rows per message)`,
		`INSERT … SELECT of them under the application's role, policies in force: ${whole(summary.policiesPerSecond)} messages/s`,
		`COPY of the messages' rows alone into a table without indexes and checks: ${whole(summary.bareCopyPerSecond)}/s`,
		"",
	].join("\n");
}

function whole(number: number): string {
	return Math.round(number).toLocaleString("en");
}
