import assert from "node:assert/strict";
import { test } from "node:test";
import { ledgerWorld } from "../../tests/support/ledger-world.ts";
import { systemClock } from "#platform/clock.ts";
import { createCover, waitersMax } from "./cover.ts";

const world = await ledgerWorld();
const { app, tenantId, platformLog } = world;
let hurried = 0;
const open = (withinMs?: number) =>
	createCover({
		db: app,
		clock: systemClock,
		hurry: () => void hurried++,
		...(withinMs === undefined ? {} : { withinMs }),
	});
const oneIn = async (log: string): Promise<string> => {
	const event = log === platformLog ? "tenants.read" : "webhook.changed";
	const detail = log === platformLog ? undefined : { n: 1 };
	return (await world.record(log, event, detail))[0] ?? assert.fail();
};

test("who waits goes on when a checkpoint covers the entry, not before, in either log", async () => {
	for (const log of [tenantId, platformLog]) {
		const id = await oneIn(log);
		let done = false;
		const before = hurried;
		const waiting = open()
			.untilSigned(log, id)
			.then(() => void (done = true));
		await new Promise((resolve) => void setTimeout(resolve, 150));
		assert.deepEqual([done, hurried], [false, before + 1], "unplaced");
		await world.place();
		await new Promise((resolve) => void setTimeout(resolve, 150));
		assert.equal(done, false, "placed, and not signed");
		await world.openSigner().sign();
		await waiting;
		assert.ok(done);
	}
});

test("a signature over what came before does not count", async () => {
	await world.grow(3);
	const id = await oneIn(tenantId);
	await world.place();
	await assert.rejects(open(200).untilSigned(tenantId, id), { name: "audit_unavailable" });
	await world.openSigner().sign();
	await open(200).untilSigned(tenantId, id);
});

test("the wait ends, says why, and only so many wait at once", async () => {
	const id = await oneIn(tenantId);
	const cover = open(300);
	const all = await Promise.allSettled(
		Array.from({ length: waitersMax + 2 }, () => cover.untilSigned(tenantId, id)),
	);
	const whys = all.map((one) => String((one as PromiseRejectedResult).reason?.message));
	assert.equal(whys.filter((why) => /within 0.3 s. It was not done/.test(why)).length, waitersMax);
	assert.equal(whys.filter((why) => /too many .* It was not done/.test(why)).length, 2);
	// Their places are free again.
	await assert.rejects(cover.untilSigned(tenantId, id), /within 0.3 s/);
});

test("one tenant cannot ask for another's entry", async () => {
	const id = await oneIn(platformLog);
	await world.place();
	await world.openSigner().sign();
	await assert.rejects(open(100).untilSigned(tenantId, id), { name: "audit_unavailable" });
});
