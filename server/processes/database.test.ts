import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { ConfigError, readConfig } from "#platform/config.ts";
import { systemRandom } from "#platform/ids.ts";
import { testDatabase } from "../../tests/support/database.ts";
import { begin } from "./begin.ts";
import { migrations, openDatabases } from "./database.ts";
import { startPlatform } from "./platform.ts";
import { makeTemplate } from "./template.ts";

const { admin, name, url } = await testDatabase();
const dataDir = mkdtempSync(join(tmpdir(), "waxwing-database-"));
after(() => rmSync(dataDir, { recursive: true }));

test("a database that has just been brought up has room for messages, before any chore ran", async () => {
	await admin.run(
		"drop schema public cascade; drop schema wx cascade; create schema public; grant usage on schema public to public",
	);
	const { user = "", password = "" } = JSON.parse(
		process.env["WAXWING_TEST_SERVER"] ?? "{}",
	) as Record<string, string>;
	const databases = await openDatabases(
		readConfig({ WAXWING_DATA_DIR: dataDir, DATABASE_URL: url(user, password) }),
		systemRandom(),
	);
	await databases.stop();
	const partitions = await admin.run<{ parent: string }>(
		"select distinct inhparent::regclass::text as parent from pg_inherits where inhrelid::regclass::text like '%' || to_char(now() at time zone 'UTC', 'YYYYMM') order by 1",
	);
	assert.deepEqual(
		partitions.map(({ parent }) => parent),
		["decisions", "message_digests", "message_events", "messages"],
	);
});

test("of a new embedded database every migration is told, although it was copied; later none", async () => {
	await makeTemplate();
	const own = mkdtempSync(join(tmpdir(), "waxwing-embedded-"));
	try {
		const told: (readonly string[])[] = [];
		for (let starts = 0; starts < 2; starts++) {
			const databases = await openDatabases(readConfig({ WAXWING_DATA_DIR: own }), systemRandom());
			told.push(databases.migrated);
			await databases.app.inPlatform(async () => undefined);
			await databases.stop();
		}
		assert.deepEqual(told, [migrations().map((one) => one.name), []]);
	} finally {
		rmSync(own, { recursive: true, force: true, maxRetries: 5 });
	}
});

test("a database that may lose what it has committed is refused in production, and says what is off", async () => {
	const { user = "", password = "" } = JSON.parse(
		process.env["WAXWING_TEST_SERVER"] ?? "{}",
	) as Record<string, string>;
	const settings = {
		WAXWING_DATA_DIR: dataDir,
		DATABASE_URL: url(user, password),
		WAXWING_LEDGER_NAME: "ledger.test",
	};
	const open = (mode: string) =>
		openDatabases(readConfig({ ...settings, WAXWING_MODE: mode }), systemRandom());
	// The server of the tests keeps nothing at all; one login is then told to wait for its commits.
	const login = `wx_${name}_app`;
	await admin.run(`alter role ${login} set synchronous_commit = on`);
	await assert.rejects(open("production"), {
		constructor: ConfigError,
		message: `The database of DATABASE_URL may lose what it has committed: fsync is off, synchronous_commit is off for wx_${name}_worker. Turn it on: accepted messages could be lost.`,
	});
	await (await open("development")).stop();
});

test("nothing is served before messages have somewhere to go", async () => {
	const { user = "", password = "" } = JSON.parse(
		process.env["WAXWING_TEST_SERVER"] ?? "{}",
	) as Record<string, string>;
	const config = readConfig({
		WAXWING_DATA_DIR: dataDir,
		WAXWING_PORT: "0",
		WAXWING_LOG_LEVEL: "silent",
		DATABASE_URL: url(user, password),
	});
	// As if another process were making them, and took its time.
	await admin.run("select pg_advisory_lock(782364001)");
	const starting = startPlatform(config, begin(config, "api"));
	const late = new Promise((resolve) => void setTimeout(resolve, 2_000, "still starting"));
	assert.equal(await Promise.race([starting, late]), "still starting");
	await admin.run("select pg_advisory_unlock(782364001)");
	await (await starting).stop();
});
