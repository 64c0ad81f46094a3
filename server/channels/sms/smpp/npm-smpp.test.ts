/** Our codec against an independent one, npm `smpp`, over seeded random valid PDUs of every type. */
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { type Random, seededRandom } from "#platform/ids.ts";
import { type BindCommand, type Bare, decode, encode, type Pdu, submitSm } from "./pdu.ts";
import { readTime, absoluteTime } from "./time.ts";
import { noTlvs, numberTlv, tags, type Tlv, textTlv } from "./tlv.ts";

type TheirPdu = Record<string, unknown> & { toBuffer(): Buffer };
const { PDU } = createRequire(import.meta.url)("smpp") as {
	PDU: {
		new (octets: Buffer): TheirPdu;
		new (command: string, fields: object): TheirPdu;
		maxLength: number;
	};
};
PDU.maxLength = 70_000;

const rounds = 500;
const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .-_*";

interface Dice {
	upTo(most: number): number;
	text(most: number): string;
	octets(most: number): Buffer;
}

function dice(random: Random): Dice {
	const upTo = (most: number): number => Math.floor(random.fraction() * (most + 1));
	const text = (most: number): string =>
		Array.from({ length: upTo(most) }, () => letters[upTo(letters.length - 1)]).join("");
	return { upTo, text, octets: (most) => random.bytes(upTo(most)) };
}

/** A message both can carry: data_coding ends in 4 (binary), so that they leave the text as it is. */
function message(roll: Dice, command: "submit_sm" | "deliver_sm"): Pdu {
	const address = () => ({ ton: roll.upTo(255), npi: roll.upTo(255), address: roll.text(20) });
	const payload = roll.upTo(3) === 0;
	const tlvs: Tlv[] = [];
	if (payload)
		tlvs.push({
			tag: tags.message_payload,
			value: Buffer.concat([roll.octets(3000), Buffer.from("x")]),
		});
	if (roll.upTo(1)) tlvs.push(numberTlv(tags.sar_msg_ref_num, 2, roll.upTo(0xffff)));
	if (roll.upTo(1)) tlvs.push(numberTlv(tags.message_state, 1, roll.upTo(255)));
	if (roll.upTo(1)) tlvs.push(textTlv(tags.receipted_message_id, roll.text(60), true));
	return {
		...submitSm({
			sequence: roll.upTo(0x7fffffff),
			source: address(),
			destination: address(),
			serviceType: roll.text(5),
			esmClass: roll.upTo(255) & ~0x40,
			protocolId: roll.upTo(255),
			priority: roll.upTo(255),
			registeredDelivery: roll.upTo(255),
			replaceIfPresent: roll.upTo(255),
			dataCoding: (roll.upTo(15) << 4) | 4,
			defaultMessageId: roll.upTo(255),
			shortMessage: payload ? Buffer.alloc(0) : roll.octets(254),
			tlvs,
		}),
		command: command as "submit_sm",
	};
}

function theirMessage(pdu: Pdu): Record<string, unknown> {
	assert.ok(pdu.command === "submit_sm" || pdu.command === "deliver_sm");
	const named: Record<string, unknown> = {};
	for (const { tag, value } of pdu.tlvs) {
		if (tag === tags.message_payload) named["message_payload"] = value;
		if (tag === tags.sar_msg_ref_num) named["sar_msg_ref_num"] = value.readUInt16BE(0);
		if (tag === tags.message_state) named["message_state"] = value[0];
		if (tag === tags.receipted_message_id)
			named["receipted_message_id"] = value.toString("latin1", 0, value.length - 1);
	}
	return {
		sequence_number: pdu.sequence,
		service_type: pdu.serviceType,
		source_addr_ton: pdu.source.ton,
		source_addr_npi: pdu.source.npi,
		source_addr: pdu.source.address,
		dest_addr_ton: pdu.destination.ton,
		dest_addr_npi: pdu.destination.npi,
		destination_addr: pdu.destination.address,
		esm_class: pdu.esmClass,
		protocol_id: pdu.protocolId,
		priority_flag: pdu.priority,
		schedule_delivery_time: "",
		validity_period: "",
		registered_delivery: pdu.registeredDelivery,
		replace_if_present_flag: pdu.replaceIfPresent,
		data_coding: pdu.dataCoding,
		sm_default_msg_id: pdu.defaultMessageId,
		short_message: pdu.shortMessage,
		...named,
	};
}

/** What they read, with their message wrapper taken off. */
function seen(theirs: TheirPdu, fields: object): Record<string, unknown> {
	return Object.fromEntries(
		Object.keys(fields).map((key) => {
			const value = theirs[key] as { message?: unknown } | undefined;
			return [key, key === "short_message" || key === "message_payload" ? value?.message : value];
		}),
	);
}

function agree(pdu: Pdu, command: string, fields: Record<string, unknown>): void {
	const theirs = new PDU(encode(pdu));
	assert.equal(theirs["command"], command);
	assert.deepEqual(seen(theirs, fields), fields);
	const result = decode(new PDU(command, { ...fields }).toBuffer());
	assert.ok(result.ok, result.ok ? "" : result.reason);
	if ("tlvs" in pdu && "tlvs" in result.pdu) {
		const sorted = (tlvs: readonly Tlv[]): Tlv[] => [...tlvs].sort((a, b) => a.tag - b.tag);
		assert.deepEqual(
			{ ...result.pdu, tlvs: sorted(result.pdu.tlvs) },
			{ ...pdu, tlvs: sorted(pdu.tlvs) },
		);
	} else assert.deepEqual(result.pdu, pdu);
}

for (const command of ["submit_sm", "deliver_sm"] as const)
	test(`${rounds} random ${command} agree both ways`, () => {
		const roll = dice(seededRandom(command === "submit_sm" ? 1 : 2));
		for (let round = 0; round < rounds; round++) {
			const pdu = message(roll, command);
			agree(pdu, command, theirMessage(pdu));
		}
	});

for (const command of ["submit_sm_resp", "deliver_sm_resp"] as const)
	test(`${rounds} random ${command} agree both ways`, () => {
		const roll = dice(seededRandom(3));
		for (let round = 0; round < rounds; round++) {
			const pdu: Pdu = {
				command,
				sequence: roll.upTo(0x7fffffff),
				status: 0,
				messageId: roll.text(64),
				tlvs: noTlvs,
			};
			agree(pdu, command, {
				sequence_number: pdu.sequence,
				command_status: 0,
				message_id: pdu.messageId,
			});
		}
	});

for (const kind of [
	"bind_transmitter",
	"bind_receiver",
	"bind_transceiver",
] as readonly BindCommand[])
	test(`${rounds} random ${kind} and responses agree both ways`, () => {
		const roll = dice(seededRandom(4));
		for (let round = 0; round < rounds; round++) {
			const sequence = roll.upTo(0x7fffffff);
			const pdu: Pdu = {
				command: kind,
				sequence,
				systemId: roll.text(15),
				password: roll.text(8),
				systemType: roll.text(12),
				interfaceVersion: roll.upTo(255),
				addressTon: roll.upTo(255),
				addressNpi: roll.upTo(255),
				addressRange: roll.text(40),
				tlvs: noTlvs,
			};
			agree(pdu, kind, {
				sequence_number: sequence,
				system_id: pdu.systemId,
				password: pdu.password,
				system_type: pdu.systemType,
				interface_version: pdu.interfaceVersion,
				addr_ton: pdu.addressTon,
				addr_npi: pdu.addressNpi,
				address_range: pdu.addressRange,
			});
			const version = roll.upTo(255);
			const resp: Pdu = {
				command: `${kind}_resp`,
				sequence,
				status: 0,
				systemId: roll.text(15),
				tlvs: [numberTlv(tags.sc_interface_version, 1, version)],
			};
			agree(resp, `${kind}_resp`, {
				sequence_number: sequence,
				system_id: resp.systemId,
				sc_interface_version: version,
			});
		}
	});

test(`${rounds} random bare PDUs and errors agree both ways`, () => {
	const roll = dice(seededRandom(5));
	const commands = [
		"enquire_link",
		"enquire_link_resp",
		"unbind",
		"unbind_resp",
		"generic_nack",
	] as const;
	for (const command of commands)
		for (let round = 0; round < rounds; round++) {
			const pdu: Bare = { command, sequence: roll.upTo(0x7fffffff), status: roll.upTo(0xffff) };
			agree(pdu, command, { sequence_number: pdu.sequence, command_status: pdu.status });
		}
	for (let round = 0; round < rounds; round++) {
		const [sequence, code] = [roll.upTo(0x7fffffff), 1 + roll.upTo(0xffff)];
		const theirs = decode(
			new PDU("submit_sm_resp", { sequence_number: sequence, command_status: code }).toBuffer(),
		);
		assert.deepEqual(theirs, {
			ok: true,
			pdu: { command: "submit_sm_resp", sequence, status: code, messageId: "", tlvs: noTlvs },
		});
	}
});

test("UDH and times mean the same to both", () => {
	const roll = dice(seededRandom(6));
	const address = { ton: 1, npi: 1, address: "919812345678" };
	for (let round = 0; round < rounds; round++) {
		const atMs = Date.UTC(2026, 0, 1) + roll.upTo(300_000_000) * 100;
		const udh = Buffer.from([6, 8, 4, roll.upTo(255), roll.upTo(255), 3, 1 + roll.upTo(2)]);
		const text = roll.octets(140);
		const octets = encode(
			submitSm({
				source: address,
				destination: address,
				esmClass: 0x40,
				dataCoding: 4,
				shortMessage: Buffer.concat([udh, text]),
			}),
		);
		const { short_message: read } = new PDU(octets) as unknown as {
			short_message: { udh: Buffer[]; message: Buffer };
		};
		assert.deepEqual(read.udh, [udh.subarray(1)]);
		assert.deepEqual(read.message, text);
		const theirs = decode(
			new PDU("submit_sm", {
				source_addr: "A",
				destination_addr: "1",
				validity_period: new Date(atMs),
				data_coding: 4,
				short_message: { udh, message: text },
			}).toBuffer(),
		);
		assert.ok(theirs.ok && theirs.pdu.command === "submit_sm");
		assert.equal(theirs.pdu.validityPeriod, absoluteTime(atMs));
		assert.deepEqual(readTime(theirs.pdu.validityPeriod), { kind: "absolute", atMs });
		assert.equal(theirs.pdu.esmClass, 0x40);
		assert.deepEqual(theirs.pdu.shortMessage, Buffer.concat([udh, text]));
	}
});
