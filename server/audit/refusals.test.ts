import assert from "node:assert/strict";
import { test } from "node:test";
import { manualClock } from "#platform/clock.ts";
import type { Caller } from "#platform/http.ts";
import { ledgerWorld } from "../../tests/support/ledger-world.ts";
import { createRefusals, inAll, perSource } from "./refusals.ts";

const clock = manualClock(Date.parse("2026-11-27T03:00:00Z"));
const world = await ledgerWorld(clock);
const requestId = `req_${"0".repeat(26)}`;
const start = () =>
	createRefusals({ ledger: world.ledger, db: world.app, vault: world.vault, clock });
const refusal = (source: string, caller?: Caller, why = "key_invalid") => ({
	why,
	source,
	caller,
	route: "GET /v1/sms/messages/:id",
	requestId,
});

interface Row {
	readonly entry: Record<string, unknown> & { readonly data: Record<string, unknown> };
	readonly detail: boolean;
}

/** What was written since the last call. */
let seen = "00000000-0000-0000-0000-000000000000";
async function written(log = world.platformLog): Promise<Row[]> {
	const rows = await world.admin.run<Row & { id: string }>(
		"select id, convert_from(entry, 'UTF8')::json as entry, detail_sealed is not null as detail from ledger_entries where tenant_id = $1 and id > $2 order by id",
		[log, seen],
	);
	seen = rows.at(-1)?.id ?? seen;
	return rows;
}

test("a few of one source are recorded one by one, the rest as a count", async () => {
	const refusals = start();
	for (let n = 0; n < 20; n++) refusals.add(refusal("203.0.113.7"));
	refusals.add(refusal("203.0.113.8"));
	await refusals.flush();
	const rows = await written();
	assert.equal(rows.length, perSource + 1);
	const sources = rows.map(({ entry }) => entry.data["source"]);
	assert.equal(new Set(sources).size, 2);
	const { entry, detail } = rows[0] ?? assert.fail();
	assert.deepEqual(
		[entry["action"], entry["outcome"], entry.data["why"], detail],
		["authentication.failed", "refused", "key_invalid", true],
	);
	assert.doesNotMatch(JSON.stringify(rows), /203\.0\.113/);
	await refusals.flush();
	assert.deepEqual(await written(), [], "no count before the minute is over");
	clock.advance(60_000);
	await refusals.flush();
	const [counted] = await written();
	assert.deepEqual(
		[counted?.entry["action"], counted?.entry.data],
		["authentication.failures", { count: 20 - perSource, seconds: 60 }],
	);
	refusals.add(refusal("203.0.113.7"));
	await refusals.flush();
	assert.equal((await written()).length, 1, "a new minute, a new quota");
});

test("any number of sources fills neither the ledger nor the memory", async () => {
	const refusals = start();
	for (let n = 0; n < 50_000; n++)
		refusals.add(refusal(`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`));
	await refusals.flush();
	assert.equal((await written()).length, inAll);
	clock.advance(60_000);
	await refusals.flush();
	assert.deepEqual((await written())[0]?.entry.data, { count: 50_000 - inAll, seconds: 60 });
});

test("whoever has a whole IPv6 network is one source, however the address is written", async () => {
	const refusals = start();
	const addresses = [
		"2001:db8:1:2::1",
		"2001:db8:1:2:ffff::9",
		"2001:0DB8:0001:0002::abcd",
		"2001:db8:1:3::1",
		"::ffff:198.51.100.1",
		"198.51.100.1",
	];
	for (const address of addresses) refusals.add(refusal(address));
	await refusals.flush();
	const sources = (await written()).map(({ entry }) => entry.data["source"]);
	assert.equal(new Set(sources).size, 3);
	assert.equal(sources[0], sources[2]);
	assert.equal(sources[4], sources[5]);
});

test("a key that may not is in its tenant's log, by name", async () => {
	const refusals = start();
	const keyId = world.ids.next();
	const caller = {
		tenantId: world.tenantId,
		environment: "test",
		keyId,
		scopes: [],
		operator: false,
	} as const;
	refusals.add(refusal("203.0.113.9", caller, "permission_denied"));
	await refusals.flush();
	const [row] = await written(world.tenantId);
	assert.deepEqual(
		[row?.entry["action"], row?.entry["environment"], row?.detail],
		["permission.denied", "test", false],
	);
	assert.match(JSON.stringify(row?.entry["actor"]), /"key_/);
});

test("what cannot be written is counted, and told once it can", async () => {
	const refusals = start();
	await world.admin.run("revoke insert on ledger_entries from waxwing_app");
	refusals.add(refusal("203.0.113.10"));
	await assert.rejects(refusals.flush(), { name: "audit_unavailable" });
	await world.admin.run("grant insert on ledger_entries to waxwing_app");
	clock.advance(60_000);
	await refusals.flush();
	assert.deepEqual((await written())[0]?.entry.data, { count: 1, seconds: 60 });
});

test("the last flush writes the count too, and what it cannot write it can write again", async () => {
	const refusals = start();
	await world.admin.run("revoke insert on ledger_entries from waxwing_app");
	for (let n = 0; n < perSource + 3; n++) refusals.add(refusal("203.0.113.11"));
	assert.equal(refusals.unwritten(), perSource + 3);
	await assert.rejects(refusals.flush(true), { name: "audit_unavailable" });
	assert.equal(refusals.unwritten(), perSource + 3);
	await world.admin.run("grant insert on ledger_entries to waxwing_app");
	await refusals.flush(true);
	assert.equal(refusals.unwritten(), 0);
	const entries = await written();
	const actions = entries.map(({ entry }) => entry["action"]);
	assert.equal(actions.filter((one) => one === "authentication.failed").length, perSource);
	const counts = entries.filter(({ entry }) => entry["action"] === "authentication.failures");
	assert.deepEqual(
		counts.map(({ entry }) => entry.data["count"]),
		[3],
	);
});
