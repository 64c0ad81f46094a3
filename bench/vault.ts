/**
 * `npm run bench -- vault [--rounds N] [--messages N] [--note TEXT]`: what the vault costs one message on one core with warm
 * keys: one blind index and one sealed value, under the key of the message's contact. Beside it, in turns of the same
 * run, a bare AES-256-GCM call over the same bytes and a bare HMAC-SHA256 over the same number, and what a contact that
 * was not met before, or not lately, adds. No database and no network: this is the cryptography alone.
 */
import { createCipheriv, createHmac, createSecretKey, randomBytes } from "node:crypto";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { systemClock } from "#platform/clock.ts";
import type { Database, Tx } from "#platform/db.ts";
import { systemRandom } from "#platform/ids.ts";
import { type ContactRef, createVault } from "#vault/index.ts";
import { medianOf, print, record } from "./journal.ts";

const { values } = parseArgs({
	allowPositionals: true,
	options: {
		rounds: { type: "string", default: "9" },
		messages: { type: "string", default: "20000" },
		note: { type: "string" },
	},
});
const messages = Number(values.messages);
const tenantId = "0190a000-0000-7000-8000-00000000000a";
const scope = { tenantId, environment: "live" } as const;
const row = "0190a000-0000-7000-8000-000000000001";
const place = { ...scope, table: "messages", column: "sealed", row };
const contents = [
	"+919812345678",
	"WAXWNG",
	"Your parcel 482913 is out for delivery today. -WAXWNG",
	null,
	null,
	"1101172974420810001",
	true,
];
const plaintext = Buffer.from(JSON.stringify(contents));

const stored: object[] = [];
const tx = { query: async () => stored } as unknown as Tx;
const db = { inPlatform: (work: (tx: Tx) => Promise<unknown>) => work(tx) } as Pick<
	Database,
	"inPlatform"
>;
const vault = createVault({
	db,
	rootKey: randomBytes(32),
	random: systemRandom(),
	clock: systemClock,
});
const { wrapped } = await vault.makeTenantKey(tenantId);
stored.push({ tenantId, epoch: 1, wrapped, createdAtMs: 0, contactEpoch: null });
await vault.warm([tenantId]);

const numbers = Array.from({ length: 5_000 }, (_, i) => `+9198${10_000_000 + i}`);
const contactOf = (number: string): ContactRef => ({
	...scope,
	index: vault.index(tenantId, "live", "sms.address", number),
});
const keys = numbers.map((number) => vault.contacts.make(contactOf(number)).key);
const bareKey = createSecretKey(randomBytes(32));
const numberOf = (i: number): string => numbers[i % numbers.length] as string;

/** Each does the work of message number `i`. */
const kinds: Readonly<Record<string, (i: number) => unknown>> = {
	"seal and index one message": (i) => {
		vault.index(tenantId, "live", "sms.address", numberOf(i));
		return vault.sealJsonFor(keys[i % keys.length] as (typeof keys)[0], place, contents);
	},
	"seal and index under the tenant's key": (i) => {
		vault.index(tenantId, "live", "sms.address", numberOf(i));
		return vault.sealJson(place, contents);
	},
	"index alone": (i) => vault.index(tenantId, "live", "sms.address", numberOf(i)),
	"make a contact's key": (i) => vault.contacts.make(contactOf(numberOf(i))),
	"bare AES-256-GCM": () => {
		const cipher = createCipheriv("aes-256-gcm", bareKey, randomBytes(12));
		const bytes = cipher.update(plaintext);
		cipher.final();
		return [bytes, cipher.getAuthTag()];
	},
	"bare HMAC-SHA256": (i) => createHmac("sha256", bareKey).update(numberOf(i)).digest(),
};

const taken = new Map<string, number[]>(Object.keys(kinds).map((name) => [name, []]));
for (let round = -1; round < Number(values.rounds); round++)
	for (const [name, work] of Object.entries(kinds)) {
		const began = systemClock.elapsed();
		for (let i = 0; i < messages; i++) work(i);
		// The first round warms the machine up.
		if (round >= 0) taken.get(name)?.push(((systemClock.elapsed() - began) * 1_000) / messages);
	}

const cpu = cpus()[0]?.model.trim() ?? "";
print(
	`one core (${cpu}), node ${process.version}, ${plaintext.length} bytes a message, medians of ${values.rounds}`,
);
const micros = Object.fromEntries([...taken].map(([name, all]) => [name, medianOf(all)]));
for (const [name, one] of Object.entries(micros)) print(`${name.padEnd(40)} ${one.toFixed(2)} µs`);
const bare = (micros["bare AES-256-GCM"] ?? 0) + (micros["bare HMAC-SHA256"] ?? 0);
const ratio = (micros["seal and index one message"] ?? 0) / bare;
print(`one message ÷ (bare AES-256-GCM + bare HMAC): ${ratio.toFixed(2)}`);
record("vault", { micros, ratio, cpu, node: process.version, note: values.note });
