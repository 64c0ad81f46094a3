/**
 * Migrations: db/migrations/NNNN-name.sql, in order, each in one transaction as `waxwing_owner`, noted
 * with its checksum. Several processes may start at once: an advisory lock lets one migrate. A file that
 * changed after it was applied, or that is unknown here (a newer version ran), stops the start.
 */
import { readdirSync, readFileSync } from "node:fs";
import type { Admin } from "./db.ts";

export interface Migration {
	readonly name: string;
	readonly text: string;
	readonly checksum: string;
}

export class MigrationError extends Error {}

const folder = new URL("../../db/migrations/", import.meta.url);

/** Reads the migrations in order; `digest` is SHA-256 in hexadecimal (the vault's). */
export function readMigrations(digest: (text: string) => string): readonly Migration[] {
	return readdirSync(folder)
		.filter((name) => /^\d{4}-[a-z0-9-]+\.sql$/.test(name))
		.sort()
		.map((name) => {
			const text = readFileSync(new URL(name, folder), "utf8");
			return { name, text, checksum: digest(text) };
		});
}

/** Tells one state of the schema from another. */
export function schemaOf(migrations: readonly Migration[]): string {
	return migrations.map(({ name, checksum }) => `${name} ${checksum}`).join("\n");
}

/** Brings the database to the newest version; returns the names of what was applied now. */
export async function migrate(admin: Admin, migrations: readonly Migration[]): Promise<string[]> {
	await admin.run("select pg_advisory_lock(782364002)");
	try {
		await makeRoles(admin);
		await admin.run(
			"create table if not exists waxwing_migrations (name text primary key, checksum text not null, applied_at timestamptz not null default now())",
		);
		const applied = await admin.run<{ name: string; checksum: string }>(
			"select name, checksum from waxwing_migrations order by name",
		);
		compare(applied, migrations);
		const known = new Set(applied.map((row) => row.name));
		const fresh = migrations.filter((migration) => !known.has(migration.name));
		for (const migration of fresh) await apply(admin, migration);
		return fresh.map((migration) => migration.name);
	} finally {
		await admin.run("select pg_advisory_unlock(782364002)");
	}
}

/** Throws a MigrationError unless the database has exactly these migrations. Changes nothing. */
export async function demandMigrated(
	admin: Admin,
	migrations: readonly Migration[],
): Promise<void> {
	const [found] = await admin.run<{ there: boolean }>(
		"select to_regclass('public.waxwing_migrations') is not null as there",
	);
	const applied =
		found?.there === true
			? await admin.run<{ name: string; checksum: string }>(
					"select name, checksum from waxwing_migrations order by name",
				)
			: [];
	compare(applied, migrations);
	if (applied.length < migrations.length)
		throw new MigrationError(
			"The database is older than this version. Start the API (npm start or npm run api) first: it migrates.",
		);
}

function compare(
	applied: readonly { name: string; checksum: string }[],
	migrations: readonly Migration[],
): void {
	const byName = new Map(migrations.map((migration) => [migration.name, migration.checksum]));
	for (const { name, checksum } of applied) {
		const ours = byName.get(name);
		if (ours === undefined)
			throw new MigrationError(
				`The database has ${name}, which this version does not know. Run the newer version.`,
			);
		if (ours !== checksum)
			throw new MigrationError(
				`${name} was changed after it was applied to this database. Restore the file.`,
			);
	}
}

/** Group roles without login: policies and grants name them, each installation's logins join them. */
async function makeRoles(admin: Admin): Promise<void> {
	for (const role of ["waxwing_owner", "waxwing_app", "waxwing_worker", "waxwing_signer"]) {
		const found = await admin.run("select 1 from pg_roles where rolname = $1", [role]);
		if (found.length === 0)
			await ignoring("42710", admin.run(`create role ${role} nologin nobypassrls`));
	}
	// Who is not superuser must be able to SET ROLE; since PostgreSQL 16 making a role does not give that.
	const [me] = await admin.run<{ super: boolean }>(
		"select rolsuper as super from pg_roles where rolname = current_user",
	);
	if (me?.super !== true) await admin.run("grant waxwing_owner to current_user");
	await admin.run("grant create, usage on schema public to waxwing_owner");
	await admin.run(
		"do $$ begin execute format('grant create on database %I to waxwing_owner', current_database()); end $$",
	);
	await admin.run("revoke create on schema public from public");
	await admin.run("grant usage on schema public to waxwing_app, waxwing_worker, waxwing_signer");
}

async function apply(admin: Admin, migration: Migration): Promise<void> {
	await admin.run("begin");
	try {
		// Nothing is answered yet that stands on this commit, and the next that is waited for flushes it too.
		await admin.run("set local synchronous_commit = off");
		await admin.run("set local role waxwing_owner");
		await admin.run(migration.text);
		await admin.run("reset role");
		await admin.run("insert into waxwing_migrations (name, checksum) values ($1, $2)", [
			migration.name,
			migration.checksum,
		]);
		await admin.run("commit");
	} catch (cause) {
		await admin.run("rollback");
		throw new MigrationError(
			`${migration.name} failed: ${cause instanceof Error ? cause.message : String(cause)}`,
			{ cause },
		);
	}
}

/** Creates (or resets the password of) a login that has the rights of one group role. */
export async function makeLogin(
	admin: Admin,
	login: string,
	group: "waxwing_app" | "waxwing_worker" | "waxwing_signer",
	password: string,
): Promise<void> {
	const name = `"${login.replaceAll('"', '""')}"`;
	// A password cannot be a bind parameter of CREATE ROLE; ours is base64url, so it needs no escaping.
	if (!/^[A-Za-z0-9_-]+$/.test(password))
		throw new MigrationError("a login's password must be base64url");
	// Two that alter one role at once fail: "tuple concurrently updated".
	await admin.run("select pg_advisory_lock(782364002)");
	try {
		const found = await admin.run("select 1 from pg_roles where rolname = $1", [login]);
		if (found.length === 0)
			await ignoring("42710", admin.run(`create role ${name} login nobypassrls in role ${group}`));
		await admin.run(`alter role ${name} password '${password}'`);
		for (const setting of planning) await admin.run(`alter role ${name} set ${setting}`);
	} finally {
		await admin.run("select pg_advisory_unlock(782364002)");
	}
}

/**
 * Every statement of ours is made for an index. A plan that was chosen while a table was empty, by reading all of
 * it, would be kept until the next statistics, ten seconds and a hundred thousand rows later. And each is planned once for a
 * connection: left to itself PostgreSQL plans at each call what is cheaper for few rows than for its guess of how many
 * there will be, and for a message that is sent alone planning takes longer than executing.
 */
const planning = [
	"enable_seqscan = off",
	"enable_hashjoin = off",
	"enable_mergejoin = off",
	"plan_cache_mode = force_generic_plan",
];

async function ignoring(code: string, act: Promise<unknown>): Promise<void> {
	try {
		await act;
	} catch (error) {
		if ((error as { code?: unknown }).code !== code) throw error;
	}
}
