import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { manualClock } from "#platform/clock.ts";
import { type Dialect, destinationAddress, dialects, sourceAddress } from "./dialect.ts";
import { encode, type SubmitSm } from "./pdu.ts";
import { buildSubmits, type SmsSubmission } from "./submission.ts";
import { readTime } from "./time.ts";
import { findTlv, tlvNumber, tlvText } from "./tlv.ts";

const standard = dialects.get("standard") as Dialect;
const indiaDlt = dialects.get("india-dlt") as Dialect;
const clock = manualClock(Date.parse("2026-07-31T12:00:00Z"));
const facts = {
	entityId: "1701172974420810001",
	templateId: "1107161951486743588",
	chainHash: "c0f3",
};

const base: SmsSubmission = {
	id: "m1",
	source: sourceAddress(standard, "WAXWNG"),
	destination: destinationAddress(standard, "+919812345678"),
	parts: [Buffer.from("hello")],
	encoding: "GSM_7BIT",
	reference: 0xabcd,
	validityMs: undefined,
	registeredDelivery: true,
};
const three = [Buffer.from("one"), Buffer.from("two"), Buffer.from("three")];

function built(changes: Partial<SmsSubmission>, dialect: Dialect = standard): readonly SubmitSm[] {
	const result = buildSubmits({ ...base, ...changes }, dialect, clock);
	assert.ok(result.ok, result.ok ? "" : result.name);
	for (const pdu of result.pdus) encode(pdu);
	return result.pdus;
}

test("one part goes without UDH", () => {
	const [pdu, ...more] = built({});
	assert.equal(more.length, 0);
	assert.deepEqual(
		[pdu?.esmClass, pdu?.dataCoding, pdu?.registeredDelivery, pdu?.validityPeriod, pdu?.tlvs],
		[0, 0, 1, "", []],
	);
	assert.deepEqual(pdu?.shortMessage, Buffer.from("hello"));
	assert.deepEqual(pdu?.source, { ton: 5, npi: 0, address: "WAXWNG" });
	assert.deepEqual(pdu?.destination, { ton: 1, npi: 1, address: "919812345678" });
	assert.equal(built({ registeredDelivery: false })[0]?.registeredDelivery, 0);
	assert.equal(built({ encoding: "UCS2", parts: [Buffer.from("0939", "hex")] })[0]?.dataCoding, 8);
});

describe("a message of three parts", () => {
	const by = (longMessage: Dialect["longMessage"]) =>
		built({ parts: three, dlt: facts }, { ...standard, longMessage });
	test("udh-16", () => {
		const heads = by("udh-16").map((pdu) => [
			pdu.esmClass,
			pdu.shortMessage.toString("latin1", 7),
			pdu.shortMessage.toString("hex", 0, 7),
		]);
		assert.deepEqual(heads, [
			[0x40, "one", "060804abcd0301"],
			[0x40, "two", "060804abcd0302"],
			[0x40, "three", "060804abcd0303"],
		]);
	});
	test("udh-8", () => {
		const heads = by("udh-8").map((pdu) => [
			pdu.esmClass,
			pdu.shortMessage.toString("latin1", 6),
			pdu.shortMessage.toString("hex", 0, 6),
		]);
		assert.deepEqual(heads[2], [0x40, "three", "050003cd0303"]);
	});
	test("sar", () => {
		const pdus = by("sar");
		assert.deepEqual(
			pdus.map((pdu) => [
				pdu.esmClass,
				pdu.shortMessage.toString(),
				...[0x20c, 0x20e, 0x20f].map((tag) => tlvNumber(pdu.tlvs, tag)),
			]),
			[
				[0, "one", 0xabcd, 3, 1],
				[0, "two", 0xabcd, 3, 2],
				[0, "three", 0xabcd, 3, 3],
			],
		);
	});
	test("message_payload: as short_message while it fits, in the TLV when it does not", () => {
		const [whole] = by("message_payload");
		assert.equal(whole?.shortMessage.toString(), "onetwothree");
		assert.equal(findTlv(whole?.tlvs ?? [], 0x424), undefined);
		const [long, ...more] = built(
			{ parts: [Buffer.alloc(152, 65), Buffer.alloc(152, 66)] },
			{ ...standard, longMessage: "message_payload" },
		);
		assert.equal(more.length, 0);
		assert.equal(long?.shortMessage.length, 0);
		assert.equal(findTlv(long?.tlvs ?? [], 0x424)?.length, 304);
		assert.equal(long?.esmClass, 0);
	});
	test("each part carries the DLT parameters", () => {
		for (const longMessage of ["udh-16", "udh-8", "sar", "message_payload"] as const)
			for (const pdu of by(longMessage))
				assert.deepEqual(
					[0x1400, 0x1401, 0x1402].map((tag) => findTlv(pdu.tlvs, tag)?.toString()),
					[facts.entityId, facts.templateId, "c0f3"],
				);
	});
});

test("DLT parameters by the dialect", () => {
	const nul = built(
		{ dlt: facts },
		{
			...standard,
			dlt: { entityId: 1, templateId: 2, chainHash: 3, nulTerminated: true, required: false },
		},
	)[0];
	assert.equal(findTlv(nul?.tlvs ?? [], 1)?.toString("latin1"), `${facts.entityId}\0`);
	assert.equal(tlvText(nul?.tlvs ?? [], 3), "c0f3");
	assert.deepEqual(
		built({ dlt: { ...facts, chainHash: "" } })[0]?.tlvs.map((tlv) => tlv.tag),
		[0x1400, 0x1401],
	);
});

test("validity", () => {
	assert.equal(built({ validityMs: 3_600_000 })[0]?.validityPeriod, "000000010000000R");
	const absolute =
		built({ validityMs: 3_600_000 }, { ...standard, validity: "absolute" })[0]?.validityPeriod ??
		"";
	assert.deepEqual(readTime(absolute), { kind: "absolute", atMs: clock.now() + 3_600_000 });
});

test("an SMSC whose default alphabet is Latin-1 is sent Latin-1", () => {
	const latin: Dialect = { ...standard, defaultAlphabet: "latin1" };
	// Septets of "@£é[": 00 01 05 1B 3C.
	const pdu = built({ parts: [Buffer.from("0001051b3c", "hex")] }, latin)[0];
	assert.equal(pdu?.shortMessage.toString("latin1"), "@£é[");
	const euro = buildSubmits({ ...base, parts: [Buffer.from("1b65", "hex")] }, latin, clock);
	assert.equal(!euro.ok && euro.disposition, "route");
});

describe("what the carrier could not take is refused here", () => {
	const cases: readonly (readonly [string, Partial<SmsSubmission>, Dialect, string, string])[] = [
		[
			"no source",
			{ source: { ton: 5, npi: 0, address: "" } },
			standard,
			"ESME_RINVSRCADR",
			"permanent",
		],
		[
			"a source of 21",
			{ source: { ton: 5, npi: 0, address: "A".repeat(21) } },
			standard,
			"ESME_RINVSRCADR",
			"permanent",
		],
		[
			"a source beyond ASCII",
			{ source: { ton: 5, npi: 0, address: "ВАНК" } },
			standard,
			"ESME_RINVSRCADR",
			"permanent",
		],
		[
			"a destination with +",
			{ destination: { ton: 1, npi: 1, address: "+919812345678" } },
			standard,
			"ESME_RINVDSTADR",
			"permanent",
		],
		[
			"a destination of 21",
			{ destination: { ton: 1, npi: 1, address: "9".repeat(21) } },
			standard,
			"ESME_RINVDSTADR",
			"permanent",
		],
		["no parts", { parts: [] }, standard, "ESME_RINVMSGLEN", "permanent"],
		[
			"256 parts",
			{ parts: Array(256).fill(Buffer.from("x")) },
			standard,
			"ESME_RINVMSGLEN",
			"permanent",
		],
		[
			"a part of 255 octets",
			{ parts: [Buffer.alloc(255, 65)] },
			standard,
			"ESME_RINVMSGLEN",
			"permanent",
		],
		[
			"a part of 248 octets beside a UDH",
			{ parts: [Buffer.alloc(248, 65), Buffer.alloc(1)] },
			standard,
			"ESME_RINVMSGLEN",
			"permanent",
		],
		["no DLT where it is required", {}, indiaDlt, "ESME_RMISSINGOPTPARAM", "permanent"],
		[
			"an empty template id",
			{ dlt: { ...facts, templateId: "" } },
			indiaDlt,
			"ESME_RINVOPTPARAMVAL",
			"permanent",
		],
		[
			"DLT where it cannot be carried",
			{ dlt: facts },
			{ ...standard, dlt: undefined },
			"ESME_ROPTPARNOTALLWD",
			"route",
		],
	];
	for (const [name, changes, dialect, status, disposition] of cases)
		test(name, () => {
			const result = buildSubmits({ ...base, ...changes }, dialect, clock);
			assert.deepEqual(result.ok ? "built" : [result.name, result.disposition], [
				status,
				disposition,
			]);
		});
});

test("addresses by the dialect", () => {
	const cases: readonly (readonly [string, number, number, string])[] = [
		["WAXWNG", 5, 0, "WAXWNG"],
		["Bank 24", 5, 0, "Bank 24"],
		["+919812345678", 1, 1, "919812345678"],
		["919812345678", 1, 1, "919812345678"],
		["56767", 3, 0, "56767"],
	];
	for (const [sender, ton, npi, address] of cases)
		assert.deepEqual(sourceAddress(standard, sender), { ton, npi, address });
	assert.deepEqual(destinationAddress(standard, "+4915112345678"), {
		ton: 1,
		npi: 1,
		address: "4915112345678",
	});
});

test("every dialect in the catalogue is whole", () => {
	assert.deepEqual([...dialects.keys()], ["standard", "india-dlt"]);
	for (const [id, dialect] of dialects) {
		assert.equal(dialect.id, id);
		assert.equal(dialect.interfaceVersion, 0x34);
		assert.ok(dialect.serviceType.length <= 5 && dialect.systemType.length <= 12);
		if (dialect.dlt !== undefined) {
			const tags = [dialect.dlt.entityId, dialect.dlt.templateId, dialect.dlt.chainHash];
			assert.equal(new Set(tags).size, 3);
			for (const tag of tags) assert.ok(tag >= 0x1400 && tag <= 0x3fff);
		}
		for (const [code, entry] of dialect.refusals) assert.equal(entry.code, code);
	}
});
