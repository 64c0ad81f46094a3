/**
 * Waxwing as several processes over one PostgreSQL, as docs/operations/run.md has it: some that accept, one that sends.
 * Each that accepts has a data directory of its own with the same root key, and the same folder of key files.
 */
import { copyFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { connectAdmin } from "../server/platform/db.ts";
import { startEmbeddedPostgres } from "../server/platform/embedded-postgres.ts";
import { systemRandom } from "../server/platform/ids.ts";
import {
	type DevelopmentFile,
	makeDataDir,
	removeDataDir,
	startProduct,
	startWorker,
} from "./product.ts";

export interface Several {
	/** Where the database lies: for a meter. */
	readonly databaseDir: string;
	readonly dev: DevelopmentFile;
	/** Of those that accept. */
	readonly ports: readonly number[];
	/** Processes of ours, without PostgreSQL. */
	readonly pids: readonly number[];
	/** What they have written, for when something is wrong. */
	output(): string;
	end(): Promise<void>;
}

/** `acceptors`: how many that accept. */
export async function startSeveral(acceptors: number, smscPort: number): Promise<Several> {
	const onEnd: (() => unknown)[] = [];
	const end = async (): Promise<void> => {
		for (const one of onEnd.splice(0).toReversed()) await one();
	};
	const folder = (): string => {
		const made = makeDataDir();
		onEnd.push(() => removeDataDir(made));
		return made;
	};
	try {
		const databaseDir = folder();
		const database = await startDatabase(databaseDir);
		onEnd.push(() => database.stop());
		const DATABASE_URL = database.url;
		const dataDir = folder();
		const first = await startProduct({ dataDir, smscPort, role: "api", env: { DATABASE_URL } });
		onEnd.push(() => first.end("SIGTERM"));
		const others = [];
		for (let i = 1; i < acceptors; i++) {
			const own = folder();
			shareKeys(dataDir, own);
			const env = { DATABASE_URL, WAXWING_LEDGER_SIGNER: "false" };
			const other = await startProduct({ dataDir: own, smscPort, role: "api", env });
			onEnd.push(() => other.end("SIGTERM"));
			others.push(other);
		}
		const worker = await startWorker({ dataDir, smscPort, env: { DATABASE_URL } });
		onEnd.push(() => worker.end("SIGTERM"));
		const products = [first, ...others];
		return {
			databaseDir,
			dev: first.dev,
			ports: products.map(({ port }) => port),
			pids: [...products, worker].map(({ child }) => child.pid ?? 0),
			output: () => [...products, worker].map((one) => one.output()).join("\n"),
			end,
		};
	} catch (error) {
		await end();
		throw error;
	}
}

/** A PostgreSQL with an empty database, as an operator's own. */
export async function startDatabase(
	dataDir: string,
): Promise<{ readonly url: string; stop(): Promise<void> }> {
	const postgres = await startEmbeddedPostgres({ dataDir, random: systemRandom() });
	const { host, user, password } = postgres;
	const at = { host, user, password, database: "postgres", applicationName: "bench" };
	const admin = await connectAdmin(at);
	await admin.run("create database waxwing");
	await admin.close();
	const url = `postgresql://${user}:${password}@localhost/waxwing?host=${encodeURIComponent(host)}`;
	return { url, stop: () => postgres.stop() };
}

function shareKeys(from: string, to: string): void {
	symlinkSync(join(from, "keyring"), join(to, "keyring"));
	// The development tenants' keys too: they are in the database by now.
	for (const name of ["root.key", "dev.json"]) copyFileSync(join(from, name), join(to, name));
}
