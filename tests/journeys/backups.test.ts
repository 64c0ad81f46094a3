/**
 * A hundred of a thousand people are erased, and the database put back from a base backup of before, with its write-ahead
 * log, through the product's own start: nobody of them can be read, over HTTP or with any key that is left, and everybody
 * else is as they were. What copies of the key files can still do is shown too. Then everything on the disk is searched.
 */
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { manualClock, systemClock } from "#platform/clock.ts";
import { readConfig } from "#platform/config.ts";
import { type Admin, connectAdmin, type Scope } from "#platform/db.ts";
import { createIds, systemRandom } from "#platform/ids.ts";
import { silentLog } from "#platform/log.ts";
import { createMetrics } from "#platform/metrics.ts";
import { openDatabases } from "#processes/database.ts";
import { type ContactRef, createVault, settleMs, startKeyWork, VaultError } from "#vault/index.ts";
import { hunt, needlesOf } from "../support/canary-hunt.ts";
import { client, until } from "../support/http.ts";
import type { Dev } from "../support/platform.ts";

const root = mkdtempSync(join(tmpdir(), "waxwing-backup-"));
const folder = (name: string): string => join(root, name);
const [dataDir, temporary, copies] = [folder("data"), folder("tmp"), folder("copies")];
for (const path of [temporary, copies]) mkdirSync(path, { mode: 0o777 });
execFileSync("chmod", ["711", root]);
const cluster = join(dataDir, "postgres");
const keyring = join(dataDir, "keyring");
const count = 1_000;
const erasedCount = 100;
/** In every text; and the digits of every number. */
const mark = "Kq7Zbackup";
const digits = "9811700";
const numberOf = (i: number): string => `+91${digits}${String(i).padStart(3, "0")}`;
const textOf = (i: number): string => `${mark}${i} is out for delivery today. -WAXWNG`;

let output = "";
let child: ChildProcess | undefined;
after(async () => {
	await stopProgram();
	rmSync(root, { recursive: true, force: true });
});

const port = await freePort();

async function freePort(): Promise<number> {
	const server = createServer();
	await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
	const { port: found } = server.address() as { port: number };
	await new Promise((resolve) => void server.close(resolve));
	return found;
}

/** `npm start`'s own entry; what it says since then. */
async function startProgram(): Promise<string> {
	rmSync(join(dataDir, "dev.json"), { force: true });
	const from = output.length;
	const entry = new URL("../../server/processes/all.ts", import.meta.url).pathname;
	const started = spawn(process.execPath, [entry], {
		env: {
			PATH: process.env["PATH"],
			TMPDIR: temporary,
			WAXWING_DATA_DIR: dataDir,
			WAXWING_PORT: String(port),
			WAXWING_LOG_LEVEL: "debug",
			WAXWING_DANGEROUS_NO_FSYNC: "true",
		},
		stdio: ["ignore", "pipe", "pipe"],
	});
	child = started;
	for (const stream of [started.stdout, started.stderr])
		stream?.on("data", (chunk: Buffer) => void (output += chunk.toString("latin1")));
	await until("it runs", isUp, (up) => up, 60_000);
	return output.slice(from);
}

function isUp(): boolean {
	assert.equal(child?.exitCode, null, output.slice(-2_000));
	return readdirSync(root).includes("data") && readdirSync(dataDir).includes("dev.json");
}

async function stopProgram(): Promise<void> {
	if (child === undefined || child.exitCode !== null) return;
	const gone = new Promise<void>((resolve) => void child?.once("exit", () => resolve()));
	child.kill("SIGTERM");
	await gone;
}

const api = () => {
	const dev = JSON.parse(readFileSync(join(dataDir, "dev.json"), "utf8")) as Dev;
	return { dev, live: client(dev.baseUrl, dev.apiKey), admin: client(dev.baseUrl, dev.adminKey) };
};

/** As the operator's copying does; what PostgreSQL takes away meanwhile is not missed. */
function copy(from: string, to: string): void {
	rmSync(to, { recursive: true, force: true });
	const { status, stderr } = spawnSync("cp", ["-a", "--reflink=auto", from, to], {
		encoding: "utf8",
	});
	assert.ok(status === 0 || /No such file or directory/.test(stderr), stderr);
}

const superuser = (): Promise<Admin> =>
	connectAdmin({
		host: join(dataDir, "run"),
		port: 5432,
		user: "waxwing_root",
		password: readFileSync(join(dataDir, "postgres.password"), "utf8").trim(),
		database: "waxwing",
		applicationName: "backup",
	});

/** A base backup by PostgreSQL's own functions, of a server that goes on serving, with the log that makes it whole. */
async function takeBackup(to: string): Promise<void> {
	const admin = await superuser();
	await admin.run("select pg_backup_start('test', true)");
	copy(cluster, to);
	const [stopped] = await admin.run<{ labelfile: string }>(
		"select labelfile from pg_backup_stop()",
	);
	copy(join(cluster, "pg_wal"), join(to, "pg_wal"));
	rmSync(join(to, "postmaster.pid"), { force: true });
	writeFileSync(join(to, "backup_label"), String(stopped?.labelfile));
	execFileSync("chown", ["--reference", join(to, "PG_VERSION"), join(to, "backup_label")]);
	await admin.close();
}

interface Read {
	readonly intact: number;
	readonly erased: number;
	readonly other: number;
}

/** What the API shows of each of the thousand. */
async function readAll(): Promise<Read> {
	const { live } = api();
	const seen = { intact: 0, erased: 0, other: 0 };
	for (let after = ""; ; ) {
		const page = await live.get(`/v1/sms/messages?limit=100${after}`);
		assert.equal(page.status, 200, page.text);
		for (const message of page.data) {
			const at = ids.indexOf(String(message["id"]));
			if (at < 0) continue;
			const shown = [message["to"], message["text"]];
			if (shown.join() === [numberOf(at), textOf(at)].join()) seen.intact++;
			else if (shown.join() === "**ERASED**,**ERASED**" && at < erasedCount) seen.erased++;
			else seen.other++;
		}
		const cursor = page.body["next_cursor"];
		if (typeof cursor !== "string") return seen;
		after = `&starting_after=${cursor}`;
	}
}

const ids: string[] = [];
const backup = join(copies, "base");

test("a thousand people are written to; a base backup is taken; a hundred of them are erased", async () => {
	await startProgram();
	const { dev, live, admin } = api();
	const messages = Array.from({ length: count }, (_, i) => ({
		...dev.samples.transactional,
		to: numberOf(i),
		text: textOf(i),
	}));
	const sent = await live.post("/v1/sms/batches", { messages });
	assert.equal(sent.status, 202, sent.text);
	ids.push(...sent.data.map((message) => String(message["id"])));
	assert.equal(ids.length, count);
	await until(
		"they have arrived",
		async () => (await live.get(`/v1/sms/messages/${String(ids.at(-1))}`)).body["status"],
		(status) => status === "delivered",
	);
	for (const i of [0, 1, count - 1])
		await admin.post("/v1/sms/suppressions", { destination: numberOf(i) });
	await takeBackup(backup);
	copy(keyring, join(copies, "keyring before"));
	for (let i = 0; i < erasedCount; i += 20) {
		const some = Array.from({ length: 20 }, (_, n) => ({ destination: numberOf(i + n) }));
		const erased = await Promise.all(some.map((body) => admin.post("/v1/contacts/erasures", body)));
		assert.ok(erased.every(({ status }) => status === 201));
	}
	assert.deepEqual(await readAll(), { intact: 900, erased: 100, other: 0 });
	await stopProgram();
});

/** Asks for an erased person's message again and again, from before the port opens: what it answers. */
function askFromTheStart(key: string, id: string) {
	const statuses: number[] = [];
	let going = true;
	const asking = (async () => {
		while (going) {
			const reply = await fetch(`http://127.0.0.1:${port}/v1/sms/messages/${id}`, {
				headers: { authorization: `Bearer ${key}` },
			}).catch(() => undefined);
			if (reply !== undefined) statuses.push(reply.status);
			await reply?.text();
			await new Promise((resolve) => void setTimeout(resolve, 5));
		}
	})();
	return async (): Promise<number[]> => {
		going = false;
		await asking;
		return statuses;
	};
}

let liveKey = "";

test("inside the window: the restored database is erased again before the port opens", async () => {
	liveKey = api().dev.apiKey;
	copy(backup, cluster);
	const stopAsking = askFromTheStart(liveKey, ids[0] as string);
	const said = await startProgram();
	assert.match(
		said,
		/"event":"keys.replayed"[^\n]*"erased":100|"erased":100[^\n]*"event":"keys.replayed"/,
	);
	assert.deepEqual(await readAll(), { intact: 900, erased: 100, other: 0 });
	const statuses = await stopAsking();
	assert.ok(statuses.length > 3, `${statuses.length} answers`);
	assert.deepEqual([...new Set(statuses)], [410]);
	await stopSuppressed();
	await stopProgram();
});

/** Whose STOP was in the backup is not written to, erased or not. */
async function stopSuppressed(): Promise<void> {
	const { dev, live } = api();
	for (const i of [0, 1, count - 1]) {
		const again = await live.post("/v1/sms/messages", {
			...dev.samples.transactional,
			to: numberOf(i),
		});
		assert.equal(again.body["status"], "rejected", again.text);
	}
	const fine = await live.post("/v1/sms/messages", {
		...dev.samples.transactional,
		to: numberOf(2),
	});
	assert.equal(fine.body["status"], "accepted", fine.text);
}

/** The database and the keys as a process opens them, and nothing that a start does beyond that. */
async function openBare() {
	const config = readConfig({ WAXWING_DATA_DIR: dataDir, WAXWING_DANGEROUS_NO_FSYNC: "true" });
	const random = systemRandom();
	const databases = await openDatabases(config, random);
	const { app: db, worker, keys } = databases;
	const clock = manualClock(Date.now());
	const vault = createVault({ db, ...keys, random, clock });
	const ids = createIds(systemClock, random);
	return { ...keys, db, worker, databases, vault, random, clock, ids };
}

test("the window passes: the epoch is turned, and its key is nowhere any more", async () => {
	const bare = await openBare();
	const { clock, databases, vault } = bare;
	const work = startKeyWork({
		...bare,
		settleMs,
		forgetTenant: vault.forgetTenant,
		log: silentLog,
		metrics: createMetrics(),
		rotationDays: 365,
		erasureWindowDays: 7,
		backupDays: 400,
	});
	await work.work();
	clock.advance(3.5 * 86_400_000);
	await work.work();
	clock.advance(settleMs);
	await work.work();
	await work.stop();
	await databases.stop();
});

function outcomeOf(work: () => unknown): string {
	try {
		work();
		return "open";
	} catch (error) {
		if (error instanceof VaultError) return error.reason;
		throw error;
	}
}

/** Whoever has the disk, the root key and every key file of today: how many of the backup's messages open. */
async function openWithEveryKey(): Promise<Record<string, number>> {
	const bare = await openBare();
	const { db, vault, databases } = bare;
	const admin = await superuser();
	const rows = await admin.run<{
		tenant_id: string;
		environment: Scope["environment"];
		id: string;
		address_index: Buffer;
		sealed: Buffer;
	}>("select tenant_id, environment::text as environment, id, address_index, sealed from messages");
	await admin.close();
	const outcomes: Record<string, number> = {};
	for (const [name, some] of Map.groupBy(rows, (row) => `${row.tenant_id} ${row.environment}`)) {
		const [tenantId, environment] = name.split(" ") as [string, Scope["environment"]];
		const scope: Scope = { tenantId, environment };
		await vault.warm([tenantId]);
		const contacts = some.map(({ address_index: index }) => ({ ...scope, index }));
		const keys = await db.inTenant(scope, (tx) => vault.contacts.load(tx, contacts));
		for (const [i, { id, sealed }] of some.entries()) {
			const place = { ...scope, table: "messages", column: "sealed", row: id };
			const outcome = outcomeOf(() =>
				vault.openFor(keys.of(contacts[i] as ContactRef), place, sealed),
			);
			outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
		}
	}
	await databases.stop();
	return outcomes;
}

test("after the window: no key that is left opens anything of the backup", async () => {
	copy(backup, cluster);
	assert.deepEqual(await openWithEveryKey(), { unknown_key: count });
});

test("after the window: the product brings the survivors back, and nobody else", async () => {
	copy(backup, cluster);
	const stopAsking = askFromTheStart(liveKey, ids[1] as string);
	await startProgram();
	assert.deepEqual(await readAll(), { intact: 900, erased: 100, other: 0 });
	assert.deepEqual([...new Set(await stopAsking())], [410]);
	await stopSuppressed();
	await stopProgram();
	assert.deepEqual(await openWithEveryKey(), { open: 901 + 3, erased: 100 });
});

test("a copy of the key files beside the backup: what it can do, as it is documented", async () => {
	copy(keyring, join(copies, "keyring of today"));
	// One from before the erasures, inside the window or after it: whoever keeps it beside such a backup, and has the root
	// key, can read everybody, for as long as they keep it. What was copied after them has the list: see the test above.
	copy(backup, cluster);
	copy(join(copies, "keyring before"), keyring);
	assert.deepEqual(await openWithEveryKey(), { open: count });
	copy(join(copies, "keyring of today"), keyring);
});

const needles = new Map([
	...needlesOf("a canary text", mark),
	...needlesOf("a canary number", digits),
]);

test("no number and no text is in the data directory, the log of PostgreSQL, the backups, temporary files or logs", async () => {
	const look = () => hunt([dataDir, copies, temporary], needles, ["dev.json"]);
	const { found, files, bytes } = look();
	assert.deepEqual(found, []);
	assert.ok(files > 1_000 && bytes > 50_000_000, `${files} files, ${bytes} bytes`);
	for (const [what, needle] of needles)
		assert.equal(output.includes(needle.toString("latin1")), false, `${what} is in the logs`);
	assert.ok(output.includes('"requestId"'), "the logs were read, at level debug");

	// It would have been found: in a table, in what is written ahead, in a backup and in a temporary file.
	const { databases } = await openBare();
	const admin = await superuser();
	await admin.run("create table scratch (said text)");
	await admin.run("insert into scratch values ($1)", [textOf(1)]);
	await admin.run("checkpoint");
	await takeBackup(join(copies, "planted"));
	await admin.close();
	writeFileSync(join(temporary, "planted"), `to ${numberOf(1)}`);
	await databases.stop();
	const planted = look().found.join("\n");
	assert.match(planted, /a canary text as it is in \S+data\/postgres\/base/);
	assert.match(planted, /a canary text as it is in \S+data\/postgres\/pg_wal/);
	assert.match(planted, /a canary text as it is in \S+copies\/planted\/base/);
	assert.match(planted, /a canary number as it is in \S+tmp\/planted/);
});
