/** Ctrl-C under load: what is in flight is settled, the exit code is 0, and the next start loses and doubles nothing. */
import assert from "node:assert/strict";
import {
	makeDataDir,
	pause,
	ProductDidNotStart,
	removeDataDir,
	startProduct,
} from "../../bench/product.ts";
import { startExternalPostgres } from "./external-postgres.ts";
import { openWorld, type World } from "./world.ts";

export async function stopUnderLoad({
	stops,
	seed,
}: {
	stops: number;
	seed: number;
}): Promise<{ messages: number; stopMs: number[] }> {
	const world = await openWorld({ seed });
	const stopMs: number[] = [];
	try {
		world.client.start(8, 1);
		await refusesSecondStart(world);
		for (let i = 0; i < stops; i++) {
			await world.acceptMore(100);
			await world.someLoad(100);
			const began = performance.now();
			assert.equal(
				await world.product().end(i % 2 === 0 ? "SIGINT" : "SIGTERM"),
				0,
				world.product().output(),
			);
			stopMs.push(Math.round(performance.now() - began));
			await world.restart();
		}
		await world.client.stop();
		await world.client.retryUnanswered();
		const { sent, submits, shown } = await world.settle(60_000);
		assert.deepEqual(
			[...submits].filter(([, times]) => times > 1),
			[],
			"nothing was submitted twice, of either class",
		);
		assert.deepEqual(
			[...shown].filter(([, { status }]) => status !== "delivered"),
			[],
			"everything was delivered",
		);
		return { messages: sent.length, stopMs };
	} finally {
		await world.close();
	}
}

/** The sentence names the process that holds the directory, and that one goes on. */
async function refusesSecondStart(world: World): Promise<void> {
	await assert.rejects(startProduct({ dataDir: world.dataDir }), (error) => {
		assert.ok(error instanceof ProductDidNotStart);
		assert.equal(error.exit, 1);
		assert.match(
			error.message,
			new RegExp(`already running on .* \\(process ${world.product().child.pid}\\)`),
		);
		return true;
	});
	await world.acceptMore(1);
}

/** Told to stop while its database is away, it does not wait for ever: it says what is left, and that is taken up. */
export async function stopWithoutDatabase({
	seed,
}: {
	seed: number;
}): Promise<{ messages: number; stopMs: number; exit: number | string }> {
	const dataDir = makeDataDir();
	const postgres = await startExternalPostgres(dataDir);
	const world = await openWorld({ seed, env: { DATABASE_URL: postgres.url } });
	try {
		world.client.start(8, 1);
		await world.acceptMore(50);
		await world.someLoad(100);
		await postgres.kill();
		const began = performance.now();
		const ended = world.product().end("SIGTERM");
		const exit = await Promise.race([ended, pause(60_000).then(() => "never")]);
		const stopMs = Math.round(performance.now() - began);
		assert.ok(exit === 0 || exit === 1, `it ended with ${exit}:\n${world.product().output()}`);
		if (exit === 1) assert.match(world.product().output(), /Could not stop cleanly\. The database/);
		await postgres.start();
		await world.restart();
		await world.client.stop();
		await world.client.retryUnanswered();
		const { sent } = await world.settle(60_000);
		return { messages: sent.length, stopMs, exit };
	} finally {
		await world.close();
		await postgres.stop();
		removeDataDir(dataDir);
	}
}
