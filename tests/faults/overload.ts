/**
 * Ten times what can be sustained, from hundreds of connections, while one-time codes go beside it: memory
 * stays bounded, every answer is 202 or "come back", codes still arrive, and seconds after it ends all is as
 * before. What is accepted meanwhile is held to the ledger like anything else.
 */
import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Agent } from "node:http";
import { fileURLToPath } from "node:url";
import { pause } from "../../bench/product.ts";
import { monotonicMs } from "../../bench/sink.ts";
import { exchange, type Place } from "./client.ts";
import type { FaultClass, Sent } from "./ledger.ts";
import { bodyOf, type OverloadOrder, type OverloadReport } from "./overload-load.ts";
import { openWorld, tokenOf, type World } from "./world.ts";

export interface OverloadOptions {
	readonly seed: number;
	readonly quietMs: number;
	readonly floodMs: number;
	/** From the flood's end until a message is accepted and submitted within a second again, at most. */
	readonly recoverWithinMs: number;
}

export interface OverloadResult {
	readonly offeredPerSecond: number;
	readonly acceptedPerSecond: number;
	/** The flood's answers by status. */
	readonly answers: Readonly<Record<number, number>>;
	readonly longestMs: number;
	readonly peakMib: number;
	readonly quiet: CodeFigures;
	readonly flooded: CodeFigures;
	readonly recoveredMs: number;
	readonly settledMs: number;
}

/** Of one-time codes, milliseconds. */
interface CodeFigures {
	readonly accepted: number;
	readonly refused: number;
	/** From the request to its 202. */
	readonly answerP50: number;
	readonly answerP99: number;
	/** From the 202 to the carrier. */
	readonly submitP50: number;
	readonly submitP99: number;
}

const peakMibMax = 1_229;
const connections = 512;
const codesPerSecond = 20;
/** Messages whose state is asked for one by one at the end; that each reached the carrier is checked for all. */
const shownMax = 1_000;

export async function flood(options: OverloadOptions): Promise<OverloadResult> {
	const world = await openWorld({ seed: options.seed });
	const load = fork(fileURLToPath(new URL("./overload-load.ts", import.meta.url)));
	try {
		await once(load, "message");
		return await run(options, world, load);
	} finally {
		load.disconnect();
		await world.close();
	}
}

async function run(
	{ seed, quietMs, floodMs, recoverWithinMs }: OverloadOptions,
	world: World,
	load: ChildProcess,
): Promise<OverloadResult> {
	const seenAtMs = new Map<string, number>();
	world.sink.onSubmit = (pdu) => {
		const token = tokenOf(pdu);
		if (!seenAtMs.has(token)) seenAtMs.set(token, monotonicMs());
	};
	const { pid } = world.product().child;
	const place: Place = { port: world.product().port, apiKey: world.product().dev.apiKey };
	const run = world.random.bytes(3).toString("hex").toUpperCase();
	const codes = startCodes(place, world.random.bytes(3).toString("hex").toUpperCase());
	await pause(500);
	const quietAtMs = monotonicMs();
	await pause(quietMs);
	load.send({ place, run, connections } satisfies OverloadOrder);
	const floodedAtMs = monotonicMs();
	await pause(floodMs);
	load.send("stop");
	const endedAtMs = monotonicMs();
	await codes.stop();
	const [report] = (await once(load, "message")) as [OverloadReport];
	const recoveredMs = await untilRecovered(world, codes, seenAtMs, endedAtMs);
	const peakMib = peakMibOf(pid as number);
	const sent = [...report.accepted, ...codes.sent()];
	await untilArrived(sent, seenAtMs, seed);
	await world.settle(60_000, sampleOf(sent));
	assert.equal(world.product().child.exitCode, null, "it still runs");
	const result: OverloadResult = {
		offeredPerSecond: Math.round((report.offered * 1_000) / report.tookMs),
		acceptedPerSecond: Math.round((report.acceptedInTime * 1_000) / report.tookMs),
		answers: report.answers,
		longestMs: Math.round(report.longestMs),
		peakMib,
		quiet: codes.figures(seenAtMs, quietAtMs, floodedAtMs),
		flooded: codes.figures(seenAtMs, floodedAtMs, endedAtMs),
		recoveredMs,
		settledMs: Math.round(monotonicMs() - endedAtMs),
	};
	judge(result, report.wrong, seed, recoverWithinMs);
	return result;
}

function judge(
	result: OverloadResult,
	wrong: readonly string[],
	seed: number,
	recoverWithinMs: number,
): void {
	const { answers, longestMs, peakMib, recoveredMs, flooded } = result;
	const says = `seed ${seed}: ${JSON.stringify(result)}`;
	assert.deepEqual(wrong, [], `answers that no client can act on; ${says}`);
	assert.ok((answers[429] ?? 0) + (answers[503] ?? 0) > 0, `nobody was told to wait; ${says}`);
	assert.ok(result.offeredPerSecond > 10 * result.acceptedPerSecond, `too little load; ${says}`);
	assert.ok(longestMs < 30_000, `an answer took too long; ${says}`);
	assert.ok(peakMib < peakMibMax, `too much memory; ${says}`);
	assert.ok(flooded.accepted > 0, `no code was accepted; ${says}`);
	assert.ok(recoveredMs < recoverWithinMs, `it took too long to be as before; ${says}`);
}

// One-time codes -----------------------------------------------------------------------------------------------

interface Code extends Sent {
	readonly askedAtMs: number;
	readonly answeredAtMs: number;
}

interface Codes {
	/** One more of this class; undefined when it was refused. */
	send(messageClass: FaultClass): Promise<Code | undefined>;
	stop(): Promise<void>;
	sent(): readonly Sent[];
	figures(seenAtMs: ReadonlyMap<string, number>, from: number, until: number): CodeFigures;
}

function startCodes(place: Place, run: string): Codes {
	const agent = new Agent({ keepAlive: true });
	const sent: Code[] = [];
	const refusedAtMs: number[] = [];
	const open = new Set<Promise<unknown>>();
	let count = 0;
	const send = async (messageClass: FaultClass): Promise<Code | undefined> => {
		const token = `W${run}${String(++count).padStart(7, "0")}`;
		const body = bodyOf(messageClass, token, count);
		const askedAtMs = monotonicMs();
		const answer = await exchange(agent, place, "POST", "/v1/sms/messages", body, undefined);
		if (answer.status !== 202) {
			assert.ok(answer.status === 429 || answer.status === 503, `answered ${answer.status}`);
			assert.ok(answer.headers["retry-after"] !== undefined, "it says when to come back");
			refusedAtMs.push(askedAtMs);
			return undefined;
		}
		const id = String(answer.body["id"]);
		const code = { token, class: messageClass, id, askedAtMs, answeredAtMs: monotonicMs() };
		sent.push(code);
		return code;
	};
	const timer = setInterval(() => {
		const one = send("authentication");
		open.add(one);
		void one.finally(() => open.delete(one));
	}, 1_000 / codesPerSecond);
	return {
		send,
		async stop() {
			clearInterval(timer);
			await Promise.all(open);
		},
		sent: () => sent,
		figures(seenAtMs, from, until) {
			const within = sent.filter(({ askedAtMs }) => askedAtMs >= from && askedAtMs < until);
			const answer = within.map((code) => code.answeredAtMs - code.askedAtMs);
			const submit = within.map((code) =>
				Math.max(0, (seenAtMs.get(code.token) ?? Number.POSITIVE_INFINITY) - code.answeredAtMs),
			);
			return {
				accepted: within.length,
				refused: refusedAtMs.filter((at) => at >= from && at < until).length,
				answerP50: partOf(answer, 0.5),
				answerP99: partOf(answer, 0.99),
				submitP50: partOf(submit, 0.5),
				submitP99: partOf(submit, 0.99),
			};
		},
	};
}

function partOf(times: readonly number[], part: number): number {
	const sorted = [...times].sort((a, b) => a - b);
	return Math.round((sorted[Math.floor(sorted.length * part)] ?? 0) * 10) / 10;
}

// Afterwards ---------------------------------------------------------------------------------------------------

/** Until a new message of the same class as the flood's is accepted and with the carrier within a second. */
async function untilRecovered(
	world: World,
	codes: Codes,
	seenAtMs: ReadonlyMap<string, number>,
	endedAtMs: number,
): Promise<number> {
	for (let tookMs = 0; tookMs < 60_000; tookMs = monotonicMs() - endedAtMs) {
		const began = monotonicMs();
		const code = await codes.send("transactional");
		while (code !== undefined && monotonicMs() - began < 1_000) {
			if (seenAtMs.has(code.token)) return Math.round(began - endedAtMs);
			await pause(5);
		}
		await pause(100);
	}
	throw new Error(`a minute later it still has not recovered:\n${world.product().output()}`);
}

/** Everything that was accepted reaches the carrier; the rest of the ledger is for a sample. */
async function untilArrived(
	sent: readonly Sent[],
	seenAtMs: ReadonlyMap<string, number>,
	seed: number,
): Promise<void> {
	const missing = (): Sent[] => sent.filter(({ token }) => !seenAtMs.has(token));
	for (const until = monotonicMs() + 120_000; missing().length > 0; await pause(250))
		assert.ok(
			monotonicMs() < until,
			`seed ${seed}: ${missing().length} never left: ${JSON.stringify(missing().slice(0, 5))}`,
		);
}

/** Every so many keep their id; the others are only known to have been sent. */
function sampleOf(sent: readonly Sent[]): Sent[] {
	const step = Math.ceil(sent.length / shownMax);
	return sent.map((one, i) => (i % step === 0 ? one : { ...one, id: undefined }));
}

/** The most that the process ever had in memory. */
function peakMibOf(pid: number): number {
	const kib = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
	return Math.round(Number(kib) / 1_024);
}
