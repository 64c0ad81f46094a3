/**
 * Two live routes under load: one over a network that re-cuts, stalls, swallows, resets and flips
 * (fault-proxy.ts), one clean. Nothing crashes, no lane is stuck, the ledger holds for both, and the clean
 * route does not notice the other. India goes over the bad network, Great Britain over the clean one.
 */
import assert from "node:assert/strict";
import { Agent } from "node:http";
import { pause } from "../../bench/product.ts";
import { monotonicMs, type Sink, startSink } from "../../bench/sink.ts";
import type { SentTo } from "./client.ts";
import { exchange } from "./client.ts";
import { type FaultProxy, type NetworkFault, startFaultProxy } from "./fault-proxy.ts";
import { openWorld, tokenOf, type World } from "./world.ts";

export interface BadCarriersResult {
	readonly messages: number;
	readonly happened: Readonly<Record<NetworkFault, number>>;
	readonly submittedTwice: number;
	readonly quiet: Figures;
	readonly raging: Figures;
	readonly settledMs: number;
}

/** Of the clean route. */
interface Figures {
	readonly perSecond: number;
	readonly medianMs: number;
	readonly p99Ms: number;
}

export interface BadCarriersOptions {
	readonly seed: number;
	readonly quietMs: number;
	readonly ragingMs: number;
	/** See fault-proxy.ts. */
	readonly goodMs?: number;
	readonly lastsMs?: number;
}

const binds = 4;
const cleanPrefix = "+447400";
/** Shorter than usual, so that a swallowed submit is noticed in the test's time. */
const responseMs = 2_000;

export async function sendThroughBadCarriers(
	options: BadCarriersOptions,
): Promise<BadCarriersResult> {
	const { seed, goodMs = 700, lastsMs = 1_500 } = options;
	let proxy: FaultProxy | undefined;
	const world = await openWorld({
		seed,
		async routeTo(port) {
			proxy = await startFaultProxy({ seed, port, goodMs, lastsMs });
			return `smpp://bench:bench@127.0.0.1:${proxy.port}?window=50&binds=${binds}&response_ms=${responseMs}`;
		},
		client: { pauseMs: 20, to: recipient },
	});
	const clean = await startSink({ firstId: 2_000_000_000, judge: world.count });
	try {
		await addCleanRoute(world, clean.port);
		return await run(options, world, clean, proxy as FaultProxy);
	} finally {
		await world.close();
		await proxy?.close();
		await clean.down();
	}
}

/** Every other order goes to Great Britain. */
function recipient(order: number, message: number): string {
	return order % 2 === 0
		? `+9198${String(10_000_000 + message).slice(-8)}`
		: `${cleanPrefix}${String(100_000 + message).slice(-6)}`;
}

/** Routes are opened at start, so the product is started again. */
async function addCleanRoute(world: World, port: number): Promise<void> {
	const { status, body } = await exchange(
		new Agent(),
		{ port: world.product().port, apiKey: world.product().dev.operatorKey },
		"POST",
		"/v1/operator/routes",
		{
			environment: "live",
			url: `smpp://clean:clean@127.0.0.1:${port}?window=50`,
			countries: ["GB"],
			priority: 10,
		},
		undefined,
	);
	assert.equal(status, 201, JSON.stringify(body));
	assert.equal(await world.product().end("SIGTERM"), 0, world.product().output());
	await world.restart();
}

async function run(
	{ seed, quietMs, ragingMs }: BadCarriersOptions,
	world: World,
	clean: Sink,
	proxy: FaultProxy,
): Promise<BadCarriersResult> {
	const seenAtMs = new Map<string, number>();
	clean.onSubmit = (pdu) => {
		const token = tokenOf(pdu);
		if (!seenAtMs.has(token)) seenAtMs.set(token, monotonicMs());
	};
	const phase = async (ms: number): Promise<Figures> => {
		const [from, until] = [monotonicMs(), monotonicMs() + ms];
		await pause(ms + 1_000);
		return figuresOf(world.client.sent(), seenAtMs, from, until);
	};
	world.client.start(4, 1);
	await pause(500);
	const quiet = await phase(quietMs);
	proxy.rage();
	const raging = await phase(ragingMs);
	await world.client.stop();
	proxy.calm();
	const calmAtMs = monotonicMs();
	await world.client.retryUnanswered();
	const { submits } = await world.settle(90_000);
	const sent = world.client.sent();
	assert.equal(world.product().child.exitCode, null, "it still runs");
	assert.doesNotMatch(world.product().output(), /unforeseen|uncaught|Unhandled/);
	assert.deepEqual(
		[...world.client.refusals.keys()],
		[],
		"a carrier's trouble is not the customer's",
	);
	const wrong = sent.filter(({ token, to }) => to.startsWith(cleanPrefix) && !seenAtMs.has(token));
	assert.deepEqual(wrong, [], "what is for Great Britain left over the clean route");
	assert.ok(
		raging.perSecond > quiet.perSecond / 2 &&
			raging.medianMs < 5 * quiet.medianMs + 50 &&
			raging.p99Ms < 5 * quiet.p99Ms + 500,
		`seed ${seed}: the clean route suffered: ${JSON.stringify({ quiet, raging })}`,
	);
	return {
		messages: sent.length,
		happened: { ...proxy.happened },
		submittedTwice: [...submits.values()].filter((times) => times > 1).length,
		quiet,
		raging,
		settledMs: Math.round(monotonicMs() - calmAtMs),
	};
}

/** From the 202 to the carrier, of what was accepted between these moments; what never arrived counts as for ever. */
function figuresOf(
	sent: readonly SentTo[],
	seenAtMs: ReadonlyMap<string, number>,
	from: number,
	until: number,
): Figures {
	const delays = sent
		.filter(
			({ to, acceptedAtMs: at = 0 }) => to.startsWith(cleanPrefix) && at >= from && at < until,
		)
		.map(({ token, acceptedAtMs = 0 }) =>
			Math.max(0, (seenAtMs.get(token) ?? Number.POSITIVE_INFINITY) - acceptedAtMs),
		)
		.sort((a, b) => a - b);
	const at = (part: number): number =>
		Math.round((delays[Math.floor(delays.length * part)] ?? Number.POSITIVE_INFINITY) * 10) / 10;
	return {
		perSecond: Math.round((delays.length * 1_000) / (until - from)),
		medianMs: at(0.5),
		p99Ms: at(0.99),
	};
}
