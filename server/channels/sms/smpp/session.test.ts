import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { after, describe, test } from "node:test";
import { GCProfiler, type GCProfilerResult, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { systemClock } from "#platform/clock.ts";
import { deliverSm, encode, type Pdu, submitSm } from "./pdu.ts";
import {
	type Answer,
	type CloseReason,
	createSession,
	defaultTimers,
	type Session,
	type SessionParts,
} from "./session.ts";
import { notServed } from "./refusal.ts";
import { status } from "./status.ts";
import {
	connectTo,
	type Peer,
	type PeerConnection,
	pause,
	startPeer,
	submitResp,
	until,
} from "./test-peer.ts";

const address = { ton: 1, npi: 1, address: "919812345678" };
const submit = submitSm({
	source: address,
	destination: address,
	shortMessage: Buffer.from("hello"),
});
const silent = (): boolean => true;
const peers: Peer[] = [];
after(() => Promise.all(peers.map((peer) => peer.close())));

interface Pair {
	readonly session: Session;
	readonly socket: Socket;
	readonly there: PeerConnection;
	readonly requests: Pdu[];
	readonly closes: CloseReason[];
	ask(pdu?: Pdu): Answer[];
}

type Act = Parameters<typeof startPeer>[0];

async function pair(
	act: Act,
	options: Partial<SessionParts["timers"]> & { role?: "smsc"; onRequest?: (pdu: Pdu) => void } = {},
): Promise<Pair> {
	const { role = "esme", onRequest, ...timers } = options;
	const peer = await startPeer(act);
	peers.push(peer);
	const { socket, there } = await connectTo(peer);
	const requests: Pdu[] = [];
	const closes: CloseReason[] = [];
	const session = createSession({
		socket,
		clock: systemClock,
		role,
		timers: { ...defaultTimers, ...timers },
		onRequest: onRequest ?? ((pdu) => void requests.push(pdu)),
		onDrain: () => {},
		onClose: (reason) => closes.push(reason),
	});
	const ask = (pdu: Pdu = submit): Answer[] => {
		const answers: Answer[] = [];
		assert.equal(
			session.request(pdu, (answer) => answers.push(answer)),
			true,
		);
		return answers;
	};
	return { session, socket, there, requests, closes, ask };
}

const messageIds = (answers: readonly Answer[]): unknown[] =>
	answers.map((answer) =>
		answer.kind === "response" && "messageId" in answer.pdu ? answer.pdu.messageId : answer.kind,
	);

test("answers find their requests, whatever their order", async () => {
	const { session, there, ask } = await pair(silent);
	const answers = Array.from({ length: 20 }, () => ask());
	await until(() => there.received.length === 20);
	assert.deepEqual(
		there.received.map((pdu) => pdu.sequence),
		Array.from({ length: 20 }, (_, i) => i + 1),
	);
	there.send(...[...there.received].reverse().map((pdu) => submitResp(pdu, `id${pdu.sequence}`)));
	await until(() => session.outstanding() === 0);
	assert.deepEqual(
		answers.map(messageIds),
		Array.from({ length: 20 }, (_, i) => [`id${i + 1}`]),
	);
	session.close();
});

test("the requests of one turn leave in one write", async () => {
	const { session, socket, there, ask } = await pair(silent);
	let writes = 0;
	const write = socket.write.bind(socket);
	Object.assign(socket, {
		write: (octets: Buffer) => {
			writes++;
			return write(octets);
		},
	});
	for (let count = 0; count < 800; count++) ask();
	await until(() => there.received.length === 800);
	assert.equal(writes, 1);
	session.close();
});

test("a PDU larger than what is collected for one write keeps its place and its number", async () => {
	const { session, there, ask } = await pair(() => {});
	const payload = { tag: 0x0424, value: Buffer.alloc(65_535, 65) };
	const answers = [
		ask(),
		ask({ ...submit, shortMessage: Buffer.alloc(0), tlvs: [payload] }),
		ask(),
	];
	await until(() => session.outstanding() === 0);
	assert.deepEqual(answers.map(messageIds), [["id1"], ["id2"], ["id3"]]);
	assert.deepEqual(
		there.received.map((pdu) => [pdu.sequence, "tlvs" in pdu && pdu.tlvs.length]),
		[
			[1, 0],
			[2, 1],
			[3, 0],
		],
	);
	session.close();
});

test("no answer is a timeout; the answer that comes after it is late and changes no count twice", async () => {
	const { session, there, ask } = await pair(silent, { responseTimeoutMs: 60 });
	const answers = ask();
	await until(() => answers.length === 1);
	assert.deepEqual(answers, [{ kind: "timeout" }]);
	assert.equal(session.outstanding(), 0);
	const sent = there.received[0] as Pdu;
	there.send(submitResp(sent, "late"), submitResp(sent, "again"));
	await until(() => session.counts().unmatched === 1);
	assert.deepEqual(answers[1], { kind: "late", pdu: { ...submitResp(sent, "late"), tlvs: [] } });
	assert.equal(answers.length, 2);
	assert.deepEqual(session.counts(), {
		timeouts: 1,
		lateAnswers: 1,
		unmatched: 1,
		protocolErrors: 0,
	});
	session.close();
});

test("answers to nothing, to another command, twice, or unreadable settle nothing and are counted", async () => {
	const { session, there, ask } = await pair(silent);
	const answers = ask();
	await until(() => there.received.length === 1);
	there.send(
		submitResp({ ...submit, sequence: 99 }, "x"),
		{ command: "generic_nack", sequence: 0, status: 2 },
		{ command: "deliver_sm_resp", sequence: 1, status: 0, messageId: "", tlvs: [] },
		{ command: "enquire_link_resp", sequence: 1, status: 0 },
	);
	const unreadable = encode(submitResp({ ...submit, sequence: 1 }, "abc"));
	unreadable[unreadable.length - 1] = 0x41;
	there.socket.write(unreadable);
	await until(() => session.counts().protocolErrors === 3);
	assert.equal(session.counts().unmatched, 2);
	assert.deepEqual(answers, []);
	there.send(
		submitResp({ ...submit, sequence: 1 }, "right"),
		submitResp({ ...submit, sequence: 1 }, "twice"),
	);
	await until(() => session.counts().unmatched === 3);
	assert.deepEqual(messageIds(answers), ["right"]);
	assert.deepEqual(there.received.length, 1, "nothing of this was answered");
	session.close();
});

test("generic_nack answers the request it names", async () => {
	const { session, there, ask } = await pair(silent);
	const answers = ask();
	await until(() => there.received.length === 1);
	there.send({ command: "generic_nack", sequence: 1, status: 3 });
	await until(() => answers.length === 1);
	assert.deepEqual(answers, [
		{ kind: "response", pdu: { command: "generic_nack", sequence: 1, status: 3 } },
	]);
	session.close();
});

test("an idle link is asked after, and lives while it is answered", async () => {
	const { session, there, closes } = await pair(() => {}, {
		enquireLinkMs: 40,
		enquireTimeoutMs: 2_000,
	});
	await until(() => there.received.length >= 3);
	assert.ok(there.received.every((pdu) => pdu.command === "enquire_link"));
	assert.deepEqual(closes, []);
	session.close();
});

test("a peer that does not answer enquire_link is silent: the link is closed and requests are lost", async () => {
	const { closes, ask } = await pair(silent, { enquireLinkMs: 40, enquireTimeoutMs: 60 });
	const answers = ask();
	await until(() => closes.length === 1);
	assert.deepEqual(closes, ["silent"]);
	assert.deepEqual(answers, [{ kind: "lost" }]);
});

test("a peer whose stream has lost its framing is silent, however much it says", async () => {
	const { there, closes, ask } = await pair(silent, { enquireLinkMs: 60, enquireTimeoutMs: 60 });
	const answers = ask();
	await until(() => there.received.length === 1);
	const answer = encode(submitResp({ ...submit, sequence: 1 }, "abc"));
	// One flipped bit: 8 KiB of answers to come are the rest of this one.
	answer[2] = (answer[2] as number) ^ 0x20;
	there.socket.write(answer);
	const talking = setInterval(
		() => there.socket.write(encode(submitResp({ ...submit, sequence: 1 }, "more"))),
		10,
	);
	try {
		await until(() => closes.length === 1);
	} finally {
		clearInterval(talking);
	}
	assert.deepEqual(closes, ["silent"]);
	assert.deepEqual(answers, [{ kind: "lost" }]);
});

test("an inactive peer is closed", async () => {
	const { closes } = await pair(silent, { role: "smsc", enquireLinkMs: 0, inactivityMs: 60 });
	await until(() => closes.length === 1);
	assert.deepEqual(closes, ["inactive"]);
});

describe("octets that are not SMPP are answered with generic_nack and end the connection", () => {
	const cases: readonly (readonly [string, Buffer])[] = [
		["HTTP", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
		["TLS ClientHello", Buffer.from("16030100c8010000c40303", "hex")],
		["length 0", Buffer.alloc(16)],
		["length 15", Buffer.from("0000000f000000150000000000000001", "hex")],
		["length 0xffffffff", Buffer.from("ffffffff", "hex")],
	];
	for (const [name, octets] of cases)
		test(name, async () => {
			const { there, closes } = await pair(silent);
			there.socket.write(octets);
			await until(() => closes.length === 1);
			assert.deepEqual(closes, ["garbage"]);
			assert.deepEqual(there.received, [
				{ command: "generic_nack", sequence: 0, status: status.invalidCommandLength },
			]);
		});
});

test("a malformed PDU is answered and the link goes on; a hundred of them end it", async () => {
	const { session, there, requests, closes } = await pair(silent, { role: "smsc" });
	const bad = encode(
		deliverSm({
			source: address,
			destination: address,
			sequence: 5,
			shortMessage: Buffer.from("x"),
		}),
	);
	bad[bad.length - 2] = 200;
	const unknown = Buffer.from("00000010000000aa0000000000000006", "hex");
	const enquire17 = Buffer.from("0000001100000015000000000000000700", "hex");
	there.socket.write(Buffer.concat([bad, unknown, enquire17, encode({ ...submit, sequence: 8 })]));
	await until(() => there.received.length === 3 && requests.length === 1);
	assert.deepEqual(there.received, [
		{
			command: "deliver_sm_resp",
			sequence: 5,
			status: status.invalidMessageLength,
			messageId: "",
			tlvs: [],
		},
		{ command: "generic_nack", sequence: 6, status: status.invalidCommandId },
		{ command: "generic_nack", sequence: 7, status: status.invalidCommandLength },
	]);
	there.socket.write(Buffer.concat(Array.from({ length: 98 }, () => unknown)));
	await until(() => closes.length === 1);
	assert.deepEqual(closes, ["garbage"]);
	assert.equal(
		session.request(submit, () => assert.fail("settled")),
		false,
	);
});

test("requests that are not served have an answer, but those that have none in the protocol", () => {
	const other = (commandId: number): Pdu => ({
		command: "other",
		commandId,
		sequence: 4,
		status: 0,
		body: Buffer.alloc(0),
	});
	assert.deepEqual(notServed(other(3)), { command: "generic_nack", sequence: 4, status: 3 });
	assert.deepEqual(notServed({ ...submit, sequence: 4 }, status.invalidBindStatus), {
		command: "submit_sm_resp",
		sequence: 4,
		status: 4,
		messageId: "",
		tlvs: [],
	});
	assert.equal(notServed(other(0x0b)), undefined);
	assert.equal(notServed(other(0x102)), undefined);
});

test("when the connection drops, what was handed over is lost and what was not is unsent", async () => {
	const { session, socket, there, closes } = await pair(silent);
	there.socket.pause();
	const kinds: string[] = [];
	const large: Pdu = {
		...submit,
		shortMessage: Buffer.alloc(0),
		tlvs: [{ tag: 0x0424, value: Buffer.alloc(60_000) }],
	};
	const ask = (): boolean => session.request(large, (answer) => void kinds.push(answer.kind));
	for (let count = 0; count < 2_000 && !session.blocked(); count++) {
		ask();
		await pause(0);
	}
	assert.ok(session.blocked(), "the socket never filled");
	const handedOver = session.outstanding();
	for (let count = 0; count < 7; count++) ask();
	await pause(20);
	const written = socket.bytesWritten;
	there.socket.resetAndDestroy();
	await until(() => closes.length === 1);
	assert.equal(kinds.filter((kind) => kind === "unsent").length, 7);
	assert.equal(kinds.filter((kind) => kind === "lost").length, handedOver);
	assert.ok(written >= handedOver * 60_000);
});

test("a peer that asks and never reads: an SMSC stops reading it, an ESME cuts it off", async () => {
	const flood = Buffer.concat(
		Array.from({ length: 40_000 }, (_, i) =>
			encode({ command: "enquire_link", sequence: i + 1, status: 0 }),
		),
	);
	const asSmsc = await pair(silent, { role: "smsc" });
	asSmsc.there.socket.pause();
	for (let count = 0; count < 25; count++) asSmsc.there.socket.write(flood);
	await until(() => asSmsc.socket.isPaused(), "the pause");
	assert.deepEqual(asSmsc.closes, []);
	const held = asSmsc.socket.writableLength;
	await pause(50);
	assert.ok(asSmsc.socket.writableLength <= held + 65_536);
	asSmsc.there.socket.resume();
	await until(() => asSmsc.there.received.length > 100_000, "reading on");
	asSmsc.session.close();
	const asEsme = await pair(silent);
	asEsme.there.socket.pause();
	for (let count = 0; count < 25; count++) asEsme.there.socket.write(flood);
	await until(() => asEsme.closes.length === 1);
	assert.deepEqual(asEsme.closes, ["flooded"]);
});

test("a thousand requests without our answer stop the reading, answers start it again", async () => {
	const { session, socket, there, requests } = await pair(silent);
	const deliver = deliverSm({
		source: address,
		destination: address,
		shortMessage: Buffer.alloc(200, 65),
	});
	there.send(...Array.from({ length: 5_000 }, (_, i) => ({ ...deliver, sequence: i + 1 })));
	await until(() => socket.isPaused());
	await pause(30);
	const handed = requests.length;
	assert.ok(handed >= 1_000 && handed < 1_000 + 65_536 / 200, `${handed}`);
	let answered = 0;
	const answerAll = (): void => {
		for (; answered < requests.length; answered++)
			session.answer({
				command: "deliver_sm_resp",
				sequence: answered + 1,
				status: 0,
				messageId: "",
				tlvs: [],
			});
	};
	await until(() => {
		answerAll();
		return answered === 5_000;
	});
	await until(() => there.received.length === 5_000);
	session.close();
});

test("unbind waits for its answer, then ends; requests before it are answered", async () => {
	const { session, there, closes, ask } = await pair(() => {});
	const answers = ask();
	await session.unbind(1_000);
	assert.deepEqual(closes, ["unbound"]);
	assert.deepEqual(messageIds(answers), ["id1"]);
	assert.deepEqual(
		there.received.map((pdu) => pdu.command),
		["submit_sm", "unbind"],
	);
	await session.unbind(1_000);
});

test("what was answered is garbage of the young generation, however much comes and goes", async () => {
	const { session } = await pair((_, connection, peer) => {
		connection.received.length = 0;
		peer.submits.length = 0;
	});
	const [requests, octetsOfEach] = [6_000, 16_000];
	const profiler = new GCProfiler();
	profiler.start();
	let seen = 0;
	for (let i = 0; i < requests; i++) {
		const message = Array.from({ length: octetsOfEach / 8 }, () => i);
		session.request(submit, () => void (seen += message.length));
		// What is there when the whole heap is collected is old from then on, the session's tables too.
		if (i === 50) collectAll();
		while (session.outstanding() >= 100) await pause(0);
	}
	await until(() => session.outstanding() === 0);
	session.close();
	assert.equal(seen, (requests * octetsOfEach) / 8);
	assert.ok(promoted(profiler.stop()) < (requests * octetsOfEach) / 10);
});

function collectAll(): void {
	setFlagsFromString("--expose-gc");
	(runInNewContext("gc") as () => void)();
}

/** Octets that collections of the young generation moved into the old one. */
function promoted({ statistics }: GCProfilerResult): number {
	const oldSpace = ({ heapSpaceStatistics }: (typeof statistics)[0]["beforeGC"]): number =>
		heapSpaceStatistics.find((space) => space.spaceName === "old_space")?.spaceUsedSize ?? 0;
	const young = statistics.filter(({ gcType }) => gcType === "Scavenge");
	assert.ok(young.length > 1, "there were collections");
	return young.reduce((sum, gc) => sum + oldSpace(gc.afterGC) - oldSpace(gc.beforeGC), 0);
}

test("unbind does not wait for ever", async () => {
	const { session, closes } = await pair(silent);
	const began = systemClock.elapsed();
	await session.unbind(80);
	assert.ok(systemClock.elapsed() - began < 1_000);
	assert.deepEqual(closes, ["unbound"]);
});

test("an unbind of the peer is answered and ends the link", async () => {
	const { there, closes, ask } = await pair(silent);
	const answers = ask();
	await until(() => there.received.length === 1);
	there.send({ command: "unbind", sequence: 44, status: 0 });
	await until(() => closes.length === 1);
	assert.deepEqual(closes, ["peer_unbound"]);
	assert.deepEqual(there.received[1], { command: "unbind_resp", sequence: 44, status: 0 });
	assert.deepEqual(answers, [{ kind: "lost" }]);
});

test("the peer that hangs up", async () => {
	const { there, socket, closes } = await pair(silent);
	there.socket.end();
	await once(socket, "close");
	assert.deepEqual(closes, ["peer_closed"]);
});
