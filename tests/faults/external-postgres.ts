/**
 * A PostgreSQL that is not the product's child, so that it can be stopped, killed and started again under it.
 * Made from the embedded binaries; reached over its Unix socket, as DATABASE_URL.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pause } from "../../bench/product.ts";
import { connectAdmin } from "../../server/platform/db.ts";
import {
	type EmbeddedPostgres,
	startEmbeddedPostgres,
} from "../../server/platform/embedded-postgres.ts";
import { type Random, systemRandom } from "../../server/platform/ids.ts";
import { isRunning, killAll, signal, treeOf } from "./world.ts";

export interface ExternalPostgres {
	readonly url: string;
	/** SIGSTOP of all its processes: it holds its connections and answers nothing. */
	freeze(): void;
	thaw(): void;
	/** kill -9 of all its processes. */
	kill(): Promise<void>;
	/** kill -9 of the server only; resolves when its sessions have noticed and are gone as well. */
	killServer(): Promise<void>;
	/** kill -9 of one of the product's sessions; the server then ends all of them and recovers by itself. */
	killSession(random: Random): Promise<void>;
	start(): Promise<void>;
	isRunning(): boolean;
	stop(): Promise<void>;
}

/** Its cluster lies in `dataDir/postgres`; `prepare` runs once, before the database is made. */
export async function startExternalPostgres(
	dataDir: string,
	prepare?: (server: EmbeddedPostgres) => Promise<EmbeddedPostgres>,
): Promise<ExternalPostgres> {
	const start = (): Promise<EmbeddedPostgres> =>
		startEmbeddedPostgres({ dataDir, random: systemRandom(), sharedBuffers: "64MB" });
	let server = await start();
	if (prepare !== undefined) server = await prepare(server);
	const { host, user, password } = server;
	const admin = await connectAdmin({
		host,
		user,
		password,
		database: "postgres",
		applicationName: "faults",
	});
	await admin.run("create database waxwing");
	await admin.close();
	let pid = serverPid(dataDir);
	return {
		url: `postgresql://${user}:${password}@localhost/waxwing?host=${encodeURIComponent(host)}`,
		freeze: () => treeOf(pid).forEach((one) => void signal(one, "SIGSTOP")),
		thaw: () => treeOf(pid).forEach((one) => void signal(one, "SIGCONT")),
		kill: () => killAll(treeOf(pid)),
		killServer: () => killServer(pid),
		killSession: (random) => killSession(pid, random),
		async start() {
			server = await start();
			pid = serverPid(dataDir);
		},
		isRunning: () => isRunning(pid),
		async stop() {
			if (!isRunning(pid)) return;
			for (const one of treeOf(pid)) signal(one, "SIGCONT");
			await server.stop();
		},
	};
}

/** Of the server whose cluster lies in `dataDir/postgres`. */
export function serverPid(dataDir: string): number {
	return Number(readFileSync(join(dataDir, "postgres", "postmaster.pid"), "utf8").split("\n")[0]);
}

/** kill -9 of a PostgreSQL server, not of its sessions; resolves when these have ended by themselves. */
export async function killServer(pid: number): Promise<void> {
	const tree = treeOf(pid);
	await killAll([pid]);
	for (const until = performance.now() + 30_000; tree.some(isRunning); await pause(5))
		if (performance.now() > until) throw new Error("a session of PostgreSQL outlives its server");
}

/** kill -9 of one session of the product's; resolves when it is gone. */
export async function killSession(pid: number, random: Random): Promise<void> {
	for (const until = performance.now() + 10_000; ; await pause(5)) {
		const sessions = treeOf(pid).filter((one) => titleOf(one).startsWith("postgres: wx_"));
		const one = sessions[Math.floor(random.fraction() * sessions.length)];
		if (one !== undefined) return killAll([one]);
		if (performance.now() > until) throw new Error("the product has no session to kill");
	}
}

/** What a process calls itself; PostgreSQL writes user, database and what it does. */
function titleOf(pid: number): string {
	try {
		return readFileSync(`/proc/${pid}/cmdline`, "utf8");
	} catch {
		return "";
	}
}
