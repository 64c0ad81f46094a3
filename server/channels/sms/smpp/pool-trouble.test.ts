import assert from "node:assert/strict";
import { after, test } from "node:test";
import { systemClock } from "#platform/clock.ts";
import type { LateAnswer } from "./link-state.ts";
import type { Pdu } from "./pdu.ts";
import { message, pause, submitResp, until } from "./test-peer.ts";
import { bound, closeAll, kinds, start, swallowSubmits } from "./test-pool.ts";

after(closeAll);

test("no answer in time is unknown, frees the window, and a late answer is told", async () => {
	const late: LateAnswer[] = [];
	let hold = true;
	const heldPdus: Pdu[] = [];
	const { peer, pool } = await bound(
		(pdu) => {
			if (pdu.command === "submit_sm" && hold) heldPdus.push(pdu);
			return pdu.command === "submit_sm" && hold;
		},
		{ window: 2, timers: { responseTimeoutMs: 80 } },
		{ onLateAnswer: (one) => void late.push(one) },
	);
	const [first, second] = [message(), message()];
	const outcomes = await Promise.all([pool.submit(first), pool.submit(second)]);
	assert.deepEqual(
		outcomes,
		[first, second].map(() => ({ kind: "unknown", reason: "timeout", carrierIds: [] })),
	);
	hold = false;
	assert.equal(pool.room(), 2);
	assert.equal((await pool.submit(message())).kind, "accepted");
	peer.connections[0]?.send(submitResp(heldPdus[1] as Pdu, "afterwards"));
	await until(() => late.length === 1);
	assert.deepEqual(late, [
		{ submissionId: second.id, part: 0, commandStatus: 0, carrierId: "afterwards" },
	]);
	assert.equal(pool.state().counts.lateAnswers, 1);
});

test("a part that is answered late, while others are still due, is not in doubt", async () => {
	const late: LateAnswer[] = [];
	const held: Pdu[] = [];
	const { peer, pool } = await bound(
		(pdu) => pdu.command === "submit_sm" && held.push(pdu) > 0,
		{ tps: 5, timers: { responseTimeoutMs: 500 } },
		{ onLateAnswer: (one) => void late.push(one) },
	);
	const submitted = pool.submit(message(3));
	await until(() => pool.state().counts.timeouts > 0);
	peer.connections[0]?.send(...held.map((pdu, i) => submitResp(pdu, `id${i}`)));
	assert.deepEqual(await submitted, { kind: "accepted", carrierIds: ["id0", "id1", "id2"] });
	assert.deepEqual(late, [], "the outcome says it");
});

test("a connection that drops: what was written is unknown, what was not is unsent; then it binds again", async () => {
	const { peer, pool, binds } = await bound(swallowSubmits, { window: 3 });
	const outcomes = Array.from({ length: 8 }, () => pool.submit(message()));
	await until(() => peer.submits.length === 3);
	assert.equal(pool.state().queued, 5);
	peer.connections[0]?.socket.resetAndDestroy();
	const settled = await Promise.all(outcomes);
	assert.deepEqual(kinds(settled), [...Array(3).fill("unknown"), ...Array(5).fill("unsent")]);
	assert.deepEqual(settled[0], { kind: "unknown", reason: "connection_lost", carrierIds: [] });
	await until(() => pool.state().state === "bound");
	assert.deepEqual(
		binds.map((event) => event.state),
		["bound", "waiting", "connecting", "bound"],
	);
	assert.equal(peer.submits.length, 3, "nothing was sent again");
	assert.equal(pool.state().counts.connects, 2);
});

test("a message of which one part left is unknown, with the ids it has", async () => {
	const { peer, pool } = await bound(
		(pdu, { send }) => {
			if (pdu.command !== "submit_sm") return false;
			if (pdu.shortMessage[6] === 1) send(submitResp(pdu, "first"));
			return true;
		},
		{ window: 1 },
	);
	const outcome = pool.submit(message(3));
	await until(() => peer.submits.length === 2);
	peer.connections[0]?.socket.destroy();
	assert.deepEqual(await outcome, {
		kind: "unknown",
		reason: "connection_lost",
		carrierIds: ["first"],
	});
});

test("without a bind everything is unsent at once and there is no room", async () => {
	const { peer, pool } = await start((pdu) => pdu.command === "bind_transceiver");
	assert.equal(pool.room(), 0);
	assert.deepEqual(await pool.submit(message()), { kind: "unsent" });
	await until(() => (peer.connections[0]?.received.length ?? 0) === 1);
	assert.deepEqual(await pool.submit(message()), { kind: "unsent" });
	assert.equal(pool.state().state, "connecting");
	const nowhere = await start(() => {}, { port: 1 });
	await until(() => nowhere.pool.state().binds[0]?.lastFailure === "ECONNREFUSED");
});

test("refusals go back to the caller with their meaning, and are not tried again", async () => {
	const codes = [0x0b, 0x45, 0x4ff];
	const { peer, pool } = await bound((pdu, { send }) => {
		if (pdu.command !== "submit_sm") return false;
		send(submitResp(pdu, "", codes.shift()));
		return true;
	});
	const outcomes = [
		await pool.submit(message()),
		await pool.submit(message()),
		await pool.submit(message()),
	];
	assert.deepEqual(
		outcomes.map((outcome) => outcome.kind === "refused" && [outcome.name, outcome.disposition]),
		[
			["ESME_RINVDSTADR", "permanent"],
			["ESME_RSUBMITFAIL", "retry"],
			["0x000004ff", "permanent"],
		],
	);
	assert.equal(pool.state().counts.unknownStatuses, 1);
	assert.equal(peer.submits.length, 3);
	assert.deepEqual(await pool.submit(message(1, { parts: [] })), {
		kind: "refused",
		commandStatus: 1,
		name: "ESME_RINVMSGLEN",
		disposition: "permanent",
		carrierIds: [],
	});
	assert.equal(peer.submits.length, 3);
});

test("throttling is told to the caller and paces what follows", async () => {
	let throttle = true;
	const { pool } = await bound(
		(pdu, { send }) => {
			if (pdu.command !== "submit_sm" || !throttle) return false;
			send(submitResp(pdu, "", pdu.sequence % 2 === 0 ? 0x58 : 0x14));
			return true;
		},
		{ tps: 20, window: 50 },
	);
	assert.equal(pool.state().binds[0]?.rate, 20);
	const outcome = await pool.submit(message());
	assert.ok(outcome.kind === "refused" && outcome.disposition === "throttled");
	const rate = pool.state().binds[0]?.rate ?? 0;
	assert.ok(rate >= 10 && rate < 11, `${rate}`);
	assert.equal(pool.room(), 0, "the caller's next try has to wait");
	throttle = false;
	let rooms = 0;
	pool.onRoom(() => void rooms++);
	await until(() => rooms > 0, "room");
	assert.ok(pool.room() > 0);
	assert.equal((await pool.submit(message())).kind, "accepted");
	assert.equal(pool.state().counts.throttled, 1);
});

test("an unlimited bind that is throttled gets a limit", async () => {
	const { pool } = await bound(
		(pdu, { send }) => {
			if (pdu.command !== "submit_sm") return false;
			send(submitResp(pdu, "", 0x58));
			return true;
		},
		{ window: 50 },
	);
	const outcomes = await Promise.all(Array.from({ length: 50 }, () => pool.submit(message())));
	assert.ok(outcomes.every((outcome) => outcome.kind === "refused"));
	assert.ok((pool.state().binds[0]?.rate ?? 0) <= 51);
	assert.equal(pool.room(), 0);
});

test("credentials that are refused are not hammered", async () => {
	const { peer, pool, binds } = await start(
		(pdu, { send }) => {
			if (pdu.command !== "bind_transceiver") return false;
			send({
				command: "bind_transceiver_resp",
				sequence: pdu.sequence,
				status: 0x0e,
				systemId: "",
				tlvs: [],
			});
			return true;
		},
		{ backoff: { firstMs: 10, mostMs: 20, refusalsMax: 3, refusedEveryMs: 300 } },
	);
	await until(() => pool.state().state === "refused");
	assert.equal(peer.connections.length, 3);
	assert.equal(pool.state().binds[0]?.lastFailure, "ESME_RINVPASWD");
	assert.equal(binds.at(-1)?.reason, "ESME_RINVPASWD");
	await pause(150);
	assert.equal(peer.connections.length, 3);
	await until(() => peer.connections.length === 4, "the slow attempt");
	assert.equal(pool.state().state, "refused");
});

test("a bind refused for other reasons is tried on", async () => {
	let attempts = 0;
	const { pool } = await start(
		(pdu, { send }) => {
			if (pdu.command !== "bind_transceiver" || ++attempts > 7) return false;
			send({
				command: "bind_transceiver_resp",
				sequence: pdu.sequence,
				status: attempts % 2 ? 0x08 : 0x05,
				systemId: "",
				tlvs: [],
			});
			return true;
		},
		{ backoff: { firstMs: 2, mostMs: 10 } },
	);
	await until(() => pool.state().state === "bound");
});

test("an SMSC that has forgotten the bind is bound to again", async () => {
	const { peer, pool } = await bound((pdu, { send }) => {
		if (pdu.command !== "submit_sm" || peer.connections.length > 1) return false;
		send(submitResp(pdu, "", 0x04));
		return true;
	});
	const outcome = await pool.submit(message());
	assert.equal(outcome.kind === "refused" && outcome.disposition, "route");
	await until(() => peer.connections.length === 2 && pool.state().state === "bound");
	assert.equal((await pool.submit(message())).kind, "accepted");
});

test("stop waits for what is under way, unbinds, and takes nothing more", async () => {
	let answer = (): void => {};
	const { peer, pool } = await bound(
		(pdu, { send }) => {
			if (pdu.command !== "submit_sm") return false;
			answer = () => send(submitResp(pdu, "last"));
			return true;
		},
		{ window: 1 },
	);
	const [written, queued] = [pool.submit(message()), pool.submit(message())];
	await until(() => peer.submits.length === 1);
	const stopped = pool.stop(2_000);
	assert.deepEqual(await queued, { kind: "unsent" });
	assert.deepEqual(await pool.submit(message()), { kind: "unsent" });
	assert.equal(pool.room(), 0);
	answer();
	assert.deepEqual(await written, { kind: "accepted", carrierIds: ["last"] });
	await stopped;
	assert.equal(peer.connections[0]?.received.at(-1)?.command, "unbind");
	assert.equal(pool.state().state, "stopped");
	await pool.stop(1);
	await pause(80);
	assert.equal(peer.connections.length, 1, "it stays away");
});

test("stop does not wait longer than its grace: the rest is unknown", async () => {
	const { peer, pool } = await bound(swallowSubmits, { window: 2 });
	const outcomes = [pool.submit(message()), pool.submit(message(5))];
	await until(() => peer.submits.length === 2);
	const began = systemClock.elapsed();
	await pool.stop(100);
	assert.ok(systemClock.elapsed() - began < 1_000);
	assert.deepEqual(kinds(await Promise.all(outcomes)), ["unknown", "unknown"]);
});

test("stop ends an attempt to connect or bind", async () => {
	const { pool } = await start((pdu) => pdu.command === "bind_transceiver");
	await pool.stop(50);
	assert.equal(pool.state().binds[0]?.state, "stopped");
	const refused = await start(
		() => {},
		{},
		{
			reach: {
				checkedLookup: () => assert.fail("a literal needs no look-up"),
				permits: () => false,
			},
		},
	);
	await until(() => refused.pool.state().binds[0]?.lastFailure === "refused_address");
	assert.equal(refused.peer.connections.length, 0);
});

test("the queue is bounded", async () => {
	const { pool } = await bound(swallowSubmits, { window: 1, queueMax: 3 });
	const outcomes = Array.from({ length: 6 }, () => pool.submit(message()));
	assert.equal(pool.state().queued, 3);
	assert.deepEqual(kinds(await Promise.all(outcomes.slice(4))), ["unsent", "unsent"]);
});
