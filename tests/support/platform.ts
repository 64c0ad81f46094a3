/**
 * The whole platform, started in this process against a fresh database of the test server: real
 * PostgreSQL, real HTTP, real SMPP to the sandbox. Nothing of ours is replaced; ports are free ones.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { type Config, readConfig } from "#platform/config.ts";
import { startPlatform } from "#processes/platform.ts";
import { type TestDatabase, testDatabase } from "./database.ts";
import { type Client, client } from "./http.ts";

/** dev.json, as the outside contract has it. */
export interface Dev {
	readonly baseUrl: string;
	readonly tenantId: string;
	readonly apiKey: string;
	readonly testKey: string;
	readonly adminKey: string;
	readonly operatorKey: string;
	readonly otherTenant: { readonly tenantId: string; readonly apiKey: string };
	readonly sandbox: { readonly smscPort: number };
	readonly metricsUrl: string;
	readonly samples: {
		readonly transactional: Sample;
		readonly authentication: Sample;
		readonly promotional: Sample;
	};
}

export type Sample = Readonly<Record<string, unknown>> & { readonly to: string };

export interface TestPlatform {
	readonly baseUrl: string;
	readonly dev: Dev;
	readonly dataDir: string;
	readonly rootKey: Buffer;
	readonly config: Config;
	/** To look behind the API. */
	readonly database: TestDatabase;
	/** Clients of the seeded keys. */
	readonly live: Client;
	readonly test: Client;
	readonly admin: Client;
	readonly operator: Client;
	readonly other: Client;
	readonly nobody: Client;
	stop(): Promise<void>;
}

/** Starts the platform; stops it, and removes what it made, when the file's tests are done. */
export async function testPlatform(
	settings: Readonly<Record<string, string>> = {},
): Promise<TestPlatform> {
	let stop = async (): Promise<void> => undefined;
	// Hooks run in the order in which they were given: the platform stops before its database goes.
	after(() => stop());
	const database = await testDatabase();
	const dataDir = mkdtempSync(join(tmpdir(), "waxwing-journey-"));
	const rootKey = randomBytes(32);
	const { user = "", password = "" } = JSON.parse(process.env["WAXWING_TEST_SERVER"] ?? "{}");
	const config = readConfig({
		WAXWING_DATA_DIR: dataDir,
		WAXWING_PORT: "0",
		WAXWING_ROOT_KEY: rootKey.toString("hex"),
		WAXWING_LOG_LEVEL: process.env["WAXWING_TEST_LOG_LEVEL"] ?? "silent",
		WAXWING_UNKNOWN_RECONCILE_SECONDS: "1",
		DATABASE_URL: database.url(user, password),
		...settings,
	});
	const platform = await startPlatform(config);
	let stopping: Promise<void> | undefined;
	stop = () => {
		stopping ??= platform.stop();
		return stopping;
	};
	after(() => removeLogins(database.name));
	after(() => rmSync(dataDir, { recursive: true, force: true }));
	const dev = JSON.parse(readFileSync(join(dataDir, "dev.json"), "utf8")) as Dev;
	const { baseUrl } = platform;
	return {
		baseUrl,
		dev,
		dataDir,
		rootKey,
		config,
		database,
		live: client(baseUrl, dev.apiKey),
		test: client(baseUrl, dev.testKey),
		admin: client(baseUrl, dev.adminKey),
		operator: client(baseUrl, dev.operatorKey),
		other: client(baseUrl, dev.otherTenant.apiKey),
		nobody: client(baseUrl),
		stop: () => stop(),
	};
}

/** The logins that the platform made belong to the server, not to the database that is gone by now. */
async function removeLogins(name: string): Promise<void> {
	const { connectAdmin } = await import("#platform/db.ts");
	const server = JSON.parse(process.env["WAXWING_TEST_SERVER"] ?? "{}") as Record<string, string>;
	const { host, port, user, password } = server;
	const root = await connectAdmin({
		...(host === undefined ? {} : { host }),
		port: Number(port),
		user: user ?? "",
		password: password ?? "",
		database: "postgres",
		applicationName: "test",
	});
	for (const role of ["app", "worker", "signer"])
		await root.run(`drop role if exists wx_${name}_${role}`);
	await root.close();
}
