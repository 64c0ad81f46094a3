/**
 * Fills a data directory with messages that wait, by SQL, quickly: rows as acceptance writes them, in the same tables,
 * indexes and month as those that come later. Every other one is scheduled for tomorrow or later on the route and in the
 * class that is measured; the others are due, behind a second route whose carrier is never there. All are the main
 * tenant's. Contents are sealed by the vault for blocks of neighbours that lists show (`shown`); the others carry a
 * sealed value of the same length that was not made for them: nothing opens it, because nothing of them leaves.
 */
import pg from "pg";
import { openRootKeys } from "../server/vault/index.ts";
import { createVault } from "../server/vault/vault.ts";
import { systemClock } from "../server/platform/clock.ts";
import { openDatabase } from "../server/platform/db.ts";
import { readId, systemRandom } from "../server/platform/ids.ts";
import { superuserOf } from "./meter.ts";
import type { Product } from "./product.ts";
import { promotion } from "./requests.ts";

export interface Filled {
	readonly waiting: number;
	/** Ids inside the blocks whose contents can be opened, oldest first; a page of 100 before each can be shown. */
	readonly shown: readonly string[];
	/** A number that one of them goes to. */
	readonly address: string;
	readonly seconds: number;
}

/** The port of the second route's carrier: nobody listens there. */
const nobodyPort = 1;
const dayMs = 86_400_000;
const chunkRows = 100_000;
const blocks = 64;
const blockRows = 256;

/** What one message of each kind became in the table; the others are made like it. */
interface Model {
	readonly tenantId: string;
	readonly id: string;
	readonly routeId: string;
	readonly contents: readonly unknown[];
}

/** The settings a filled product needs at every start: its second route is on loopback. */
export const filledEnv = { WAXWING_DANGEROUS_EGRESS_ALLOW: "127.0.0.0/8" } as const;

/** The product must run with `filledEnv`, and must be started anew to know its second route. */
export async function fill(product: Product, waiting: number): Promise<Filled> {
	const { dataDir } = product;
	const startedMs = performance.now();
	const pausedRouteId = await makePausedRoute(product);
	const clients = [0, 1].map(() => new pg.Client(superuserOf(dataDir)));
	await Promise.all(clients.map((client) => client.connect()));
	const [first] = clients as [pg.Client, pg.Client];
	const models = {
		scheduled: await model(product, first, product.dev.samples.transactional),
		due: { ...(await model(product, first, promotion("WAXWNG"))), routeId: pausedRouteId },
	};
	const nowMs = Date.now();
	const monthMs = Date.UTC(new Date(nowMs).getUTCFullYear(), new Date(nowMs).getUTCMonth());
	const fromMs = Math.max(nowMs - 10 * dayMs, monthMs);
	const span = { fromMs, stepMs: (nowMs - fromMs) / waiting, nowMs };
	await first.query(
		`create table bench_models as select * from messages where id in ('${models.scheduled.id}', '${models.due.id}')`,
	);
	const address = await sealShown(dataDir, first, models, span, waiting);
	// Without indexes its queries, four times a second, would read all that is there.
	product.child.kill("SIGSTOP");
	await maintainIndexes(first, false);
	const chunks = Array.from({ length: Math.ceil(waiting / chunkRows) }, (_, i) => i * chunkRows);
	await Promise.all(
		clients.map(async (client) => {
			await client.query("set synchronous_commit = off");
			for (let at = chunks.shift(); at !== undefined; at = chunks.shift())
				await insertChunk(client, models, span, at, Math.min(at + chunkRows, waiting) - 1);
		}),
	);
	await first.query("drop table bench_shown, bench_models");
	await maintainIndexes(first, true);
	for (const table of ["messages", "lane_entries"]) await first.query(`vacuum analyze ${table}`);
	await first.query("checkpoint");
	product.child.kill("SIGCONT");
	await Promise.all(clients.map((client) => client.end()));
	return {
		waiting,
		shown: blockStarts(waiting).map((start) =>
			idOf(start + Math.floor(blockRows * 0.9), span, waiting),
		),
		address,
		seconds: (performance.now() - startedMs) / 1_000,
	};
}

async function makePausedRoute({ dev }: Product): Promise<string> {
	const { id } = await post(dev.baseUrl, dev.operatorKey, "/v1/operator/routes", {
		environment: "live",
		url: `smpp://nobody:nobody@127.0.0.1:${nobodyPort}`,
		countries: ["NZ"],
	});
	return readId("rte", String(id)) as string;
}

/** Sends one message of the kind for tomorrow, and reads what it became. */
async function model(product: Product, client: pg.Client, body: object): Promise<Model> {
	const { dev } = product;
	const scheduledAt = new Date(Date.now() + dayMs).toISOString();
	const sent = { ...body, scheduled_at: scheduledAt };
	const { id: shown } = await post(dev.baseUrl, dev.apiKey, "/v1/sms/messages", sent);
	const id = readId("msg", String(shown)) as string;
	const { rows } = await client.query<{ tenant_id: string; route_id: string }>(
		"select tenant_id, route_id from lane_entries where message_id = $1",
		[id],
	);
	const [row] = rows;
	if (row === undefined) throw new Error("the model message does not wait in a lane");
	const { to, from, text } = body as Record<string, unknown>;
	const contents = [to, from, text, null, null, null, false];
	return { tenantId: row.tenant_id, id, routeId: row.route_id, contents };
}

const filledTables = "('messages', 'lane_entries')";

/**
 * Indexes are not kept up while ten million rows come in, and are built at the end: that is three times as quick. They
 * are packed a little tighter than grown ones; what is measured grows them on.
 */
async function maintainIndexes(client: pg.Client, yes: boolean): Promise<void> {
	const { rows } = await client.query<{ name: string }>(
		`select c.oid::regclass::text as name from pg_class c left join pg_inherits i on i.inhrelid = c.oid
		where c.relkind = 'r' and (c.relname in ${filledTables} or i.inhparent::regclass::text in ${filledTables})`,
	);
	await client.query("set maintenance_work_mem = '1GB'");
	for (const { name } of rows)
		await client.query(
			yes
				? `reindex table ${name}`
				: `update pg_index set indisready = false, indisvalid = false where indrelid = '${name}'::regclass`,
		);
}

interface Span {
	readonly fromMs: number;
	readonly stepMs: number;
	readonly nowMs: number;
}

function blockStarts(waiting: number): number[] {
	return Array.from({ length: blocks }, (_, k) =>
		Math.max(0, Math.floor(((k + 1) * waiting) / blocks) - blockRows),
	);
}

/** The n-th message's id: UUIDv7 of its moment, its number in the bits that are random otherwise. */
function idOf(n: number, { fromMs, stepMs }: Span, waiting: number): string {
	const at = Math.min(n, waiting - 1);
	const time = Math.floor(fromMs + at * stepMs)
		.toString(16)
		.padStart(12, "0");
	const tail = at.toString(16).padStart(15, "0");
	return `${time.slice(0, 8)}-${time.slice(8)}-7000-8${tail.slice(0, 3)}-${tail.slice(3)}`;
}

/** Contents of the blocks that lists show, really sealed. Returns a number that one of them goes to. */
async function sealShown(
	dataDir: string,
	client: pg.Client,
	models: { readonly scheduled: Model; readonly due: Model },
	span: Span,
	waiting: number,
): Promise<string> {
	const random = systemRandom();
	const root = openRootKeys({ dataDir, configured: undefined, mayCreate: false, random });
	const db = openDatabase({ ...superuserOf(dataDir), max: 1, applicationName: "bench" });
	const vault = createVault({ db, rootKey: root.keys[0] as Buffer, random, clock: systemClock });
	const { tenantId } = models.scheduled;
	await vault.warm([tenantId]);
	await db.close();
	const numbers = [
		...new Set(
			blockStarts(waiting).flatMap((start) =>
				Array.from({ length: blockRows }, (_, i) => start + i),
			),
		),
	].filter((n) => n < waiting);
	const place = { tenantId, environment: "live", table: "messages", column: "sealed" };
	let address = "";
	const rows = numbers.map((n) => {
		const { contents } = n % 2 === 0 ? models.scheduled : models.due;
		address = `+49160${String(n).padStart(8, "0")}`;
		const sealed = vault.sealJson({ ...place, row: idOf(n, span, waiting) }, [
			address,
			...contents.slice(1),
		]);
		return { sealed, index: vault.index(tenantId, "live", "sms.address", address) };
	});
	await client.query(
		"create table bench_shown (n bigint primary key, sealed bytea, address_index bytea)",
	);
	await client.query(
		"insert into bench_shown select * from unnest($1::bigint[], $2::bytea[], $3::bytea[])",
		[numbers, rows.map((row) => row.sealed), rows.map((row) => row.index)],
	);
	await client.query("analyze bench_shown");
	return address;
}

/** Messages `first` to `last`, every other one of each kind. `first` is even. */
async function insertChunk(
	client: pg.Client,
	models: { readonly scheduled: Model; readonly due: Model },
	{ fromMs, stepMs, nowMs }: Span,
	first: number,
	last: number,
): Promise<void> {
	const moment = `to_timestamp((${fromMs} + floor(n * ${stepMs}::float8)) / 1000)`;
	const id = `(lpad(to_hex((${fromMs} + floor(n * ${stepMs}::float8))::bigint), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid`;
	// Tomorrow and the day after; what is due outlives the measurement.
	const later = `to_timestamp((${nowMs + dayMs} + n % ${dayMs}) / 1000.0)`;
	await client.query("begin");
	for (const kind of ["scheduled", "due"] as const) {
		const { id: like, routeId } = models[kind];
		const [scheduledAt, dueAt, from] =
			kind === "scheduled" ? [later, later, first] : ["null", moment, first + 1];
		await client.query(
			`with m as materialized (select * from bench_models where id = '${like}'),
			n as materialized (
				select n, ${id} as id, ${moment} as created_at, ${dueAt} as due_at, ${later} + interval '2 days' as expires_at
				from generate_series(${from}::bigint, ${last}::bigint, 2) as n
			), waiting as (
				insert into lane_entries (tenant_id, message_id, environment, route_id, class, due_at, expires_at, seal)
				select m.tenant_id, n.id, m.environment, '${routeId}', m.class, n.due_at, n.expires_at, m.seal from n cross join m
			)
			insert into messages (tenant_id, id, environment, inbound, class, address_index, sender_index, sealed, encoding, segments, characters, country,
				dlt_template_id, tag_indexes, api_key_id, scheduled_at, expires_at, created_at, ruleset, verdicts, deferred_until, clear_until, seal)
			select m.tenant_id, n.id, m.environment, m.inbound, m.class, coalesce(b.address_index, sha256(int8send(n.n))), m.sender_index,
				coalesce(b.sealed, m.sealed), m.encoding, m.segments, m.characters, m.country, m.dlt_template_id, m.tag_indexes, m.api_key_id,
				${scheduledAt === "null" ? "null" : "n.due_at"}, n.expires_at, n.created_at, m.ruleset, m.verdicts, m.deferred_until, m.clear_until, m.seal
			from n cross join m left join bench_shown b using (n)`,
		);
	}
	await client.query("commit");
}

async function post(
	baseUrl: string,
	key: string,
	path: string,
	body: object,
): Promise<Record<string, unknown>> {
	const response = await fetch(`${baseUrl}${path}`, {
		method: "POST",
		headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
		body: JSON.stringify(body),
	});
	if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
	return (await response.json()) as Record<string, unknown>;
}
