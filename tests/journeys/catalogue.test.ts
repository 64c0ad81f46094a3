/**
 * The catalogue audit: what PostgreSQL itself says about tables, policies, keys, roles and grants. A new
 * table is refused here until it is protected, or is on the reviewed list of the platform's own.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { testDatabase } from "../support/database.ts";

const { admin } = await testDatabase();

/** Tables without a tenant's key in front, each with its reason. */
const platformTables: Readonly<Record<string, string>> = {
	tenants: "the list of tenants itself; its key is tenant_id alone",
	sender_owners:
		"a sender belongs to one tenant of all: unique over tenants, under a platform index",
	operator_keys: "the operator serves no tenant; definer functions only",
	routes: "the platform's carriers, read by all, configuration sealed",
	dispatch_batches: "leases over batches of entries; ids and times, nothing of a tenant",
	parked_receipts: "a carrier's receipt before its tenant is known; ids and codes only",
	chore_places: "how far a chore has come; a moment, nothing of a tenant",
	sending_processes: "which processes send, and until when they are there; nothing of a tenant",
	waxwing_migrations: "which migrations ran; the migrating role's own",
};
/** Of these, no login may read a row at all, so they carry no policy. */
const unprotected: readonly string[] = ["waxwing_migrations"];

async function names(text: string, values: readonly unknown[] = []): Promise<string[]> {
	const rows = await admin.run<{ name: string }>(text, values);
	return rows.map(({ name }) => name).sort();
}

const ours = "n.nspname in ('public', 'wx')";

const audits: readonly {
	readonly what: string;
	readonly query: string;
	readonly allowed: readonly string[];
}[] = [
	{
		what: "tables and partitions without ENABLE and FORCE, or without a policy",
		query: `select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
			where ${ours} and c.relkind in ('r', 'p') and (not (c.relrowsecurity and c.relforcerowsecurity)
				or not exists (select from pg_policy p where p.polrelid = c.oid))`,
		allowed: unprotected,
	},
	{
		what: "tables without tenant_id",
		query: `select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
			where ${ours} and c.relkind in ('r', 'p') and not exists (
				select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and a.attnotnull)`,
		allowed: [
			"chore_places",
			"dispatch_batches",
			"operator_keys",
			"parked_receipts",
			"routes",
			"sending_processes",
			"waxwing_migrations",
		],
	},
	{
		what: "views that run as their owner",
		query: `select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
			where ${ours} and c.relkind in ('v', 'm') and not coalesce(c.reloptions @> array['security_invoker=true'], false)`,
		allowed: [],
	},
	{
		what: "unique indexes that do not begin with tenant_id",
		query: `select distinct c.relname as name from pg_index i join pg_class c on c.oid = i.indrelid join pg_namespace n on n.oid = c.relnamespace
			where ${ours} and i.indisunique and not exists (
				select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and a.attnum = i.indkey[0])`,
		allowed: [
			"chore_places",
			"dispatch_batches",
			"operator_keys",
			"parked_receipts",
			"routes",
			"sender_owners",
			"sending_processes",
			"waxwing_migrations",
		],
	},
	{
		what: "foreign keys that do not begin with tenant_id",
		query: `select k.conname as name from pg_constraint k join pg_namespace n on n.oid = k.connamespace
			where ${ours} and k.contype = 'f' and not exists (
				select from pg_attribute a where a.attrelid = k.conrelid and a.attname = 'tenant_id' and a.attnum = k.conkey[1])`,
		allowed: [],
	},
	{
		what: "policies for everybody",
		query: `select c.relname || '.' || p.polname as name from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
			where ${ours} and 0 = any (p.polroles)`,
		allowed: [],
	},
	{
		what: "policies of the serving roles that do not ask for the tenant",
		query: `select c.relname || '.' || p.polname as name from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
			where ${ours} and exists (select from pg_roles r where r.oid = any (p.polroles) and r.rolname in ('waxwing_app', 'waxwing_worker'))
				and coalesce(pg_get_expr(p.polqual, p.polrelid), '') || coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '') !~ 'wx\\.tenants?\\(\\)'`,
		allowed: [
			"chore_places.worker_all",
			"dispatch_batches.worker_all",
			"parked_receipts.worker_all",
			"routes.all_read",
			"sending_processes.worker_all",
		],
	},
	{
		what: "policies that check what is read but not what is written, or the other way round",
		query: `select c.relname || '.' || p.polname as name from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
			where ${ours} and p.polcmd = '*' and exists (select from pg_roles r where r.oid = any (p.polroles) and r.rolname in ('waxwing_app', 'waxwing_worker'))
				and (p.polqual is null or p.polwithcheck is null)`,
		allowed: [],
	},
	{
		what: "roles that can bypass, or that could make others",
		query: `select rolname as name from pg_roles where rolname like 'waxwing\\_%' and rolname <> 'waxwing_root'
			and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication)`,
		allowed: [],
	},
	{
		what: "serving roles that are members of the owner, or of each other",
		query: `select m.rolname || ' in ' || r.rolname as name from pg_auth_members a join pg_roles r on r.oid = a.roleid join pg_roles m on m.oid = a.member
			where r.rolname in ('waxwing_owner', 'waxwing_app', 'waxwing_worker', 'waxwing_signer') and m.rolname in ('waxwing_owner', 'waxwing_app', 'waxwing_worker', 'waxwing_signer')`,
		allowed: [],
	},
	{
		what: "grants of TRUNCATE, REFERENCES or TRIGGER, to which row-level security does not apply",
		query: `select distinct table_name || ' to ' || grantee as name from information_schema.role_table_grants
			where table_schema = 'public' and grantee like 'waxwing\\_%' and grantee not in ('waxwing_owner', 'waxwing_root') and privilege_type in ('TRUNCATE', 'REFERENCES', 'TRIGGER')`,
		allowed: [],
	},
	{
		what: "grants on partitions",
		query: `select distinct c.relname || ' to ' || g.grantee as name from information_schema.role_table_grants g join pg_class c on c.relname = g.table_name
			where c.relispartition and g.grantee like 'waxwing\\_%' and g.grantee not in ('waxwing_owner', 'waxwing_root')`,
		allowed: [],
	},
	{
		what: "anything granted to everybody",
		query: `select distinct table_name as name from information_schema.role_table_grants where table_schema in ('public', 'wx') and grantee = 'PUBLIC'
			union select p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace
			where n.nspname = 'wx' and p.prokind = 'f' and has_function_privilege('public', p.oid, 'execute')`,
		allowed: [],
	},
	{
		what: "definer functions without a search_path of their own",
		query: `select p.proname as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace
			where ${ours} and p.prosecdef and not exists (select from unnest(p.proconfig) s where s like 'search_path=%')`,
		allowed: [],
	},
	{
		what: "tables that the serving roles own",
		query: `select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_roles r on r.oid = c.relowner
			where ${ours} and c.relkind in ('r', 'p', 'v', 'm', 'S') and r.rolname in ('waxwing_app', 'waxwing_worker', 'waxwing_signer')`,
		allowed: [],
	},
];

describe("the catalogue has none of", () => {
	for (const { what, query, allowed } of audits)
		test(what, async () => assert.deepEqual(await names(query), [...allowed].sort()));
});

test("every table on the reviewed list exists, and has a reason", async () => {
	const tables = await names(
		"select relname as name from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace",
	);
	for (const [table, reason] of Object.entries(platformTables)) {
		assert.ok(tables.includes(table), `${table} is gone: take it off the list`);
		assert.ok(reason.length > 20, table);
	}
	const excused = new Set(
		audits.flatMap(({ allowed }) => allowed).map((name) => name.split(".", 1)[0]),
	);
	assert.deepEqual(
		[...excused].filter((name) => platformTables[String(name)] === undefined),
		[],
	);
});

test("definer functions are these, each reviewed to answer only with ids and states", async () => {
	const found = await names(
		"select p.proname as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname in ('public', 'wx') and p.prosecdef",
	);
	assert.deepEqual(found, [...definers].sort());
});

const definers: readonly string[] = [
	"add_tenant_key",
	"contact_epochs_behind",
	"erase_contact",
	"erase_person",
	"erasures_missing",
	"erasures_open",
	"erasures_waiting",
	"keys_of_tenants",
	"offer_suppression_key",
	"rewrap_suppression_key",
	"rewrap_tenant_key",
	"set_contact_epoch",
	"suppression_keys_after",
	"suppression_keys_of",
	"tenant_keys_after",
	"tenants_to_reindex",
	"create_operator_key",
	"checkpoints_to_cosign",
	"checkpoints_to_note",
	"create_tenant",
	"digests_waiting",
	"digests_waiting_after",
	"disable_route",
	"entries_of_batch",
	"expired_after",
	"expired_batches",
	"expired_entries",
	"stranded_entries",
	"find_api_keys",
	"find_operator_keys",
	"lane_tenants",
	"lane_tenants_after",
	"lanes_due",
	"lease_batches",
	"bring_forward",
	"lease_deliveries",
	"lease_lane",
	"ledger_signed",
	"ledger_unsigned_since",
	"ledgers_waiting",
	"ledgers_waiting_after",
	"list_edge",
	"list_tenants",
	"make_partitions",
	"match_receipts",
	"message_checks_due",
	"next_outbox",
	"next_outbox_within",
	"overdue_messages",
	"owners_of_senders",
	"purge",
	"purge_rows",
	"purge_submissions",
	"quiet_before",
	"quiet_segments",
	"rematch_from",
	"rematch_parked",
	"save_route",
	"statements_edge",
	"suppressions_edge",
	"suspend_tenant",
	"tenant_keys_of",
	"unheard_between",
];

test("the audit finds each defect when it is there", async () => {
	const planted: readonly (readonly [string, string])[] = [
		[
			"create table planted (tenant_id uuid not null, id uuid)",
			"tables and partitions without ENABLE and FORCE, or without a policy",
		],
		["create table planted (id uuid)", "tables without tenant_id"],
		["create view planted as select * from messages", "views that run as their owner"],
		[
			"create table planted (tenant_id uuid not null, id uuid primary key)",
			"unique indexes that do not begin with tenant_id",
		],
		[
			"create table planted (tenant_id uuid not null, r uuid references routes (id))",
			"foreign keys that do not begin with tenant_id",
		],
		["create policy planted on messages using (true)", "policies for everybody"],
		[
			"create policy planted on messages to waxwing_app using (true)",
			"policies of the serving roles that do not ask for the tenant",
		],
		[
			"create policy planted on messages to waxwing_app using (tenant_id = wx.tenant())",
			"policies that check what is read but not what is written, or the other way round",
		],
		["alter role waxwing_app bypassrls", "roles that can bypass, or that could make others"],
		[
			"grant waxwing_owner to waxwing_app",
			"serving roles that are members of the owner, or of each other",
		],
		[
			"grant truncate on messages to waxwing_app",
			"grants of TRUNCATE, REFERENCES or TRIGGER, to which row-level security does not apply",
		],
		[
			"do $$ begin execute format('grant select on %s to waxwing_app', (select oid::regclass from pg_class where relispartition and relkind = 'r' limit 1)); end $$",
			"grants on partitions",
		],
		["grant select on messages to public", "anything granted to everybody"],
		[
			"create function wx.planted() returns integer language sql security definer as 'select 1'",
			"definer functions without a search_path of their own",
		],
		[
			"create table planted (tenant_id uuid not null); alter table planted owner to waxwing_app",
			"tables that the serving roles own",
		],
	];
	assert.deepEqual(
		planted.map(([, what]) => what),
		audits.map(({ what }) => what),
	);
	for (const [defect, what] of planted) {
		const audit = audits.find((one) => one.what === what);
		await admin.run("begin");
		try {
			await admin.run(defect);
			assert.notDeepEqual(
				await names(audit?.query ?? ""),
				[...(audit?.allowed ?? [])].sort(),
				what,
			);
		} finally {
			await admin.run("rollback");
		}
	}
});
