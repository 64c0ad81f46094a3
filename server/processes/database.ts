/**
 * Brings the database up: starts the embedded server or reaches the one of DATABASE_URL, migrates it, gives
 * this installation its two logins, and opens the pools. The superuser's connection is closed before we serve.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "#platform/config.ts";
import {
	type Admin,
	connectAdmin,
	type Database,
	type DatabaseOptions,
	openDatabase,
} from "#platform/db.ts";
import { startEmbeddedPostgres } from "#platform/embedded-postgres.ts";
import type { Random } from "#platform/ids.ts";
import { makeLogin, migrate, MigrationError, readMigrations } from "#platform/migrate.ts";
import { digest, hashSecret, openRootKey, type RootKey } from "#vault/index.ts";

export interface Databases {
	readonly app: Database;
	readonly worker: Database;
	/** How the ledger's signer, a process of its own, gets in. */
	readonly signer: DatabaseOptions;
	readonly rootKey: RootKey;
	readonly migrated: readonly string[];
	/** Resolves with a sentence if the embedded server ends by itself. */
	readonly ended: Promise<string>;
	/** The database is ours alone: nobody else works on it. */
	readonly alone: boolean;
	stop(): Promise<void>;
}

interface Address {
	readonly host: string;
	readonly port: number;
	readonly database: string;
	readonly ssl?: unknown;
}

const appConnections = 12;
const workerConnections = 12;
const signerConnections = 2;

export async function openDatabases(config: Config, random: Random): Promise<Databases> {
	return config.databaseUrl === undefined
		? openEmbedded(config, random)
		: openExternal(config, config.databaseUrl.reveal(), random);
}

async function openEmbedded(config: Config, random: Random): Promise<Databases> {
	const mayCreate = !existsSync(join(config.dataDir, "postgres", "PG_VERSION"));
	const rootKey = openRootKey({
		dataDir: config.dataDir,
		configured: config.rootKey,
		mayCreate,
		random,
	});
	const server = await startEmbeddedPostgres({
		dataDir: config.dataDir,
		random,
		noFsync: config.noFsync,
	});
	try {
		const { host, user, password } = server;
		const root = await connectAdmin({
			host,
			user,
			password,
			database: "postgres",
			applicationName: "waxwing-migrate",
		});
		const found = await root.run("select 1 from pg_database where datname = 'waxwing'");
		if (found.length === 0) await root.run("create database waxwing");
		await root.close();
		const admin = await connectAdmin({
			host,
			user,
			password,
			database: "waxwing",
			applicationName: "waxwing-migrate",
		});
		const opened = await prepare(admin, { host, port: 5432, database: "waxwing" }, rootKey);
		return {
			...opened,
			rootKey,
			ended: server.ended,
			alone: true,
			async stop() {
				await opened.close();
				await server.stop();
			},
		};
	} catch (error) {
		await server.stop();
		throw error;
	}
}

async function openExternal(config: Config, url: string, random: Random): Promise<Databases> {
	const admin = await connectAdmin({
		connectionString: url,
		applicationName: "waxwing-migrate",
	}).catch((cause) => {
		throw new MigrationError(`DATABASE_URL cannot be reached: ${(cause as Error).message}`, {
			cause,
		});
	});
	const [at] = await admin.run<{ database: string; used: boolean }>(
		"select current_database() as database, to_regclass('public.tenants') is not null as used",
	);
	const rootKey = openRootKey({
		dataDir: config.dataDir,
		configured: config.rootKey,
		mayCreate: at?.used !== true,
		random,
	});
	const opened = await prepare(admin, addressOf(url, at?.database ?? ""), rootKey);
	return {
		...opened,
		rootKey,
		ended: new Promise(() => undefined),
		alone: false,
		stop: () => opened.close(),
	};
}

function addressOf(text: string, database: string): Address {
	// A Unix socket is written without a host (`postgresql://user@/name?host=/run/postgresql`).
	const url = new URL(text.replace("@/", "@localhost/"));
	const mode = url.searchParams.get("sslmode");
	const host = url.searchParams.get("host") ?? decodeURIComponent(url.hostname);
	const ssl =
		mode === null || mode === "disable"
			? undefined
			: { rejectUnauthorized: mode === "verify-full" || mode === "verify-ca" };
	return {
		host: host === "" ? "localhost" : host,
		port: Number(url.port === "" ? (url.searchParams.get("port") ?? 5432) : url.port),
		database,
		...(ssl === undefined ? {} : { ssl }),
	};
}

interface Opened {
	readonly app: Database;
	readonly worker: Database;
	readonly signer: DatabaseOptions;
	readonly migrated: string[];
	close(): Promise<void>;
}

/** Migrates, makes the logins and opens the pools; the passwords follow from the root key and the database's name. */
async function prepare(admin: Admin, at: Address, rootKey: RootKey): Promise<Opened> {
	try {
		const migrated = await migrate(
			admin,
			readMigrations((text) => hashSecret(text).toString("hex")),
		);
		const loginOf = async (
			role: "app" | "worker" | "signer",
			max: number,
		): Promise<DatabaseOptions> => {
			const user = `wx_${at.database}_${role}`.slice(0, 63);
			const password = digest("database-login", user, rootKey.key).toString("base64url");
			await makeLogin(admin, user, `waxwing_${role}`, password);
			return { ...at, user, password, max, applicationName: `waxwing-${role}` };
		};
		const signer = await loginOf("signer", signerConnections);
		const app = openDatabase(await loginOf("app", appConnections));
		const worker = openDatabase(await loginOf("worker", workerConnections));
		return {
			app,
			worker,
			signer,
			migrated,
			close: async () => {
				await Promise.all([app.close(), worker.close()]);
			},
		};
	} finally {
		await admin.close();
	}
}
