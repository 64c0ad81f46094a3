/**
 * Another time for a child process: libfaketime, preloaded into it, adds what a file says to the wall clock.
 * The monotonic clock stays true, and so does the time of every other process, PostgreSQL's too when it is
 * not the child's child. Moves nobody's clock but that of processes started with `env`.
 */
import { globSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface FakeTime {
	readonly env: Readonly<Record<string, string>>;
	/** How far the wall clock is ahead of the true one, from now on. */
	set(aheadMs: number): void;
	/** What the child's wall clock should say now. */
	now(): number;
}

/** Debian's packages put it here; undefined when it is not installed. */
export function findLibfaketime(): string | undefined {
	return globSync("/usr/lib/*/faketime/libfaketimeMT.so.1")[0];
}

export function createFakeTime(library: string, dir: string): FakeTime {
	const file = join(dir, "faketime");
	let ahead = 0;
	const set = (aheadMs: number): void => {
		ahead = Math.round(aheadMs / 1_000) * 1_000;
		// Whole or not at all: it is read at every look at the clock.
		writeFileSync(`${file}.new`, `${ahead < 0 ? "-" : "+"}${Math.abs(ahead / 1_000)}\n`);
		renameSync(`${file}.new`, file);
	};
	set(0);
	return {
		env: {
			LD_PRELOAD: library,
			FAKETIME_TIMESTAMP_FILE: file,
			FAKETIME_NO_CACHE: "1",
			FAKETIME_DONT_FAKE_MONOTONIC: "1",
			DONT_FAKE_MONOTONIC: "1",
		},
		set,
		now: () => Date.now() + ahead,
	};
}
