import assert from "node:assert/strict";
import { test } from "node:test";
import { mask, sourceOf } from "./sources.ts";

test("comments and texts are told apart from code", () => {
	// What must be left of each once blanks are taken away.
	const cases: [text: string, left: string][] = [
		["a; // b", "a;"],
		["a /* b\nc */ d", "a d"],
		["f(\"b\" + 'c')", "f(\" \" + ' ')"],
		['f("\\"b") + c', 'f(" ") + c'],
		["`a${b}c` + d", "` b} ` + d"],
		["`a${f(`${b}`)}c` + d", "` f(` b}`)} ` + d"],
		["`${{ a }.a}` + b", "` { a }.a}` + b"],
		["x = /['\"`]/g; y", "x = ; y"],
		["a / b / c // d", "a / b / c"],
		['"https://x" + y', '" " + y'],
	];
	const squeeze = (text: string): string => text.replace(/\s+/g, " ").trim();
	for (const [text, left] of cases) {
		const { code } = mask(text);
		assert.equal(code.length, text.length, text);
		assert.equal(squeeze(code), left, text);
	}
});

test("every form of import is found, and none in a text", () => {
	const text = `
import a from "one";
import { b,
	c } from 'two';
import "three";
import type { D } from "four";
export * from "five";
export { e } from "six";
export type { F } from "seven";
const g = await import("eight");
const h = await import(\`nine\`);
const i = await import(name);
import j, { type K } from "ten";
// import l from "no";
const m = 'import n from "no"';
export const o = "no";
import * as p from "eleven";
`;
	const { imports } = sourceOf("x.ts", text);
	assert.deepEqual(
		imports.map(({ from, typeOnly, dynamic }) => [from, typeOnly, dynamic]),
		[
			["one", false, false],
			["two", false, false],
			["three", false, false],
			["four", true, false],
			["five", false, false],
			["six", false, false],
			["seven", true, false],
			["eight", false, true],
			["nine", false, true],
			["", false, true],
			["ten", false, false],
			["eleven", false, false],
		],
	);
});
