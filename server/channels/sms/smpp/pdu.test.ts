import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#platform/errors.ts";
import { commandIds } from "./command.ts";
import {
	type Bind,
	type Bare,
	decode,
	deliverSm,
	encode,
	encodeInto,
	type Pdu,
	pduBytesMax,
	submitSm,
} from "./pdu.ts";
import { findTlv, noTlvs, numberTlv, tags, textTlv, tlvNumber, tlvText } from "./tlv.ts";

const hash = "c0f3951aca6257c87bc3da53e509d12080843f35b7e6faf35b2428b3b256bf94";
const vectorHex =
	"000000d1000000040000000000000007000500574158574e47000101393139383132333435363738000000000000010000002c" +
	"596f7572204f5450206973203438323931332e20446f206e6f742073686172652069742e202d574158574e47" +
	"1400001331373031313732393734343230383130303031" +
	"1401001331313037313631393531343836373433353838" +
	"14020040" +
	Buffer.from(hash, "latin1").toString("hex");
const ids = { entity: "1701172974420810001", template: "1107161951486743588" };
const source = { ton: 5, npi: 0, address: "WAXWNG" };
const destination = { ton: 1, npi: 1, address: "919812345678" };
const vector: Pdu = submitSm({
	sequence: 7,
	source,
	destination,
	registeredDelivery: 1,
	shortMessage: Buffer.from("Your OTP is 482913. Do not share it. -WAXWNG", "latin1"),
	tlvs: [
		textTlv(0x1400, ids.entity, false),
		textTlv(0x1401, ids.template, false),
		textTlv(0x1402, hash, false),
	],
});

/** Octets with command_length put right. */
function sized(...pieces: readonly (string | Buffer)[]): Buffer {
	const octets = Buffer.concat([
		Buffer.alloc(4),
		...pieces.map((one) => (typeof one === "string" ? Buffer.from(one, "hex") : one)),
	]);
	octets.writeUInt32BE(octets.length, 0);
	return octets;
}

function read(octets: Buffer): Pdu {
	const result = decode(octets);
	assert.ok(result.ok, result.ok ? "" : result.reason);
	return result.pdu;
}

test("the submit_sm vector with DLT parameters is exact both ways", () => {
	const octets = encode(vector);
	assert.equal(octets.length, 209);
	assert.equal(octets.toString("hex"), vectorHex);
	const pdu = read(Buffer.from(vectorHex, "hex"));
	assert.deepEqual(pdu, vector);
	assert.ok(pdu.command === "submit_sm");
	assert.equal(tlvText(pdu.tlvs, 0x1400), ids.entity);
	assert.equal(tlvText(pdu.tlvs, 0x1402), hash);
});

const bind: Bind = {
	command: "bind_transceiver",
	sequence: 1,
	systemId: "waxwing",
	password: "secret",
	systemType: "",
	interfaceVersion: 0x34,
	addressTon: 0,
	addressNpi: 0,
	addressRange: "",
	tlvs: noTlvs,
};
const every: readonly Pdu[] = [
	bind,
	{ ...bind, command: "bind_receiver", addressRange: "91.*", addressTon: 1, addressNpi: 1 },
	{ ...bind, command: "bind_transmitter", systemType: "VMA", password: "" },
	{
		command: "bind_transceiver_resp",
		sequence: 1,
		status: 0,
		systemId: "smsc",
		tlvs: [numberTlv(tags.sc_interface_version, 1, 0x34)],
	},
	{ command: "bind_receiver_resp", sequence: 1, status: 0x0e, systemId: "", tlvs: noTlvs },
	{ command: "bind_transmitter_resp", sequence: 1, status: 0x0d, systemId: "x", tlvs: noTlvs },
	vector,
	submitSm({
		source,
		destination,
		sequence: 9,
		esmClass: 0x40,
		scheduleDeliveryTime: "260731120000000+",
		validityPeriod: "000002000000000R",
		shortMessage: Buffer.alloc(255, 7),
	}),
	submitSm({
		source,
		destination,
		tlvs: [{ tag: tags.message_payload, value: Buffer.alloc(65_535, 1) }],
	}),
	deliverSm({
		source: destination,
		destination: source,
		sequence: 0x7fffffff,
		esmClass: 4,
		shortMessage: Buffer.from("id:1 stat:DELIVRD"),
		tlvs: [textTlv(tags.receipted_message_id, "é1", true), { tag: 0x3fff, value: Buffer.alloc(0) }],
	}),
	{ command: "submit_sm_resp", sequence: 0, status: 0, messageId: "m".repeat(64), tlvs: noTlvs },
	{
		command: "submit_sm_resp",
		sequence: 4294967295,
		status: 0x58,
		messageId: "",
		tlvs: [textTlv(tags.additional_status_info_text, "slow", true)],
	},
	{ command: "deliver_sm_resp", sequence: 3, status: 0x64, messageId: "", tlvs: noTlvs },
	...(["enquire_link", "enquire_link_resp", "unbind", "unbind_resp", "generic_nack"] as const).map(
		(command, sequence): Bare => ({
			command,
			sequence,
			status: command === "generic_nack" ? 3 : 0,
		}),
	),
	{ command: "other", commandId: 0x21, sequence: 5, status: 0, body: submitMultiBody(255) },
	{
		command: "other",
		commandId: 3,
		sequence: 6,
		status: 0,
		body: Buffer.from("6d736731000000", "hex"),
	},
	{ command: "other", commandId: 8, sequence: 6, status: 0, body: Buffer.from("00", "hex") },
];

function submitMultiBody(destinations: number): Buffer {
	const one = Buffer.from("010101393139383132333435363738" + "00", "hex");
	return Buffer.concat([
		Buffer.from([0, 1, 1, 0x31, 0, destinations]),
		...Array.from({ length: destinations }, () => one),
	]);
}

test("every PDU survives encode and decode", () => {
	for (const pdu of every) {
		const octets = encode(pdu);
		assert.equal(octets.readUInt32BE(0), octets.length);
		assert.deepEqual(read(octets), pdu);
		const roomy = Buffer.alloc(octets.length + 9, 0xee);
		assert.equal(encodeInto(pdu, roomy, 5), octets.length + 5);
		assert.ok(roomy.subarray(5, -4).equals(octets));
		assert.deepEqual([...roomy.subarray(0, 5), ...roomy.subarray(-4)], Array(9).fill(0xee));
		assert.equal(encodeInto(pdu, roomy, 10), -1);
	}
	assert.equal(
		new Set(every.filter((pdu) => pdu.command !== "other").map((pdu) => pdu.command)).size,
		Object.keys(commandIds).length,
	);
});

test("every data_coding and esm_class is carried, not judged", () => {
	for (let octet = 0; octet < 256; octet++) {
		const pdu = deliverSm({
			source,
			destination,
			dataCoding: octet,
			esmClass: 255 - octet,
			shortMessage: Buffer.from([octet]),
		});
		assert.deepEqual(read(encode(pdu)), pdu);
	}
});

test("a response without a body is read, whatever its status", () => {
	for (const [name, id] of Object.entries(commandIds).filter(([name]) =>
		/(submit|deliver|bind_.*)_sm_resp|bind_.*_resp/.test(name),
	)) {
		for (const code of [0, 0x45]) {
			const pdu = read(sized(hex32(id), hex32(code), hex32(77)));
			assert.equal(pdu.command, name);
			assert.equal("status" in pdu && pdu.status, code);
			assert.equal(
				"messageId" in pdu ? pdu.messageId : "systemId" in pdu ? pdu.systemId : undefined,
				"",
			);
		}
	}
});

function hex32(value: number): string {
	return value.toString(16).padStart(8, "0");
}

test("a PDU cut anywhere, its command_length put right, is refused and never read beyond its end", () => {
	const octets = encode(vector);
	const boundaries = new Set([209, 209 - 68, 209 - 68 - 23, 209 - 68 - 46]);
	for (let length = 16; length <= octets.length; length++) {
		const cut = Buffer.from(octets.subarray(0, length));
		cut.writeUInt32BE(length, 0);
		assert.equal(decode(cut).ok, boundaries.has(length), `cut at ${length}`);
	}
});

test("what upper layers judge is carried as it is: UDH longer than the text, part 5 of 3, part 0", () => {
	for (const udh of [
		"ff0003010203",
		"05000309030541",
		"0500030903004141",
		"0608040001020341",
		"00",
		"",
	]) {
		const pdu = deliverSm({
			source,
			destination,
			esmClass: 0x40,
			shortMessage: Buffer.from(udh, "hex"),
		});
		assert.deepEqual(read(encode(pdu)), pdu);
	}
	assert.deepEqual(
		(read(encode(deliverSm({ source, destination, esmClass: 0x43 }))) as { esmClass: number })
			.esmClass,
		0x43,
	);
});

test("unknown and repeated TLVs are kept raw and in order", () => {
	const tlvs = [
		{ tag: 0x1503, value: Buffer.from("404") },
		{ tag: 0, value: Buffer.alloc(0) },
		{ tag: 0x1503, value: Buffer.from("405") },
		{ tag: 0xffff, value: Buffer.alloc(300, 9) },
	];
	const pdu = read(encode(deliverSm({ source, destination, tlvs })));
	assert.ok(pdu.command === "deliver_sm");
	assert.deepEqual(pdu.tlvs, tlvs);
	assert.equal(findTlv(pdu.tlvs, 0x1503)?.toString(), "404");
});

test("TLV readers do not throw on a value of the wrong length", () => {
	const tlvs = [
		{ tag: tags.message_state, value: Buffer.alloc(0) },
		{ tag: tags.network_error_code, value: Buffer.from([3, 0, 8]) },
		{ tag: tags.sar_msg_ref_num, value: Buffer.from([1, 2]) },
		{ tag: tags.receipted_message_id, value: Buffer.from("abc\0def") },
	];
	assert.equal(tlvNumber(tlvs, tags.message_state), undefined);
	assert.equal(tlvNumber(tlvs, tags.network_error_code), undefined);
	assert.equal(tlvNumber(tlvs, tags.sar_msg_ref_num), 0x0102);
	assert.equal(tlvNumber(tlvs, tags.source_port), undefined);
	assert.equal(tlvText(tlvs, tags.receipted_message_id), "abc");
});

test("a value no PDU can carry is not cut short", () => {
	const bad: readonly Pdu[] = [
		submitSm({ source: { ...source, address: "A".repeat(21) }, destination }),
		submitSm({ source, destination: { ...destination, address: "1\u00002" } }),
		submitSm({ source: { ...source, address: "ВАХ" }, destination }),
		submitSm({ source, destination, shortMessage: Buffer.alloc(256) }),
		submitSm({ source, destination, tlvs: [{ tag: 1, value: Buffer.alloc(65_536) }] }),
		{ ...bind, password: "p".repeat(64) },
		{ command: "submit_sm_resp", sequence: 1, status: 0, messageId: "m".repeat(65), tlvs: noTlvs },
	];
	for (const pdu of bad)
		assert.throws(
			() => encode(pdu),
			(error) => error instanceof Fault && error.name === "internal",
		);
	assert.ok(pduBytesMax > 65_536 + 33);
});
