/**
 * `npm run bench -- sms [--seconds N] [--messages N] [--only single|batch] [--profile] [--note TEXT]`: measures the
 * whole product as it is (policy, encryption, durable commits), with the carrier and the load each in a
 * process of its own, on this machine. Prints a table and appends a line to bench/results/sms.jsonl.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { copyRows } from "./copy.ts";
import { describeMachine, print, record } from "./journal.ts";
import { openMeter } from "./meter.ts";
import { makeDataDir, removeDataDir, startProduct } from "./product.ts";
import { profileTable } from "./profile.ts";
import { type Figures, measure, startHands } from "./run.ts";

const { values } = parseArgs({
	allowPositionals: true,
	options: {
		seconds: { type: "string", default: "10" },
		messages: { type: "string", default: "1000000" },
		only: { type: "string" },
		profile: { type: "boolean", default: false },
		note: { type: "string" },
	},
});
const phases = [
	{ name: "single", connections: 64, perRequest: 1 },
	{ name: "batch", connections: 8, perRequest: 1_000 },
].filter(({ name }) => values.only === undefined || values.only === name);

const dataDir = makeDataDir();
const profileDir = values.profile ? mkdtempSync(join(tmpdir(), "waxwing-profile-")) : undefined;
const hands = await startHands();
const product = await startProduct({
	dataDir,
	smscPort: hands.smscPort,
	nodeArgs: profileDir === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profileDir}`],
});
try {
	const meter = await openMeter(dataDir);
	const machine = await describeMachine(meter);
	const runs: Record<string, Figures> = {};
	for (const { name, connections, perRequest } of phases) {
		print(`${name}: ${perRequest} per request, ${connections} connections, ${values.seconds} s …`);
		runs[name] = await measure(hands, meter, product, {
			connections,
			perRequest,
			durationMs: Number(values.seconds) * 1_000,
			messagesMax: Number(values.messages),
		});
	}
	const copy = await copyRows(dataDir, 50_000);
	await meter.close();
	print(tableOf(runs, copy.rowsPerSecond));
	record("sms", {
		...(values.note === undefined ? {} : { note: values.note }),
		profiled: values.profile,
		machine,
		...runs,
		copy,
	});
} catch (error) {
	print(product.output());
	throw error;
} finally {
	const exit = await product.end("SIGINT");
	if (exit !== 0) print(`the product ended with ${exit}:\n${product.output()}`);
	hands.stop();
	removeDataDir(dataDir);
}
if (profileDir !== undefined) print(profileTable(profileDir, 25));

function tableOf(figures: Readonly<Record<string, Figures>>, copyPerSecond: number): string {
	const names = Object.keys(figures);
	const row = (label: string, cell: (one: Figures) => string): string =>
		`${label.padEnd(34)}${names.map((name) => cell(figures[name] as Figures).padStart(14)).join("")}`;
	const whole = (number: number): string => Math.round(number).toLocaleString("en");
	const ms = ({ p50, p99 }: { p50: number; p99: number }): string =>
		`${p50.toFixed(1)}/${p99.toFixed(1)}`;
	return [
		"",
		`${"".padEnd(34)}${names.map((name) => name.padStart(14)).join("")}`,
		row("messages", (one) => whole(one.messages)),
		row("accepted /s", (one) => whole(one.acceptedPerSecond)),
		row("submitted /s (unique, sink)", (one) => whole(one.submittedPerSecond)),
		row("delivered /s (full path)", (one) => whole(one.deliveredPerSecond)),
		row("HTTP answer p50/p99 ms", (one) => ms(one.answerMs)),
		row("request → submit_sm p50/p99 ms", (one) => ms(one.submitMs)),
		row("202 → submit_sm p50/p99 ms", (one) => ms(one.acceptToSubmitMs)),
		row("answers not 202", (one) => JSON.stringify(one.others)),
		row("seen twice by the sink", (one) => whole(one.duplicates)),
		row("webhook-ready behind delivered, s", (one) => one.outboxDrainedAfterSeconds.toFixed(2)),
		row("WAL bytes per message", (one) => whole(one.walBytesPerMessage)),
		row("messages per commit, all kinds", (one) => one.messagesPerCommit.toFixed(1)),
		row(
			"server/PostgreSQL CPU s",
			(one) => `${one.serverCpuSeconds.toFixed(1)}/${one.postgresCpuSeconds.toFixed(1)}`,
		),
		row("peak RSS of the server, MiB", (one) => whole(one.peakRssMiB)),
		row("accepted ÷ COPY", (one) => (one.acceptedPerSecond / copyPerSecond).toFixed(3)),
		`COPY of the same rows into the same tables, one client: ${whole(copyPerSecond)} messages/s`,
		"",
	].join("\n");
}
