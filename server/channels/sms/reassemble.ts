/**
 * The parts of long inbound messages, put together again. Pure: the caller stores parts and asks
 * whether a set is whole. Parts belong together when the person, the sender they wrote to, the
 * reference (and its width) and the total agree; what cannot be right is a value, never a guess.
 * 3GPP TS 23.040 §9.2.3.24.1: part 0, part above total, and total 0 make the element meaningless.
 */
import type { Concatenation } from "./user-data-header.ts";

export interface InboundPart {
	readonly concatenation: Concatenation;
	/** What this part says; two parts with one number are duplicates when these agree. */
	readonly text: string;
}

export type PartJudged = "part" | "not_a_part";

/** Whether a concatenation element means something. A message of one part is whole by itself. */
export function judgePart(concatenation: Concatenation): PartJudged {
	const { total, part } = concatenation;
	return total >= 1 && total <= 255 && part >= 1 && part <= total ? "part" : "not_a_part";
}

/**
 * One text for all parts of one set, so that a map or a table can hold them. `total` is in it: a
 * reference used again for a message of another length starts a set of its own.
 */
export function setKey(address: string, sender: string, concatenation: Concatenation): string {
	const { wide, reference, total } = concatenation;
	// Lengths first: no address can be written so that two sets share a key.
	return `${address.length}:${address}${sender.length}:${sender}${wide ? "w" : "n"}${reference}/${total}`;
}

/** Reference and width in one integer (bit 16 is the width), for a table with one column for both. */
export function referenceNumber(concatenation: Concatenation): number {
	return (concatenation.wide ? 0x10000 : 0) | concatenation.reference;
}

export type Joined =
	| { readonly kind: "whole"; readonly text: string; readonly duplicates: number }
	| { readonly kind: "waiting"; readonly missing: readonly number[]; readonly duplicates: number }
	/** Two different texts claim one number: the sender used the reference again too soon. */
	| { readonly kind: "conflict"; readonly part: number }
	| { readonly kind: "inconsistent"; readonly why: "not_a_part" | "totals_differ" | "too_many" };

/** A set has at most 255 numbers; many more arrivals than that are an attack, not a slow network. */
const arrivalsMax = 1024;

/** Judges the parts that have arrived of one set, in any order. */
export function join(parts: readonly InboundPart[]): Joined {
	const total = parts[0]?.concatenation.total ?? 0;
	if (parts.length > arrivalsMax) return { kind: "inconsistent", why: "too_many" };
	const texts: (string | undefined)[] = [];
	let duplicates = 0;
	for (const { concatenation, text } of parts) {
		if (concatenation.total !== total) return { kind: "inconsistent", why: "totals_differ" };
		if (judgePart(concatenation) === "not_a_part")
			return { kind: "inconsistent", why: "not_a_part" };
		const place = concatenation.part - 1;
		if (texts[place] === undefined) texts[place] = text;
		else if (texts[place] === text) duplicates++;
		else return { kind: "conflict", part: concatenation.part };
	}
	const missing: number[] = [];
	for (let place = 0; place < total; place++)
		if (texts[place] === undefined) missing.push(place + 1);
	if (parts.length === 0 || missing.length > 0) return { kind: "waiting", missing, duplicates };
	return { kind: "whole", text: texts.join(""), duplicates };
}

export type Collected =
	| { readonly kind: "whole"; readonly text: string }
	| { readonly kind: "waiting"; readonly missing: number }
	| { readonly kind: "duplicate" }
	| { readonly kind: "not_a_part" }
	/** The number was held with another text: the old set is given up and a new one begun. */
	| { readonly kind: "restarted"; readonly missing: number };

export interface Collector {
	add(address: string, sender: string, part: InboundPart, nowMs: number): Collected;
	/** Gives up sets older than the lifetime; returns how many. */
	expire(nowMs: number): number;
	/** Sets that wait. Never above `setsMax`: the oldest is given up for a new one. */
	size(): number;
}

interface WaitingSet {
	readonly parts: InboundPart[];
	readonly sinceMs: number;
}

/** Reassembly in memory, bounded in sets and age: for peers that keep no table, such as the sandbox. */
export function createCollector(options: { setsMax: number; lifetimeMs: number }): Collector {
	// A Map keeps the order of insertion: its first set is the oldest.
	const sets = new Map<string, WaitingSet>();
	const expire = (nowMs: number): number => {
		let count = 0;
		for (const [key, set] of sets) {
			if (nowMs - set.sinceMs < options.lifetimeMs) break;
			sets.delete(key);
			count++;
		}
		return count;
	};
	const begin = (key: string, part: InboundPart, nowMs: number): number => {
		sets.delete(key);
		const oldest = sets.size >= options.setsMax ? sets.keys().next().value : undefined;
		if (oldest !== undefined) sets.delete(oldest);
		sets.set(key, { parts: [part], sinceMs: nowMs });
		return part.concatenation.total - 1;
	};
	return {
		add(address, sender, part, nowMs) {
			if (judgePart(part.concatenation) === "not_a_part") return { kind: "not_a_part" };
			if (part.concatenation.total === 1) return { kind: "whole", text: part.text };
			expire(nowMs);
			const key = setKey(address, sender, part.concatenation);
			const set = sets.get(key);
			if (set === undefined) return { kind: "waiting", missing: begin(key, part, nowMs) };
			const same = set.parts.find((held) => held.concatenation.part === part.concatenation.part);
			if (same !== undefined) {
				if (same.text === part.text) return { kind: "duplicate" };
				return { kind: "restarted", missing: begin(key, part, nowMs) };
			}
			set.parts.push(part);
			const joined = join(set.parts);
			if (joined.kind !== "whole")
				return { kind: "waiting", missing: part.concatenation.total - set.parts.length };
			sets.delete(key);
			return { kind: "whole", text: joined.text };
		},
		expire,
		size: () => sets.size,
	};
}
