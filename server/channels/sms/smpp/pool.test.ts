import assert from "node:assert/strict";
import { after, test } from "node:test";
import { systemClock } from "#platform/clock.ts";
import { seededRandom } from "#platform/ids.ts";
import type { SubmitOutcome } from "./job.ts";
import type { Pdu, SubmitSm } from "./pdu.ts";
import { message, pause, submitResp, until } from "./test-peer.ts";
import { bound, closeAll, deliver, swallowSubmits } from "./test-pool.ts";

after(closeAll);

test("binds as told, submits, and gives the carrier's ids", async () => {
	const { peer, pool, binds } = await bound(() => {});
	const [first] = peer.connections[0]?.received ?? [];
	assert.deepEqual(first, {
		command: "bind_transceiver",
		sequence: 1,
		systemId: "waxwing",
		password: "secret",
		systemType: "",
		interfaceVersion: 0x34,
		addressTon: 0,
		addressNpi: 0,
		addressRange: "",
		tlvs: [],
	});
	assert.deepEqual(binds, [
		{ routeId: "r1", bind: 0, mode: "transceiver", state: "bound", reason: "" },
	]);
	assert.equal(pool.room(), 10);
	const submission = message(1, {
		dlt: { entityId: "1701", templateId: "1107", chainHash: "c0" },
		validityMs: 60_000,
	});
	assert.deepEqual(await pool.submit(submission), { kind: "accepted", carrierIds: ["id1"] });
	assert.deepEqual(peer.submits[0]?.shortMessage, submission.parts[0]);
	assert.deepEqual(
		peer.submits[0]?.tlvs.map(({ tag, value }) => [tag, value.toString()]),
		[
			[0x1400, "1701"],
			[0x1401, "1107"],
			[0x1402, "c0"],
		],
	);
	assert.deepEqual(await pool.submit(message(3)), {
		kind: "accepted",
		carrierIds: ["id2", "id3", "id4"],
	});
	assert.deepEqual([pool.state().outcomes.accepted, pool.state().counts.submitted], [2, 4]);
});

test("transmitters and receivers: submits go to the one, deliver_sm comes from the other", async () => {
	const delivered: Pdu[] = [];
	const { peer, pool } = await bound(
		() => {},
		{ binds: { transceiver: 0, transmitter: 2, receiver: 1 } },
		{ onDeliver: async ({ pdu }) => void delivered.push(pdu) },
	);
	const outcomes = await Promise.all(Array.from({ length: 40 }, () => pool.submit(message())));
	assert.ok(outcomes.every((outcome) => outcome.kind === "accepted"));
	const modes = peer.connections.map(({ received }) => [
		received[0]?.command,
		received.filter((pdu) => pdu.command === "submit_sm").length,
	]);
	const byMode = Object.groupBy(modes, ([command]) => String(command));
	assert.deepEqual(byMode["bind_receiver"], [["bind_receiver", 0]]);
	assert.equal(byMode["bind_transmitter"]?.length, 2);
	for (const [, count] of byMode["bind_transmitter"] ?? [])
		assert.ok(Number(count) >= 10, "both carry their share");
	const receiver = peer.connections.find(
		({ received }) => received[0]?.command === "bind_receiver",
	);
	receiver?.send(deliver(1));
	await until(() => delivered.length === 1);
});

test("the window is never exceeded and always filled; a multi-part message larger than it passes", async () => {
	let open = 0;
	let most = 0;
	const held: (() => void)[] = [];
	const { pool } = await bound(
		(pdu, { send }) => {
			if (pdu.command !== "submit_sm") return false;
			most = Math.max(most, ++open);
			held.push(() => {
				open--;
				send(submitResp(pdu, "x"));
			});
			return true;
		},
		{ window: 4 },
	);
	const all = Promise.all([
		pool.submit(message(9)),
		...Array.from({ length: 20 }, () => pool.submit(message())),
	]);
	let settled = false;
	void all.then(() => {
		settled = true;
	});
	await until(() => open === 4);
	assert.equal(pool.room(), 0);
	await until(() => {
		held.shift()?.();
		return settled;
	});
	assert.ok((await all).every((outcome) => outcome.kind === "accepted"));
	assert.equal(most, 4);
});

test("parts of a message go over one bind, in order, with nothing between them", async () => {
	const random = seededRandom(21);
	const { peer, pool } = await bound(
		(pdu, { send }) => {
			if (pdu.command !== "submit_sm") return false;
			setTimeout(() => send(submitResp(pdu, "x")), random.fraction() * 8);
			return true;
		},
		{ window: 3, binds: { transceiver: 3, transmitter: 0, receiver: 0 } },
	);
	const outcomes = await Promise.all(
		Array.from({ length: 60 }, (_, i) => pool.submit(message(1 + (i % 5)))),
	);
	assert.ok(outcomes.every((outcome) => outcome.kind === "accepted"));
	for (const { received } of peer.connections) {
		const submits = received.filter((pdu): pdu is SubmitSm => pdu.command === "submit_sm");
		assert.ok(submits.length > 20);
		for (let at = 0; at < submits.length; ) {
			const [first] = submits.slice(at, at + 1) as [SubmitSm];
			const total = first.esmClass === 0x40 ? (first.shortMessage[5] as number) : 1;
			const parts = submits
				.slice(at, at + total)
				.map((pdu) => (total === 1 ? 1 : pdu.shortMessage[6]));
			const references = new Set(
				submits.slice(at, at + total).map((pdu) => pdu.shortMessage.toString("hex", 3, 5)),
			);
			assert.deepEqual(
				parts,
				Array.from({ length: total }, (_, i) => i + 1),
			);
			if (total > 1) assert.equal(references.size, 1);
			at += total;
		}
	}
});

test("the agreed rate is kept, room says so, and onRoom comes when it is time", async () => {
	const at: number[] = [];
	const { pool } = await bound(
		(pdu) => {
			if (pdu.command === "submit_sm") at.push(systemClock.elapsed());
		},
		{ tps: 40, window: 100 },
	);
	let asked = 0;
	const outcomes: Promise<SubmitOutcome>[] = [];
	const fill = (): void => {
		for (let room = pool.room(); room > 0 && asked < 60; room--, asked++)
			outcomes.push(pool.submit(message()));
	};
	pool.onRoom(fill);
	const began = systemClock.elapsed();
	fill();
	assert.ok(asked <= 3, "no burst");
	await until(() => at.length === 60);
	const tookMs = systemClock.elapsed() - began;
	assert.ok(tookMs > 1_300 && tookMs < 4_000, `${tookMs}`);
	// The peer's clock sees what the network made of it: allow what a stall may push together.
	for (const from of at)
		assert.ok(at.filter((one) => one >= from && one < from + 1_000).length <= 44);
	assert.ok((await Promise.all(outcomes)).every((outcome) => outcome.kind === "accepted"));
});

test("queued messages leave by the rate alone, without being asked for", async () => {
	const { pool } = await bound(() => {}, { tps: 50, window: 100 });
	const outcomes = await Promise.all(Array.from({ length: 30 }, () => pool.submit(message())));
	assert.ok(outcomes.every((outcome) => outcome.kind === "accepted"));
});

test("a message of several parts is not parted by the rate either", async () => {
	const { peer, pool } = await bound(() => {}, { tps: 60, window: 100 });
	const outcomes: Promise<SubmitOutcome>[] = [];
	// Asked for at all moments, also when a part is due and the timer has not come yet.
	for (let count = 0; count < 12; count++) {
		outcomes.push(pool.submit(message(3)));
		const wait = systemClock.elapsed() + 21;
		while (systemClock.elapsed() < wait);
		outcomes.push(pool.submit(message()));
		assert.equal(pool.room(), 0, "what waits comes before what is asked for now");
		if (count % 3 === 0) await pause(1);
	}
	assert.ok((await Promise.all(outcomes)).every((outcome) => outcome.kind === "accepted"));
	const parts = peer.submits.map((pdu) => (pdu.esmClass === 0x40 ? pdu.shortMessage[6] : 0));
	assert.deepEqual(parts, Array.from({ length: 12 }, () => [1, 2, 3, 0]).flat());
});

test("a part that comes due between two looks at the clock is not forgotten", {
	timeout: 20_000,
}, async () => {
	for (const stepMs of [1, 4, 7, 13, 19, 25]) {
		let stalledMs = 0;
		// A process that is held up before each look: what was not due a moment ago is due now.
		const elapsed = (): number => systemClock.elapsed() + (stalledMs += stepMs);
		const clock = { ...systemClock, elapsed };
		const { peer, pool } = await bound(() => {}, { tps: 60, window: 100 }, { clock });
		const outcomes = await Promise.all(Array.from({ length: 4 }, () => pool.submit(message(5))));
		assert.ok(outcomes.every((outcome) => outcome.kind === "accepted"));
		assert.equal(peer.submits.length, 20);
	}
});

test("what is queued comes before what room offers", async () => {
	const { pool } = await bound(() => {}, { tps: 50, window: 100 });
	const outcomes = Array.from({ length: 12 }, () => pool.submit(message()));
	const wait = systemClock.elapsed() + 70;
	while (systemClock.elapsed() < wait);
	assert.ok(pool.state().queued > 5);
	assert.equal(pool.commonRoom(), 0);
	assert.ok(pool.room() > 0, "what is urgent does not wait behind it");
	await Promise.all(outcomes);
	await until(() => pool.commonRoom() > 0);
});

test("what is urgent leaves before what is queued, and into what is kept of the window", async () => {
	const { peer, pool } = await bound(swallowSubmits, { window: 32 });
	for (let count = 0; count < 40; count++) void pool.submit(message());
	await until(() => peer.submits.length === 30);
	assert.deepEqual([pool.room(), pool.commonRoom(), pool.state().queued], [2, 0, 10]);
	for (let count = 0; count < 3; count++)
		void pool.submit({ ...message(), urgent: true, reference: 7_000 + count });
	await until(() => peer.submits.length === 32);
	assert.deepEqual([pool.room(), pool.state().queued], [0, 11]);
	const answer = (index: number): void =>
		peer.connections[0]?.send(submitResp(peer.submits[index] as SubmitSm, `id${index}`));
	answer(0);
	await until(() => peer.submits.length === 33);
	assert.equal(pool.state().queued, 10, "the third urgent one came first");
	answer(1);
	await pause(30);
	assert.equal(peer.submits.length, 33, "what becomes free of the kept part stays free");
	answer(2);
	answer(3);
	answer(4);
	await until(() => peer.submits.length === 35);
});

test("the rate does not wait for answers", async () => {
	const { peer, pool } = await bound(swallowSubmits, { tps: 50, window: 100 });
	for (let count = 0; count < 12; count++) void pool.submit(message());
	await until(() => peer.submits.length === 12);
});

test("a receipt that comes before the answer is handed up before the submit settles", async () => {
	const order: string[] = [];
	const { pool } = await bound(
		(pdu, { send }) => {
			if (pdu.command !== "submit_sm") return false;
			send(deliver(7, "id:x1 stat:DELIVRD"), submitResp(pdu, "x1"));
			return true;
		},
		{},
		{
			onDeliver: async ({ pdu, routeId }) =>
				void order.push(`${routeId} ${pdu.shortMessage.toString()}`),
		},
	);
	const outcome = await pool.submit(message());
	order.push(outcome.kind);
	assert.deepEqual(order, ["r1 id:x1 stat:DELIVRD", "accepted"]);
});

test("deliver_sm is answered when it is kept: OK, temporary error, never before", async () => {
	const waiting: { resolve: () => void; reject: (cause: Error) => void }[] = [];
	const onDeliver = (): Promise<void> =>
		new Promise((resolve, reject) => waiting.push({ resolve, reject }));
	const { peer, pool } = await bound(() => {}, {}, { onDeliver });
	const there = peer.connections[0];
	there?.send(deliver(11), deliver(12), {
		command: "other",
		commandId: 0x103,
		sequence: 13,
		status: 0,
		body: Buffer.alloc(4),
	});
	await until(() => waiting.length === 2);
	const answers = () =>
		(there?.received ?? [])
			.slice(1)
			.map((pdu) => [pdu.command, pdu.sequence, "status" in pdu && pdu.status]);
	await until(() => answers().length === 1);
	assert.deepEqual(answers(), [["generic_nack", 13, 3]]);
	waiting[1]?.resolve();
	waiting[0]?.reject(new Error("the database is gone"));
	await until(() => answers().length === 3);
	assert.deepEqual(answers().slice(1).sort(), [
		["deliver_sm_resp", 11, 0x64],
		["deliver_sm_resp", 12, 0],
	]);
	assert.deepEqual([pool.state().counts.delivered, pool.state().counts.notDelivered], [1, 1]);
});

test("ten thousand messages through three binds, each with one outcome", async () => {
	const { peer, pool } = await bound(() => {}, {
		window: 100,
		binds: { transceiver: 3, transmitter: 0, receiver: 0 },
	});
	const ids = new Set<string>();
	let asked = 0;
	let settled = 0;
	const fill = (): void => {
		for (let room = pool.room(); room > 0 && asked < 10_000; room--, asked++)
			void pool.submit(message()).then((outcome) => {
				settled++;
				if (outcome.kind === "accepted") for (const id of outcome.carrierIds) ids.add(id);
			});
	};
	pool.onRoom(fill);
	fill();
	await until(() => settled === 10_000);
	assert.equal(ids.size, 10_000);
	for (const { received } of peer.connections) assert.ok(received.length > 2_000);
});
