/** Keys that are due and erasures that are late raise an alarm on the day, in a gauge and in the log. Over PostgreSQL. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { manualClock } from "#platform/clock.ts";
import { type Log, silentLog } from "#platform/log.ts";
import { createMetrics } from "#platform/metrics.ts";
import { startKeyWork } from "./key-work.ts";
import { testKeys } from "./test-keys.ts";

const clock = manualClock(Date.parse("2026-11-27T00:00:00Z"));
const world = await testKeys(clock);
const main = await world.open();
const dayMs = 86_400_000;
const hourMs = 3_600_000;

/** A process's work on keys, with what it says. */
function workThatTells() {
	const said: unknown[] = [];
	const warn: Log["warn"] = (fields: object) =>
		void said.push((fields as { event?: unknown }).event);
	const metrics = createMetrics();
	const due = { rotationDays: 30, erasureWindowDays: 7, backupDays: 400 };
	const work = startKeyWork({ ...main, ...due, metrics, log: { ...silentLog, warn } });
	after(() => work.stop());
	const gauge = async (name: string): Promise<number> =>
		Number(new RegExp(`^${name} (\\S+)$`, "m").exec(await metrics.text())?.[1]);
	return { ...work, said, gauge };
}

test("a tenant's key and the root key are due on the day, not before, and no more when they were rotated", async () => {
	const { tenantId } = await world.tenant(main);
	const work = workThatTells();
	await work.work();
	assert.equal(await work.gauge("wx_keys_due"), 0);
	clock.advance(30 * dayMs - hourMs);
	await work.work();
	assert.deepEqual([await work.gauge("wx_keys_due"), work.said], [0, []]);
	clock.advance(hourMs + 1);
	await work.work();
	assert.equal(await work.gauge("wx_keys_due"), 2);
	assert.deepEqual(work.said, ["keys.root_due", "keys.tenants_due"]);
	const status = await work.status();
	assert.ok((status.rootDueAtMs as number) < clock.now());
	assert.equal(status.tenantsDue, 1);
	await work.rotateRoot();
	await work.rewrap();
	await work.rotateTenant(tenantId);
	clock.advance(hourMs);
	await work.work();
	assert.equal(await work.gauge("wx_keys_due"), 0);
	await work.stop();
});

test("an erasure that waits longer than the window is told again and again until it is complete", async () => {
	const scope = await world.tenant(main);
	const index = main.vault.index(scope.tenantId, "live", "sms.address", "+911");
	const who = { index, suppressionIndex: Buffer.alloc(32) };
	await main.erasures.erase(scope, who, async () => undefined);
	// No process ran for eight days: half of the window was missed, and the window too.
	clock.advance(8 * dayMs);
	const work = workThatTells();
	await work.work();
	assert.ok(work.said.includes("keys.erasure_late"), String(work.said));
	assert.equal(await work.gauge("wx_erasures_waiting"), 1);
	assert.equal(await work.gauge("wx_erasure_oldest_seconds"), 8 * 86_400);
	clock.advance(hourMs);
	work.said.length = 0;
	await work.work();
	assert.ok(work.said.includes("keys.erasure_late"));
	await work.work();
	assert.equal(await work.gauge("wx_erasures_waiting"), 0);
	assert.equal(await work.gauge("wx_erasure_oldest_seconds"), 0);
	await work.stop();
});
