/**
 * The disk under the ledger is full, or may not be written, while acts are asked for: each is answered with 503 and
 * has not happened, or has happened and has its entry. Needs root, for mounting.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { makeDataDir, pause, removeDataDir, startProduct } from "../../bench/product.ts";
import { client } from "../support/http.ts";
import { fill, moveWal } from "./disk-full.ts";
import { startExternalPostgres } from "./external-postgres.ts";
import { checkLedger, createActor } from "./ledger-evidence.ts";
import { killAll, treeOf } from "./world.ts";

export interface FullLedger {
	readonly acts: number;
	readonly reads: number;
	readonly acknowledged: number;
	readonly refused: Readonly<Record<string, number>>;
	readonly effects: number;
}

export async function fillLedgerDisk({
	acts,
}: {
	acts: number;
	seed: number;
}): Promise<FullLedger> {
	const disk = makeDataDir();
	const beside = makeDataDir();
	const dataDir = makeDataDir();
	execFileSync("mount", ["-t", "tmpfs", "-o", "size=300m,mode=711", "tmpfs", disk]);
	const postgres = await startExternalPostgres(disk, (server) => moveWal(server, disk, beside));
	const product = await startProduct({ dataDir, env: { DATABASE_URL: postgres.url } });
	const keys = product.dev as unknown as { adminKey: string; tenantId: string };
	const { baseUrl, operatorKey } = product.dev;
	const place = { baseUrl, key: keys.adminKey, tenantId: keys.tenantId };
	const actor = createActor(() => place);
	const operator = client(baseUrl, operatorKey);
	const ballast = join(disk, "ballast");
	let reads = 0;
	const readsRefused: string[] = [];
	const read = async (): Promise<void> => {
		const reply = await operator.get("/v1/operator/tenants?limit=1");
		if (reply.status === 200) reads++;
		else readsRefused.push(String(reply.error["name"]));
	};
	try {
		await actor.act();
		fill(ballast);
		// Half of them writes, half of them reads of what is a tenant's.
		for (let i = 0; i < acts; i += 20)
			await Promise.all(Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? actor.act() : read())));
		rmSync(ballast);
		if (!postgres.isRunning()) await postgres.start();
		const before = actor.done.length;
		for (const until = performance.now() + 30_000; actor.done.length === before; await pause(100)) {
			assert.ok(performance.now() < until, "there is room again, and no act succeeds");
			await actor.act();
		}
		const { effects } = await checkLedger(dataDir, place, actor.done);
		const notes = await operator.get("/v1/operator/audit/entries?type=tenants.read&limit=100");
		const okays = notes.data.filter((one) => one["outcome"] === "ok").length;
		if (reads <= 45) assert.equal(okays, reads, "reads that were answered, and their entries");
		for (const name of readsRefused)
			actor.refused.set(`read: ${name}`, (actor.refused.get(`read: ${name}`) ?? 0) + 1);
		return {
			acts,
			reads,
			acknowledged: actor.done.length,
			refused: Object.fromEntries(actor.refused),
			effects,
		};
	} finally {
		await killAll(treeOf(product.child.pid as number));
		await postgres.stop();
		execFileSync("umount", ["-l", disk]);
		for (const folder of [disk, beside, dataDir]) removeDataDir(folder);
	}
}
