/**
 * The yardstick: how fast one client loads the same rows into the same tables, indexes, keys and checks included, with
 * COPY. The rows are those of the run just made, under new ids, as acceptance writes them. COPY refuses tables whose
 * policies bind the role, so it runs as the superuser, whom they do not bind: that makes the yardstick the faster one.
 * What the policies cost is shown beside it by INSERT … SELECT under the application's role, whom they bind.
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

/** How the messages were accepted: handed over in memory, or to wait in their lane. */
export type Written = "handed over" | "waiting";

interface Source {
	readonly table: string;
	readonly columns: readonly string[];
	readonly query: string;
}

/** Rows read out and ready to be loaded. */
export interface Loadable {
	readonly messages: number;
	readonly bytes: number;
	/** Rows of all tables. */
	readonly rows: number;
	/** COPY into the tables themselves, one transaction; seconds. */
	copy(): Promise<number>;
	/** The messages alone into a table with the same columns and nothing else; seconds. */
	copyBare(): Promise<number>;
	/** INSERT … SELECT under the application's role, policies in force, one transaction; seconds. */
	insertUnderPolicies(): Promise<number>;
	close(): Promise<void>;
}

/** What acceptance writes of a message. A batch of 64 shares a lease; a thousand share a row of the outbox. */
async function sources(client: pg.Client, written: Written, since: Date): Promise<Source[]> {
	const messages = await renamed(client, "messages", "id", "k.new_id");
	const outbox = {
		table: "outbox",
		columns: ["tenant_id", "id", "environment", "topic", "refs", "created_at"],
		query:
			"select tenant_id, (array_agg(batch_id))[1], 'live', 'sms', jsonb_agg(jsonb_build_array(new_id, new_id, 10))::text, now() from bench_ids group by tenant_id, group_number",
	};
	const keys = await contactKeys(client);
	if (written === "waiting")
		return [
			...(await consents(client, since)),
			...keys,
			messages,
			await renamed(client, "lane_entries", "message_id", "k.new_id"),
			digests,
			outbox,
		];
	const batches = {
		table: "dispatch_batches",
		columns: ["id", "owner", "lease_until", "tenant_id", "route_id", "message_ids"],
		query:
			"select batch_id, batch_id, now() + interval '1 day', tenant_id, batch_id, array_agg(new_id) from bench_ids group by tenant_id, batch_id",
	};
	return [...keys, messages, batches, digests, outbox];
}

/** The hashes of a thousand messages are one row. What they are costs the same whatever they are. */
const digests: Source = {
	table: "message_digests",
	columns: ["tenant_id", "id", "environment", "message_ids", "leaves", "root"],
	query: `select tenant_id, (array_agg(batch_id))[1], 'live', array_agg(new_id order by new_id),
		string_agg(sha256(uuid_send(new_id)), '' order by new_id), sha256('') from bench_ids group by tenant_id, group_number`,
};

/** Keys of people who were never written to: acceptance made one for each. Here they are somebody else's each time. */
async function contactKeys(client: pg.Client): Promise<Source[]> {
	const columns = ["tenant_id", "environment", "contact_index", "epoch", "wrapped", "created_at"];
	const since =
		"(select min(m.created_at) from bench_ids k join messages m on m.tenant_id = k.tenant_id and m.id = k.old_id)";
	const salt = "(select uuid_send(max(new_id::text)::uuid) from bench_ids)";
	const { rows } = await client.query<{ found: boolean }>(
		`select exists (select from contact_keys where created_at >= ${since}) as found`,
	);
	if (rows[0]?.found !== true) return [];
	const query = `select tenant_id, environment, sha256(contact_index || ${salt}) as contact_index, epoch, wrapped, created_at
		from contact_keys where created_at >= ${since} order by created_at, 3`;
	return [{ table: "contact_keys", columns, query }];
}

/** A table's rows of the chosen messages under their new ids, whatever its other columns are. */
async function renamed(
	client: pg.Client,
	table: string,
	id: string,
	newId: string,
): Promise<Source> {
	const columns = await columnsOf(client, table);
	const shown = columns.map((name) => (name === id ? newId : `t.${name}`)).join(", ");
	return {
		table,
		columns,
		query: `select ${shown} from bench_ids k join ${table} t on t.tenant_id = k.tenant_id and t.${id} = k.old_id order by k.new_id`,
	};
}

/** Consent stated with the messages: acceptance wrote a statement for each; under the messages' new ids they are new too. */
async function consents(client: pg.Client, since: Date): Promise<Source[]> {
	const table = "consent_statements";
	const columns = await columnsOf(client, table);
	const shown = columns.map((name) => (name === "id" ? "k.new_id" : `t.${name}`)).join(", ");
	const moment = `'${since.toISOString()}'::timestamptz`;
	const query = `select ${shown} from (select tenant_id, new_id, row_number() over (order by old_id) as n from bench_ids) k
		join (select *, row_number() over (order by id) as n from ${table} where recorded_at >= ${moment}) t using (n) order by k.new_id`;
	const { rows } = await client.query<{ found: boolean }>(
		`select exists (select from ${table} where recorded_at >= ${moment}) as found`,
	);
	return rows[0]?.found === true ? [{ table, columns, query }] : [];
}

async function columnsOf(client: pg.Client, table: string): Promise<string[]> {
	const { rows } = await client.query<{ name: string }>(
		"select column_name as name from information_schema.columns where table_schema = 'public' and table_name = $1 order by ordinal_position",
		[table],
	);
	return rows.map(({ name }) => name);
}

export async function copyRows(dataDir: string, most: number): Promise<CopyFigures> {
	const { messages, bytes, copy, close } = await readRows(dataDir, most, "handed over", new Date());
	try {
		const seconds = await copy();
		return { messages, seconds, rowsPerSecond: messages / seconds, bytes };
	} finally {
		await close();
	}
}

/** Reads out what was written of the newest messages; consent statements from `since` on. */
export async function readRows(
	dataDir: string,
	most: number,
	written: Written,
	since: Date,
): Promise<Loadable> {
	const client = new pg.Client(superuserOf(dataDir));
	await client.connect();
	const messages = await makeIds(client, most);
	const chosen = await sources(client, written, since);
	const loads: (Source & { octets: Buffer })[] = [];
	for (const source of chosen)
		loads.push({ ...source, octets: await readOut(client, source.query) });
	const copyInto = (table: string, columns: readonly string[], octets: Buffer): Promise<void> =>
		pipeline(
			Readable.from([octets]),
			client.query(copyFrom(`copy ${table} (${columns.join(", ")}) from stdin`)),
		);
	const inTransaction = async (work: () => Promise<void>): Promise<number> => {
		const started = monotonicMs();
		await client.query("begin");
		await work();
		await client.query("commit");
		return (monotonicMs() - started) / 1_000;
	};
	return {
		messages,
		bytes: loads.reduce((sum, { octets }) => sum + octets.length, 0),
		rows: loads.reduce((sum, { octets }) => sum + linesOf(octets), 0),
		copy: () =>
			inTransaction(async () => {
				for (const { table, columns, octets } of loads) await copyInto(table, columns, octets);
			}),
		async copyBare() {
			await client.query("create table bench_bare as table messages with no data");
			const [load] = loads.filter(({ table }) => table === "messages");
			const seconds = await inTransaction(() =>
				copyInto("bench_bare", load?.columns ?? [], load?.octets ?? Buffer.alloc(0)),
			);
			await client.query("drop table bench_bare");
			return seconds;
		},
		async insertUnderPolicies() {
			// Rows of their own: the ids are made anew, and what COPY loaded stays.
			await client.query("drop table bench_ids");
			await makeIds(client, most);
			for (const { table, query, columns } of chosen) {
				await client.query(`create temporary table staged_${table} (like ${table})`);
				await client.query(`insert into staged_${table} (${columns.join(", ")}) ${query}`);
				await client.query(`grant select on staged_${table} to waxwing_app`);
			}
			const { rows } = await client.query<{ tenant_id: string }>(
				"select tenant_id from bench_ids limit 1",
			);
			const scope = `set_config('app.tenant', '${rows[0]?.tenant_id}', true), set_config('app.environment', 'live', true)`;
			return inTransaction(async () => {
				await client.query(`set local role waxwing_app; select ${scope}`);
				for (const { table, columns } of chosen)
					await client.query(
						`insert into ${table} (${columns.join(", ")}) select ${columns.join(", ")} from staged_${table}`,
					);
			});
		},
		close: () => client.end(),
	};
}

function linesOf(octets: Buffer): number {
	let lines = 0;
	for (let at = octets.indexOf(10); at >= 0; at = octets.indexOf(10, at + 1)) lines++;
	return lines;
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
