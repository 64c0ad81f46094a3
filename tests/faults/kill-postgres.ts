/**
 * kill -9 of PostgreSQL at random moments under load, the product being left alone: all of the server's processes,
 * the server without its sessions, or one session. Beside the product, where it is started again as an operator's
 * supervisor does; and embedded, where a dead server ends the product, which is then started again.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { makeDataDir, pause, removeDataDir } from "../../bench/product.ts";
import {
	type ExternalPostgres,
	killServer,
	killSession,
	serverPid,
	startExternalPostgres,
} from "./external-postgres.ts";
import { openWorld, type World } from "./world.ts";

export interface KillPostgresResult {
	readonly kills: Readonly<Record<Way, number>>;
	readonly messages: number;
	readonly acknowledged: number;
	readonly submittedTwice: number;
	readonly refusals: Readonly<Record<string, number>>;
	/** From the kill to the next 202. */
	readonly recoveredMs: { readonly median: number; readonly most: number };
}

/** What is killed: everything, the server only, or one session. */
export type Way = "all" | "server" | "session";
const ways = ["all", "server", "session"] as const;

/** `kills` times, each way in turn, of a PostgreSQL beside the product, which goes on by itself. */
export async function killPostgres({
	kills,
	seed,
}: {
	kills: number;
	seed: number;
}): Promise<KillPostgresResult> {
	const dataDir = makeDataDir();
	const postgres = await startExternalPostgres(dataDir);
	const world = await openWorld({ seed, env: { DATABASE_URL: postgres.url } });
	const { child } = world.product();
	try {
		return await underLoad(world, kills, ways, async (way) => {
			await killExternal(postgres, way, world);
			assert.equal(child.exitCode, null, "it still runs");
		});
	} finally {
		await world.close();
		await postgres.stop();
		removeDataDir(dataDir);
	}
}

async function killExternal(postgres: ExternalPostgres, way: Way, world: World): Promise<void> {
	if (way === "session") return postgres.killSession(world.random);
	await (way === "all" ? postgres.kill() : postgres.killServer());
	await postgres.start();
}

/** The same of the embedded PostgreSQL. Without its server the product says so and ends with 1. */
export async function killEmbedded({
	kills,
	seed,
}: {
	kills: number;
	seed: number;
}): Promise<KillPostgresResult & { readonly endedMs: number }> {
	const world = await openWorld({ seed });
	let endedMs = 0;
	try {
		const result = await underLoad(world, kills, ["server", "session"], async (way) => {
			const { child, output } = world.product();
			const pid = serverPid(world.dataDir);
			if (way === "session") {
				await killSession(pid, world.random);
				assert.equal(child.exitCode, null, "it still runs");
				return;
			}
			const ended = once(child, "exit");
			const began = performance.now();
			await killServer(pid);
			const [code] = (await Promise.race([ended, pause(30_000).then(() => ["never"])])) as [
				unknown,
			];
			endedMs = Math.max(endedMs, Math.round(performance.now() - began));
			assert.equal(code, 1, `seed ${seed}: it ends by itself, with 1:\n${output().slice(-4_000)}`);
			assert.match(output(), /The database has ended by itself/);
			await world.restart();
		});
		return { ...result, endedMs };
	} finally {
		await world.close();
	}
}

async function underLoad(
	world: World,
	kills: number,
	turns: readonly Way[],
	kill: (way: Way) => Promise<void>,
): Promise<KillPostgresResult> {
	const counts = { all: 0, server: 0, session: 0 };
	const recoveredMs: number[] = [];
	world.client.start(8, 1);
	for (let i = 0; i < kills; i++) {
		await world.someLoad(100);
		const way = turns[i % turns.length] as Way;
		const began = performance.now();
		await kill(way);
		counts[way]++;
		await world.acceptMore(1);
		recoveredMs.push(Math.round(performance.now() - began));
	}
	await world.acceptMore(100);
	await world.client.stop();
	const acknowledged = world.client.accepted();
	await world.client.retryUnanswered();
	const { sent, submits } = await world.settle(60_000);
	recoveredMs.sort((a, b) => a - b);
	return {
		kills: counts,
		messages: sent.length,
		acknowledged,
		submittedTwice: [...submits.values()].filter((times) => times > 1).length,
		refusals: Object.fromEntries(world.client.refusals),
		recoveredMs: {
			median: recoveredMs[recoveredMs.length >> 1] ?? 0,
			most: recoveredMs.at(-1) ?? 0,
		},
	};
}
