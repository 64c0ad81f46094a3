import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "#platform/ids.ts";
import { candidateIds, isReceipt, type ReceiptIds, readReceipt, receiptStates } from "./receipt.ts";
import { deliverSm } from "./smpp/pdu.ts";
import { numberTlv, type Tlv, tags, textTlv } from "./smpp/tlv.ts";

const nobody = { ton: 1, npi: 1, address: "1" };
const pdu = (text: string | Buffer, tlvs: Tlv[] = [], esmClass = 0x04, dataCoding = 0) =>
	deliverSm({
		source: nobody,
		destination: nobody,
		esmClass,
		dataCoding,
		shortMessage: typeof text === "string" ? Buffer.from(text, "latin1") : text,
		tlvs,
	});
const network = (code: number): Tlv => {
	const value = Buffer.from([3, 0, 0]);
	value.writeUInt16BE(code, 1);
	return { tag: tags.network_error_code, value };
};
const classic =
	"id:0123456789 sub:001 dlvrd:001 submit date:2607311830 done date:2607311831 stat:DELIVRD err:000 Text:Your OTP";

interface Expected {
	carrierId: string;
	state: string;
	errorCode?: string;
	doneAt?: string;
}
const zone = { zoneMinutes: 330 };
const read: [name: string, text: string, tlvs: Tlv[], expected: Expected][] = [
	[
		"the convention",
		classic,
		[],
		{
			carrierId: "0123456789",
			state: "delivered",
			errorCode: "000",
			doneAt: "2026-07-31T13:01:00.000Z",
		},
	],
	[
		"seconds",
		"id:1 stat:DELIVRD done date:260731183159 err:0",
		[],
		{ carrierId: "1", state: "delivered", errorCode: "0", doneAt: "2026-07-31T13:01:59.000Z" },
	],
	[
		"a year of four digits",
		"id:1 done date:20260731183159 stat:EXPIRED",
		[],
		{ carrierId: "1", state: "expired", doneAt: "2026-07-31T13:01:59.000Z" },
	],
	[
		"lower case",
		classic.toLowerCase(),
		[],
		{
			carrierId: "0123456789",
			state: "delivered",
			errorCode: "000",
			doneAt: "2026-07-31T13:01:00.000Z",
		},
	],
	["only an id and a state", "id:77 stat:UNDELIV", [], { carrierId: "77", state: "undelivered" }],
	["no state", "id:77 sub:001", [], { carrierId: "77", state: "unknown" }],
	[
		"a state nobody knows",
		"id:77 stat:BUFFERED err:12",
		[],
		{ carrierId: "77", state: "unknown", errorCode: "12" },
	],
	[
		"long names of states",
		"id:77 stat:UNDELIVERABLE",
		[],
		{ carrierId: "77", state: "undelivered" },
	],
	[
		"rejected with a DLT code",
		"id:77 stat:REJECTD err:633",
		[],
		{ carrierId: "77", state: "rejected", errorCode: "633" },
	],
	[
		"letters in the code",
		"id:77 stat:UNDELIV err:0x0B",
		[],
		{ carrierId: "77", state: "undelivered", errorCode: "0x0B" },
	],
	[
		"a code too long is none",
		"id:77 stat:UNDELIV err:123456789",
		[],
		{ carrierId: "77", state: "undelivered" },
	],
	[
		"a code with other characters is none",
		"id:77 stat:UNDELIV err:-1;x",
		[],
		{ carrierId: "77", state: "undelivered" },
	],
	["an empty code", "id:77 stat:DELIVRD err: text:x", [], { carrierId: "77", state: "delivered" }],
	[
		"odd characters in the id",
		"id:a-B_9/x+y=.{1} stat:DELIVRD",
		[],
		{ carrierId: "a-B_9/x+y=.{1}", state: "delivered" },
	],
	[
		"blank after the colon",
		"id: 42 stat: DELIVRD err: 5",
		[],
		{ carrierId: "42", state: "delivered", errorCode: "5" },
	],
	[
		"commas",
		"id:42,sub:001,dlvrd:001,stat:DELIVRD,err:5",
		[],
		{ carrierId: "42", state: "delivered", errorCode: "5" },
	],
	[
		"another order",
		"stat:EXPIRED err:4 id:42",
		[],
		{ carrierId: "42", state: "expired", errorCode: "4" },
	],
	[
		"joined names of dates",
		"id:42 submitdate:2607311830 donedate:2607311831 stat:DELIVRD",
		[],
		{ carrierId: "42", state: "delivered", doneAt: "2026-07-31T13:01:00.000Z" },
	],
	[
		"a date that is none",
		"id:42 done date:2602301200 stat:DELIVRD",
		[],
		{ carrierId: "42", state: "delivered" },
	],
	[
		"a date of letters",
		"id:42 done date:yesterday00 stat:DELIVRD",
		[],
		{ carrierId: "42", state: "delivered" },
	],
	[
		"fields inside the message's text do not count",
		"id:42 stat:UNDELIV text:id:99 stat:DELIVRD err:1",
		[],
		{ carrierId: "42", state: "undelivered" },
	],
	[
		"a word that only ends like a name",
		"paid:99 id:42 unstat:X stat:DELIVRD",
		[],
		{ carrierId: "42", state: "delivered" },
	],
	[
		"TLVs win for the id and the state, the text for the carrier's own code",
		"id:42 stat:UNDELIV err:009",
		[
			textTlv(tags.receipted_message_id, "tlv-1", true),
			numberTlv(tags.message_state, 1, 2),
			network(34),
		],
		{ carrierId: "tlv-1", state: "delivered", errorCode: "009" },
	],
	[
		"TLVs alone",
		"",
		[textTlv(tags.receipted_message_id, "abc", false), numberTlv(tags.message_state, 1, 8)],
		{ carrierId: "abc", state: "rejected" },
	],
	[
		"a network error of 0 leaves the text's code",
		"id:1 stat:REJECTD err:650",
		[network(0)],
		{ carrierId: "1", state: "rejected", errorCode: "650" },
	],
	[
		"a state beyond the table",
		"id:1 stat:DELIVRD",
		[numberTlv(tags.message_state, 1, 77)],
		{ carrierId: "1", state: "unknown" },
	],
	[
		"a state of the wrong length is not read",
		"id:1 stat:DELIVRD",
		[numberTlv(tags.message_state, 2, 5)],
		{ carrierId: "1", state: "delivered" },
	],
	[
		"an empty id TLV leaves the text's id",
		"id:1 stat:DELIVRD",
		[{ tag: tags.receipted_message_id, value: Buffer.from([0]) }],
		{ carrierId: "1", state: "delivered" },
	],
	[
		"the text in message_payload",
		"",
		[textTlv(tags.message_payload, classic, false)],
		{
			carrierId: "0123456789",
			state: "delivered",
			errorCode: "000",
			doneAt: "2026-07-31T13:01:00.000Z",
		},
	],
];
for (const [name, text, tlvs, { carrierId, state, errorCode, doneAt }] of read)
	test(`receipt: ${name}`, () => {
		const got = readReceipt(pdu(text, tlvs), zone);
		assert.ok(got.ok);
		const { doneAtMs, messageState, ...rest } = got.receipt;
		assert.deepEqual(rest, { carrierId, state, errorCode });
		assert.equal(receiptStates[messageState], state);
		assert.equal(doneAtMs === undefined ? undefined : new Date(doneAtMs).toISOString(), doneAt);
	});

test("receipt: UCS-2 text", () => {
	const text = Buffer.from(classic, "utf16le").swap16();
	const got = readReceipt(pdu(text, [], 0x04, 8));
	assert.ok(got.ok && got.receipt.carrierId === "0123456789" && got.receipt.state === "delivered");
	assert.equal(got.ok && got.receipt.doneAtMs, undefined, "no zone, no moment");
});

const nothing: [name: string, text: string][] = [
	["empty", ""],
	["no id", "stat:DELIVRD err:000"],
	["an empty id", "id: sub:001 dlvrd:001 stat:DELIVRD"],
	["an id too long", `id:${"9".repeat(65)} stat:DELIVRD`],
	["an id behind 512 octets", `${"x".repeat(600)} id:1 stat:DELIVRD`],
	["a person's text", "I paid: 20 rupees"],
];
for (const [name, text] of nothing)
	test(`no receipt: ${name}`, () =>
		assert.deepEqual(readReceipt(pdu(text)), { ok: false, why: "no_id" }));

test("huge and hostile texts cost little", () => {
	const texts = [
		"id:".repeat(20_000),
		" id".repeat(20_000),
		"id: ".repeat(16_000),
		"done   date:".repeat(5000),
	];
	const random = seededRandom(3);
	for (let i = 0; i < 20_000; i++) {
		const text = texts[i % texts.length] as string;
		const tlvs = [
			{ tag: tags.message_payload, value: Buffer.from(i < 40 ? text : text.slice(0, 600)) },
		];
		readReceipt(pdu("", tlvs));
		readReceipt(pdu(random.bytes(60), [{ tag: 0x1e + (i % 3), value: random.bytes(i % 9) }]));
	}
});

const kinds: [esmClass: number, tlvs: Tlv[], is: boolean][] = [
	[0x04, [], true],
	[0x44, [], true],
	[0x20, [], true],
	[0x00, [], false],
	[0x40, [], false],
	[0x08, [], false],
	[0x10, [], false],
	[0x00, [textTlv(tags.receipted_message_id, "1", true)], true],
	[0x08, [textTlv(tags.receipted_message_id, "1", true)], false],
];
for (const [esmClass, tlvs, is] of kinds)
	test(`esm_class ${esmClass} with ${tlvs.length} TLVs ${is ? "is" : "is not"} a receipt`, () =>
		assert.equal(isReceipt(pdu(classic, tlvs, esmClass)), is));

const ids: [id: string, mode: ReceiptIds, first: string, among: string[]][] = [
	["123", "same", "123", ["123"]],
	["7B", "hex-in-receipt", "123", ["123", "0000000123"]],
	["0000007b", "hex-in-receipt", "123", ["123", "0000000123"]],
	["123", "decimal-in-receipt", "7b", ["7b", "7B", "0000007b", "0000007B"]],
	["a-uuid", "hex-in-receipt", "a-uuid", ["a-uuid"]],
	["zz", "decimal-in-receipt", "zz", ["zz"]],
	["00123", "auto", "00123", ["00123", "123", "0000000123"]],
	["123", "auto", "123", ["123", "7b", "7B", "0000007b", "291", "0000000123"]],
	["aB", "auto", "aB", ["aB", "ab", "AB", "171"]],
	["0A1B2C3D", "auto", "0A1B2C3D", ["A1B2C3D", "169552957"]],
	["x".repeat(64), "auto", "x".repeat(64), ["X".repeat(64)]],
	["18446744073709551615", "decimal-in-receipt", "ffffffffffffffff", ["FFFFFFFFFFFFFFFF"]],
];
for (const [id, mode, first, among] of ids)
	test(`ids of ${id.slice(0, 20)}, ${mode}`, () => {
		const got = candidateIds(id, mode);
		assert.equal(got[0], first);
		for (const wanted of among) assert.ok(got.includes(wanted), `${wanted} in ${got.join(" ")}`);
		assert.equal(new Set(got).size, got.length);
		assert.ok(got.length <= 16);
	});

test("no id, no candidates", () => {
	assert.deepEqual(candidateIds("", "auto"), []);
	assert.deepEqual(candidateIds("9".repeat(65), "auto"), []);
});
