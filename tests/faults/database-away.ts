/** PostgreSQL alone goes away under load: killed and started again, or frozen and thawed. */
import assert from "node:assert/strict";
import { makeDataDir, pause, removeDataDir } from "../../bench/product.ts";
import { startExternalPostgres } from "./external-postgres.ts";
import { openWorld } from "./world.ts";

export interface AwayResult {
	readonly messages: number;
	readonly acknowledged: number;
	readonly refusals: Readonly<Record<string, number>>;
}

export type Way = "kill" | "freeze";

/** Each of `ways` in turn, with load before, during and after. */
export async function loseDatabase({
	ways,
	seed,
}: {
	ways: readonly Way[];
	seed: number;
}): Promise<AwayResult> {
	const dataDir = makeDataDir();
	const postgres = await startExternalPostgres(dataDir);
	const world = await openWorld({ seed, env: { DATABASE_URL: postgres.url } });
	try {
		world.client.start(8, 1);
		for (const way of ways) {
			await world.acceptMore(50);
			await world.someLoad(100);
			if (way === "kill") await postgres.kill();
			else postgres.freeze();
			await pause(200);
			const before = world.client.accepted();
			await pause(1_000);
			assert.equal(
				world.client.accepted(),
				before,
				"a message was acknowledged without a database",
			);
			if (way === "kill") await postgres.start();
			else postgres.thaw();
			await world.acceptMore(1);
		}
		await world.client.stop();
		const acknowledged = world.client.accepted();
		await world.client.retryUnanswered();
		const { sent } = await world.settle(60_000);
		return {
			messages: sent.length,
			acknowledged,
			refusals: Object.fromEntries(world.client.refusals),
		};
	} finally {
		await world.close();
		await postgres.stop();
		removeDataDir(dataDir);
	}
}
