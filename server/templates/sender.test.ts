import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#platform/errors.ts";
import { ownerKey, type ReadNumber, requireSender, type SenderKind } from "./sender.ts";

const readNumber: ReadNumber = (text) =>
	/^\+[1-9]\d{7,14}$/.test(text)
		? { ok: true, e164: text, country: "US" }
		: { ok: false, why: "The number is not in E.164." };

const good: [SenderKind, string][] = [
	["alphanumeric", "WAXWNG"],
	["alphanumeric", "waxwng"],
	["alphanumeric", "A12"],
	["alphanumeric", "Abcdefghijk"],
	["number", "+15550001111"],
	["short_code", "57575"],
	["short_code", "560001"],
];
for (const [kind, address] of good) {
	test(`${kind} ${address} is a sender, as it is`, () => {
		assert.equal(requireSender(kind, address, readNumber), address);
	});
}

const bad: [SenderKind, string][] = [
	["alphanumeric", "AB"],
	["alphanumeric", "Abcdefghijkl"],
	["alphanumeric", "123456"],
	["alphanumeric", "WAX WNG"],
	["alphanumeric", " WAXWNG"],
	["alphanumeric", "WAXWNG\n"],
	["alphanumeric", "WAX-WNG"],
	["alphanumeric", "W\u0410XWNG"],
	["alphanumeric", "WAX\u200bWNG"],
	["alphanumeric", "W\u00d8XWNG"],
	["alphanumeric", ""],
	["number", "15550001111"],
	["number", "+1 555 000 1111"],
	["short_code", "12"],
	["short_code", "123456789"],
	["short_code", "٥٧٥٧٥"],
	["short_code", "112"],
	["short_code", "911"],
	["short_code", "1930"],
];
for (const [kind, address] of bad) {
	test(`${kind} ${JSON.stringify(address)} is refused, and not repeated in the refusal`, () => {
		assert.throws(
			() => requireSender(kind, address, readNumber),
			(error) =>
				error instanceof Fault &&
				error.details[0]?.param === "address" &&
				(address === "" || !error.message.includes(address)),
		);
	});
}

test("what can be mistaken for each other has one owner", () => {
	const groups = [
		["PAYPAL", "PAYPAI", "PAYPA1", "paypal", "PayPaI", "pAYPAl"],
		["GOOGLE", "G00GLE", "g0ogle"],
		["SBIBNK", "5BIBNK", "SB1BNK", "SBlBNK"],
		["57575"],
		["575751"],
		["+15550001111"],
	];
	const keys = groups.map((group) => new Set(group.map(ownerKey)));
	for (const key of keys) assert.equal(key.size, 1);
	assert.equal(new Set(keys.flatMap((key) => [...key])).size, groups.length);
});
