/**
 * STOP and START of a batch, in the order people said them: what must be put into force so that the end is
 * as if each had been heeded alone. Pure.
 */
import { readKeyword } from "#channels/index.ts";
import type { Keyword } from "#contacts/index.ts";

export interface Said {
	readonly text: string;
	readonly row: Keyword;
}

/** To be recorded one after the other; no person stands twice in a list. */
export interface Words {
	readonly startsBefore: readonly Keyword[];
	readonly stops: readonly Keyword[];
	readonly startsAfter: readonly Keyword[];
}

interface Word {
	readonly word: "stop" | "start";
	readonly row: Keyword;
}

/**
 * The last word of a person holds. The one before it is recorded too: a START before a STOP ends an older
 * STOP, and of a STOP before a START it is kept that it was said. Saying a word again changes nothing.
 */
export function wordsOf(said: readonly Said[]): Words {
	const byPerson = new Map<string, Word[]>();
	for (const { text, row } of said) {
		const word = readKeyword(text);
		if (word !== "stop" && word !== "start") continue;
		const person = `${row.tenantId}/${row.environment}/${row.address}`;
		const words = byPerson.get(person) ?? [];
		if (words.at(-1)?.word !== word) byPerson.set(person, [...words, { word, row }].slice(-2));
	}
	// In one order for all processes: two transactions with the same people must not wait for each other.
	const people = [...byPerson].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, words]) => words);
	const rows = (pick: (words: readonly Word[]) => Word | undefined): Keyword[] =>
		people.flatMap((words) => pick(words)?.row ?? []);
	return {
		startsBefore: rows(([first, second]) => (second?.word === "stop" ? first : undefined)),
		stops: rows((words) => words.find(({ word }) => word === "stop")),
		startsAfter: rows((words) => (words.at(-1)?.word === "start" ? words.at(-1) : undefined)),
	};
}
