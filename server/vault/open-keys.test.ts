/** How an installation begins, is found again, and moves its root key, over real files and SoftHSM-free providers. */
import assert from "node:assert/strict";
import {
	existsSync,
	linkSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { systemClock } from "#platform/clock.ts";
import { ConfigError, readConfig } from "#platform/config.ts";
import { systemRandom } from "#platform/ids.ts";
import { deriveBytes } from "./derive.ts";
import { openKeyFiles } from "./key-files.ts";
import { openKeys } from "./open-keys.ts";
import { startTransit } from "./providers/test-transit.ts";
import { RootKeyError } from "./root-key.ts";
import { wrappedBy } from "./wrapping.ts";

const random = systemRandom();
const hex = "ab".repeat(32);
const label = { tenantId: "", table: "tenant_keys", row: "1" };

function folder(): string {
	const dataDir = mkdtempSync(join(tmpdir(), "waxwing-keys-"));
	after(() => rmSync(dataDir, { recursive: true, force: true }));
	return dataDir;
}

function open(dataDir: string, environment: Record<string, string> = {}, mayCreate = true) {
	const settings = readConfig(environment).keys;
	return openKeys({ settings, dataDir, mayCreate, random, clock: systemClock });
}

test("a data directory from before goes on: its platform key follows from its root key", async () => {
	const dataDir = folder();
	writeFileSync(join(dataDir, "root.key"), `${hex}\n`, { mode: 0o600 });
	const { platformKey, warning } = await open(dataDir, {}, false);
	assert.deepEqual(platformKey, deriveBytes(Buffer.from(hex, "hex"), "root/platform"));
	assert.equal(warning, undefined);
	assert.equal(statSync(join(dataDir, "keyring")).mode & 0o777, 0o700);
	assert.equal(statSync(join(dataDir, "keyring", "platform.key")).mode & 0o777, 0o600);
	const again = await open(dataDir, {}, false);
	assert.deepEqual(again.platformKey, platformKey);
});

test("the platform's key outlives the root key it was made under", async () => {
	const dataDir = folder();
	const { platformKey, wrapping, files } = await open(dataDir);
	await wrapping.current.rotate();
	const old = wrappedBy(files.read("platform.key") as Buffer).replace("root:", "");
	files.write(
		"platform.key",
		await wrapping.wrap(platformKey, { tenantId: "", table: "platform", row: "" }),
	);
	await wrapping.current.destroy(old);
	assert.deepEqual((await open(dataDir, {}, false)).platformKey, platformKey);
	assert.equal(readFileSync(join(dataDir, "root.key"), "latin1").trim().split("\n").length, 1);
});

test("an installation moves from the file to a key service, and what the file wrapped opens meanwhile", async () => {
	const dataDir = folder();
	const service = await startTransit("waxwing");
	const before = await open(dataDir);
	const key = random.bytes(32);
	const stored = await before.wrapping.wrap(key, label);
	const moved = {
		WAXWING_KEY_PROVIDER: "transit",
		WAXWING_KEY_URL: service.url,
		WAXWING_KEY_NAME: "waxwing",
		WAXWING_KEY_CREDENTIAL: service.token,
		WAXWING_KEY_NETWORKS: "127.0.0.0/8",
	};
	const after = await open(dataDir, moved, false);
	assert.deepEqual(after.platformKey, before.platformKey);
	assert.deepEqual(await after.wrapping.unwrap(stored, label), key);
	const fresh = await after.wrapping.wrap(key, label);
	assert.equal(wrappedBy(fresh), "transit:1");
	rmSync(join(dataDir, "root.key"));
	const alone = await open(dataDir, moved, false).catch((error) => error);
	assert.match(String(alone), /does not open|provider root, which is not at hand/);
	after.close();
});

test("a key service from the start: a random platform key, no root.key, and no other key later", async () => {
	const dataDir = folder();
	const service = await startTransit("waxwing");
	const settings = {
		WAXWING_KEY_PROVIDER: "transit",
		WAXWING_KEY_URL: `${service.url}/`,
		WAXWING_KEY_NAME: "waxwing",
		WAXWING_KEY_CREDENTIAL: service.token,
		WAXWING_KEY_NETWORKS: "127.0.0.0/8",
	};
	const first = await open(dataDir, settings);
	assert.equal(existsSync(join(dataDir, "root.key")), false);
	const second = await open(dataDir, settings, false);
	assert.deepEqual(second.platformKey, first.platformKey);
	rmSync(join(dataDir, "keyring"), { recursive: true });
	await assert.rejects(open(dataDir, settings, false), RootKeyError);
	service.answer = { status: 503, body: "" };
	await assert.rejects(open(folder(), settings), /cannot answer now: HTTP status 503/);
	first.close();
	second.close();
});

test("a setting that is missing or wrong is named", async () => {
	const cases: [Record<string, string>, RegExp][] = [
		[{ WAXWING_KEY_PROVIDER: "env" }, /needs WAXWING_ROOT_KEY/],
		[{ WAXWING_KEY_PROVIDER: "transit" }, /needs WAXWING_KEY_URL/],
		[{ WAXWING_KEY_PROVIDER: "pkcs11", WAXWING_KEY_URL: "x" }, /needs WAXWING_KEY_CREDENTIAL/],
		[{ WAXWING_KEY_PROVIDER: "floppy" }, /may be , file, env/],
		[{ WAXWING_ERASURE_WINDOW_DAYS: "31" }, /WAXWING_ERASURE_WINDOW_DAYS/],
		[{ WAXWING_ERASURE_WINDOW_DAYS: "0" }, /WAXWING_ERASURE_WINDOW_DAYS/],
	];
	for (const [settings, says] of cases)
		await assert.rejects(
			async () => open(folder(), settings),
			(error: Error) => {
				assert.ok(error instanceof ConfigError);
				return says.test(error.message);
			},
		);
});

test("a key file is replaced whole, and its old content is overwritten on the disk", () => {
	const files = openKeyFiles(folder());
	files.write("a.key", "first");
	const another = `${files.pathOf("a.key")}.linked`;
	linkSync(files.pathOf("a.key"), another);
	files.write("a.key", "second, longer");
	assert.deepEqual(readFileSync(another), Buffer.alloc(5));
	rmSync(another);
	assert.equal(String(files.read("a.key")), "second, longer");
	files.append("a.log", "one");
	files.append("a.log", "two");
	assert.equal(String(files.read("a.log")), "one\ntwo\n");
	assert.deepEqual(readdirSync(join(files.pathOf("a.key"), "..")), ["a.key", "a.log"]);
	assert.throws(() => files.read("../root.key"), /not one of ours/);
});
