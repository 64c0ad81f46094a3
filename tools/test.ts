/**
 * Runs the tests: `node tools/test.ts [FILE or FOLDER…]`, all of them without arguments. Starts one
 * PostgreSQL for the run (embedded; or the one WAXWING_TEST_POSTGRES names, as a superuser's URL), makes
 * the migrated template that each test file clones, and hands over to node's own test runner.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { globSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectAdmin } from "../server/platform/db.ts";
import { startEmbeddedPostgres } from "../server/platform/embedded-postgres.ts";
import { systemRandom } from "../server/platform/ids.ts";
import { makeLogin, migrate, readMigrations } from "../server/platform/migrate.ts";

interface Server {
	readonly host: string;
	readonly port: number;
	readonly user: string;
	readonly password: string;
}

async function withServer<T>(work: (server: Server) => Promise<T>): Promise<T> {
	const given = process.env["WAXWING_TEST_POSTGRES"];
	if (given !== undefined) {
		const url = new URL(given);
		return work({
			host: url.searchParams.get("host") ?? url.hostname,
			port: Number(url.port || 5432),
			user: decodeURIComponent(url.username),
			password: decodeURIComponent(url.password),
		});
	}
	const dataDir = mkdtempSync(join(tmpdir(), "waxwing-test-"));
	const embedded = await startEmbeddedPostgres({ dataDir, random: systemRandom(), noFsync: true });
	try {
		return await work({
			host: embedded.host,
			port: 5432,
			user: embedded.user,
			password: embedded.password,
		});
	} finally {
		await embedded.stop();
		rmSync(dataDir, { recursive: true, force: true });
	}
}

async function makeTemplate(server: Server): Promise<void> {
	const root = await connectAdmin({ ...server, database: "postgres", applicationName: "test" });
	await root.run("drop database if exists waxwing_template with (force)");
	await root.run("create database waxwing_template");
	const admin = await connectAdmin({
		...server,
		database: "waxwing_template",
		applicationName: "test",
	});
	await migrate(
		admin,
		readMigrations((text) => createHash("sha256").update(text).digest("hex")),
	);
	await makeLogin(admin, "wx_test_app", "waxwing_app", "wx_test_app");
	await makeLogin(admin, "wx_test_worker", "waxwing_worker", "wx_test_worker");
	await makeLogin(admin, "wx_test_signer", "waxwing_signer", "wx_test_signer");
	await admin.run("select wx.make_partitions(now())");
	await admin.close();
	await root.close();
}

function filesFor(args: readonly string[]): string[] {
	const roots = args.length > 0 ? args : ["server", "tests", "tools"];
	return roots
		.flatMap((root) => (statSync(root).isDirectory() ? globSync(`${root}/**/*.test.ts`) : [root]))
		.sort();
}

/** Of a file; the long forms of fault tests take their time. */
const timeoutMs = Number(process.env["WAXWING_TEST_TIMEOUT_MS"] ?? 300_000);

const exitCode = await withServer(async (server) => {
	await makeTemplate(server);
	const runner = spawn(
		process.execPath,
		[
			"--test",
			"--test-concurrency=2",
			`--test-timeout=${timeoutMs}`,
			...filesFor(process.argv.slice(2)),
		],
		{
			stdio: "inherit",
			env: { ...process.env, WAXWING_TEST_SERVER: JSON.stringify(server) },
		},
	);
	return new Promise<number>((resolve) => void runner.once("exit", (code) => resolve(code ?? 1)));
});
process.exitCode = exitCode;
