/**
 * Replaces typographic characters by their closest GSM 7-bit ones, when that makes the whole text fit the
 * alphabet; otherwise leaves it as it is. Opt-in, because it changes what the sender wrote.
 */
import { segment } from "#channels/index.ts";

const closest: Readonly<Record<string, string>> = {
	"\u00a0": " ",
	"\u2002": " ",
	"\u2003": " ",
	"\u2009": " ",
	"\u202f": " ",
	"\u2018": "'",
	"\u2019": "'",
	"\u201a": ",",
	"\u2032": "'",
	"\u201c": '"',
	"\u201d": '"',
	"\u201e": '"',
	"\u2033": '"',
	"\u00ab": '"',
	"\u00bb": '"',
	"\u2010": "-",
	"\u2011": "-",
	"\u2012": "-",
	"\u2013": "-",
	"\u2014": "-",
	"\u2212": "-",
	"\u2026": "...",
	"\u2022": "*",
	"\u00b7": ".",
	"`": "'",
	"\u00b4": "'",
	"\u00e7": "\u00c7",
};
const replaceable = new RegExp(`[${Object.keys(closest).join("")}]`, "g");

export function smartEncode(text: string): string {
	const plain = text.replace(replaceable, (letter) => closest[letter] ?? letter);
	const segmented = segment(plain, { segmentsMax: 255 });
	return segmented.ok && segmented.encoding === "GSM_7BIT" ? plain : text;
}
