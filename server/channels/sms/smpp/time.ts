/**
 * The time format of SMPP v3.4 §7.1.1: `YYMMDDhhmmsstnnp`, absolute (p is + or -, nn quarter-hours
 * from UTC) or relative (p is R). Malformed text is undefined, never a guess.
 */
export type SmppTime =
	| { readonly kind: "absolute"; readonly atMs: number }
	| { readonly kind: "relative"; readonly afterMs: number };

const dayMs = 86_400_000;
/** The longest relative time written without months, whose length is the SMSC's to choose. */
const relativeMsMax = 31 * dayMs;

const shape = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d)(\d\d)([-+R])$/;

/** Reads either form. A month of a relative time counts 30 days, a year 365. */
export function readTime(text: string): SmppTime | undefined {
	const found = shape.exec(text);
	if (found === null) return undefined;
	const number = (index: number): number => Number(found[index]);
	const [year, month, day] = [number(1), number(2), number(3)];
	const [hour, minute, second] = [number(4), number(5), number(6)];
	if (hour > 23 || minute > 59 || second > 59) return undefined;
	const ofDayMs = ((hour * 60 + minute) * 60 + second) * 1000 + number(7) * 100;
	if (found[9] === "R") {
		if (month > 12 || day > 31) return undefined;
		return { kind: "relative", afterMs: (year * 365 + month * 30 + day) * dayMs + ofDayMs };
	}
	const quarters = number(8);
	if (quarters > 48) return undefined;
	const midnight = Date.UTC(year < 38 ? 2000 + year : 1900 + year, month - 1, day);
	const read = new Date(midnight);
	if (read.getUTCMonth() !== month - 1 || read.getUTCDate() !== day) return undefined;
	const offsetMs = quarters * 900_000 * (found[9] === "+" ? 1 : -1);
	return { kind: "absolute", atMs: midnight + ofDayMs - offsetMs };
}

/** A moment in UTC, to the tenth of a second: `260731120000000+`. */
export function absoluteTime(atMs: number): string {
	const digits = new Date(atMs).toISOString().replace(/\D/g, "");
	return `${digits.slice(2, 14)}${digits.slice(14, 15)}00+`;
}

/** A duration in whole seconds, at least one and at most 31 days: `000002030405000R`. */
export function relativeTime(durationMs: number): string {
	const seconds = Math.max(1, Math.ceil(Math.min(durationMs, relativeMsMax) / 1000));
	const two = (number: number): string => String(number).padStart(2, "0");
	const hours = Math.floor(seconds / 3600);
	const days = two(Math.floor(hours / 24));
	const ofDay = two(hours % 24) + two(Math.floor(seconds / 60) % 60) + two(seconds % 60);
	return `0000${days}${ofDay}000R`;
}
