/** What the product's own PostgreSQL does at best on this disk: small commits, and plain rows into a bare table. */
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import pg from "pg";
import { from as copyFrom } from "pg-copy-streams";
import { superuserOf } from "./meter.ts";
import { monotonicMs } from "./sink.ts";

const commitMs = 2_000;
const plainRows = 400_000;

/** Transactions of one small row each, every client waiting for its commit; a second. */
export async function commitsPerSecond(dataDir: string, clients: number): Promise<number> {
	const connections = Array.from({ length: clients }, () => new pg.Client(superuserOf(dataDir)));
	await Promise.all(connections.map((client) => client.connect()));
	const [first] = connections;
	await first?.query("create table bench_commits (n integer)");
	const startedMs = monotonicMs();
	let commits = 0;
	await Promise.all(
		connections.map(async (client) => {
			for (; monotonicMs() - startedMs < commitMs; commits++)
				await client.query({ name: "commit", text: "insert into bench_commits values (1)" });
		}),
	);
	const seconds = (monotonicMs() - startedMs) / 1_000;
	await first?.query("drop table bench_commits");
	await Promise.all(connections.map((client) => client.end()));
	return commits / seconds;
}

/** Rows a second that one client's COPY loads into a table without index or check. */
export async function copyPlainRows(dataDir: string): Promise<number> {
	const client = new pg.Client(superuserOf(dataDir));
	await client.connect();
	await client.query("create table bench_plain (id bigint, n integer, text text)");
	const text = "x".repeat(64);
	const octets = Buffer.from(
		Array.from({ length: plainRows }, (_, i) => `${i}\t${i % 1_000}\t${text}\n`).join(""),
	);
	const startedMs = monotonicMs();
	await pipeline(Readable.from([octets]), client.query(copyFrom("copy bench_plain from stdin")));
	const seconds = (monotonicMs() - startedMs) / 1_000;
	await client.query("drop table bench_plain");
	await client.end();
	return plainRows / seconds;
}
