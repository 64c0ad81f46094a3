/**
 * A ledger with everything that keeps it, in this process: recorder, sequencer, signer and its state file, the
 * routes' own export. What a test does to the database, it does as a superuser with triggers out of force.
 */
import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import {
	createLedger,
	createScrubber,
	createSigner,
	type EventName,
	type Ledger,
	ledgerRoutes,
	platformLog,
	type Signer,
} from "#audit/index.ts";
import { messageReader } from "#messages/index.ts";
import { type Clock, systemClock } from "#platform/clock.ts";
import type { Caller } from "#platform/http.ts";
import { createIds, showId, systemRandom } from "#platform/ids.ts";
import { silentLog } from "#platform/log.ts";
import { createVault, type SigningKey, signingKey } from "#vault/index.ts";
import { originOf, verifierKey } from "../../server/audit/checkpoint.ts";
import { sequence } from "../../server/audit/sequencer.ts";
import { testDatabase } from "./database.ts";

export const ledgerName = "world.test";
export const rootKey = Buffer.alloc(32, 5);
/** The signing key's. */
export const keySeed = Buffer.alloc(32, 17);

export interface Trouble {
	readonly log: string;
	readonly why: string;
}

export async function ledgerWorld(clock: Clock = systemClock) {
	const database = await testDatabase();
	const { app, worker, signer: signerDb, admin } = database;
	const random = systemRandom();
	const ids = createIds(clock, random);
	const vault = createVault({ db: app, rootKey, random, clock });
	const ledger: Ledger = createLedger({ vault, clock, ids });
	const tenantId = ids.next();
	await admin.run("select wx.create_tenant($1, $2, $3, now())", [
		tenantId,
		Buffer.from("x"),
		(await vault.makeTenantKey(tenantId)).wrapped,
	]);
	await vault.warm([tenantId]);
	// Thousands of signers are opened on it: a disk that has to sync each time would be all there is.
	const memory = "/dev/shm";
	const folder = mkdtempSync(join(existsSync(memory) ? memory : tmpdir(), "waxwing-ledger-"));
	after(() => rmSync(folder, { recursive: true, force: true }));
	const statePath = join(folder, "signer.state");
	const key = signingKey(keySeed);
	const origin = originOf(ledgerName, showId("ten", tenantId), 1);

	const record = (
		log = tenantId,
		event: EventName = "webhook.changed",
		detail: unknown = { n: 1 },
	): Promise<readonly string[]> =>
		app.inTenant({ tenantId: log, environment: "live" }, (tx) =>
			ledger.record(tx, [
				{
					log,
					event,
					actor: { type: "api_key", id: showId("key", ids.next()) },
					environment: "live",
					targets: [showId("whe", ids.next())],
					detail,
				},
			]),
		);
	const place = async (): Promise<void> => {
		const parts = { db: worker, ledger, clock, log: silentLog, name: ledgerName };
		while (await sequence(parts));
	};
	/** A signer on a copy of the state, or on the state itself; its troubles are gathered. */
	const openSigner = (at = statePath, by: SigningKey = key) => {
		const troubles: Trouble[] = [];
		const parts = {
			db: signerDb,
			key: by,
			clock,
			name: ledgerName,
			statePath: at,
			onTrouble: (log: string, why: string) => void troubles.push({ log, why }),
		};
		const signer: Signer = createSigner(parts);
		const scrubber = createScrubber(parts, signer);
		return {
			signer,
			troubles,
			async sign() {
				while (await signer.step());
			},
			async scrub(most = 1_000) {
				while (!(await scrubber.step(most)));
			},
		};
	};
	/** What a signer that starts now, with the state as it is, finds wrong; nothing is kept of it. */
	const inspect = async (): Promise<readonly Trouble[]> => {
		const copy = `${statePath}.copy`;
		rmSync(copy, { force: true });
		if (existsSync(statePath)) copyFileSync(statePath, copy);
		const { sign, scrub, troubles } = openSigner(copy);
		await sign();
		await scrub();
		return troubles;
	};
	/** As superuser, with every trigger and check of ours out of force, in one transaction. */
	const asSuperuser = async (
		work: (run: typeof admin.run) => Promise<unknown>,
		keep = true,
	): Promise<void> => {
		await admin.run("begin");
		try {
			await admin.run("set local session_replication_role = replica");
			await work(admin.run);
			await admin.run(keep ? "commit" : "rollback");
		} catch (error) {
			await admin.run("rollback");
			throw error;
		}
	};
	const routes = ledgerRoutes({ db: app, vault, ledgerName, messages: messageReader });
	const ask = async (operationId: string, query: object, params: object = {}) => {
		const route = routes.find((one) => one.operationId === operationId);
		const caller: Caller = {
			tenantId,
			environment: "live",
			keyId: ids.next(),
			scopes: [],
			operator: false,
		};
		const call = { caller, query, params, body: undefined, requestId: "", idempotency: undefined };
		const scope = { tenantId, environment: "live" } as const;
		const audit = { record: async () => undefined };
		const answer = await route?.handle({ ...call, scope, audit });
		return answer?.body as Record<string, unknown>;
	};
	/** As `curl … >> file` gathers it. */
	const exported = async (limit = 1_000): Promise<string> => {
		const lines: string[] = [];
		for (let from: unknown = 0; typeof from === "number"; ) {
			const page = await ask("audit_export.get", { from, limit, epoch: 1 });
			lines.push(JSON.stringify(page));
			from = page["next"];
		}
		return `${lines.join("\n")}\n`;
	};
	const newestCheckpoint = async (): Promise<string> => {
		const page = await ask("audit_checkpoint.list", { limit: 1 });
		return String((page["data"] as { checkpoint: string }[])[0]?.checkpoint);
	};
	return {
		...database,
		vault,
		ids,
		ledger,
		tenantId,
		platformLog,
		statePath,
		key,
		origin,
		pinned: ["--origin", origin, "--key", verifierKey(origin, key.publicKey)],
		record,
		place,
		openSigner,
		inspect,
		asSuperuser,
		ask,
		exported,
		newestCheckpoint,
		/** `n` entries, placed and signed, in as many checkpoints as `times`. */
		async grow(n: number, times = 1) {
			const { sign, troubles } = openSigner();
			for (let t = 0; t < times; t++) {
				for (let i = 0; i < n; i += times) await record();
				await place();
				await sign();
			}
			await place();
			await sign();
			return troubles;
		},
	};
}

export type LedgerWorld = Awaited<ReturnType<typeof ledgerWorld>>;
