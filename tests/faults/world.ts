/**
 * The stage of a fault test: the product as a child process, a carrier that keeps running beside it, a
 * customer under load, and the gathering of evidence at the end. Ends only processes it has started.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import {
	makeDataDir,
	pause,
	type Product,
	removeDataDir,
	startProduct,
} from "../../bench/product.ts";
import { type Judgement, type Sink, startSink } from "../../bench/sink.ts";
import type { SubmitSm } from "../../server/channels/sms/smpp/pdu.ts";
import { type Random, seededRandom } from "../../server/platform/ids.ts";
import { type Client, type ClientOptions, createClient, type Place } from "./client.ts";
import { type Evidence, problemsIn, type Sent, type Shown } from "./ledger.ts";

export interface World {
	readonly random: Random;
	readonly sink: Sink;
	readonly client: Client;
	readonly dataDir: string;
	product(): Product;
	/** Starts the product again on the same data directory. */
	restart(): Promise<void>;
	/** What the carrier does with a submit from now on. */
	judge(judgement: (token: string) => Judgement): void;
	/** Counts a submit as the carrier does, for a second carrier beside it. */
	count(pdu: SubmitSm): Judgement;
	/** Resolves once so many more messages are accepted, however slow the machine is; fails after 30 s without one. */
	acceptMore(count: number): Promise<void>;
	/** A moment under load, at random: after up to so many more messages, and up to 300 ms. */
	someLoad(most: number): Promise<void>;
	/** kill -9 of the product and everything below it, PostgreSQL included; resolves when all are gone. */
	killTree(): Promise<void>;
	/**
	 * Waits until every message answered with 202 is in a final state, and fails with the list of what is wrong.
	 * `sent`: what the client sent, unless somebody else did.
	 */
	settle(withinMs: number, sent?: readonly Sent[]): Promise<Evidence>;
	close(): Promise<void>;
}

export interface WorldOptions {
	readonly seed: number;
	/** Where the product's data lies; a directory of its own unless given. Removed at the end. */
	readonly dataDir?: string;
	readonly env?: Readonly<Record<string, string>>;
	/** The URL of the route to the carrier at this port, where it is not the plain one. */
	readonly routeTo?: (port: number) => Promise<string>;
	readonly client?: ClientOptions;
	/** `api`: the product only accepts; the test starts workers. */
	readonly role?: "all" | "api";
}

const tokenPattern = /W[0-9A-F]{6}\d{7}/;

export async function openWorld(options: WorldOptions): Promise<World> {
	const { seed, env = {}, routeTo, role = "all" } = options;
	const random = seededRandom(seed);
	const dataDir = options.dataDir ?? makeDataDir();
	const submits = new Map<string, number>();
	let judgement: (token: string) => Judgement = () => "accept";
	const count = (pdu: SubmitSm): Judgement => {
		const token = tokenOf(pdu);
		submits.set(token, (submits.get(token) ?? 0) + 1);
		return judgement(token);
	};
	const firstId = 1 + Math.floor(random.fraction() * 1e9);
	const sink = await startSink({ firstId, judge: count, receiptTimeoutMs: 5_000 });
	const routed = routeTo === undefined ? {} : { WAXWING_DEV_SMSC: await routeTo(sink.port) };
	const start = (): Promise<Product> =>
		startProduct({
			dataDir,
			smscPort: sink.port,
			role,
			window: 50,
			env: {
				WAXWING_UNKNOWN_RECONCILE_SECONDS: "1",
				...routed,
				...env,
			},
		});
	let product = await start().catch(async (error: unknown) => {
		// A carrier that went on listening would keep the test's process alive instead of showing why.
		await sink.down();
		removeDataDir(dataDir);
		throw error;
	});
	const place = (): Place => ({ port: product.port, apiKey: product.dev.apiKey });
	const client = createClient(place, random, options.client);
	const acceptMore = async (count: number): Promise<void> => {
		const enough = client.accepted() + count;
		let [last, since] = [client.accepted(), performance.now()];
		for (; client.accepted() < enough; await pause(10)) {
			if (client.accepted() !== last) [last, since] = [client.accepted(), performance.now()];
			assert.ok(
				performance.now() < since + 30_000,
				`seed ${seed}: nothing is accepted for 30 s; the product said:\n${product.output().slice(-4_000)}`,
			);
		}
	};
	return {
		random,
		sink,
		client,
		dataDir,
		product: () => product,
		judge: (next) => void (judgement = next),
		count,
		async restart() {
			product = await start();
		},
		acceptMore,
		async someLoad(most) {
			await acceptMore(Math.round(random.fraction() * most));
			await pause(random.fraction() * 300);
		},
		async killTree() {
			await killAll(treeOf(product.child.pid as number));
		},
		async settle(withinMs, sent = client.sent()) {
			const until = performance.now() + withinMs;
			const shown = new Map<string, Shown>();
			for (
				let open = sent.filter(({ id }) => id !== undefined);
				open.length > 0;
				await pause(250)
			) {
				for (const part of chunksOf(open, 32))
					await Promise.all(
						part.map(async ({ id, token }) => show(client, shown, id as string, token)),
					);
				open = open.filter(({ id }) => !isSettled(shown.get(id as string)));
				if (performance.now() > until) break;
			}
			const evidence = { sent, submits, shown };
			const problems = problemsIn(evidence);
			assert.deepEqual(
				problems.slice(0, 20),
				[],
				`seed ${seed}: ${problems.length} problems; the product said:\n${product.output().slice(-4_000)}`,
			);
			return evidence;
		},
		async close() {
			await Promise.race([client.stop(), pause(1_000)]);
			client.end();
			if (product.child.exitCode === null && product.child.signalCode === null)
				await killAll(treeOf(product.child.pid as number));
			await sink.down();
			removeDataDir(dataDir);
		},
	};
}

/** The mark that its sender put into the text. */
export function tokenOf(pdu: SubmitSm): string {
	return tokenPattern.exec(pdu.shortMessage.toString("latin1"))?.[0] ?? "no token";
}

function isSettled(one: Shown | undefined): boolean {
	return one === undefined || !["scheduled", "accepted", "unknown", "sent"].includes(one.status);
}

async function show(
	client: Client,
	shown: Map<string, Shown>,
	id: string,
	token: string,
): Promise<void> {
	const { status, body } = await client.call("GET", `/v1/sms/messages/${id}`);
	if (status === 404) return void shown.delete(id);
	assert.equal(status, 200, JSON.stringify(body));
	shown.set(id, {
		status: String(body["status"]),
		possibleDuplicate: body["possible_duplicate"] === true,
		isOwn: JSON.stringify(body).includes(token),
	});
}

function chunksOf<T>(items: readonly T[], size: number): T[][] {
	return Array.from({ length: Math.ceil(items.length / size) }, (_, i) =>
		items.slice(i * size, (i + 1) * size),
	);
}

/** A process and all below it, top first. */
export function treeOf(pid: number): number[] {
	const parents = new Map(
		readdirSync("/proc")
			.filter((name) => /^\d+$/.test(name))
			.map((name) => [Number(name), parentOf(Number(name))]),
	);
	const tree = [pid];
	for (const one of tree)
		tree.push(...[...parents].filter(([, parent]) => parent === one).map(([child]) => child));
	return tree;
}

function parentOf(pid: number): number {
	try {
		const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
		return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
	} catch {
		return 0;
	}
}

/** kill -9 of these; resolves when none of them runs any more. Some may not be reaped yet. */
export async function killAll(pids: readonly number[]): Promise<void> {
	for (const pid of pids) signal(pid, "SIGKILL");
	for (const pid of pids) while (isRunning(pid)) await pause(5);
}

/** Not so once it is dead, reaped by its parent or not. */
export function isRunning(pid: number): boolean {
	try {
		return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
	} catch {
		return false;
	}
}

export function signal(pid: number, what: NodeJS.Signals | 0): boolean {
	try {
		process.kill(pid, what);
		return true;
	} catch {
		return false;
	}
}
