/**
 * The disk that PostgreSQL writes to is full: a small tmpfs, filled up with ballast, holds its data (its WAL
 * lies elsewhere, or on the tmpfs too), or its temporary files only. Needs root, for mounting.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
	chownSync,
	closeSync,
	cpSync,
	mkdirSync,
	openSync,
	rmSync,
	statSync,
	symlinkSync,
	writeSync,
} from "node:fs";
import { join } from "node:path";
import { makeDataDir, pause, removeDataDir } from "../../bench/product.ts";
import { connectAdmin } from "../../server/platform/db.ts";
import type { EmbeddedPostgres } from "../../server/platform/embedded-postgres.ts";
import { startEmbeddedPostgres } from "../../server/platform/embedded-postgres.ts";
import { systemRandom } from "../../server/platform/ids.ts";
import { type ExternalPostgres, startExternalPostgres } from "./external-postgres.ts";
import { openWorld } from "./world.ts";

export interface FullResult {
	readonly messages: number;
	readonly acknowledged: number;
	readonly refusals: Readonly<Record<string, number>>;
	/** Temporary files that PostgreSQL has made. */
	readonly temporaryFiles: number;
}

/** `what` is on the small disk: the tables only, the WAL as well, or temporary files only. */
export async function fillDisk({
	rounds,
	seed,
	what,
}: {
	rounds: number;
	seed: number;
	what: "data" | "data and WAL" | "temp";
}): Promise<FullResult> {
	const disk = makeDataDir();
	const beside = makeDataDir();
	const size = what === "temp" ? "32m" : "400m";
	execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size},mode=711`, "tmpfs", disk]);
	let postgres: ExternalPostgres | undefined;
	try {
		postgres = await startExternalPostgres(
			what === "temp" ? beside : disk,
			what === "data" ? (server) => moveWal(server, disk, beside) : undefined,
		);
		if (what === "temp") await moveTemporaryFiles(postgres, disk, beside);
		return await underLoad(postgres, disk, rounds, seed);
	} finally {
		await postgres?.stop();
		execFileSync("umount", ["-l", disk]);
		removeDataDir(disk);
		removeDataDir(beside);
	}
}

/** Messages accepted before each time that the disk is full: what could be lost. */
const leastLoad = 60;

async function underLoad(
	postgres: ExternalPostgres,
	disk: string,
	rounds: number,
	seed: number,
): Promise<FullResult> {
	// Large enough that their statements need temporary files, where there is little memory.
	const client = { batchSize: 200 };
	const world = await openWorld({ seed, env: { DATABASE_URL: postgres.url }, client });
	const ballast = join(disk, "ballast");
	try {
		world.client.start(8, 2);
		for (let i = 0; i < rounds; i++) {
			await world.acceptMore(leastLoad);
			await world.someLoad(0);
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
			temporaryFiles: await countTemporaryFiles(postgres),
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

/**
 * Gives PostgreSQL the small disk for its temporary files, as an operator may, and so little memory for a statement
 * that the product's own need them: with the usual 4 MB a batch of a thousand does not.
 */
async function moveTemporaryFiles(
	postgres: ExternalPostgres,
	disk: string,
	dataDir: string,
): Promise<void> {
	const { uid, gid } = statSync(join(dataDir, "postgres"));
	const place = join(disk, "temporary");
	mkdirSync(place, { mode: 0o700 });
	chownSync(place, uid, gid);
	const admin = await connectAdmin({ connectionString: postgres.url, applicationName: "faults" });
	await admin.run(`create tablespace small location '${place}'`);
	await admin.run("grant create on tablespace small to public");
	await admin.run("alter database waxwing set temp_tablespaces = 'small'");
	await admin.run("alter database waxwing set work_mem = '64kB'");
	await admin.close();
}

async function countTemporaryFiles(postgres: ExternalPostgres): Promise<number> {
	const admin = await connectAdmin({ connectionString: postgres.url, applicationName: "faults" });
	const [row] = await admin.run<{ files: number }>(
		"select temp_files::int as files from pg_stat_database where datname = 'waxwing'",
	);
	await admin.close();
	return row?.files ?? 0;
}
