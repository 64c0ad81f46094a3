/**
 * Brings the database up: starts the embedded server or reaches the one of DATABASE_URL, migrates it, gives
 * this installation its two logins, and opens the pools. The superuser's connection is closed before we serve.
 */
import { systemClock } from "#platform/clock.ts";
import { type Config, ConfigError } from "#platform/config.ts";
import {
	type Admin,
	connectAdmin,
	type Database,
	type DatabaseOptions,
	openDatabase,
	sqlState,
} from "#platform/db.ts";
import {
	type EmbeddedPostgres,
	hasCluster,
	startEmbeddedPostgres,
} from "#platform/embedded-postgres.ts";
import { lossySettings } from "#platform/durability.ts";
import type { Random } from "#platform/ids.ts";
import { tell } from "#platform/log.ts";
import {
	demandMigrated,
	makeLogin,
	migrate,
	MigrationError,
	readMigrations,
	schemaOf,
} from "#platform/migrate.ts";
import { digest, hashSecret, type OpenKeys, openKeys } from "#vault/index.ts";

export interface Databases {
	readonly app: Database;
	readonly worker: Database;
	/** For who opens pools of its own: the half that sends. */
	readonly place: Place;
	/** How the ledger's signer, a process of its own, gets in. */
	readonly signer: DatabaseOptions;
	readonly keys: OpenKeys;
	readonly migrated: readonly string[];
	/** How the embedded server's cluster was made just now, if it was. */
	readonly made?: EmbeddedPostgres["made"];
	/** Resolves when messages of now have somewhere to go; until then none may be accepted. */
	readonly partitioned: Promise<void>;
	/** Resolves with a sentence if the embedded server ends by itself. */
	readonly ended: Promise<string>;
	/** The database is ours alone: nobody else works on it. */
	readonly alone: boolean;
	stop(): Promise<void>;
}

/** Where the database is: plain data. */
export interface Place {
	readonly host: string;
	readonly port: number;
	readonly database: string;
	readonly ssl?: unknown;
}

const connections = { app: 12, worker: 12, signer: 2 } as const;
type Role = keyof typeof connections;

/** `onAtWork`: called once an embedded server, or what makes its files, is at work in a process of its own. */
export async function openDatabases(
	config: Config,
	random: Random,
	onAtWork?: () => void,
): Promise<Databases> {
	return config.databaseUrl === undefined
		? openEmbedded(config, random, onAtWork)
		: openExternal(config, config.databaseUrl.reveal(), random);
}

async function openEmbedded(
	config: Config,
	random: Random,
	onAtWork: (() => void) | undefined,
): Promise<Databases> {
	const isNew = !hasCluster(config.dataDir);
	const keys = await openConfiguredKeys(config, random, isNew);
	const server = await startEmbeddedPostgres({
		dataDir: config.dataDir,
		random,
		noFsync: config.noFsync,
		schema: schemaOf(migrations()),
		...(onAtWork === undefined ? {} : { onAtWork }),
	});
	try {
		const admin = await connectOwn(server);
		const place = { host: server.host, port: 5432, database: "waxwing" };
		const prepared = await prepare(admin, place, keys.platformKey);
		// Of a copied template too: they are this database's from now on.
		const migrated = isNew ? migrations().map(({ name }) => name) : prepared.migrated;
		const pools = openPools(place, keys.platformKey, { ...prepared, migrated });
		return {
			...pools,
			place,
			keys,
			made: server.made,
			ended: server.ended,
			alone: true,
			async stop() {
				await pools.stop();
				await server.stop();
			},
		};
	} catch (error) {
		await server.stop();
		throw error;
	}
}

/**
 * Of a cluster of initdb's the database that it makes for its users becomes ours: renaming it takes no time, while another
 * would be three hundred files copied.
 */
export async function connectOwn({ host, user, password }: EmbeddedPostgres): Promise<Admin> {
	const connect = (database: string): Promise<Admin> =>
		connectAdmin({ host, user, password, database, applicationName: "waxwing-migrate" });
	try {
		return await connect("waxwing");
	} catch (error) {
		if (sqlState(error) !== "3D000") throw error;
	}
	const other = await connect("template1");
	try {
		await other.run("comment on database postgres is null");
		await other.run("alter database postgres rename to waxwing");
	} finally {
		await other.close();
	}
	return connect("waxwing");
}

async function openExternal(config: Config, url: string, random: Random): Promise<Databases> {
	const { admin, place, used } = await reach(url);
	const keys = await openConfiguredKeys(config, random, !used);
	const prepared = await prepare(admin, place, keys.platformKey);
	await demandDurable(config, place, keys.platformKey);
	const ended = new Promise<string>(() => undefined);
	return { ...openPools(place, keys.platformKey, prepared), place, keys, ended, alone: false };
}

/** Of a database that may lose what it has committed, production is refused, and development is told. */
async function demandDurable({ mode }: Config, place: Place, platformKey: Buffer): Promise<void> {
	const logins = (["app", "worker"] as const).map((role) => optionsOf(place, role, platformKey, 1));
	const lossy = await lossySettings(logins);
	if (lossy.length === 0) return;
	const says = `The database of DATABASE_URL may lose what it has committed: ${lossy.join(", ")}.`;
	if (mode === "production")
		throw new ConfigError(`${says} Turn it on: accepted messages could be lost.`);
	tell(`Warning: ${says}`);
}

/**
 * For a process that only sends: the database must have been brought up by one that serves the API. Throws a
 * MigrationError that says so.
 */
export async function joinDatabase(config: Config): Promise<Place> {
	if (config.databaseUrl === undefined)
		throw new ConfigError(
			"A worker needs DATABASE_URL: the embedded database serves the one process that started it.",
		);
	const { admin, place } = await reach(config.databaseUrl.reveal());
	try {
		await demandMigrated(admin, migrations());
	} finally {
		await admin.close();
	}
	return place;
}

/** The keys of the configuration; a new root key only for a new database. */
export function openConfiguredKeys(
	config: Config,
	random: Random,
	mayCreate: boolean,
): Promise<OpenKeys> {
	const { keys: settings, dataDir } = config;
	return openKeys({ settings, dataDir, mayCreate, random, clock: systemClock });
}

async function reach(url: string): Promise<{ admin: Admin; place: Place; used: boolean }> {
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
	return { admin, place: placeOf(url, at?.database ?? ""), used: at?.used === true };
}

function placeOf(text: string, database: string): Place {
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

type Prepared = Pick<Databases, "migrated" | "partitioned">;

/**
 * Migrates and makes the logins. The partitions are made while others go on: of a new database they take a quarter of a
 * migration. The superuser's connection is closed with them.
 */
async function prepare(admin: Admin, place: Place, platformKey: Buffer): Promise<Prepared> {
	try {
		const migrated = await migrate(admin, migrations());
		for (const role of ["app", "worker", "signer"] as const) {
			const { user, password } = loginOf(place, role, platformKey);
			await makeLogin(admin, user, `waxwing_${role}`, password);
		}
		const partitioned = makePartitions(admin);
		// Whoever waits for them is told.
		partitioned.catch(() => undefined);
		return { migrated, partitioned };
	} catch (error) {
		await admin.close();
		throw error;
	}
}

/** From the start on it is a chore of who sends. Closes the connection. */
async function makePartitions(admin: Admin): Promise<void> {
	try {
		await admin.run(
			"begin; set local role waxwing_owner; select wx.make_partitions(now()); commit",
		);
	} finally {
		await admin.close();
	}
}

export function migrations() {
	return readMigrations((text) => hashSecret(text).toString("hex"));
}

/** The passwords follow from the platform's key and the database's name. */
function loginOf(
	{ database }: Place,
	role: Role,
	platformKey: Buffer,
): { user: string; password: string } {
	const user = `wx_${database}_${role}`.slice(0, 63);
	return { user, password: digest("database-login", user, platformKey).toString("base64url") };
}

function optionsOf(place: Place, role: Role, platformKey: Buffer, max: number): DatabaseOptions {
	const login = loginOf(place, role, platformKey);
	return { ...place, ...login, max, applicationName: `waxwing-${role}` };
}

export function openPool(
	place: Place,
	role: "app" | "worker",
	platformKey: Buffer,
	most: number = connections[role],
): Database {
	return openDatabase(optionsOf(place, role, platformKey, most));
}

function openPools(place: Place, platformKey: Buffer, prepared: Prepared) {
	const app = openPool(place, "app", platformKey);
	const worker = openPool(place, "worker", platformKey);
	const signer = optionsOf(place, "signer", platformKey, connections.signer);
	const stop = async (): Promise<void> => {
		await prepared.partitioned.catch(() => undefined);
		await Promise.all([app.close(), worker.close()]);
	};
	return { ...prepared, app, worker, signer, stop };
}
