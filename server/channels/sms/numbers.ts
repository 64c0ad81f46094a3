/**
 * Reads a destination in E.164 form and says which country's it is. Only a number of a length that its
 * numbering plan has passes; why another does not is said without repeating it, for the sentence may be
 * logged. Never guesses a network: numbers are ported. ITU-T E.164; the plans are the metadata of
 * libphonenumber-js; India's mobile numbers: ten digits from 6, 7, 8 or 9 (DoT numbering plan).
 */

import type { CountryCode } from "libphonenumber-js/core";
import { Metadata } from "libphonenumber-js/core";
import metadata from "libphonenumber-js/metadata.max.json";

export type NumberRead =
	| {
			readonly ok: true;
			/** With its +, as given. */
			readonly e164: string;
			/** ISO 3166-1 alpha-2. */
			readonly country: string;
	  }
	| {
			readonly ok: false;
			/** A sentence without the number in it. */
			readonly why: string;
	  };

/** The parts of a numbering plan that are read here; the library's types name only two of them. */
interface NumberingPlan {
	nationalNumberPattern(): string;
	leadingDigits(): string | undefined;
	possibleLengths(): readonly number[];
	type(name: string): { pattern(): string } | undefined;
}

interface Country {
	readonly code: string;
	readonly national: RegExp;
	/** Digits that only this country's numbers begin with, where a calling code is shared. */
	readonly leading: RegExp | undefined;
	readonly kinds: readonly RegExp[];
	readonly lengths: readonly number[];
}

const kindNames = [
	["MOBILE", "FIXED_LINE", "TOLL_FREE", "PREMIUM_RATE", "SHARED_COST"],
	["VOIP", "PERSONAL_NUMBER", "PAGER", "UAN", "VOICEMAIL"],
].flat();

const callingCodes = metadata.country_calling_codes as unknown as Readonly<
	Record<string, readonly CountryCode[]>
>;

// Patterns are compiled when a country is first written to: there are some 240 of them.
const compiled = new Map<string, readonly Country[]>();

function compile(code: CountryCode): Country {
	const reader = new Metadata(metadata);
	reader.selectNumberingPlan(code);
	const plan = reader.numberingPlan as unknown as NumberingPlan;
	const whole = (pattern: string): RegExp => new RegExp(`^(?:${pattern})$`);
	const leading = plan.leadingDigits();
	return {
		code,
		national: whole(plan.nationalNumberPattern()),
		leading: leading ? new RegExp(`^(?:${leading})`) : undefined,
		kinds: kindNames.flatMap((name) => plan.type(name)?.pattern() ?? []).map(whole),
		lengths: plan.possibleLengths(),
	};
}

function countriesOf(callingCode: string): readonly Country[] | undefined {
	const known = compiled.get(callingCode);
	if (known !== undefined) return known;
	// Codes that belong to no country (satellites, global services) are listed elsewhere: none here.
	const codes = Object.hasOwn(callingCodes, callingCode) ? callingCodes[callingCode] : undefined;
	const countries = codes?.filter((code) => Object.hasOwn(metadata.countries, code)).map(compile);
	if (countries === undefined || countries.length === 0) return undefined;
	compiled.set(callingCode, countries);
	return countries;
}

const indianMobile = /^\+91[6-9]\d{9}$/;
const e164 = /^\+[1-9]\d{6,14}$/;

/** Reads one destination. Costs well under a microsecond for India and other unshared codes. */
export function readNumber(text: string): NumberRead {
	if (indianMobile.test(text)) return { ok: true, e164: text, country: "IN" };
	if (!e164.test(text)) return refuse(misshapen(text));
	if (text.startsWith("+91")) return refuse(notIndianMobile(text.length - 3));
	// No calling code is the beginning of another, so the first that fits is the one.
	for (let digits = 1; digits <= 3; digits++) {
		const countries = countriesOf(text.slice(1, 1 + digits));
		if (countries !== undefined) return inPlan(text, text.slice(1, 1 + digits), countries);
	}
	return refuse("The number begins with no country's calling code.");
}

function inPlan(text: string, callingCode: string, countries: readonly Country[]): NumberRead {
	const national = text.slice(1 + callingCode.length);
	const found = countries.length === 1 ? countries[0] : among(countries, national);
	// Plans change faster than any copy of them: a number of a possible length passes, as its code's
	// first country when no country's plan claims it. Whether it exists is the carrier's to say.
	const country = found ?? countries[0];
	if (country?.national.test(national) || country?.lengths.includes(national.length))
		return { ok: true, e164: text, country: country.code };
	return refuse(outsidePlan(national.length, callingCode, countries));
}

/** The first country of a shared code that claims the number, in the library's order. */
function among(countries: readonly Country[], national: string): Country | undefined {
	return countries.find(({ leading, national: plan, kinds }) =>
		leading !== undefined
			? leading.test(national)
			: plan.test(national) && kinds.some((kind) => kind.test(national)),
	);
}

function refuse(why: string): NumberRead {
	return { ok: false, why };
}

function misshapen(text: string): string {
	if (text === "") return "The number is empty.";
	if (!text.startsWith("+"))
		return "The number must begin with + and a country's calling code (E.164, such as +91 for India).";
	if (!/^\+\d*$/.test(text))
		return "The number may have only digits after the +, without spaces, dashes or letters (E.164).";
	if (text[1] === "0")
		return "The number has a 0 after the +; no country's calling code begins with 0.";
	const digits = text.length - 1;
	if (digits > 15) return `The number has ${digits} digits; E.164 allows 15 at most.`;
	return `The number has ${digits} digits; with its country's calling code it must have at least 7.`;
}

function notIndianMobile(digits: number): string {
	if (digits === 10)
		return "The number is not an Indian mobile number: those begin with 6, 7, 8 or 9 after +91.";
	return `The number has ${digits} digits after the calling code +91; India's mobile numbers have 10.`;
}

function outsidePlan(digits: number, callingCode: string, countries: readonly Country[]): string {
	const lengths = [...new Set(countries.flatMap((country) => country.lengths))].sort(
		(a, b) => a - b,
	);
	const whose =
		countries.length === 1 ? nameOf(countries[0]?.code ?? "") : `the countries of +${callingCode}`;
	if (lengths.includes(digits))
		return `The number is not in the numbering plan of ${whose}: these digits are not assigned.`;
	return `The number has ${digits} digits after the calling code +${callingCode}; numbers of ${whose} have ${list(lengths)}.`;
}

function list(numbers: readonly number[]): string {
	if (numbers.length < 2) return numbers.join("");
	return `${numbers.slice(0, -1).join(", ")} or ${numbers.at(-1)}`;
}

function nameOf(code: string): string {
	return new Intl.DisplayNames("en", { type: "region" }).of(code) ?? code;
}
