/**
 * A fresh, migrated database per test file, cloned from a template on the server that `tools/test.ts`
 * started. `app`, `worker` and `signer` have exactly the rights they have in production; `admin` is the superuser.
 */
import { after } from "node:test";
import {
	type Admin,
	connectAdmin,
	type Database,
	type DatabaseOptions,
	openDatabase,
} from "#platform/db.ts";

export interface TestDatabase {
	readonly name: string;
	readonly app: Database;
	readonly worker: Database;
	/** The ledger's signer. */
	readonly signer: Database;
	readonly admin: Admin;
	/** Where it is, to open it from another process. */
	readonly at: Omit<DatabaseOptions, "user" | "password" | "max">;
	readonly url: (user: string, password: string) => string;
}

const serverVariable = "WAXWING_TEST_SERVER";

/** Makes the database and removes it when the file's tests are done. Run by `node tools/test.ts FILE…`. */
export async function testDatabase(): Promise<TestDatabase> {
	const server = process.env[serverVariable];
	if (server === undefined)
		throw new Error("no test server: run `npm test` or `node tools/test.ts FILE…`");
	const { host, port, user, password } = JSON.parse(server) as Record<string, string>;
	const at = {
		...(host === undefined ? {} : { host }),
		port: Number(port),
		applicationName: "test",
	};
	const name = `t_${process.pid}_${Math.floor(performance.now() * 1000)}`;
	const root = await connectAdmin({
		...at,
		user: user ?? "",
		password: password ?? "",
		database: "postgres",
	});
	await root.run(`create database ${name} template waxwing_template`);
	const open = (login: string): Database =>
		openDatabase({ ...at, user: login, password: login, database: name, max: 8 });
	const made = {
		name,
		at: { ...at, database: name },
		app: open("wx_test_app"),
		worker: open("wx_test_worker"),
		signer: open("wx_test_signer"),
		admin: await connectAdmin({
			...at,
			user: user ?? "",
			password: password ?? "",
			database: name,
		}),
		url: (login: string, secret: string) =>
			`postgresql://${login}:${encodeURIComponent(secret)}@/${name}?host=${encodeURIComponent(host ?? "")}&port=${port}`,
	};
	after(async () => {
		await Promise.all([made.app, made.worker, made.signer, made.admin].map((one) => one.close()));
		await root.run(`drop database ${name} with (force)`);
		await root.close();
	});
	return made;
}
