/**
 * Fills every table of a test's database with rows of many tenants, so that plans are made as they are when it has grown.
 * The rows mean nothing: each column gets values of its type, or of those that its check lists, what may be null is so in
 * half of the rows, and the tables' own checks are dropped first.
 */
import type { Admin } from "#platform/db.ts";

/** A UUIDv7 of this moment: partitions go by month. */
const uuidOfNow = `(lpad(to_hex((extract(epoch from now()) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 3)
	|| '8' || substr(md5(random()::text), 1, 15))::uuid`;

const values: Readonly<Record<string, string>> = {
	uuid: uuidOfNow,
	"uuid[]": `array[${uuidOfNow}]`,
	"wx.environment_name": "'live'",
	text: "md5(random()::text)",
	"text[]": "array[md5(random()::text)]",
	bytea: "sha256(random()::text::bytea)",
	smallint: "(random() * 3)::smallint",
	integer: "(random() * 1000)::integer",
	bigint: "(random() * 1000000)::bigint",
	boolean: "random() < 0.5",
	"timestamp with time zone": "now() - random() * interval '10 days'",
	jsonb: "'{}'",
	"double precision": "random()",
};

/** Types of few values: a tenant may have any number of rows with each. */
const fewValued = new Set(["wx.environment_name", "boolean", "smallint"]);

/** Returns the names of the columns whose value leaves as many of a tenant's rows as the tenant has. */
export async function fillWithTenants(
	admin: Admin,
	{ tenants, rows }: { readonly tenants: number; readonly rows: number },
): Promise<ReadonlySet<string>> {
	const wide = new Set(["tenant_id"]);
	await admin.run("set session_replication_role = replica");
	const tables = await admin.run<{
		name: string;
		columns: { name: string; type: string; nullable: boolean }[];
	}>(
		`select c.oid::regclass::text as name, (
			select json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, null), 'nullable', not a.attnotnull))
			from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') as columns
		from pg_class c
		where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
			and exists (select 1 from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id')`,
	);
	for (const { name, columns } of tables) {
		const checks = await admin.run<{ conname: string; definition: string }>(
			`select conname, pg_get_constraintdef(oid) as definition from pg_constraint
			where conrelid = '${name}'::regclass and contype = 'c'`,
		);
		const listed = new Map<string, string>();
		for (const { conname, definition } of checks) {
			const [, column, list] =
				/^CHECK \(\((\w+) = ANY \(ARRAY\[([^\]]+)\]\)\)\)/.exec(definition) ?? [];
			if (column !== undefined)
				listed.set(column, `(array[${list}])[1 + floor(random() * ${list?.split(",").length})]`);
			await admin.run(`alter table ${name} drop constraint "${conname}"`);
		}
		const expressions = columns.map((column) => {
			if (column.name === "tenant_id") return `md5((i % ${tenants})::text)::uuid`;
			if (listed.has(column.name) || fewValued.has(column.type)) wide.add(column.name);
			const value = listed.get(column.name) ?? values[column.type];
			if (value === undefined)
				throw new Error(`no values for ${name}.${column.name}, ${column.type}`);
			return column.nullable ? `case when random() < 0.5 then ${value} end` : value;
		});
		await admin.run(
			`insert into ${name} (${columns.map((one) => `"${one.name}"`).join(", ")})
			select ${expressions.join(", ")} from generate_series(1, ${rows}) as i on conflict do nothing`,
		);
	}
	await admin.run("set session_replication_role = origin");
	await admin.run("analyze");
	return wide;
}
