import assert from "node:assert/strict";
import { test } from "node:test";
import { getCountries, getExampleNumber, parsePhoneNumberFromString } from "libphonenumber-js/max";
import examples from "libphonenumber-js/mobile/examples";
import { seededRandom } from "#platform/ids.ts";
import { readNumber } from "./numbers.ts";

const good: [text: string, country: string][] = [
	["+919812345678", "IN"],
	["+916000000011", "IN"],
	["+14155550123", "US"],
	["+16135550123", "CA"],
	["+12425021234", "BS"],
	["+447911123456", "GG"],
	["+447400123456", "GB"],
	["+77012345678", "KZ"],
	["+79161234567", "RU"],
	["+31612345678", "NL"],
	["+33612345678", "FR"],
	["+61412345678", "AU"],
	["+6591234567", "SG"],
	["+971501234567", "AE"],
];
for (const [text, country] of good)
	test(`${text} is ${country}`, () =>
		assert.deepEqual(readNumber(text), { ok: true, e164: text, country }));

test("a number that no plan claims yet passes as its code's first country's", () => {
	assert.deepEqual(readNumber("+447700900123"), { ok: true, e164: "+447700900123", country: "GB" });
});

const bad: [text: string, why: RegExp][] = [
	["", /empty/],
	["919812345678", /must begin with \+/],
	["00919812345678", /must begin with \+/],
	["+91 98123 45678", /only digits after the \+/],
	["+91-9812345678", /only digits/],
	["+9198123A5678", /only digits/],
	["+９１9812345678", /only digits/],
	["+919812345678\n", /only digits/],
	["+", /0 digits/],
	["+0919812345678", /0 after the \+/],
	["+12345", /5 digits; .* at least 7/],
	["+9198123456781234", /16 digits; E\.164 allows 15/],
	["+91981234567", /9 digits after the calling code \+91; India's mobile numbers have 10/],
	["+9109812345678", /11 digits after the calling code \+91/],
	["+915812345678", /begin with 6, 7, 8 or 9/],
	["+3361234567", /8 digits after the calling code \+33; numbers of France have 9/],
	["+14155550", /digits are not assigned/],
	["+99912345678", /no country's calling code/],
	["+88213300655", /no country's calling code/],
	["+80012345678", /no country's calling code/],
];
for (const [text, why] of bad)
	test(`${JSON.stringify(text)} is refused`, () => {
		const got = readNumber(text);
		assert.ok(!got.ok);
		assert.match(got.why, why);
		const digits = text.replace(/\D/g, "");
		assert.ok(digits.length < 6 || !got.why.includes(digits), "the number is not repeated");
	});

test("each country's example mobile number is read as the library reads it", () => {
	for (const country of getCountries()) {
		const example = getExampleNumber(country, examples);
		if (example === undefined) continue;
		const expected = parsePhoneNumberFromString(example.number)?.country;
		const got = readNumber(example.number);
		if (country === "IN") assert.equal(got.ok && got.country, "IN");
		else assert.equal(got.ok ? got.country : undefined, expected, example.number);
	}
});

test("random numbers of shared calling codes: the library's country, when it has one", () => {
	const random = seededRandom(5);
	let compared = 0;
	for (const [code, digits] of [
		["1", 10],
		["7", 10],
		["44", 10],
		["39", 10],
		["61", 9],
		["47", 8],
		["212", 9],
		["262", 9],
		["590", 9],
		["599", 8],
		["358", 9],
	] as const)
		for (let i = 0; i < 300; i++) {
			let text = `+${code}${1 + Math.floor(random.fraction() * 9)}`;
			while (text.length < 1 + code.length + digits) text += Math.floor(random.fraction() * 10);
			const got = readNumber(text);
			const library = parsePhoneNumberFromString(text);
			const isValid = library?.isValid() === true;
			if (isValid) assert.equal(got.ok && got.country, library?.country, text);
			if (isValid) compared++;
		}
	assert.ok(compared > 500, `${compared} compared`);
});
