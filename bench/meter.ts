/** Reads figures from the product's own PostgreSQL and from /proc, beside a run and cheaply. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { connectAdmin } from "../server/platform/db.ts";

export interface Meter {
	version(): Promise<string>;
	fsync(): Promise<string>;
	/** Messages in the state `delivered`. */
	delivered(): Promise<number>;
	/** Entries of lanes. */
	waiting(): Promise<number>;
	/** Batches of events not yet handed to webhooks. */
	outbox(): Promise<number>;
	/** What is done beside the message path: events not yet told, hashes not yet in the ledger, tables being vacuumed. */
	chores(): Promise<number>;
	walBytes(): Promise<number>;
	/** Transactions committed since the statistics began; up to a second behind. */
	commits(): Promise<number>;
	close(): Promise<void>;
}

/** Where an embedded server of this data directory is reached, as its superuser. */
export function superuserOf(dataDir: string): {
	host: string;
	user: string;
	password: string;
	database: string;
} {
	return {
		host: join(dataDir, "run"),
		user: "waxwing_root",
		database: "waxwing",
		password: readFileSync(join(dataDir, "postgres.password"), "utf8").trim(),
	};
}

export async function openMeter(dataDir: string): Promise<Meter> {
	const admin = await connectAdmin({ ...superuserOf(dataDir), applicationName: "bench" });
	const one = async (text: string): Promise<string> =>
		String(Object.values((await admin.run(text))[0] as object)[0]);
	return {
		version: () => one("show server_version"),
		fsync: () => one("show fsync"),
		delivered: async () =>
			Number(await one("select count(*) from message_states where status = 40")),
		waiting: async () => Number(await one("select count(*) from lane_entries")),
		outbox: async () => Number(await one("select count(*) from outbox")),
		chores: async () =>
			Number(
				await one(
					`select (select count(*) from outbox) + (select count(*) from message_digests where entry_id is null)
						+ (select count(*) from pg_stat_activity where backend_type = 'autovacuum worker')`,
				),
			),
		walBytes: async () => Number(await one("select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')")),
		commits: async () =>
			Number(await one("select xact_commit from pg_stat_database where datname = 'waxwing'")),
		close: () => admin.close(),
	};
}

/** CPU seconds that a process and all its descendants, ended ones too, have used; by whether they are PostgreSQL. */
export function cpuSecondsOf(pid: number): { server: number; postgres: number } {
	const ticksPerSecond = 100;
	const all = readdirSync("/proc")
		.filter((name) => /^\d+$/.test(name))
		.flatMap((name) => statOf(Number(name)) ?? []);
	const used = { server: 0, postgres: 0 };
	for (
		let wave = all.filter((one) => one.pid === pid);
		wave.length > 0;
		wave = all.filter((one) => wave.some((parent) => parent.pid === one.parent))
	)
		for (const { name, ticks } of wave)
			used[name.startsWith("postgres") ? "postgres" : "server"] += ticks / ticksPerSecond;
	return used;
}

interface Stat {
	readonly pid: number;
	readonly parent: number;
	readonly name: string;
	readonly ticks: number;
}

function statOf(pid: number): Stat | undefined {
	try {
		const text = readFileSync(`/proc/${pid}/stat`, "utf8");
		const fields = text
			.slice(text.lastIndexOf(")") + 2)
			.split(" ")
			.map(Number);
		const name = text.slice(text.indexOf("(") + 1, text.lastIndexOf(")"));
		// utime and stime; of PostgreSQL also those of backends that have ended.
		const reaped = name.startsWith("postgres") ? (fields[13] ?? 0) + (fields[14] ?? 0) : 0;
		return {
			pid,
			parent: fields[1] ?? 0,
			name,
			ticks: (fields[11] ?? 0) + (fields[12] ?? 0) + reaped,
		};
	} catch {
		return undefined;
	}
}

export function peakRssMiB(pid: number): number {
	return statusMiB(pid, "VmHWM");
}

/** The present resident memory. */
export function rssMiB(pid: number): number {
	return statusMiB(pid, "VmRSS");
}

function statusMiB(pid: number, name: string): number {
	const text = readFileSync(`/proc/${pid}/status`, "utf8");
	return Number(new RegExp(`${name}:\\s*(\\d+)`).exec(text)?.[1] ?? 0) / 1024;
}
