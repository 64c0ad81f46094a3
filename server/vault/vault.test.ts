import assert from "node:assert/strict";
import { before, test } from "node:test";
import { inspect } from "node:util";
import { type Clock, manualClock } from "#platform/clock.ts";
import type { Database, Tx } from "#platform/db.ts";
import type { Fault } from "#platform/errors.ts";
import { seededRandom } from "#platform/ids.ts";
import { deriveBytes } from "./derive.ts";
import { sealEnvelope } from "./envelope.ts";
import { briefMs } from "./key-cache.ts";
import { createVault, type Place, type Vault, VaultError, type VaultReason } from "./index.ts";
import { bindPlace } from "./place.ts";
import { localProvider } from "./providers/local.ts";
import { KeyProviderError } from "./providers/provider.ts";
import { createWrapping } from "./wrapping.ts";
import { xaesKey } from "./xaes.ts";

const tenantA = "0190a000-0000-7000-8000-00000000000a";
const tenantB = "0190a000-0000-7000-8000-00000000000b";
const rootKey = Buffer.from(Array.from({ length: 32 }, (_, i) => i + 100));

interface Stored {
	tenantId: string;
	epoch: number;
	wrapped: Buffer;
	createdAtMs: number;
}

/** The table of wrapped keys, and how often it was asked for which tenants. */
function keyTable(): { db: Pick<Database, "inPlatform">; rows: Stored[]; asked: string[][] } {
	const rows: Stored[] = [];
	const asked: string[][] = [];
	const tx = {
		async query(_statement: unknown, [ids]: [string[]]) {
			asked.push(ids);
			await new Promise(setImmediate);
			return rows.filter((row) => ids.includes(row.tenantId));
		},
	} as unknown as Tx;
	return { db: { inPlatform: (work) => work(tx) }, rows, asked };
}

function newVault(
	options: { clock?: Clock; tenantsMax?: number; rootKey?: Buffer; seed?: number } = {},
) {
	const table = keyTable();
	const vault = createVault({
		db: table.db,
		rootKey: options.rootKey ?? rootKey,
		random: seededRandom(options.seed ?? 1),
		clock: options.clock ?? manualClock(0),
		...(options.tenantsMax === undefined ? {} : { tenantsMax: options.tenantsMax }),
	});
	const add = async (tenantId: string): Promise<void> => {
		const { wrapped } = await vault.makeTenantKey(tenantId);
		table.rows.push({ tenantId, epoch: 1, wrapped, createdAtMs: 0 });
	};
	return { vault, add, ...table };
}

function refuses(reason: VaultReason): (error: unknown) => boolean {
	return (error) => error instanceof VaultError && error.reason === reason;
}

const place: Place = {
	tenantId: tenantA,
	environment: "live",
	table: "messages",
	column: "sealed",
	row: "0190a000-0000-7000-8000-000000000001",
};
const text = Buffer.from("Ihr Code ist 123456 – भारत");

let vault: Vault;
let shared: ReturnType<typeof newVault>;
before(async () => {
	shared = newVault();
	vault = shared.vault;
	await shared.add(tenantA);
	await shared.add(tenantB);
	await vault.warm([tenantA, tenantB]);
});

test("what is sealed opens at its place, and looks different each time", () => {
	for (const plaintext of [text, Buffer.alloc(0), Buffer.alloc(70_000, 3)]) {
		const sealed = vault.seal(place, plaintext);
		assert.equal(sealed.length, plaintext.length + 45);
		assert.deepEqual(vault.open(place, sealed), plaintext);
		assert.notDeepEqual(vault.seal(place, plaintext), sealed);
	}
	assert.equal(vault.seal(place, text).includes(text), false);
	const value = { to: "+919876543210", text: "ok", tags: ["a", null], n: 1.5 };
	assert.deepEqual(vault.openJson(place, vault.sealJson(place, value)), value);
});

const otherPlaces: Partial<Place>[] = [
	{ tenantId: tenantB },
	{ environment: "test" },
	{ table: "message" },
	{ column: "sealed2" },
	{ row: "0190a000-0000-7000-8000-000000000002" },
	// The same letters, cut elsewhere: lengths are bound too.
	{ table: "messagess", column: "ealed" },
	{ environment: "livem", table: "essages" },
];
for (const change of otherPlaces)
	test(`a value moved to ${JSON.stringify(change)} does not open`, () => {
		const sealed = vault.seal(place, text);
		assert.throws(() => vault.open({ ...place, ...change }, sealed), refuses("not_authentic"));
	});

test("every flipped bit is noticed", () => {
	const sealed = vault.seal(place, Buffer.from("flip me"));
	for (let bit = 0; bit < sealed.length * 8; bit++) {
		const changed = Buffer.from(sealed);
		changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
		assert.throws(() => vault.open(place, changed), VaultError, `bit ${bit}`);
	}
	for (let length = 0; length < sealed.length; length++)
		assert.throws(() => vault.open(place, sealed.subarray(0, length)), VaultError);
	assert.throws(() => vault.open(place, Buffer.concat([sealed, Buffer.alloc(1)])), VaultError);
});

test("unknown formats and key epochs are named as such", () => {
	const format = vault.seal(place, text);
	format[0] = 2;
	assert.throws(() => vault.open(place, format), refuses("malformed"));
	for (const epoch of [0, 2, 0xffffffff]) {
		const sealed = vault.seal(place, text);
		sealed.writeUInt32BE(epoch, 1);
		assert.throws(() => vault.open(place, sealed), refuses("unknown_key"));
	}
	assert.throws(() => vault.seal({ ...place, table: "x".repeat(65) }, text), refuses("malformed"));
});

test("the platform's values open at their place only, and not as a tenant's", () => {
	const { tenantId: _, ...platformPlace } = place;
	const sealed = vault.sealPlatform(platformPlace, text);
	assert.deepEqual(vault.openPlatform(platformPlace, sealed), text);
	for (const change of [{ environment: "test" }, { table: "x" }, { column: "x" }, { row: "x" }])
		assert.throws(
			() => vault.openPlatform({ ...platformPlace, ...change }, sealed),
			refuses("not_authentic"),
		);
	assert.throws(() => vault.open(place, sealed), refuses("unknown_key"));
	assert.throws(
		() => vault.openPlatform(platformPlace, vault.seal(place, text)),
		refuses("unknown_key"),
	);
});

test("an index is stable and differs by tenant, environment, field and value", async () => {
	const number = "+919876543210";
	const indexes = [
		vault.index(tenantA, "live", "sms.address", number),
		vault.index(tenantB, "live", "sms.address", number),
		vault.index(tenantA, "test", "sms.address", number),
		vault.index(tenantA, "live", "sms.sender", number),
		vault.index(tenantA, "live", "sms.address", "+919876543211"),
		vault.platformIndex("live", "sms.address", number),
		vault.platformIndex("test", "sms.address", number),
	].map((index) => index.toString("hex"));
	assert.equal(new Set(indexes).size, indexes.length);
	for (const index of indexes) assert.equal(index.length, 64);

	// Another process with the same root key and stored keys finds the same rows.
	const other = createVault({
		db: shared.db,
		rootKey,
		random: seededRandom(99),
		clock: manualClock(0),
	});
	await other.warm([tenantA]);
	assert.equal(other.index(tenantA, "live", "sms.address", number).toString("hex"), indexes[0]);
	assert.equal(other.platformIndex("live", "sms.address", number).toString("hex"), indexes[5]);
	assert.deepEqual(other.open(place, vault.seal(place, text)), text);
});

test("a MAC holds for its tenant, purpose and exact parts", () => {
	const parts = ["message", Buffer.from([1, 2, 3])];
	const mac = vault.mac(tenantA, "clearance", parts);
	assert.equal(mac.length, 32);
	assert.equal(vault.verifyMac(tenantA, "clearance", parts, mac), true);
	const cases: [string, string, (string | Buffer)[], Buffer][] = [
		[tenantB, "clearance", parts, mac],
		[tenantA, "other", parts, mac],
		[tenantA, "clearance", ["messag", Buffer.from([101, 1, 2, 3])], mac],
		[tenantA, "clearance", ["message"], mac],
		[tenantA, "clearance", [...parts, ""], mac],
		[tenantA, "clearance", parts, mac.subarray(0, 16)],
		[tenantA, "clearance", parts, Buffer.alloc(0)],
		[tenantA, "clearance", parts, Buffer.alloc(32)],
	];
	for (const [tenantId, purpose, given, tried] of cases)
		assert.equal(vault.verifyMac(tenantId, purpose, given, tried), false);
	assert.notDeepEqual(vault.mac(tenantA, "clearance", parts), vault.digest("clearance", ...parts));
});

test("keys are fetched once for all who wait, and only what is missing", async () => {
	const { vault, add, asked } = newVault();
	for (const tenantId of [tenantA, tenantB, "0190a000-0000-7000-8000-00000000000c"])
		await add(tenantId);
	assert.throws(() => vault.seal(place, text), refuses("not_warm"));
	await Promise.all([
		vault.warm([tenantA, tenantA, tenantB]),
		vault.warm([tenantA]),
		vault.warm([tenantB, "0190a000-0000-7000-8000-00000000000c"]),
	]);
	assert.deepEqual(asked, [[tenantA, tenantB], ["0190a000-0000-7000-8000-00000000000c"]]);
	await vault.warm([tenantA, tenantB]);
	await vault.warm([]);
	assert.equal(asked.length, 2);
	vault.seal(place, text);
});

test("a tenant without keys is not an error until it is used, and is asked for again", async () => {
	const { vault, add, asked } = newVault();
	await vault.warm([tenantA]);
	assert.throws(() => vault.index(tenantA, "live", "tag", "x"), refuses("not_warm"));
	await add(tenantA);
	await vault.warm([tenantA]);
	assert.equal(vault.index(tenantA, "live", "tag", "x").length, 32);
	assert.equal(asked.length, 2);
});

/** A new key for a later epoch, wrapped as rotation will wrap it. */
function wrappedEpoch(tenantId: string, epoch: number): Buffer {
	const wrappingKey = xaesKey(deriveBytes(rootKey, "root/wrap"));
	const aad = bindPlace(1, tenantId, {
		environment: "",
		table: "tenant_keys",
		column: "wrapped",
		row: String(epoch),
	});
	return sealEnvelope(wrappingKey, 0, Buffer.alloc(24, epoch), aad, Buffer.alloc(32, epoch));
}

test("keys are fetched again after ten minutes: the newest epoch seals, all open, indexes stay", async () => {
	const clock = manualClock(0);
	const { vault, add, rows, asked } = newVault({ clock });
	await add(tenantA);
	await vault.warm([tenantA]);
	const old = vault.seal(place, text);
	const index = vault.index(tenantA, "live", "tag", "x");
	const mac = vault.mac(tenantA, "clearance", ["x"]);

	rows.unshift({
		tenantId: tenantA,
		epoch: 2,
		createdAtMs: 0,
		wrapped: wrappedEpoch(tenantA, 2),
	});
	clock.advance(10 * 60_000 - 1);
	await vault.warm([tenantA]);
	assert.equal(asked.length, 1);
	assert.equal(vault.seal(place, text).readUInt32BE(1), 1);
	clock.advance(1);
	await vault.warm([tenantA]);
	assert.equal(asked.length, 2);
	assert.equal(vault.seal(place, text).readUInt32BE(1), 1, "others may not have it yet");
	clock.advance(10 * 60_000);
	await vault.warm([tenantA]);
	const fresh = vault.seal(place, text);
	assert.equal(fresh.readUInt32BE(1), 2);
	for (const sealed of [old, fresh]) assert.deepEqual(vault.open(place, sealed), text);
	assert.deepEqual(vault.index(tenantA, "live", "tag", "x"), index);
	assert.equal(vault.verifyMac(tenantA, "clearance", ["x"], mac), true);
	const renamed = Buffer.from(fresh);
	renamed.writeUInt32BE(1, 1);
	assert.throws(() => vault.open(place, renamed), refuses("not_authentic"));
});

test("an epoch's key is bound to its number", async () => {
	const { vault, rows } = newVault();
	rows.push({
		tenantId: tenantA,
		epoch: 2,
		createdAtMs: 0,
		wrapped: (await vault.makeTenantKey(tenantA)).wrapped,
	});
	await vault.warm([tenantA]);
	assert.throws(() => vault.seal(place, text), refuses("not_authentic"));
	rows.splice(0, 1, {
		tenantId: tenantA,
		epoch: 1,
		createdAtMs: 0,
		wrapped: (await vault.makeTenantKey(tenantA)).wrapped,
	});
	await vault.warm([tenantA]);
	assert.deepEqual(vault.open(place, vault.seal(place, text)), text);
});

test("one tenant's broken key does not stop the others of a batch", async () => {
	const { vault, add, rows } = newVault();
	await add(tenantA);
	rows.push({
		tenantId: tenantB,
		epoch: 1,
		createdAtMs: 0,
		wrapped: (await vault.makeTenantKey(tenantA)).wrapped,
	});
	await vault.warm([tenantA, tenantB]);
	vault.seal(place, text);
	assert.throws(() => vault.seal({ ...place, tenantId: tenantB }, text), refuses("not_authentic"));
});

test("another root key opens nothing", async () => {
	const { db } = shared;
	const other = createVault({
		db,
		rootKey: Buffer.alloc(32, 1),
		random: seededRandom(1),
		clock: manualClock(0),
	});
	await other.warm([tenantA]);
	assert.throws(() => other.open(place, vault.seal(place, text)), refuses("not_authentic"));
	assert.throws(() => newVault({ rootKey: Buffer.alloc(31) }), refuses("malformed"));
});

test("the cache is bounded: the longest unused tenant goes, idle ones leave memory", async () => {
	const clock = manualClock(0);
	const { vault, add, asked } = newVault({ clock, tenantsMax: 2 });
	const tenants = [1, 2, 3].map((n) => `0190a000-0000-7000-8000-00000000010${n}`) as [
		string,
		string,
		string,
	];
	for (const tenantId of tenants) await add(tenantId);
	await vault.warm([tenants[0], tenants[1]]);
	await vault.warm([tenants[0]]);
	await vault.warm([tenants[2]]);
	assert.throws(() => vault.index(tenants[1], "live", "tag", "x"), refuses("not_warm"));
	vault.index(tenants[0], "live", "tag", "x");
	await assert.rejects(vault.warm(tenants), refuses("not_warm"));
	clock.advance(20 * 60_000);
	await vault.warm([tenants[1]]);
	assert.throws(() => vault.index(tenants[0], "live", "tag", "x"), refuses("not_warm"));
	assert.equal(asked.length, 3);
});

test("a failed fetch fails those who wait, and the next one tries again", async () => {
	const { vault, add, db } = newVault();
	await add(tenantA);
	const works = db.inPlatform;
	db.inPlatform = () => Promise.reject(new Error("gone"));
	await Promise.all([
		assert.rejects(vault.warm([tenantA]), /gone/),
		assert.rejects(vault.warm([tenantA]), /gone/),
	]);
	db.inPlatform = works;
	await vault.warm([tenantA]);
	vault.seal(place, text);
});

test("while the key service is away, what is held goes on for ten minutes; then it is told as such", async () => {
	const clock = manualClock(0);
	const random = seededRandom(1);
	const { db, rows } = keyTable();
	const local = localProvider({ kind: "file", keys: [rootKey], random });
	let away = false;
	const wrapping = createWrapping(
		{
			...local,
			unwrap: (wrapped, label) =>
				away
					? Promise.reject(
							new KeyProviderError("away", "The key service cannot be reached: connect."),
						)
					: local.unwrap(wrapped, label),
		},
		[],
	);
	const vault = createVault({ db, wrapping, platformKey: rootKey, random, clock });
	for (const tenantId of [tenantA, tenantB]) {
		const { wrapped } = await vault.makeTenantKey(tenantId);
		rows.push({ tenantId, epoch: 1, createdAtMs: 0, wrapped });
	}
	await vault.warm([tenantA]);
	away = true;
	clock.advance(10 * 60_000);
	await vault.warm([tenantA, tenantB]);
	vault.seal(place, text);
	assert.throws(
		() => vault.seal({ ...place, tenantId: tenantB }, text),
		(error: Error) =>
			refuses("keys_away")(error) && (error.cause as Fault).name === "keys_unavailable",
	);
	clock.advance(10 * 60_000 - 1);
	await vault.warm([tenantA]);
	vault.seal(place, text);
	clock.advance(1);
	await vault.warm([tenantA]);
	assert.throws(() => vault.seal(place, text), refuses("keys_away"));
	away = false;
	await vault.warm([tenantA, tenantB]);
	for (const tenantId of [tenantA, tenantB]) vault.seal({ ...place, tenantId }, text);
});

test("a key service that hangs holds nobody up whose keys are held, nor for long who works for several tenants", async (context) => {
	context.mock.timers.enable({ apis: ["setTimeout"] });
	const clock = manualClock(0);
	const { vault, add, db } = newVault({ clock });
	await add(tenantA);
	await add(tenantB);
	await vault.warm([tenantA]);
	const works = db.inPlatform;
	let asked = 0;
	const hanging = Promise.withResolvers<void>();
	db.inPlatform = async (work) => {
		asked++;
		await hanging.promise;
		return works(work);
	};
	const settled = async (work: Promise<void>): Promise<boolean> => {
		let done = false;
		void work.then(() => (done = true));
		for (let i = 0; i < 20; i++) await Promise.resolve();
		return done;
	};
	clock.advance(10 * 60_000);
	const due = vault.warm([tenantA]);
	assert.equal(await settled(due), false, "it may come at once");
	context.mock.timers.tick(250);
	await due;
	vault.seal(place, text);
	const several = vault.warm([tenantA, tenantB], briefMs);
	context.mock.timers.tick(250);
	await several;
	assert.throws(() => vault.index(tenantB, "live", "tag", "x"), refuses("not_warm"));
	assert.equal(asked, 2, "nobody asks again while one ask is under way");
	const own = vault.warm([tenantB]);
	context.mock.timers.tick(60_000);
	assert.equal(await settled(own), false, "who has none waits for them");
	hanging.resolve();
	await own;
	vault.index(tenantB, "live", "tag", "x");
});

test("a tenant's first row is sealed before its key is stored", async () => {
	const { vault, rows } = newVault();
	const { wrapped, seal } = await vault.makeTenantKey(tenantA);
	const sealed = seal(place, text);
	assert.throws(() => vault.open(place, sealed), refuses("not_warm"));
	rows.push({ tenantId: tenantA, epoch: 1, createdAtMs: 0, wrapped });
	await vault.warm([tenantA]);
	assert.deepEqual(vault.open(place, sealed), text);
	assert.throws(() => seal({ ...place, tenantId: tenantB }, text), refuses("malformed"));
});

test("no key shows in an inspection, in JSON or in an error", () => {
	const shown = [
		inspect(vault, { showHidden: true, depth: Number.POSITIVE_INFINITY, maxArrayLength: null }),
		JSON.stringify(vault),
		String(vault),
		...Object.values(vault).map((member) => inspect(member, { showHidden: true, depth: 9 })),
	].join("\n");
	const held = [rootKey, ...shared.rows.map((row) => row.wrapped)];
	for (const key of held) {
		assert.equal(shown.includes(key.toString("hex").slice(0, 16)), false);
		assert.equal(shown.includes([...key.subarray(0, 4)].join(", ")), false);
	}
	assert.equal(/Buffer|KeyObject|Cipher|Map/.test(shown), false);
});
