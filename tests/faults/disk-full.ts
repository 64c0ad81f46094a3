/**
 * The disk that PostgreSQL writes to is full: a small tmpfs, filled up with ballast, holds its data (its WAL
 * lies elsewhere, or on the tmpfs too). Needs root, for mounting.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
	chownSync,
	closeSync,
	cpSync,
	openSync,
	rmSync,
	statSync,
	symlinkSync,
	writeSync,
} from "node:fs";
import { join } from "node:path";
import { makeDataDir, pause, removeDataDir } from "../../bench/product.ts";
import type { EmbeddedPostgres } from "../../server/platform/embedded-postgres.ts";
import { startEmbeddedPostgres } from "../../server/platform/embedded-postgres.ts";
import { systemRandom } from "../../server/platform/ids.ts";
import { type ExternalPostgres, startExternalPostgres } from "./external-postgres.ts";
import { openWorld } from "./world.ts";

export interface FullResult {
	readonly messages: number;
	readonly acknowledged: number;
	readonly refusals: Readonly<Record<string, number>>;
}

/** `what` is on the small disk: the tables only, or the WAL as well. */
export async function fillDisk({
	rounds,
	seed,
	what,
}: {
	rounds: number;
	seed: number;
	what: "data" | "data and WAL";
}): Promise<FullResult> {
	const disk = makeDataDir();
	const beside = makeDataDir();
	execFileSync("mount", ["-t", "tmpfs", "-o", "size=400m,mode=711", "tmpfs", disk]);
	let postgres: ExternalPostgres | undefined;
	try {
		postgres = await startExternalPostgres(
			disk,
			what === "data" ? (server) => moveWal(server, disk, beside) : undefined,
		);
		return await underLoad(postgres, disk, rounds, seed);
	} finally {
		await postgres?.stop();
		execFileSync("umount", ["-l", disk]);
		removeDataDir(disk);
		removeDataDir(beside);
	}
}

async function underLoad(
	postgres: ExternalPostgres,
	disk: string,
	rounds: number,
	seed: number,
): Promise<FullResult> {
	const world = await openWorld({ seed, env: { DATABASE_URL: postgres.url } });
	const ballast = join(disk, "ballast");
	try {
		world.client.start(8, 2);
		for (let i = 0; i < rounds; i++) {
			await pause(300 + world.random.fraction() * 300);
			fill(ballast);
			const refused = (): number =>
				[...world.client.refusals].reduce(
					(sum, [name, count]) => sum + (name.startsWith("503") ? count : 0),
					0,
				);
			const before = refused();
			for (const until = performance.now() + 30_000; refused() < before + 20; await pause(20))
				assert.ok(performance.now() < until, "the disk is full and nothing is refused");
			rmSync(ballast);
			// With no room for the WAL the server ends; to start it again is the operator's part.
			if (!postgres.isRunning()) await postgres.start();
			const accepted = world.client.accepted();
			for (
				const until = performance.now() + 30_000;
				world.client.accepted() === accepted;
				await pause(20)
			)
				assert.ok(performance.now() < until, "there is room again and nothing is accepted");
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
	}
}

/** Writes until there is no room. */
export function fill(path: string): void {
	const file = openSync(path, "w");
	for (let block = Buffer.alloc(1 << 20); block.length > 0; ) {
		try {
			writeSync(file, block);
		} catch {
			block = block.subarray(0, block.length >> 1);
		}
	}
	closeSync(file);
}

/** Puts the WAL on another disk, as an operator would. */
export async function moveWal(
	server: EmbeddedPostgres,
	disk: string,
	beside: string,
): Promise<EmbeddedPostgres> {
	await server.stop();
	const [from, to] = [join(disk, "postgres", "pg_wal"), join(beside, "pg_wal")];
	const { uid, gid } = statSync(from);
	cpSync(from, to, { recursive: true });
	execFileSync("chmod", ["711", beside]);
	execFileSync("chown", ["-R", `${uid}:${gid}`, to]);
	execFileSync("chmod", ["700", to]);
	rmSync(from, { recursive: true });
	symlinkSync(to, from);
	chownSync(to, uid, gid);
	return startEmbeddedPostgres({ dataDir: disk, random: systemRandom(), sharedBuffers: "64MB" });
}
