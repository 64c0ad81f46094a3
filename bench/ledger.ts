/**
 * `npm run bench -- ledger [--entries N] [--note TEXT]`: the ledger alone, on a PostgreSQL of its own with fsync. How many
 * entries a second are recorded (one per transaction, 8 at a time), given their place and signed; how long an entry waits for
 * its checkpoint while acts come at 100/s; how large a proof is; how long waxwing-verify takes for a million entries.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import {
	createLedger,
	createScrubber,
	createSigner,
	ledgerRoutes,
	startLedger,
	createRefusals,
} from "#audit/index.ts";
import { messageReader } from "#messages/index.ts";
import { systemClock } from "#platform/clock.ts";
import { readConfig } from "#platform/config.ts";
import { openDatabase, type Tx } from "#platform/db.ts";
import type { Caller } from "#platform/http.ts";
import { createIds, showId, systemRandom } from "#platform/ids.ts";
import { silentLog } from "#platform/log.ts";
import { createMetrics } from "#platform/metrics.ts";
import { openDatabases } from "#processes/database.ts";
import { createVault, signingKey } from "#vault/index.ts";
import { originOf, verifierKey } from "../server/audit/checkpoint.ts";
import { sequence } from "../server/audit/sequencer.ts";
import { listCheckpoints } from "../server/audit/store.ts";
import { print, record } from "./journal.ts";
import { makeDataDir, pause, removeDataDir } from "./product.ts";

const { values } = parseArgs({
	allowPositionals: true,
	options: { entries: { type: "string", default: "20000" }, note: { type: "string" } },
});
const entries = Number(values.entries);
const name = "bench.test";
const dataDir = makeDataDir();
const [clock, random] = [systemClock, systemRandom()];
const ids = createIds(clock, random);
const databases = await openDatabases(readConfig({ WAXWING_DATA_DIR: dataDir }), random);
const signerDb = openDatabase(databases.signer);
const { app, worker } = databases;
const vault = createVault({ db: app, ...databases.keys, random, clock });
const ledger = createLedger({ vault, clock, ids });
const tenantId = ids.next();
const key = signingKey(random.bytes(32));
const signer = createSigner({
	db: signerDb,
	key,
	clock,
	name,
	statePath: join(dataDir, "state"),
	onTrouble: (_log, why) => {
		throw new Error(why);
	},
});

try {
	await run();
} finally {
	await signerDb.close();
	await databases.stop();
	removeDataDir(dataDir);
}

function act(tx: Tx): Promise<unknown> {
	return ledger.record(tx, [
		{
			log: tenantId,
			event: "webhook.changed",
			actor: { type: "api_key", id: showId("key", tenantId) },
			environment: "live",
			targets: [showId("whe", ids.next())],
			requestId: showId("req", ids.next()),
			detail: { events: ["sms.delivered", "sms.failed"], host: "hooks.example.com" },
		},
	]);
}

function one(): Promise<unknown> {
	return app.inTenant({ tenantId, environment: "live" }, act);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
	const began = performance.now();
	await work();
	return (performance.now() - began) / 1_000;
}

async function run(): Promise<void> {
	await app.inTenant({ tenantId, environment: "live" }, async (tx) => {
		await tx.query({ name: "bench.tenant", text: "select wx.create_tenant($1, $2, $3, now())" }, [
			tenantId,
			Buffer.from("x"),
			(await vault.makeTenantKey(tenantId)).wrapped,
		]);
	});
	await vault.warm([tenantId]);
	let left = entries;
	const recording = await timed(() =>
		Promise.all(
			Array.from({ length: 8 }, async () => {
				while (left-- > 0) await one();
			}),
		),
	);
	const parts = { db: worker, ledger, clock, log: silentLog, name };
	const placing = await timed(async () => {
		while (await sequence(parts));
	});
	const signing = await timed(async () => {
		while (await signer.step());
	});
	const scrubber = createScrubber({ db: signerDb, key }, signer);
	const looking = await timed(async () => {
		while (!(await scrubber.step(2_000)));
	});
	const delays = await mergeDelays();
	const { bytes, seconds, verified } = await verifyAll();
	const [stored] = await signerDb.inPlatform((tx) =>
		tx.query<{ size: number }>({
			name: "bench.size",
			text: "select (pg_total_relation_size('ledger_entries') + pg_total_relation_size('ledger_nodes'))::bigint as size",
		}),
	);
	const figures = {
		recordedPerSecond: Math.round(entries / recording),
		placedPerSecond: Math.round(entries / placing),
		signedPerSecond: Math.round(entries / signing),
		scrubbedPerSecond: Math.round(entries / looking),
		mergeDelayMs: delays,
		proofBytes: bytes,
		proofOver: verified,
		verifySecondsPerMillion: Number(((seconds / verified) * 1e6).toFixed(1)),
		storedBytesPerEntry: Math.round((stored?.size ?? 0) / verified),
	};
	print(
		`recorded ${figures.recordedPerSecond}/s, placed ${figures.placedPerSecond}/s, read again and signed ${figures.signedPerSecond}/s, gone through again ${figures.scrubbedPerSecond}/s`,
	);
	print(
		`entry to signed checkpoint at 100 acts/s: p50 ${delays.p50} ms, p99 ${delays.p99} ms, at most ${delays.max} ms`,
	);
	print(
		`a proof over ${verified} entries is ${bytes} bytes; waxwing-verify full: ${figures.verifySecondsPerMillion} s per million; stored: ${figures.storedBytesPerEntry} bytes an entry`,
	);
	record("ledger", { note: values.note, entries, ...figures });
}

/** Ten seconds of acts, with sequencer and signer at their usual pace: from commit to the checkpoint that covers it. */
async function mergeDelays(): Promise<{ p50: number; p99: number; max: number }> {
	const refusals = createRefusals({ ledger, db: app, vault, clock });
	// As in the product: the signer looks when it is told, and twice a second.
	let look = (): void => undefined;
	const chores = startLedger({
		worker,
		ledger,
		refusals,
		clock,
		log: silentLog,
		metrics: createMetrics(),
		name,
		messages: messageReader,
		onPlaced: () => look(),
	});
	let signing = true;
	const signed = (async () => {
		while (signing) {
			while (await signer.step());
			const told = new Promise<void>((resolve) => void (look = resolve));
			await Promise.race([told, pause(500)]);
		}
	})();
	const committed: number[] = [];
	const seen: { size: number; at: number }[] = [];
	let watching = true;
	const watch = (async () => {
		for (; watching; await pause(20)) {
			const [newest] = await signerDb.inPlatform((tx) =>
				listCheckpoints(tx, tenantId, undefined, 1),
			);
			if (newest !== undefined && newest.size !== seen.at(-1)?.size)
				seen.push({ size: newest.size, at: performance.now() });
		}
	})();
	const began = performance.now();
	for (let n = 0; n < 1_000; n++) {
		await pause(Math.max(0, began + n * 10 - performance.now()));
		await one();
		committed.push(performance.now());
	}
	for (
		const until = performance.now() + 20_000;
		(seen.at(-1)?.size ?? 0) < entries + committed.length && performance.now() < until;
	)
		await pause(50);
	watching = signing = false;
	await Promise.all([watch, signed, chores.stop(async () => undefined)]);
	// One writer, so the n-th commit is the n-th leaf behind those that were there.
	const delays = committed
		.map(
			(at, n) => (seen.find(({ size }) => size > entries + n)?.at ?? Number.POSITIVE_INFINITY) - at,
		)
		.sort((a, b) => a - b);
	const at = (share: number): number =>
		Math.round(delays[Math.min(delays.length - 1, Math.floor(delays.length * share))] ?? 0);
	return { p50: at(0.5), p99: at(0.99), max: at(1) };
}

async function verifyAll(): Promise<{ bytes: number; seconds: number; verified: number }> {
	const folder = mkdtempSync(join(tmpdir(), "waxwing-bench-"));
	try {
		const routes = ledgerRoutes({ db: app, vault, ledgerName: name, messages: messageReader });
		const caller: Caller = {
			tenantId,
			environment: "live",
			keyId: tenantId,
			scopes: [],
			operator: false,
		};
		const ask = async (
			operationId: string,
			query: object,
			params: object = {},
		): Promise<Record<string, unknown>> => {
			const found = routes.find((route) => route.operationId === operationId);
			const audit = { record: async () => undefined };
			const call = {
				caller,
				scope: { tenantId, environment: "live" as const },
				params,
				query,
				body: undefined,
				requestId: "",
				idempotency: undefined,
				audit,
			};
			return (await found?.handle(call))?.body as Record<string, unknown>;
		};
		const lines: string[] = [];
		for (let from: unknown = 0; typeof from === "number"; ) {
			const page = await ask("audit_export.get", { from });
			lines.push(JSON.stringify(page));
			from = page["next"];
		}
		const file = join(folder, "export");
		writeFileSync(file, `${lines.join("\n")}\n`);
		const page = await ask("audit_entry.list", { limit: 1 });
		const [newest] = page["data"] as { id: string }[];
		const proof = await ask("audit_entry.proof", {}, { id: newest?.id });
		const origin = originOf(name, showId("ten", tenantId), 1);
		const program = fileURLToPath(new URL("../verify/waxwing-verify.mjs", import.meta.url));
		const args = [
			program,
			"full",
			file,
			"--origin",
			origin,
			"--key",
			verifierKey(origin, key.publicKey),
			"--json",
		];
		const began = performance.now();
		const ran = spawnSync(process.execPath, args, { encoding: "utf8" });
		const seconds = (performance.now() - began) / 1_000;
		const answer = JSON.parse(ran.stdout) as { verified: boolean; entries: number };
		if (!answer.verified) throw new Error(ran.stdout);
		print(`the export is ${Math.round(statSync(file).size / 1_048_576)} MiB`);
		return { bytes: String(proof["proof"]).length, seconds, verified: answer.entries };
	} finally {
		rmSync(folder, { recursive: true });
	}
}
