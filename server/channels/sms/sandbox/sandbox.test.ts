import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { systemClock } from "#platform/clock.ts";
import { seededRandom, systemRandom } from "#platform/ids.ts";
import { silentLog } from "#platform/log.ts";
import { readNumber } from "../numbers.ts";
import { createCollector } from "../reassemble.ts";
import { candidateIds, isReceipt, readReceipt } from "../receipt.ts";
import { createFramer } from "../smpp/frame.ts";
import {
	type Bind,
	type DeliverSm,
	decode,
	encode,
	type MessageResp,
	type Pdu,
	type SubmitSm,
	submitSm,
} from "../smpp/pdu.ts";
import { textTlv } from "../smpp/tlv.ts";
import { readUserData } from "../user-data.ts";
import { buildHeader } from "../user-data-header.ts";
import { longReply, type MagicNumber, magicNumbers, type Sandbox, startSandbox } from "./index.ts";

const lateAnswerMs = 400;
const accounts = [
	{ systemId: "waxwing", password: "sandbox" },
	{ systemId: "other", password: "other" },
	{ systemId: "dlt", password: "dlt", dlt: true },
];
let sandbox: Sandbox;
before(async () => {
	const parts = { clock: systemClock, random: systemRandom(), log: silentLog };
	sandbox = await startSandbox({ host: "127.0.0.1", port: 0, ...parts, accounts, lateAnswerMs });
});
after(() => sandbox.stop(500));

/** A peer of raw sockets and the codec: it sees the order in which things arrive. */
interface Peer {
	readonly socket: Socket;
	readonly heard: Pdu[];
	send(pdu: Pdu): void;
	/** The first PDU that fits, waiting for it. */
	hear<T extends Pdu>(fits: (pdu: Pdu) => boolean, withinMs?: number): Promise<T>;
	answerDeliveries: (pdu: DeliverSm) => number | undefined;
	readonly closed: Promise<unknown>;
}

async function peer(): Promise<Peer> {
	const socket = connect(sandbox.port, "127.0.0.1");
	await once(socket, "connect");
	const heard: Pdu[] = [];
	const listeners = new Set<() => void>();
	const framer = createFramer();
	const self: Peer = {
		socket,
		heard,
		send: (pdu) => void socket.write(encode(pdu)),
		answerDeliveries: () => 0,
		closed: new Promise((resolve) => socket.once("close", resolve)),
		hear: <T extends Pdu>(fits: (pdu: Pdu) => boolean, withinMs = 2_000) =>
			new Promise<T>((resolve, reject) => {
				const timer = setTimeout(() => {
					listeners.delete(look);
					reject(new Error(`not heard; heard ${heard.map((pdu) => pdu.command).join(" ")}`));
				}, withinMs);
				const look = (): void => {
					const found = heard.find(fits);
					if (found === undefined) return;
					clearTimeout(timer);
					listeners.delete(look);
					resolve(found as T);
				};
				listeners.add(look);
				look();
			}),
	};
	socket.on("error", () => {});
	socket.on("data", (chunk) =>
		framer.push(Buffer.from(chunk), (octets) => {
			const read = decode(Buffer.from(octets));
			assert.ok(read.ok, "the sandbox speaks SMPP");
			heard.push(read.pdu);
			if (read.pdu.command === "deliver_sm") {
				const status = self.answerDeliveries(read.pdu);
				if (status !== undefined)
					self.send({
						command: "deliver_sm_resp",
						sequence: read.pdu.sequence,
						status,
						messageId: "",
						tlvs: [],
					});
			}
			for (const listener of listeners) listener();
		}),
	);
	return self;
}

const bindPdu = (command: Bind["command"], systemId: string, password: string): Bind => ({
	command,
	sequence: 1,
	systemId,
	password,
	systemType: "",
	interfaceVersion: 0x34,
	addressTon: 0,
	addressNpi: 0,
	addressRange: "",
	tlvs: [],
});

async function bound(
	account = accounts[0],
	command: Bind["command"] = "bind_transceiver",
): Promise<Peer> {
	const one = await peer();
	one.send(bindPdu(command, account?.systemId ?? "", account?.password ?? ""));
	const answer = await one.hear<MessageResp>((pdu) => pdu.command === `${command}_resp`);
	assert.equal(answer.status, 0);
	return one;
}

const sender = { ton: 5, npi: 0, address: "WAXWNG" };
let lastSequence = 100;
const submitTo = (address: string, fields: Partial<SubmitSm> = {}): SubmitSm =>
	submitSm({
		source: sender,
		destination: { ton: 1, npi: 1, address },
		registeredDelivery: 1,
		shortMessage: Buffer.from("hello"),
		sequence: ++lastSequence,
		...fields,
	});

const answerTo = (asked: SubmitSm) => (pdu: Pdu) =>
	pdu.command === "submit_sm_resp" && pdu.sequence === asked.sequence;
const receipts = (one: Peer): DeliverSm[] =>
	one.heard.filter((pdu): pdu is DeliverSm => pdu.command === "deliver_sm" && isReceipt(pdu));
const inbound = (one: Peer): DeliverSm[] =>
	one.heard.filter((pdu): pdu is DeliverSm => pdu.command === "deliver_sm" && !isReceipt(pdu));
const aReceipt = (pdu: Pdu): boolean => pdu.command === "deliver_sm" && isReceipt(pdu);
const aReply = (pdu: Pdu): boolean => pdu.command === "deliver_sm" && !isReceipt(pdu);
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
/** Longer than any receipt that was going to come at the ordinary pace. */
const quietMs = 130;

const wantedStates: Record<string, [state: string, errorCode: string]> = {
	"000011": ["undelivered", "001"],
	"000012": ["expired", "004"],
	"000013": ["rejected", "008"],
	"000014": ["rejected", "633"],
	"000015": ["unknown", "007"],
	"000016": ["deleted", "005"],
};

async function accepted(one: Peer, asked: SubmitSm, withinMs?: number): Promise<string> {
	const answer = await one.hear<MessageResp>(answerTo(asked), withinMs);
	assert.equal(answer.status, 0);
	assert.match(answer.messageId, /^\d{16}$/);
	return answer.messageId;
}

async function receiptOf(
	one: Peer,
	id: string,
	withinMs?: number,
): Promise<{ state: string; errorCode: string | undefined }> {
	const pdu = await one.hear<DeliverSm>(aReceipt, withinMs);
	assert.deepEqual(pdu.destination, sender, "back to the sender");
	const read = readReceipt(pdu);
	assert.ok(read.ok);
	assert.ok(candidateIds(read.receipt.carrierId, "auto").includes(id));
	return read.receipt;
}

/** How each number is proved, by what the table says of it. */
async function prove(number: MagicNumber, address: string): Promise<void> {
	const one = await bound();
	const asked = submitTo(address);
	const started = systemClock.elapsed();
	one.send(asked);
	if (number.answer === "refuse") {
		const answer = await one.hear<MessageResp>(answerTo(asked));
		assert.equal(answer.status, number.commandStatus);
	} else if (number.answer === "drop") {
		await one.closed;
		assert.deepEqual(one.heard.filter(answerTo(asked)), []);
	} else if (number.answer === "never") {
		await pause(quietMs);
		assert.deepEqual(one.heard.filter(answerTo(asked)), []);
		assert.equal(receipts(one).length, number.receipt === "never" ? 0 : 1);
	} else if (number.answer === "first_twice") {
		for (let attempt = 1; attempt <= 3; attempt++) {
			const again = submitTo(address);
			if (attempt > 1) one.send(again);
			const answer = await one.hear<MessageResp>(answerTo(attempt > 1 ? again : asked));
			assert.equal(answer.status, attempt < 3 ? number.commandStatus : 0, `attempt ${attempt}`);
			if (attempt === 3) assert.equal((await receiptOf(one, answer.messageId)).state, "delivered");
		}
	} else {
		const id = await accepted(one, asked);
		const answeredMs = systemClock.elapsed() - started;
		if (number.answer === "late") assert.ok(answeredMs >= lateAnswerMs - 5, `${answeredMs} ms`);
		await proveReceipt(one, number, id, started);
		if (number.answer === "after_receipt") {
			const order = one.heard.map((pdu) => pdu.command).filter((name) => !name.startsWith("bind"));
			assert.deepEqual(order, ["deliver_sm", "submit_sm_resp"]);
		}
		if (number.reply !== undefined) await proveReply(one, number, address);
	}
	one.socket.destroy();
}

async function proveReceipt(
	one: Peer,
	number: MagicNumber,
	id: string,
	started: number,
): Promise<void> {
	if (number.receipt === "never") {
		await pause(quietMs);
		assert.equal(receipts(one).length, 0);
		return;
	}
	const { state, errorCode } = await receiptOf(one, id, 4_000);
	const tookMs = systemClock.elapsed() - started;
	assert.deepEqual(
		[state, errorCode],
		wantedStates[number.digits] ?? ["delivered", number.form === "tlvs" ? undefined : "000"],
	);
	if (number.receiptAfterMs !== undefined)
		assert.ok(tookMs >= number.receiptAfterMs - 5, `${tookMs} ms`);
	else if (number.answer === "accept") assert.ok(tookMs >= 15, `${tookMs} ms`);
	await pause(quietMs);
	assert.equal(receipts(one).length, number.receipt === "twice" ? 2 : 1);
	const [receipt] = receipts(one) as [DeliverSm];
	assert.equal(receipt.tlvs.length > 0, number.form !== "text");
	assert.equal(receipt.shortMessage.length > 0, number.form !== "tlvs");
	const written = readReceipt(receipt);
	assert.ok(written.ok);
	assert.equal(written.receipt.carrierId, number.hexInReceipt ? BigInt(id).toString(16) : id);
}

async function proveReply(one: Peer, number: MagicNumber, address: string): Promise<void> {
	await one.hear(aReply);
	await pause(50);
	for (const pdu of inbound(one)) {
		assert.equal(pdu.source.address, address);
		assert.deepEqual(pdu.destination, sender);
	}
	const collector = createCollector({ setsMax: 10, lifetimeMs: 60_000 });
	const texts: string[] = [];
	const order: number[] = [];
	for (const pdu of inbound(one)) {
		const read = readUserData(pdu);
		assert.ok(read.ok);
		const { concatenation, text } = read;
		if (concatenation === undefined) texts.push(text);
		else {
			order.push(concatenation.part);
			const got = collector.add(address, "s", { concatenation, text }, 0);
			if (got.kind === "whole") texts.push(got.text);
		}
	}
	const isLong = number.reply === "long" || number.reply === "long_shuffled";
	assert.deepEqual(texts, [isLong ? longReply : number.reply]);
	if (number.reply === "long") assert.deepEqual(order, [1, 2, 3]);
	if (number.reply === "long_shuffled") assert.deepEqual(order, [3, 2, 3, 1]);
}

test("magic numbers", { concurrency: true }, async (t) => {
	await Promise.all(
		magicNumbers.flatMap((number) =>
			["919876", "14152"].map((prefix) => {
				const address = `${prefix}${number.digits}`;
				assert.ok(readNumber(`+${address}`).ok, "a number our own API lets through");
				return t.test(`${number.digits} behind ${prefix}: ${number.says}`, () =>
					prove(number, address),
				);
			}),
		),
	);
});

test("the table: digits are unique and every way of answering is in it", () => {
	assert.equal(new Set(magicNumbers.map(({ digits }) => digits)).size, magicNumbers.length);
	for (const { digits } of magicNumbers) assert.match(digits, /^0000\d\d$/);
	const answers = new Set(magicNumbers.map(({ answer }) => answer));
	assert.equal(answers.size, 7);
});

test("an ordinary number delivers; without registered_delivery there is no receipt", async () => {
	const one = await bound();
	const silent = submitTo("919876543210", { registeredDelivery: 0 });
	const failuresOnly = submitTo("919876543210", { registeredDelivery: 2 });
	one.send(silent);
	one.send(failuresOnly);
	await Promise.all([accepted(one, silent), accepted(one, failuresOnly)]);
	await pause(quietMs);
	assert.equal(receipts(one).length, 0);
	const asked = submitTo("919876543210");
	one.send(asked);
	assert.equal((await receiptOf(one, await accepted(one, asked))).state, "delivered");
	one.socket.destroy();
});

function segments(address: string, total: number): SubmitSm[] {
	return Array.from({ length: total }, (_, index) => {
		const concatenation = { wide: true, reference: 7, total, part: index + 1 };
		const header = buildHeader({ concatenation }) as Buffer;
		return submitTo(address, {
			esmClass: 0x40,
			shortMessage: Buffer.concat([header, Buffer.from("part")]),
		});
	});
}

test("each segment has an id and a receipt of its own; 000044 gives the last one's only", async () => {
	for (const [address, wanted] of [
		["919876543210", 3],
		["919876000044", 1],
		["919876000050", 3],
	] as const) {
		const one = await bound();
		const asked = segments(address, 3);
		for (const part of asked) one.send(part);
		const ids = await Promise.all(asked.map((part) => accepted(one, part)));
		assert.equal(new Set(ids).size, 3);
		await pause(quietMs + 100);
		const receipted = receipts(one).map((pdu) => {
			const read = readReceipt(pdu);
			return read.ok ? read.receipt.carrierId : "";
		});
		assert.deepEqual(receipted.sort(), wanted === 1 ? ids.slice(-1) : [...ids].sort());
		assert.equal(
			inbound(one).length,
			address.endsWith("50") ? 1 : 0,
			"one reply to a long message",
		);
		one.socket.destroy();
	}
});

test("receipts go to the account's receiver, wait for one, and never to another account", async () => {
	const transmitter = await bound(accounts[0], "bind_transmitter");
	const stranger = await bound(accounts[1]);
	const asked = submitTo("919876543210");
	transmitter.send(asked);
	const id = await accepted(transmitter, asked);
	await pause(quietMs);
	assert.equal(sandbox.stats().waiting, 1);
	const receiver = await bound(accounts[0], "bind_receiver");
	assert.equal((await receiptOf(receiver, id)).state, "delivered");
	assert.equal(sandbox.stats().waiting, 0);
	assert.deepEqual([receipts(stranger).length, receipts(transmitter).length], [0, 0]);
	const wrongWay = submitTo("919876543210");
	receiver.send(wrongWay);
	assert.equal((await receiver.hear<MessageResp>(answerTo(wrongWay))).status, 4);
	for (const one of [transmitter, stranger, receiver]) one.socket.destroy();
});

test("a receipt that is answered with a temporary error comes again", async () => {
	const one = await bound();
	let tries = 0;
	one.answerDeliveries = () => (++tries === 1 ? 0x64 : 0);
	const asked = submitTo("919876543210");
	one.send(asked);
	await accepted(one, asked);
	await pause(600);
	assert.equal(receipts(one).length, 2);
	one.socket.destroy();
});

test("a receipt that was lost with its connection comes to the next", async () => {
	const one = await bound();
	one.answerDeliveries = () => undefined;
	const asked = submitTo("919876543210");
	one.send(asked);
	const id = await accepted(one, asked);
	await one.hear(aReceipt);
	one.socket.destroy();
	const next = await bound();
	assert.equal((await receiptOf(next, id)).state, "delivered");
	next.socket.destroy();
});

const dltTlvs = [
	textTlv(0x1400, "1701158019811140068", false),
	textTlv(0x1401, "1107161951486743588", false),
	textTlv(0x1402, "c3".repeat(32), false),
];
const dltCases: [name: string, fields: Partial<SubmitSm>, address: string, status: number][] = [
	["all three", { tlvs: dltTlvs }, "919876543210", 0],
	[
		"with NUL",
		{ tlvs: dltTlvs.map(({ tag, value }) => textTlv(tag, value.toString(), true)) },
		"919876543210",
		0,
	],
	[
		"a list of telemarketers",
		{ tlvs: [...dltTlvs.slice(0, 2), textTlv(0x1402, "1302157243747322354,110200001000", false)] },
		"919876543210",
		0,
	],
	["none", {}, "919876543210", 0xc3],
	["no chain", { tlvs: dltTlvs.slice(0, 2) }, "919876543210", 0xc3],
	[
		"letters in the entity",
		{ tlvs: [textTlv(0x1400, "abc", false), ...dltTlvs.slice(1)] },
		"919876543210",
		0xc4,
	],
	["another country", {}, "14155550123", 0],
];
for (const [name, fields, address, status] of dltCases)
	test(`an account that asks for DLT parameters: ${name}`, async () => {
		const one = await bound(accounts[2]);
		const asked = submitTo(address, fields);
		one.send(asked);
		assert.equal((await one.hear<MessageResp>(answerTo(asked))).status, status);
		one.socket.destroy();
	});

const badSubmits: [name: string, fields: Partial<SubmitSm>, address: string, status: number][] = [
	["no destination", {}, "", 0x0b],
	["a name as destination", {}, "WAXWNG", 0x0b],
	["no source", { source: { ton: 0, npi: 0, address: "" } }, "919876543210", 0x0a],
	[
		"a header past the end",
		{ esmClass: 0x40, shortMessage: Buffer.from([9, 0]) },
		"919876543210",
		0x43,
	],
];
for (const [name, fields, address, status] of badSubmits)
	test(`submit refused: ${name}`, async () => {
		const one = await bound();
		const asked = submitTo(address, fields);
		one.send(asked);
		assert.equal((await one.hear<MessageResp>(answerTo(asked))).status, status);
		one.socket.destroy();
	});

test("binds: wrong password, unknown system, twice, before", async () => {
	const one = await peer();
	const early = submitTo("919876543210");
	one.send(early);
	assert.equal((await one.hear<MessageResp>(answerTo(early))).status, 4);
	const tries: [systemId: string, password: string, sequence: number, status: number][] = [
		["waxwing", "wrong", 2, 0x0e],
		["nobody", "sandbox", 3, 0x0f],
		["waxwing", "sandbox", 4, 0],
		["waxwing", "sandbox", 5, 5],
	];
	for (const [systemId, password, sequence, status] of tries) {
		one.send({ ...bindPdu("bind_transceiver", systemId, password), sequence });
		const answer = await one.hear<MessageResp>(
			(pdu) => pdu.command === "bind_transceiver_resp" && pdu.sequence === sequence,
		);
		assert.equal(answer.status, status);
	}
	one.send({ command: "unbind", sequence: 6, status: 0 });
	await one.hear((pdu) => pdu.command === "unbind_resp" && pdu.sequence === 6);
	await one.closed;
});

test("three wrong passwords end the connection", async () => {
	const one = await peer();
	for (let sequence = 1; sequence <= 3; sequence++)
		one.send({ ...bindPdu("bind_transceiver", "waxwing", "wrong"), sequence });
	await one.closed;
});

test("garbage, malformed PDUs and random octets disturb nobody else", async () => {
	const bystander = await bound();
	const random = seededRandom(9);
	const hostile: Buffer[] = [
		Buffer.from("GET / HTTP/1.1\r\n\r\n"),
		Buffer.from("1603010200010001fc0303", "hex"),
		...[0, 15, 0x7fffffff, 0xffffffff, 68_000].map((length) => {
			const header = Buffer.alloc(16);
			header.writeUInt32BE(length, 0);
			return header;
		}),
		// sm_length one too large; a TLV past the end; an unknown command; a response nobody waits for.
		Buffer.from(
			"0000002a0000000400000000000000020000004100010131323334350000000000000000000000096869",
			"hex",
		),
		Buffer.from("00000010000000ff0000000000000005", "hex"),
		Buffer.from("00000010800000050000000000000063", "hex"),
		Buffer.from("00000010000000030000000000000007", "hex"),
		...Array.from({ length: 100 }, () => random.bytes(16 + Math.floor(random.fraction() * 200))),
	];
	const peers = await Promise.all(
		hostile.map(async (octets) => {
			const one = await peer();
			one.socket.write(octets);
			return one;
		}),
	);
	const bit = await bound();
	const mutated = encode(submitTo("919876543210"));
	for (let i = 0; i < 60; i++) {
		const copy = Buffer.from(mutated);
		copy[16 + Math.floor(random.fraction() * (copy.length - 16))] = Math.floor(
			random.fraction() * 256,
		);
		bit.socket.write(copy);
	}
	await pause(100);
	const asked = submitTo("919876543210");
	bystander.send(asked);
	assert.equal((await receiptOf(bystander, await accepted(bystander, asked))).state, "delivered");
	for (const one of [...peers, bit, bystander]) one.socket.destroy();
});

test("a submit in single octets, and a thousand in one segment", async () => {
	const one = await bound();
	const slow = submitTo("919876543210", { registeredDelivery: 0 });
	for (const octet of encode(slow)) one.socket.write(Buffer.from([octet]));
	await accepted(one, slow);
	const many = Array.from({ length: 1000 }, () =>
		submitTo("919876543211", { registeredDelivery: 0 }),
	);
	one.socket.write(Buffer.concat(many.map((pdu) => encode(pdu))));
	await one.hear(answerTo(many.at(-1) as SubmitSm));
	for (const pdu of many) assert.ok(one.heard.some(answerTo(pdu)));
	one.socket.destroy();
});

test("a thousand submits that are never answered do not block the session", async () => {
	const one = await bound();
	for (let i = 0; i < 1200; i++) one.send(submitTo("919876000031"));
	const asked = submitTo("919876543210");
	one.send(asked);
	await accepted(one, asked);
	one.socket.destroy();
});

test("it refuses to listen beyond loopback", async () => {
	const parts = { clock: systemClock, random: systemRandom(), log: silentLog, accounts };
	await assert.rejects(startSandbox({ host: "0.0.0.0", port: 0, ...parts }), /loopback/);
});

test("stop unbinds its peers, in time even when they are silent, and frees the port", async () => {
	const parts = { clock: systemClock, random: systemRandom(), log: silentLog, accounts };
	const own = await startSandbox({ host: "127.0.0.1", port: 0, ...parts });
	const silent = connect(own.port, "127.0.0.1");
	await once(silent, "connect");
	await pause(20);
	const started = systemClock.elapsed();
	await own.stop(200);
	assert.ok(systemClock.elapsed() - started < 1_000);
	const again = await startSandbox({ host: "127.0.0.1", port: own.port, ...parts });
	await again.stop(100);
	silent.destroy();
});
