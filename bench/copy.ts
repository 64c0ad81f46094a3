/**
 * The yardstick: how fast one client loads the same rows into the same tables, indexes and keys included,
 * with COPY. The rows are those of the run just made, under new ids, as acceptance writes them.
 */
import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";
import pg from "pg";
import { from as copyFrom, to as copyTo } from "pg-copy-streams";
import { systemClock } from "../server/platform/clock.ts";
import { createIds, systemRandom } from "../server/platform/ids.ts";
import { superuserOf } from "./meter.ts";
import { monotonicMs } from "./sink.ts";

export interface CopyFigures {
	readonly messages: number;
	readonly seconds: number;
	readonly rowsPerSecond: number;
	readonly bytes: number;
}

interface Source {
	readonly table: string;
	readonly columns: readonly string[];
	readonly query: string;
}

/** What acceptance writes of a message. A batch of 64 shares a lease. */
async function sources(client: pg.Client): Promise<Source[]> {
	return [
		await renamed(client, "messages", "id"),
		{
			table: "dispatch_batches",
			columns: ["id", "owner", "lease_until", "tenant_id", "route_id", "message_ids"],
			query:
				"select batch_id, batch_id, now() + interval '1 day', tenant_id, batch_id, array_agg(new_id) from bench_ids group by tenant_id, batch_id",
		},
		{
			table: "outbox",
			columns: ["tenant_id", "id", "environment", "topic", "refs", "created_at"],
			query:
				"select tenant_id, (array_agg(batch_id))[1], 'live', 'sms', jsonb_agg(jsonb_build_array(new_id, new_id, 10)), now() from bench_ids group by tenant_id, group_number",
		},
	];
}

/** A table's rows of the chosen messages under their new ids, whatever its other columns are. */
async function renamed(client: pg.Client, table: string, id: string): Promise<Source> {
	const columns = await columnsOf(client, table);
	const shown = columns.map((name) => (name === id ? "k.new_id" : `t.${name}`)).join(", ");
	return {
		table,
		columns,
		query: `select ${shown} from bench_ids k join ${table} t on t.tenant_id = k.tenant_id and t.${id} = k.old_id order by k.new_id`,
	};
}

async function columnsOf(client: pg.Client, table: string): Promise<string[]> {
	const { rows } = await client.query<{ name: string }>(
		"select column_name as name from information_schema.columns where table_schema = 'public' and table_name = $1 order by ordinal_position",
		[table],
	);
	return rows.map(({ name }) => name);
}

export async function copyRows(dataDir: string, most: number): Promise<CopyFigures> {
	const client = new pg.Client(superuserOf(dataDir));
	await client.connect();
	try {
		const messages = await makeIds(client, most);
		const loads = [];
		for (const source of await sources(client))
			loads.push({ ...source, octets: await readOut(client, source.query) });
		const started = monotonicMs();
		await client.query("begin");
		for (const { table, columns, octets } of loads)
			await pipeline(
				Readable.from([octets]),
				client.query(copyFrom(`copy ${table} (${columns.join(", ")}) from stdin`)),
			);
		await client.query("commit");
		const seconds = (monotonicMs() - started) / 1_000;
		return {
			messages,
			seconds,
			rowsPerSecond: messages / seconds,
			bytes: loads.reduce((sum, { octets }) => sum + octets.length, 0),
		};
	} finally {
		await client.end();
	}
}

/** New ids for the newest messages, in order, as the product would have made them. */
async function makeIds(client: pg.Client, most: number): Promise<number> {
	const ids = createIds(systemClock, systemRandom());
	const { rows } = await client.query<{ tenant_id: string; id: string }>(
		"select tenant_id, id from messages order by id desc limit $1",
		[most],
	);
	rows.reverse();
	await client.query(
		"create temporary table bench_ids (tenant_id uuid, old_id uuid, new_id uuid, batch_id uuid, group_number integer)",
	);
	const batchIds = Array.from({ length: Math.ceil(rows.length / 64) }, () => ids.next());
	await client.query(
		"insert into bench_ids select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::integer[])",
		[
			rows.map((row) => row.tenant_id),
			rows.map((row) => row.id),
			rows.map(() => ids.next()),
			rows.map((_, i) => batchIds[Math.floor(i / 64)]),
			rows.map((_, i) => Math.floor(i / 1_000)),
		],
	);
	await client.query("analyze bench_ids");
	return rows.length;
}

async function readOut(client: pg.Client, query: string): Promise<Buffer> {
	const chunks: Buffer[] = [];
	for await (const chunk of client.query(copyTo(`copy (${query}) to stdout`)))
		chunks.push(chunk as Buffer);
	return Buffer.concat(chunks);
}
