import assert from "node:assert/strict";
import { test } from "node:test";
import { deliverSm } from "./smpp/pdu.ts";
import { numberTlv, type Tlv, tags } from "./smpp/tlv.ts";
import { readUserData } from "./user-data.ts";

const nobody = { ton: 1, npi: 1, address: "1" };
const sar = [
	numberTlv(tags.sar_msg_ref_num, 2, 515),
	numberTlv(tags.sar_total_segments, 1, 2),
	numberTlv(tags.sar_segment_seqnum, 1, 1),
];
const cases: [
	name: string,
	octets: string,
	dataCoding: number,
	esmClass: number,
	tlvs: Tlv[],
	expected: object,
][] = [
	[
		"default alphabet",
		"48691b65",
		0,
		0,
		[],
		{ ok: true, text: "Hi€", encoding: "GSM_7BIT", concatenation: undefined },
	],
	[
		"ASCII",
		"4040",
		1,
		0,
		[],
		{ ok: true, text: "@@", encoding: "LATIN1", concatenation: undefined },
	],
	[
		"Latin-1",
		"e9",
		3,
		0,
		[],
		{ ok: true, text: "é", encoding: "LATIN1", concatenation: undefined },
	],
	[
		"UCS-2",
		"092c0902",
		8,
		0,
		[],
		{ ok: true, text: "बं", encoding: "UCS2", concatenation: undefined },
	],
	[
		"UCS-2 with half a character",
		"092c09",
		8,
		0,
		[],
		{ ok: true, text: "ब", encoding: "UCS2", concatenation: undefined },
	],
	[
		"flash, default alphabet",
		"4869",
		0xf0,
		0,
		[],
		{ ok: true, text: "Hi", encoding: "GSM_7BIT", concatenation: undefined },
	],
	[
		"flash, UCS-2",
		"0041",
		0x18,
		0,
		[],
		{ ok: true, text: "A", encoding: "UCS2", concatenation: undefined },
	],
	[
		"a header",
		"0500037f02024869",
		0,
		0x40,
		[],
		{
			ok: true,
			text: "Hi",
			encoding: "GSM_7BIT",
			concatenation: { wide: false, reference: 127, total: 2, part: 2 },
		},
	],
	[
		"a national table",
		"032401011b47",
		0,
		0x40,
		[],
		{ ok: true, text: "Ğ", encoding: "GSM_7BIT", concatenation: undefined },
	],
	[
		"sar_*",
		"4869",
		0,
		0,
		sar,
		{
			ok: true,
			text: "Hi",
			encoding: "GSM_7BIT",
			concatenation: { wide: true, reference: 515, total: 2, part: 1 },
		},
	],
	[
		"message_payload",
		"",
		0,
		0,
		[{ tag: tags.message_payload, value: Buffer.from("Hi") }],
		{ ok: true, text: "Hi", encoding: "GSM_7BIT", concatenation: undefined },
	],
	["empty", "", 0, 0, [], { ok: true, text: "", encoding: "GSM_7BIT", concatenation: undefined }],
	["binary", "ffff", 4, 0, [], { ok: false, why: "not_text" }],
	["flash, binary", "ffff", 0xf5, 0, [], { ok: false, why: "not_text" }],
	["reserved", "ffff", 0x2f, 0, [], { ok: false, why: "not_text" }],
	["a header past the end", "7f00", 0, 0x40, [], { ok: false, why: "header" }],
	["a header promised, none there", "", 0, 0x40, [], { ok: false, why: "header" }],
];
for (const [name, octets, dataCoding, esmClass, tlvs, expected] of cases)
	test(`user data: ${name}`, () => {
		const shortMessage = Buffer.from(octets, "hex");
		const kept = Buffer.from(shortMessage);
		const pdu = deliverSm({
			source: nobody,
			destination: nobody,
			dataCoding,
			esmClass,
			shortMessage,
			tlvs,
		});
		assert.deepEqual(readUserData(pdu), expected);
		assert.deepEqual(shortMessage, kept, "reading does not change the octets");
	});
