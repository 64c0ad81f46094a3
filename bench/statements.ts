/**
 * What PostgreSQL's own statistics say of each statement: pg_stat_statements, functions' inner statements included.
 * The embedded server loads it only for measurements: its setting is written beside the cluster, not by the product.
 */
import "../server/processes/platform.ts";
import pg from "pg";
import { declaredStatements } from "../server/platform/db.ts";
import { superuserOf } from "./meter.ts";
import { type ProductOptions, startProduct } from "./product.ts";

/** Sums over the statement's calls since the last reset. */
export interface StatementFigures {
	/** As the product declares it, else the beginning of its text. */
	readonly name: string;
	readonly calls: number;
	readonly rows: number;
	readonly totalMs: number;
	/** Pages read or found in shared buffers. */
	readonly pages: number;
	readonly walBytes: number;
	/** False for statements inside functions, whose time is their caller's too. */
	readonly top: boolean;
}

export interface Statements {
	reset(): Promise<void>;
	read(): Promise<StatementFigures[]>;
	/** Flushes of the log to disk, and how long they took together, since the reset. */
	flushes(): Promise<{ count: number; ms: number }>;
	close(): Promise<void>;
}

/** Makes the data directory's cluster load pg_stat_statements at its next start. */
export async function preloadStatements(options: ProductOptions): Promise<void> {
	const product = await startProduct(options);
	try {
		const client = new pg.Client(superuserOf(options.dataDir));
		await client.connect();
		await client.query("create extension if not exists pg_stat_statements");
		await client.query("alter system set shared_preload_libraries = 'pg_stat_statements'");
		await client.query("alter system set pg_stat_statements.track = 'all'");
		await client.query("alter system set track_wal_io_timing = on");
		await client.end();
	} finally {
		await product.end("SIGINT");
	}
}

export async function openStatements(dataDir: string): Promise<Statements> {
	const client = new pg.Client(superuserOf(dataDir));
	await client.connect();
	const names = new Map(declaredStatements().map(({ name, text }) => [bare(text), name]));
	return {
		async reset() {
			await client.query("select pg_stat_statements_reset(), pg_stat_reset_shared('io')");
		},
		async read() {
			const { rows } = await client.query<Record<string, string>>(
				`select query, toplevel::text as top, sum(calls) as calls, sum(rows) as rows, sum(total_exec_time) as ms,
					sum(shared_blks_hit + shared_blks_read) as pages, sum(wal_bytes) as wal
				from pg_stat_statements where dbid = (select oid from pg_database where datname = current_database())
				group by query, toplevel`,
			);
			return merged(
				rows.map((row) => ({
					name: names.get(bare(row["query"] ?? "")) ?? shortened(row["query"] ?? ""),
					calls: Number(row["calls"]),
					rows: Number(row["rows"]),
					totalMs: Number(row["ms"]),
					pages: Number(row["pages"]),
					walBytes: Number(row["wal"]),
					top: row["top"] === "true",
				})),
			);
		},
		async flushes() {
			const { rows } = await client.query<Record<string, string>>(
				"select sum(fsyncs) as count, sum(fsync_time) as ms from pg_stat_io where object = 'wal'",
			);
			return { count: Number(rows[0]?.["count"] ?? 0), ms: Number(rows[0]?.["ms"] ?? 0) };
		},
		close: () => client.end(),
	};
}

/** A statement has an entry for each role, and for each form of its constants. */
function merged(rows: readonly StatementFigures[]): StatementFigures[] {
	const sums = new Map<string, StatementFigures>();
	for (const row of rows) {
		const key = `${row.name}/${row.top}`;
		const known = sums.get(key);
		sums.set(
			key,
			known === undefined
				? row
				: {
						...row,
						calls: known.calls + row.calls,
						rows: known.rows + row.rows,
						totalMs: known.totalMs + row.totalMs,
						pages: known.pages + row.pages,
						walBytes: known.walBytes + row.walBytes,
					},
		);
	}
	return [...sums.values()];
}

/** The statistics keep a text with its constants replaced: what is left without them is the same on both sides. */
function bare(text: string): string {
	return text
		.replace(/'[^']*'/g, "")
		.replace(/\b(true|false|null)\b/g, "")
		.replace(/[^a-z_]+/gi, "");
}

function shortened(text: string): string {
	return text.replace(/\s+/g, " ").slice(0, 70);
}
