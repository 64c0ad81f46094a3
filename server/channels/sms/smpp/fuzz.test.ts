/**
 * The codec's door under fire: 1,200,000 mutated PDUs from fixed seeds through framer and decoder.
 * Nothing may throw; a refusal names a status and a bounded reason; and what is accepted must encode
 * to the very octets it was read from, so that no octet can be lost, invented or read from elsewhere.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Random, seededRandom } from "#platform/ids.ts";
import { commandIds, otherCommands, responseBit } from "./command.ts";
import { createFramer } from "./frame.ts";
import { decode, deliverSm, encode, type Pdu, pduBytesMax, submitSm } from "./pdu.ts";
import { noTlvs, numberTlv, tags, textTlv } from "./tlv.ts";

const mutants = 1_200_000;
const seeds = [0x5eed01, 0x5eed02, 0x5eed03];

const phone = { ton: 1, npi: 1, address: "919812345678" };
const header = { ton: 5, npi: 0, address: "WAXWNG" };
const bind = {
	sequence: 1,
	systemId: "waxwing",
	password: "secret",
	systemType: "x",
	interfaceVersion: 0x34,
	addressTon: 0,
	addressNpi: 0,
	addressRange: "91",
	tlvs: noTlvs,
};
const corpus: readonly Buffer[] = (
	[
		{ ...bind, command: "bind_transceiver" },
		{
			command: "bind_receiver_resp",
			sequence: 2,
			status: 0,
			systemId: "smsc",
			tlvs: [numberTlv(tags.sc_interface_version, 1, 0x34)],
		},
		submitSm({
			sequence: 7,
			source: header,
			destination: phone,
			registeredDelivery: 1,
			shortMessage: Buffer.from("Your OTP is 482913."),
			tlvs: [textTlv(0x1400, "1701172974420810001", false), textTlv(0x1402, "c0f3951aca62", false)],
		}),
		submitSm({
			sequence: 8,
			source: header,
			destination: phone,
			validityPeriod: "000002000000000R",
			scheduleDeliveryTime: "260731120000000+",
			tlvs: [{ tag: tags.message_payload, value: Buffer.alloc(40, 65) }],
		}),
		submitSm({
			sequence: 9,
			source: header,
			destination: phone,
			esmClass: 0x40,
			dataCoding: 8,
			shortMessage: Buffer.from("0608040001020141004200", "hex"),
		}),
		deliverSm({
			sequence: 10,
			source: phone,
			destination: header,
			esmClass: 4,
			shortMessage: Buffer.from(
				"id:7 sub:001 dlvrd:001 submit date:2607311200 done date:2607311201 stat:DELIVRD err:000 text:",
			),
			tlvs: [textTlv(tags.receipted_message_id, "7", true), numberTlv(tags.message_state, 1, 2)],
		}),
		{ command: "submit_sm_resp", sequence: 7, status: 0, messageId: "0a1b2c", tlvs: noTlvs },
		{ command: "deliver_sm_resp", sequence: 10, status: 0x64, messageId: "", tlvs: noTlvs },
		{ command: "enquire_link", sequence: 11, status: 0 },
		{ command: "generic_nack", sequence: 12, status: 3 },
		{
			command: "other",
			commandId: 3,
			sequence: 13,
			status: 0,
			body: Buffer.from("313233000101393100", "hex"),
		},
	] as Pdu[]
).map(encode);

const commands = [
	...Object.values(commandIds),
	...otherCommands.keys(),
	0x0a,
	0x80000010,
	0xffffffff,
];
const interesting = [0, 1, 3, 4, 15, 16, 17, 127, 128, 254, 255];
const scratch = Buffer.alloc(1024);

/** Writes a mutant of a random corpus PDU into `scratch`; returns its length. */
function mutate(random: Random): number {
	const below = (limit: number): number => Math.floor(random.fraction() * limit);
	const base = corpus[below(corpus.length)] as Buffer;
	base.copy(scratch);
	let length = base.length;
	for (let change = below(4); change >= 0; change--) {
		const at = below(length);
		switch (below(7)) {
			case 0:
				scratch[at] = (scratch[at] as number) ^ (1 << below(8));
				break;
			case 1:
				scratch[at] = interesting[below(interesting.length)] as number;
				break;
			case 2:
				length = Math.max(1, at);
				break;
			case 3:
				for (let added = 1 + below(9); added > 0; added--) scratch[length++] = below(256);
				break;
			case 4:
				scratch.copy(scratch, at, below(length), length);
				break;
			case 5:
				scratch.writeUInt32BE(commands[below(commands.length)] as number, 4);
				break;
			default:
				scratch.writeUInt16BE(below(64), Math.min(at, length - 1));
		}
	}
	// Most get their command_length right, or they would all be refused at the first check.
	if (length >= 4 && below(8) > 0) scratch.writeUInt32BE(length, 0);
	return length;
}

/** Requests carry no status and a response may leave its body out: the two freedoms of the format. */
function sameOctets(read: Pdu, octets: Buffer): boolean {
	const again = encode(read);
	if (!("status" in read)) octets.copy(again, 8, 8, 12);
	if (again.equals(octets)) return true;
	const bodiless =
		octets.length === 16 && again.length === 17 && octets.readUInt32BE(4) >= responseBit;
	return bodiless && again.subarray(4, 16).equals(octets.subarray(4)) && again[16] === 0;
}

interface Tally {
	accepted: number;
	refused: number;
	faults: number;
	incomplete: number;
	readonly statuses: Set<number>;
}

function judge(octets: Buffer, tally: Tally): void {
	const result = decode(octets);
	if (result.ok) {
		tally.accepted++;
		if (!sameOctets(result.pdu, octets))
			assert.fail(`not the same octets: ${octets.toString("hex")}`);
		return;
	}
	tally.refused++;
	tally.statuses.add(result.commandStatus);
	if (result.commandStatus === 0 || result.reason.length === 0 || result.reason.length > 64)
		assert.fail(`unbounded refusal: ${octets.toString("hex")}`);
}

test(`fuzz: ${mutants} mutated PDUs neither throw nor round-trip wrongly`, () => {
	const tally: Tally = { accepted: 0, refused: 0, faults: 0, incomplete: 0, statuses: new Set() };
	for (const seed of seeds) {
		const random = seededRandom(seed);
		for (let count = 0; count < mutants / seeds.length; count++) {
			const octets = scratch.subarray(0, mutate(random));
			const framer = createFramer();
			let framed = false;
			const fault = framer.push(octets, (whole) => {
				framed = true;
				judge(whole, tally);
			});
			if (fault !== undefined) tally.faults++;
			else if (!framed) tally.incomplete++;
			if (framer.held() > octets.length || framer.held() > pduBytesMax)
				assert.fail("held too much");
			// Also past the framer, as if it had let through what it must not.
			if (!framed) judge(octets, tally);
		}
	}
	// The mutations must reach both sides of every check, or the test has become empty.
	assert.ok(tally.accepted > mutants / 10 && tally.refused > mutants / 10, JSON.stringify(tally));
	assert.ok(tally.faults > 1000 && tally.incomplete > 1000, JSON.stringify(tally));
	assert.ok(tally.statuses.size >= 10, [...tally.statuses].join());
});
