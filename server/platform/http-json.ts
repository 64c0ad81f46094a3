/**
 * Bytes to a JSON value, for bodies written by strangers: UTF-8 only, nesting bounded, no `__proto__`
 * key and no half of a surrogate pair anywhere. Repeated keys keep their last value, as JSON.parse
 * does. Also the canonical text of a value, which fingerprints a request.
 */
import { isUtf8 } from "node:buffer";
import { Fault } from "./errors.ts";

export const depthMax = 32;

/** Texts in which something needs the closer look of `refuseHidden`. */
const suspicious = /__proto__|\\u(?:[dD][89a-fA-F]|00[57][fF])/;

/** @throws Fault `invalid_json`; the message never quotes the body. */
export function parseJson(bytes: Buffer): unknown {
	if (bytes.length === 0) throw invalid("The body is empty.");
	if (!isUtf8(bytes)) throw invalid("The body is not UTF-8.");
	if (tooDeep(bytes)) throw invalid(`The body is nested deeper than ${depthMax} levels.`);
	const text = bytes.toString("utf8");
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch {
		// The parser's message quotes the body, which may be personal: it is not passed on.
		throw Fault.of("invalid_json");
	}
	if (suspicious.test(text)) refuseHidden(value);
	return value;
}

function invalid(message: string): Fault {
	return Fault.of("invalid_json", { message });
}

const quote = 0x22;
const backslash = 0x5c;

function tooDeep(bytes: Buffer): boolean {
	let depth = 0;
	let quoted = false;
	for (let at = 0; at < bytes.length; at++) {
		const byte = bytes[at];
		if (quoted) {
			if (byte === backslash) at++;
			else if (byte === quote) quoted = false;
		} else if (byte === quote) quoted = true;
		else if (byte === 0x7b || byte === 0x5b) {
			if (++depth > depthMax) return true;
		} else if (byte === 0x7d || byte === 0x5d) depth--;
	}
	return false;
}

/** Refuses keys that could reach a prototype, and texts that cannot be written as UTF-8. */
function refuseHidden(value: unknown): void {
	if (typeof value === "string") refuseHalfPair(value);
	if (typeof value !== "object" || value === null) return;
	for (const [key, inner] of Object.entries(value)) {
		if (key === "__proto__") throw invalid("The key __proto__ is not accepted.");
		refuseHalfPair(key);
		refuseHidden(inner);
	}
}

function refuseHalfPair(text: string): void {
	if (!text.isWellFormed()) throw invalid("A text holds half of a surrogate pair.");
}

/** JSON with the keys of every object in one order and no white space: equal for equal values. */
export function canonicalJson(value: unknown): string {
	return JSON.stringify(ordered(value)) ?? "";
}

function ordered(value: unknown): unknown {
	if (typeof value !== "object" || value === null) return value;
	if (Array.isArray(value)) return value.map(ordered);
	const fields: Record<string, unknown> = {};
	for (const key of Object.keys(value).sort())
		fields[key] = ordered((value as Record<string, unknown>)[key]);
	return fields;
}
