/**
 * The disk under the ledger is full, or may not be written, while acts are asked for: each is answered with 503 and
 * has not happened, or has happened and has its entry. Needs root, for mounting.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { makeDataDir, pause, removeDataDir, startProduct } from "../../bench/product.ts";
import { client, type Client } from "../support/http.ts";
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

/** The outcomes of all entries of this type in the platform's log. */
async function outcomes(operator: Client, type: string): Promise<string[]> {
	const found: string[] = [];
	for (let next: unknown = ""; next !== null; ) {
		const page = next === "" ? "" : `&starting_after=${next}`;
		const path = `/v1/operator/audit/entries?type=${type}&limit=100${page}`;
		const reply = await operator.get(path);
		assert.equal(reply.status, 200, reply.text);
		found.push(...reply.data.map((one) => String(one["outcome"])));
		next = reply.body["next_cursor"];
	}
	return found;
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
		// So many privileged reads, and as many acts that change something.
		for (let i = 0; i < acts; i += 10)
			await Promise.all(Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? actor.act() : read())));
		rmSync(ballast);
		if (!postgres.isRunning()) await postgres.start();
		const before = actor.done.length;
		for (const until = performance.now() + 30_000; actor.done.length === before; await pause(100)) {
			assert.ok(performance.now() < until, "there is room again, and no act succeeds");
			await actor.act();
		}
		const { effects } = await checkLedger(dataDir, place, actor.done);
		const noted = await outcomes(operator, "tenants.read");
		// One whose answer the disk cut off may have its entry; one that was answered must have it.
		const okays = noted.filter((one) => one === "ok").length;
		assert.ok(okays >= reads, `${reads} reads were answered, and ${okays} have their entry`);
		const intents = noted.filter((one) => one === "intent").length;
		assert.ok(intents >= okays, "what was read had been announced");
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
