/** The ledger's chores at a stop: nothing of the last second is dropped in silence. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock as clock } from "#platform/clock.ts";
import { type Log, silentLog } from "#platform/log.ts";
import { createMetrics } from "#platform/metrics.ts";
import { ledgerName, ledgerWorld } from "../../tests/support/ledger-world.ts";
import { createRefusals } from "./refusals.ts";
import { startLedger } from "./start.ts";

const world = await ledgerWorld();
const { app: db, worker, ledger, vault, admin } = world;
const messages = { facts: async () => [], lost: async () => new Set<string>() };

function begin() {
	const said: Record<string, unknown>[] = [];
	const log: Log = {
		...silentLog,
		warn: (what: unknown) => void said.push(what as Record<string, unknown>),
		error: (what: unknown) => void said.push(what as Record<string, unknown>),
	};
	const refusals = createRefusals({ ledger, db, vault, clock });
	const metrics = createMetrics();
	const parts = { worker, ledger, refusals, clock, log, metrics, name: ledgerName, messages };
	return { refusals, said, chores: startLedger(parts) };
}

const refuse = (refusals: ReturnType<typeof createRefusals>): void =>
	refusals.add({
		why: "key_invalid",
		source: "203.0.113.77",
		route: "GET /v1/senders",
		caller: undefined,
		requestId: `req_${"0".repeat(26)}`,
	});

const failures = () =>
	admin.run("select from ledger_entries where action = 'authentication.failed'");

test("what is refused in the last second is written at the stop", async () => {
	const { refusals, chores, said } = begin();
	refuse(refusals);
	await chores.stop(async () => undefined);
	assert.equal((await failures()).length, 1);
	assert.deepEqual(said, []);
});

test("a flush that fails at the stop is tried once more", async () => {
	const { refusals, chores, said } = begin();
	await admin.run("revoke insert on ledger_entries from waxwing_app");
	refuse(refusals);
	const stopped = chores.stop(async () => undefined);
	setTimeout(() => void admin.run("grant insert on ledger_entries to waxwing_app"), 200);
	await stopped;
	assert.equal((await failures()).length, 2);
	assert.deepEqual(
		said.map((one) => one["event"]),
		["ledger.last_flush"],
	);
});

test("one that fails again is said to be lost, with how many", async () => {
	const { refusals, chores, said } = begin();
	await admin.run("revoke insert on ledger_entries from waxwing_app");
	refuse(refusals);
	refuse(refusals);
	await chores.stop(async () => undefined);
	await admin.run("grant insert on ledger_entries to waxwing_app");
	const last = said.at(-1);
	assert.deepEqual([last?.["event"], last?.["refusals"]], ["ledger.refusals_lost", 2]);
	assert.equal((await failures()).length, 2);
});
