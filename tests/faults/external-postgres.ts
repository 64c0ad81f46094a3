/**
 * A PostgreSQL that is not the product's child, so that it can be stopped, killed and started again under it.
 * Made from the embedded binaries; reached over its Unix socket, as DATABASE_URL.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { connectAdmin } from "../../server/platform/db.ts";
import {
	type EmbeddedPostgres,
	startEmbeddedPostgres,
} from "../../server/platform/embedded-postgres.ts";
import { systemRandom } from "../../server/platform/ids.ts";
import { isRunning, killAll, signal, treeOf } from "./world.ts";

export interface ExternalPostgres {
	readonly url: string;
	/** SIGSTOP of all its processes: it holds its connections and answers nothing. */
	freeze(): void;
	thaw(): void;
	/** kill -9 of all its processes. */
	kill(): Promise<void>;
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
	const pidOf = (): number =>
		Number(readFileSync(join(dataDir, "postgres", "postmaster.pid"), "utf8").split("\n")[0]);
	let pid = pidOf();
	return {
		url: `postgresql://${user}:${password}@localhost/waxwing?host=${encodeURIComponent(host)}`,
		freeze: () => treeOf(pid).forEach((one) => void signal(one, "SIGSTOP")),
		thaw: () => treeOf(pid).forEach((one) => void signal(one, "SIGCONT")),
		kill: () => killAll(treeOf(pid)),
		async start() {
			server = await start();
			pid = pidOf();
		},
		isRunning: () => isRunning(pid),
		async stop() {
			if (!isRunning(pid)) return;
			for (const one of treeOf(pid)) signal(one, "SIGCONT");
			await server.stop();
		},
	};
}
