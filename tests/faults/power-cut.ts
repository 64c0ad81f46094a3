/**
 * The power fails under load, PostgreSQL and the product losing at once what had not reached the disk
 * (loop-disk.ts); the carrier keeps running and remembers. Every message that was ever answered with 202 is there
 * after the cut. Beside it the controls: without synchronous_commit, and without fsync, the same cut must lose some.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pause } from "../../bench/product.ts";
import { connectAdmin } from "../../server/platform/db.ts";
import { type LoopDisk, openLoopDisk } from "./loop-disk.ts";
import { openWorld, type World } from "./world.ts";

export interface PowerCutResult {
	readonly cuts: number;
	readonly messages: number;
	readonly acknowledged: number;
	/** Answered with 202 before a cut and not there after it. */
	readonly lost: number;
	readonly submittedTwice: number;
	/** From the cut until the product is ready again. */
	readonly recoveredMs: { readonly median: number; readonly most: number };
	readonly controls: Readonly<Record<Control, ControlResult>>;
}

type Control = "synchronous_commit=off" | "fsync=off";

/** Of the last cut: since the setting was changed. */
export interface ControlResult {
	readonly cuts: number;
	readonly acknowledged: number;
	readonly lost: number;
	/** Whether the product started on what was left; when not, everything is lost. */
	readonly started: boolean;
}

const controlsMax = 5;

/** `cuts` times, each under load; then everything must reach its final state; then the controls. */
export async function cutPower({
	cuts,
	seed,
}: {
	cuts: number;
	seed: number;
}): Promise<PowerCutResult> {
	const disk = await openLoopDisk();
	try {
		const world = await openWorld({ seed, dataDir: join(disk.path, "data") });
		try {
			const result = await cutUnderLoad(world, disk, cuts, seed);
			const controls = {
				"synchronous_commit=off": await cutUntilLost(world, disk, "synchronous_commit"),
				"fsync=off": await cutUntilLost(world, disk, "fsync"),
			};
			return { ...result, controls };
		} finally {
			await world.close();
		}
	} finally {
		await disk.close();
	}
}

async function cutUnderLoad(
	world: World,
	disk: LoopDisk,
	cuts: number,
	seed: number,
): Promise<Omit<PowerCutResult, "controls">> {
	const recoveredMs: number[] = [];
	let lost = 0;
	for (let i = 0; i < cuts; i++) {
		const known = new Set(idsOf(world));
		await load(world, world.random.fraction() * 1_200);
		const began = performance.now();
		await disk.cut(world.killTree);
		await world.client.stop();
		await world.restart();
		recoveredMs.push(Math.round(performance.now() - began));
		const acknowledged = idsOf(world).filter((id) => !known.has(id));
		const gone = await missing(world, acknowledged);
		lost += gone.length;
		assert.deepEqual(
			gone.slice(0, 10),
			[],
			`seed ${seed}, cut ${i + 1}: of ${acknowledged.length} acknowledged ${gone.length} are lost`,
		);
	}
	const acknowledged = world.client.accepted();
	await world.client.retryUnanswered();
	const { sent, submits } = await world.settle(60_000);
	recoveredMs.sort((a, b) => a - b);
	return {
		cuts,
		messages: sent.length,
		acknowledged,
		lost,
		submittedTwice: [...submits.values()].filter((times) => times > 1).length,
		recoveredMs: {
			median: recoveredMs[recoveredMs.length >> 1] ?? 0,
			most: recoveredMs.at(-1) ?? 0,
		},
	};
}

/** Until the power fails: a hundred acknowledged at least, on a slow machine too. */
async function load({ client, acceptMore }: World, ms: number): Promise<void> {
	client.start(8, 2);
	await acceptMore(100);
	await pause(ms);
}

function idsOf({ client }: World): string[] {
	return client.sent().flatMap(({ id }) => id ?? []);
}

/** Those that the product does not know. */
async function missing({ client }: World, ids: readonly string[]): Promise<string[]> {
	const gone: string[] = [];
	for (let i = 0; i < ids.length; i += 32)
		await Promise.all(
			ids.slice(i, i + 32).map(async (id) => {
				const { status, body } = await client.call("GET", `/v1/sms/messages/${id}`);
				if (status === 404) gone.push(id);
				else assert.equal(status, 200, JSON.stringify(body));
			}),
		);
	return gone;
}

// The controls -------------------------------------------------------------------------------------------------

/** A cut with a promise of PostgreSQL's broken; another one, when by chance it lost nothing. */
async function cutUntilLost(
	world: World,
	disk: LoopDisk,
	setting: "synchronous_commit" | "fsync",
): Promise<ControlResult> {
	for (let cuts = 1; ; cuts++) {
		// What is there so far is safe, so that the product finds itself again.
		await change(world.dataDir, `alter system set ${setting} = off`);
		const known = new Set(idsOf(world));
		await load(world, 500);
		await disk.cut(world.killTree);
		await world.client.stop();
		const acknowledged = idsOf(world).filter((id) => !known.has(id));
		const { length } = acknowledged;
		try {
			await world.restart();
		} catch {
			return { cuts, acknowledged: length, lost: length, started: false };
		}
		const lost = (await missing(world, acknowledged)).length;
		await change(world.dataDir, `alter system reset ${setting}`);
		if (lost > 0 || cuts >= controlsMax) return { cuts, acknowledged: length, lost, started: true };
	}
}

/** Of the embedded server's settings, with all before it on the disk. */
async function change(dataDir: string, statement: string): Promise<void> {
	const admin = await connectAdmin({
		host: socketDirOf(dataDir),
		user: "waxwing_root",
		password: readFileSync(join(dataDir, "postgres.password"), "utf8").trim(),
		database: "waxwing",
		applicationName: "faults",
	});
	await admin.run("checkpoint");
	execFileSync("sync", ["-f", dataDir]);
	await admin.run(statement);
	await admin.run("select pg_reload_conf()");
	await admin.close();
}

/** As the server's own lock file says. */
function socketDirOf(dataDir: string): string {
	return (
		readFileSync(join(dataDir, "postgres", "postmaster.pid"), "utf8")
			.split("\n")[4]
			?.trim() ?? ""
	);
}
