/**
 * Every statement that the server declares is prepared against the migrated schema, as the logins that run it: a misspelt
 * column or a missing grant fails here, not at a customer's request. And the plan that a connection keeps for it, where there
 * are many tenants, finds its rows: none reads a whole table, nor all that a tenant has, which would be slow only for large ones.
 */
import assert from "node:assert/strict";
import { globSync } from "node:fs";
import { after, test } from "node:test";
import { type Admin, connectAdmin, declaredStatements } from "#platform/db.ts";
import { testDatabase } from "../support/database.ts";
import { fillWithTenants } from "../support/many-tenants.ts";

const sources = globSync("server/**/*.ts").filter(
	// What starts a process or a thread when it is imported declares none.
	(file) =>
		!file.endsWith(".test.ts") && !/^server\/processes\/(all|api|worker|.*-thread)\.ts$/.test(file),
);
for (const file of sources) await import(`../../${file}`);
const { at, admin } = await testDatabase();
const wide = await fillWithTenants(admin, { tenants: 1_000, rows: 10_000 });

/** Tables of few rows for a tenant, or for an installation. */
const small = new Set([
	"api_keys",
	"contact_erasure_counts",
	"ledger_logs",
	"message_checks",
	"routes",
	"senders",
	"sending_processes",
	"tenant_settings",
	"tenants",
	"webhook_endpoints",
]);
const inOrder = "a page, in the order of the index";
const bounded = "between bounds that are looked up before";
const waits = "all that this index holds waits";
/** What may read on in a tenant's rows: where, and why. */
const mayReadOn: Readonly<Record<string, [where: RegExp, why: string]>> = {
	"audit.list_newest": [/ledger_entries_pkey/, inOrder],
	"audit.list_oldest": [/ledger_entries_pkey/, inOrder],
	"audit.edge_of_newest": [/ledger_entries_pkey/, inOrder],
	"audit.edge_of_oldest": [/ledger_entries_pkey/, inOrder],
	"audit.checkpoints": [/ on ledger_checkpoints/, inOrder],
	"audit.any_checkpoint": [/ on ledger_checkpoints/, "any one"],
	"audit.unplaced": [/ledger_entries_waiting/, waits],
	"audit.digests_to_fold": [/message_digests/, waits],
	"audit.digest_of_message": [/message_digests/, "a few, in the order of the index"],
	"contacts.list_current": [/consent_statements_pkey/, bounded],
	"contacts.list_current_before": [/consent_statements_pkey/, bounded],
	"contacts.list_suppressions": [/suppressions_pkey/, bounded],
	"contacts.list_suppressions_before": [/suppressions_pkey/, bounded],
	"contacts.suppressed_among": [/suppressions_by_address(?! on suppressions s)/, "any one"],
	"contacts.index_suppressions": [/suppressions_by_address/, waits],
	"contacts.old_suppressions": [/suppressions_(pkey|by_address)/, "once, after an upgrade"],
	"messages.list_newest": [/messages_\d+_pkey/, bounded],
	"messages.list_oldest": [/messages_\d+_pkey/, bounded],
	"messages.list_inbound": [/messages_\d+_.*/, bounded],
	"messages.list_inbound_oldest": [/messages_\d+_.*/, bounded],
	"messages.list_by_state": [/message_events_\d+_tenant_id_environment_status/, inOrder],
	"messages.list_by_state_edge": [/message_events_\d+_tenant_id_environment_status/, inOrder],
	"vault.contact_keys_after": [/contact_keys_pkey/, inOrder],
	"vault.forget_suppressed_addresses": [/contact_erasures/, "once for an epoch's turn"],
	"vault.complete_erasures": [/contact_erasures_pkey/, "once for an epoch's turn"],
};

const tenant = "01900000-0000-7000-8000-000000000001";
const scope = `select set_config('app.tenant', '${tenant}', false), set_config('app.environment', 'live', false),
	set_config('app.tenants', '{${tenant}}', false)`;
const [version] = await admin.run<{ is16: boolean }>(
	"select current_setting('server_version_num')::integer >= 160000 as is16",
);
const canPlanWithoutValues = version?.is16 === true;
const connected = new Map<string, Admin>();
for (const login of ["wx_test_app", "wx_test_worker", "wx_test_signer"]) {
	const connection = await connectAdmin({ ...at, user: login, password: login });
	await connection.run(scope);
	connected.set(login, connection);
}
after(async () => void (await Promise.all([...connected.values()].map((one) => one.close()))));

/** The plan that is kept, whatever the values; undefined when this login may not run the statement. */
async function planOf(connection: Admin, text: string): Promise<string | undefined> {
	try {
		await connection.run(`prepare s as ${text}`);
		// Until PostgreSQL 16 values had to be given, and what they leave out of partitions is not shown.
		const rows = await connection.run(
			canPlanWithoutValues
				? `explain (generic_plan, costs off) ${text}`
				: `explain (costs off) execute s${nullsFor(text)}`,
		);
		return rows.map((row) => String(row["QUERY PLAN"])).join("\n");
	} catch (error) {
		if (/permission denied/.test(String(error))) return undefined;
		throw error;
	} finally {
		await connection.run("deallocate all");
	}
}

function nullsFor(text: string): string {
	const count = Math.max(0, ...[...text.matchAll(/\$(\d+)/g)].map(([, number]) => Number(number)));
	return count === 0 ? "" : `(${Array(count).fill("null").join(", ")})`;
}

const scan = /(Seq Scan|Index (?:Only )?Scan(?: Backward)? using \S+|Bitmap Index Scan) on (\S+)/;
const thisMonth = new Date().toISOString().slice(0, 7).replace("-", "");

/** Scans that nothing narrows, that only a tenant narrows, and answers of a whole scan kept to be looked up in. */
function wideReads(plan: string): { readonly whole: string[]; readonly tenant: string[] } {
	const found = { whole: [] as string[], tenant: [] as string[] };
	const lines = plan.split("\n");
	let heap = "";
	for (const [i, line] of lines.entries()) {
		if (line.includes("hashed SubPlan")) found.tenant.push(line.trim());
		heap = /Bitmap Heap Scan on (\S+)/.exec(line)?.[1] ?? heap;
		const [, how = "", named = ""] = scan.exec(line) ?? [];
		const table = how.startsWith("Bitmap") ? heap : named;
		if (how === "" || small.has(table)) continue;
		const condition = /^\s+Index Cond: (.*)/.exec(lines[i + 1] ?? "")?.[1];
		const columns = [...(condition ?? "").matchAll(/\(*([a-z_]+)\)*(?:::\w+)? (?:=|IS)/g)];
		if (how === "Seq Scan" || condition === undefined) found.whole.push(line.trim());
		// Of other months there are no rows here.
		else if (/_\d{6}$/.test(table) && !table.endsWith(thisMonth)) continue;
		else if (columns.every(([, name]) => wide.has(name ?? "")))
			found.tenant.push(`${line.trim()}: ${condition}`);
	}
	return found;
}

test("there are statements to prepare", () => assert.ok(declaredStatements().length > 50));

for (const { name, text } of declaredStatements())
	test(`${name} can be prepared, and its plan reads no more than it needs`, async () => {
		let plans = 0;
		for (const [login, connection] of connected) {
			const plan = await planOf(connection, text);
			if (plan === undefined) continue;
			plans++;
			const { whole, tenant: ofTenant } = wideReads(plan);
			const wrong = [...whole, ...ofTenant].filter(
				(one) => mayReadOn[name]?.[0].test(one) !== true,
			);
			assert.deepEqual(wrong, [], `${login}: ${plan}`);
		}
		assert.ok(plans > 0, "no login may run it");
	});

test("a plan that reads too much is noticed", async () => {
	const worker = connected.get("wx_test_worker") as Admin;
	const cases: [text: string, whole: number, tenant: number][] = [
		["select seal from lane_entries", 1, 0],
		["select seal from lane_entries where tenant_id = $1", 0, 1],
		["select seal from lane_entries where tenant_id = $1 and message_id = $2", 0, 0],
		[
			`select k.i from unnest($1::uuid[], $2::uuid[]) as k (t, i)
			where exists (select 1 from contact_keys c where c.tenant_id = k.t and c.wrapped = $3) or k.i = $4`,
			0,
			1,
		],
	];
	for (const [text, whole, ofTenant] of cases) {
		const plan = await planOf(worker, text);
		const found = wideReads(plan ?? "");
		assert.deepEqual([found.whole.length, found.tenant.length], [whole, ofTenant], plan);
	}
});

test("what may read on is still there", () => {
	const names = new Set(declaredStatements().map(({ name }) => name));
	assert.deepEqual(
		Object.keys(mayReadOn).filter((name) => !names.has(name)),
		[],
	);
});
