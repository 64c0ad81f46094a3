/**
 * What a sender identity may look like, and what it may be mistaken for. A sender is used exactly as
 * registered, case included; but two that a person cannot tell apart on a phone belong to one owner.
 */
import { Fault } from "#platform/errors.ts";

export type SenderKind = "alphanumeric" | "number" | "short_code";

/** Reads an international number; `why` is a sentence that does not repeat it. */
export type ReadNumber = (
	text: string,
) =>
	| { readonly ok: true; readonly e164: string; readonly country: string }
	| { readonly ok: false; readonly why: string };

/** GSM 03.40 §9.1.2.5 leaves room for eleven characters; other alphabets invite look-alikes. */
const alphanumericPattern = /^(?=.*[A-Za-z])[A-Za-z0-9]{3,11}$/;
const shortCodePattern = /^[0-9]{3,8}$/;

/** Numbers that people call in need, wherever they are; nobody may text in their name. */
const emergencyNumbers = new Set([
	"000",
	"061",
	"100",
	"101",
	"102",
	"103",
	"104",
	"108",
	"110",
	"111",
	"112",
	"113",
	"114",
	"115",
	"116",
	"117",
	"118",
	"119",
	"120",
	"122",
	"123",
	"133",
	"144",
	"190",
	"191",
	"192",
	"193",
	"911",
	"933",
	"988",
	"997",
	"998",
	"999",
	"1091",
	"1098",
	"1930",
	"116000",
	"116111",
	"116117",
]);

/** The address as it will be used in `from`; throws `validation_failed` naming `address`. */
export function requireSender(kind: SenderKind, address: string, readNumber: ReadNumber): string {
	if (kind === "number") {
		const read = readNumber(address);
		if (!read.ok) throw Fault.parameter("address", read.why);
		return read.e164;
	}
	if (kind === "short_code") {
		if (!shortCodePattern.test(address))
			throw Fault.parameter("address", "A short code is 3 to 8 digits.");
		if (emergencyNumbers.has(address))
			throw Fault.parameter("address", "An emergency or helpline number cannot be a sender.");
		return address;
	}
	if (!alphanumericPattern.test(address))
		throw Fault.parameter(
			"address",
			"An alphanumeric sender is 3 to 11 letters A–Z, a–z and digits, with at least one letter.",
		);
	return address;
}

/** What looks like what, on a phone, in a name of letters and digits. */
const lookAlikes: Readonly<Record<string, string>> = { "0": "O", "1": "I", L: "I", "5": "S" };

/**
 * What a sender is owned by: its address, and for a name with letters whatever can be mistaken for it
 * (case, 0 and O, 1, I and l, 5 and S; after UTS 39). Numbers stand for themselves.
 */
export function ownerKey(address: string): string {
	if (!/[A-Za-z]/.test(address)) return address;
	return address.toUpperCase().replace(/[01L5]/g, (letter) => lookAlikes[letter] as string);
}
