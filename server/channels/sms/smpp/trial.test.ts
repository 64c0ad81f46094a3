/** Suspects leave over a bind with nothing beside them, and others do not wait for long because of it. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { seededRandom } from "#platform/ids.ts";
import type { Pdu } from "./pdu.ts";
import { message, type PeerConnection, pause, submitResp, until } from "./test-peer.ts";
import { type Act, bound, closeAll, kinds } from "./test-pool.ts";

after(closeAll);

interface Held {
	readonly pdu: Pdu;
	readonly by: PeerConnection;
}

/** A carrier that answers no submit by itself. */
function silentCarrier(): { act: Act; held: Held[]; answer: (one: Held | undefined) => void } {
	const held: Held[] = [];
	return {
		held,
		act: (pdu, by) => pdu.command === "submit_sm" && held.push({ pdu, by }) > 0,
		answer(one) {
			assert.ok(one !== undefined, "there is such a submit");
			one.by.send(submitResp(one.pdu, `id${held.indexOf(one)}`));
		},
	};
}

test("a suspect waits until its bind is quiet, and what comes meanwhile waits for its answer", async () => {
	const { act, held, answer } = silentCarrier();
	const { pool } = await bound(act);
	const before = [pool.submit(message()), pool.submit(message())];
	await until(() => held.length === 2);
	answer(held[0]);
	await before[0];
	assert.equal(pool.trialRoom(), 1);
	const suspect = pool.submitApart(message());
	assert.deepEqual([pool.trialRoom(), pool.room(), pool.commonRoom()], [0, 0, 0]);
	const behind = pool.submit(message());
	await pause(60);
	assert.equal(held.length, 2, "the bind is not quiet");
	answer(held[1]);
	await until(() => held.length === 3);
	await pause(60);
	assert.equal(held.length, 3, "the suspect is alone");
	answer(held[2]);
	assert.deepEqual(kinds([await suspect]), ["accepted"]);
	await until(() => held.length === 4);
	answer(held[3]);
	assert.deepEqual(kinds([await behind]), ["accepted"]);
	assert.equal(pool.trialRoom(), 1);
});

test("a suspect takes the place of an earlier start of the same message that has not left yet", async () => {
	const { act, held, answer } = silentCarrier();
	const { pool } = await bound(act, { window: 1 });
	const before = pool.submit(message());
	const twice = message();
	const [stale, other] = [pool.submit(twice), pool.submit(message())];
	await until(() => held.length === 1);
	const suspect = pool.submitApart(twice);
	assert.deepEqual(kinds([await stale]), ["unsent"]);
	for (let i = 0; i < 3; i++) {
		await until(() => held.length === i + 1);
		answer(held[i]);
	}
	assert.deepEqual(kinds(await Promise.all([before, suspect, other])), Array(3).fill("accepted"));
	await pause(50);
	assert.equal(held.length, 3, "it left once");
	assert.equal(pool.state().queued, 0);
});

test("with another bind, nothing waits for a suspect", async () => {
	const { act, held, answer } = silentCarrier();
	const { pool } = await bound(act, { binds: { transceiver: 2, transmitter: 0, receiver: 0 } });
	const suspect = pool.submitApart(message());
	await until(() => held.length === 1);
	assert.equal(pool.room(), 10);
	const others = Array.from({ length: 5 }, () => pool.submit(message()));
	await until(() => held.length === 6);
	assert.ok(held.slice(1).every(({ by }) => by !== held[0]?.by));
	for (const one of held) answer(one);
	assert.deepEqual(new Set(kinds(await Promise.all([suspect, ...others]))), new Set(["accepted"]));
});

test("what stays silent holds a suspect up for 0.2 s, and a silent suspect others for 2 s", async () => {
	const { act, held, answer } = silentCarrier();
	const { pool } = await bound(act);
	void pool.submit(message());
	await until(() => held.length === 1);
	const startedMs = performance.now();
	void pool.submitApart(message());
	await until(() => held.length === 2);
	const drainedMs = performance.now() - startedMs;
	assert.ok(drainedMs > 190 && drainedMs < 1_500, `${drainedMs} ms`);
	const behind = pool.submit(message());
	await until(() => held.length === 3);
	const tookMs = performance.now() - startedMs;
	assert.ok(tookMs > drainedMs + 1_900 && tookMs < drainedMs + 4_000, `${tookMs} ms`);
	answer(held[2]);
	assert.equal((await behind).kind, "accepted");
	assert.equal(pool.trialRoom(), 1, "the next one may be tried");
});

test("what was given back in the same turn leaves together, and only that is lost with the connection", async () => {
	const { act, held } = silentCarrier();
	const { pool } = await bound(act, { window: 2 });
	const group = Array.from({ length: 3 }, () => pool.submitApart(message()));
	const behind = pool.submit(message());
	await until(() => held.length === 2);
	held[0]?.by.socket.resetAndDestroy();
	assert.deepEqual(kinds(await Promise.all(group)), ["unknown", "unknown", "unsent"]);
	await until(() => pool.state().state === "bound");
	assert.equal(
		pool.trialRoom(),
		0,
		"a trial that ends with the connection is paid for with a pause",
	);
	assert.equal((await behind).kind, "unsent", "no bind stood: as ever");
	await until(() => pool.trialRoom() === 1);
});

test("suspects that end the connection again and again do not make the bind slower to come back", async () => {
	let isPoison = true;
	const drop: Act = (pdu, { socket }) => {
		if (pdu.command !== "submit_sm" || !isPoison) return false;
		socket.resetAndDestroy();
		return true;
	};
	// The longest wait each time.
	const random = { ...seededRandom(1), fraction: () => 0.99 };
	const { pool } = await bound(drop, { backoff: { firstMs: 20, mostMs: 60_000 } }, { random });
	const awayMs: number[] = [];
	for (let times = 0; times < 4; times++) {
		await until(() => pool.trialRoom() > 0);
		assert.equal((await pool.submitApart(message())).kind, "unknown");
		const lostAtMs = performance.now();
		await until(() => pool.state().state === "bound");
		awayMs.push(performance.now() - lostAtMs);
	}
	// Not excused, the fourth wait would be 160 ms.
	assert.ok(Math.max(...awayMs) < 120, awayMs.join());
	isPoison = false;
	assert.equal((await pool.submit(message())).kind, "accepted");
});

test("one at a time, unless the carrier is slow to answer: then so many that each takes 20 ms of it", async () => {
	const expected = [
		{ delayMs: 0, least: 1, most: 2 },
		{ delayMs: 100, least: 5, most: 8 },
		{ delayMs: 600, least: 16, most: 16 },
	];
	for (const { delayMs, least, most } of expected) {
		const { pool } = await bound((pdu, { send }) => {
			if (pdu.command !== "submit_sm") return false;
			setTimeout(() => send(submitResp(pdu, "id")), delayMs);
			return true;
		});
		assert.equal(pool.trialSize(), 1, "nothing is known");
		for (let times = 0; times < 3; times++) await pool.submit(message());
		const size = pool.trialSize();
		assert.ok(size >= least && size <= most, `${size} at ${delayMs} ms`);
	}
});

test("a pool that stops gives suspects back unsent", async () => {
	const { act, held } = silentCarrier();
	const { pool } = await bound(act);
	const other = pool.submit(message());
	await until(() => held.length === 1);
	const suspect = pool.submitApart(message());
	const stopped = pool.stop(50);
	assert.deepEqual(kinds([await suspect, await other]), ["unsent", "unknown"]);
	await stopped;
	assert.equal(pool.trialRoom(), 0);
});
