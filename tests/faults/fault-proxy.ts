/**
 * A bad network between the product and a carrier, on loopback: every connection is re-cut at random, with
 * latency and jitter, always; until `calm`, each also meets one destructive fault after a while. All by seed.
 * Octets are flipped only on their way from the carrier to the product, and only where SMPP lets a client see
 * it (length, command and the sequence's first octet): a flipped status or id reads as a valid answer to
 * anybody, and what the carrier misreads is the carrier's. It never makes up a PDU of its own.
 */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { type Random, seededRandom } from "../../server/platform/ids.ts";

const faults = [
	/** The connection is reset with half a PDU delivered. */
	"reset",
	/** Nothing moves for seconds, then all of it does. */
	"stall",
	/** What the carrier says no longer arrives; the socket stays up, and is reset in the end. */
	"deaf",
	/** What the product says no longer arrives; likewise. */
	"mute",
	/** Neither does. */
	"hole",
	/** One bit of a PDU's header is another. */
	"flip",
] as const;
export type NetworkFault = (typeof faults)[number];

export interface FaultProxyOptions {
	readonly seed: number;
	/** Where the carrier listens. */
	readonly port: number;
	/** How long a connection is good before its fault: between this and twice this. */
	readonly goodMs: number;
	/** How long stalls, deafness and holes last, at most. */
	readonly lastsMs: number;
}

export interface FaultProxy {
	readonly port: number;
	/** From now on connections meet faults, those that stand too. */
	rage(): void;
	/** No new faults; what is stalled moves, what is deaf or a hole is reset. */
	calm(): void;
	/** How often each has happened. */
	readonly happened: Readonly<Record<NetworkFault, number>>;
	close(): Promise<void>;
}

/** One direction of a connection. */
interface Way {
	readonly from: Socket;
	readonly to: Socket;
	held: Buffer;
	timer: NodeJS.Timeout | undefined;
	/** What arrives is thrown away. */
	swallows: boolean;
	/** The next PDU that passes whole is flipped. */
	flips: boolean;
}

interface Pair {
	readonly random: Random;
	readonly up: Way;
	readonly down: Way;
	stalled: boolean;
	planned: NodeJS.Timeout | undefined;
	/** Ends a fault that lasts. */
	over: (() => void) | undefined;
}

interface Proxy extends FaultProxyOptions {
	readonly pairs: Set<Pair>;
	readonly happened: Record<NetworkFault, number>;
	raging: boolean;
	turn: number;
}

const heldMax = 256 * 1024;
const headerBytes = 16;

export async function startFaultProxy(options: FaultProxyOptions): Promise<FaultProxy> {
	const proxy: Proxy = {
		...options,
		pairs: new Set(),
		happened: { reset: 0, stall: 0, deaf: 0, mute: 0, hole: 0, flip: 0 },
		raging: false,
		// The first fault is of any kind; then they take turns, so that a short run meets all of them.
		turn: Math.floor(seededRandom(options.seed).fraction() * faults.length),
	};
	let count = 0;
	const server = createServer((near) => {
		const random = seededRandom(options.seed + ++count * 7919);
		join(proxy, near, connect(options.port, "127.0.0.1"), random);
	}).listen(0, "127.0.0.1");
	await once(server, "listening");
	return {
		port: (server.address() as AddressInfo).port,
		happened: proxy.happened,
		rage() {
			proxy.raging = true;
			for (const pair of proxy.pairs) plan(proxy, pair);
		},
		calm() {
			proxy.raging = false;
			for (const pair of proxy.pairs) {
				clearTimeout(pair.planned);
				pair.down.flips = false;
				pair.over?.();
			}
		},
		async close() {
			server.close();
			for (const pair of proxy.pairs) cut(pair);
			await once(server, "close");
		},
	};
}

function join(proxy: Proxy, near: Socket, far: Socket, random: Random): void {
	const way = (from: Socket, to: Socket): Way => ({
		from,
		to,
		held: Buffer.alloc(0),
		timer: undefined,
		swallows: false,
		flips: false,
	});
	const pair: Pair = {
		random,
		up: way(near, far),
		down: way(far, near),
		stalled: false,
		planned: undefined,
		over: undefined,
	};
	proxy.pairs.add(pair);
	for (const one of [pair.up, pair.down]) {
		one.from.setNoDelay(true).on("error", () => undefined);
		one.from.on("data", (chunk: Buffer) => take(pair, one, chunk));
		one.from.once("close", () => {
			clearTimeout(pair.planned);
			proxy.pairs.delete(pair);
			// A clean end would say more than a lost connection does.
			one.to.resetAndDestroy();
		});
	}
	if (proxy.raging) plan(proxy, pair);
}

function cut(pair: Pair): void {
	pair.up.from.resetAndDestroy();
	pair.down.from.resetAndDestroy();
}

// Cutting ------------------------------------------------------------------------------------------------------

function take(pair: Pair, way: Way, chunk: Buffer): void {
	if (way.swallows) return;
	way.held = Buffer.concat([way.held, chunk]);
	if (way.held.length > heldMax) way.from.pause();
	forwardSoon(pair, way, 1 + pair.random.fraction() * 4);
}

function forwardSoon(pair: Pair, way: Way, afterMs: number): void {
	if (pair.stalled || way.timer !== undefined) return;
	way.timer = setTimeout(() => {
		way.timer = undefined;
		forward(pair, way);
	}, afterMs);
}

/** Half of the time all that is there, merged; else up to a random octet, and the rest a little later. */
function forward(pair: Pair, way: Way): void {
	if (pair.stalled || way.swallows || way.held.length === 0) return;
	if (way.flips) way.flips = !flip(pair, way.held);
	const whole = pair.random.fraction() < 0.5;
	const size = whole
		? way.held.length
		: 1 + Math.floor(pair.random.fraction() * (way.held.length - 1));
	if (way.to.writable) way.to.write(way.held.subarray(0, size));
	way.held = way.held.subarray(size);
	if (way.held.length <= heldMax) way.from.resume();
	if (way.held.length > 0) forwardSoon(pair, way, pair.random.fraction() * 2);
}

/** False while no PDU begins at the head of what is held: the stream was cut inside one. */
function flip(pair: Pair, held: Buffer): boolean {
	if (held.length < headerBytes || held.readUInt32BE(0) > 1_024 || held[4] === undefined)
		return false;
	const id = held.readUInt32BE(4) & 0x7fff_ffff;
	if (held.readUInt32BE(0) < headerBytes || id === 0 || id > 0x103) return false;
	// Octets 0 to 7 are length and command; 12 is the sequence's first, far from any in use.
	const at = [0, 1, 2, 3, 4, 5, 6, 7, 12][Math.floor(pair.random.fraction() * 9)] as number;
	const bit = 1 << Math.floor(pair.random.fraction() * (at === 12 ? 7 : 8));
	held[at] = (held[at] as number) ^ bit;
	return true;
}

// Faults -------------------------------------------------------------------------------------------------------

function plan(proxy: Proxy, pair: Pair): void {
	clearTimeout(pair.planned);
	const afterMs = proxy.goodMs * (1 + pair.random.fraction());
	pair.planned = setTimeout(() => {
		const fault = faults[proxy.turn++ % faults.length] as NetworkFault;
		proxy.happened[fault]++;
		befall(proxy, pair, fault);
	}, afterMs);
}

function befall(proxy: Proxy, pair: Pair, fault: NetworkFault): void {
	const { up, down } = pair;
	const lasting = (end: () => void): void => {
		const timer = setTimeout(
			() => pair.over?.(),
			proxy.lastsMs * (0.3 + 0.7 * pair.random.fraction()),
		);
		pair.over = () => {
			clearTimeout(timer);
			pair.over = undefined;
			end();
			if (proxy.raging && proxy.pairs.has(pair)) plan(proxy, pair);
		};
	};
	switch (fault) {
		case "reset":
			return resetInside(pair);
		case "stall":
			pair.stalled = true;
			return lasting(() => {
				pair.stalled = false;
				for (const way of [up, down]) forwardSoon(pair, way, 0);
			});
		case "deaf":
			down.swallows = true;
			return lasting(() => cut(pair));
		case "mute":
			up.swallows = true;
			return lasting(() => cut(pair));
		case "hole":
			up.swallows = true;
			down.swallows = true;
			return lasting(() => cut(pair));
		case "flip":
			down.flips = true;
			return plan(proxy, pair);
	}
}

/** Lets some octets of the next thing that passes leave, and cuts the connection a moment later. */
function resetInside(pair: Pair): void {
	const way = pair.random.fraction() < 0.5 ? pair.up : pair.down;
	way.from.once("data", (chunk: Buffer) => {
		const some = 1 + Math.floor(pair.random.fraction() * Math.min(chunk.length, headerBytes * 2));
		if (way.to.writable)
			way.to.write(Buffer.concat([way.held, chunk]).subarray(0, way.held.length + some));
		way.swallows = true;
		way.held = Buffer.alloc(0);
		setTimeout(() => cut(pair), 5);
	});
}
