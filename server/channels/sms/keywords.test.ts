import assert from "node:assert/strict";
import { test } from "node:test";
import {
	helpWords,
	type Keyword,
	type KeywordOptions,
	readKeyword,
	startWords,
	stopWords,
} from "./keywords.ts";

for (const [keyword, words] of [
	["stop", stopWords],
	["start", startWords],
	["help", helpWords],
] as const)
	test(`every built-in ${keyword} word, as people write it`, () => {
		for (const word of Object.values(words).flat())
			for (const form of [word, word.toLowerCase(), `  ${word}. `, `"${word}"!`, `${word}\n`])
				assert.equal(readKeyword(form), keyword, form);
	});

const table: [text: string, expected: Keyword | undefined, options?: KeywordOptions][] = [
	["Stop", "stop"],
	["S T O P", undefined],
	["ＳＴＯＰ", "stop"],
	["st\u200bop", "stop"],
	["STOP 🛑", "stop"],
	["opt-out", "stop"],
	["Opt  Out", "stop"],
	["arrêt", "stop"],
	["ARRE\u0302T", "stop"],
	["İptal", "stop"],
	["बंद", "stop"],
	["बंद करो।", "stop"],
	["退订", "stop"],
	["stop!!!", "stop"],
	["please stop texting me", "stop"],
	["Please, stop.", "stop"],
	["pls unsubscribe me", "stop"],
	["I want to opt out", "stop"],
	["don’t text me again", "stop"],
	["take me off your list", "stop"],
	["cancel all messages", "stop"],
	["STOP sending me these messages, I never asked for any of them", "stop"],
	["please stop sending me messages, I never asked for them", "stop"],
	["STOP\nSent from my phone by way of a very long signature", "stop"],
	["I will stop by your shop tomorrow after work then", undefined],
	["the meeting will end at ten", undefined],
	["What time does it end", undefined],
	["alto de la montaña", undefined],
	["unstoppable", undefined],
	["", undefined],
	["   ", undefined],
	["!!!", undefined],
	["Thanks", undefined],
	["start", "start"],
	["UNSTOP", "start"],
	["please start texting me", undefined],
	["yes", undefined],
	["YES!", "start", { promptPending: true }],
	["sí", "start", { promptPending: true }],
	["yes please do", undefined, { promptPending: true }],
	["Help", "help"],
	["info", "help"],
	["please help me", undefined],
	["help me stop these", "stop"],
	["NOMORE", "stop", { additions: { stop: ["No-More", "NOMORE"] } }],
	["no more", "stop", { additions: { stop: ["No-More"] } }],
	["GO", "start", { additions: { start: ["go"] } }],
	["STOP", "stop", { additions: { start: ["STOP"], help: ["STOP"] } }],
	["agent", "help", { additions: { help: ["AGENT"] } }],
	[`${" ".repeat(100_000)}stop`, "stop"],
	[`${"a ".repeat(100_000)}stop`, undefined],
	["\ud83d stop", "stop"],
];
for (const [text, expected, options] of table)
	test(`${JSON.stringify(text.slice(0, 70))} is ${expected ?? "nothing"}`, () =>
		assert.equal(readKeyword(text, options), expected));

test("no word means two things", () => {
	const all = [stopWords, startWords, helpWords].map((words) => Object.values(words).flat());
	const seen = new Map<string, number>();
	all.forEach((words, kind) => {
		for (const word of words) {
			assert.ok((seen.get(word) ?? kind) === kind, word);
			seen.set(word, kind);
		}
	});
});
