/**
 * Ids and chance. Ids are UUIDv7 (RFC 9562 §5.7): the first 48 bits are the time, so that an id
 * names the month partition its row lives in and sorts by creation. Outside they are shown with a
 * prefix and 26 characters of Crockford base32 (`msg_01k…`), inside they are plain UUID strings.
 */
import { randomFillSync } from "node:crypto";
import type { Clock } from "./clock.ts";

export interface Random {
	/** `size` fresh random bytes. The buffer is the caller's own. */
	bytes(size: number): Buffer;
	/** Uniform in [0, 1). For jitter, never for secrets. */
	fraction(): number;
}

/** Bytes are drawn from a pool: one system call per 16 KiB instead of one per id. */
const poolBytes = 16_384;

export function systemRandom(): Random {
	const pool = Buffer.allocUnsafe(poolBytes);
	let used = poolBytes;
	const bytes = (size: number): Buffer => {
		if (size > poolBytes / 4) return randomFillSync(Buffer.allocUnsafe(size));
		if (used + size > poolBytes) {
			randomFillSync(pool);
			used = 0;
		}
		const taken = Buffer.allocUnsafe(size);
		pool.copy(taken, 0, used, used + size);
		pool.fill(0, used, used + size);
		used += size;
		return taken;
	};
	return { bytes, fraction: () => bytes(6).readUIntBE(0, 6) / 2 ** 48 };
}

/** Mulberry32: a small generator whose whole future is its seed. For tests and simulations only. */
export function seededRandom(seed: number): Random {
	let state = seed >>> 0;
	const next = (): number => {
		state = (state + 0x6d2b79f5) >>> 0;
		let t = state;
		t = Math.imul(t ^ (t >>> 15), t | 1);
		t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
		return (t ^ (t >>> 14)) >>> 0;
	};
	return {
		bytes(size) {
			const out = Buffer.allocUnsafe(size);
			for (let i = 0; i < size; i++) out[i] = next() & 0xff;
			return out;
		},
		fraction: () => next() / 2 ** 32,
	};
}

export interface Ids {
	/** A new UUIDv7 as a lower-case string; strictly increasing within one generator. */
	next(): string;
}

export function createIds(clock: Clock, random: Random): Ids {
	let lastMs = 0;
	let counter = 0;
	return {
		next() {
			const now = clock.now();
			if (now > lastMs) {
				lastMs = now;
				counter = random.bytes(2).readUInt16BE(0) & 0x3ff;
			} else if (++counter > 0xfff) {
				// The 12 counter bits are used up inside one millisecond (or the clock went back): borrow.
				lastMs += 1;
				counter = 0;
			}
			return format(lastMs, counter, random.bytes(8));
		},
	};
}

function format(ms: number, counter: number, tail: Buffer): string {
	tail[0] = ((tail[0] as number) & 0x3f) | 0x80;
	const time = ms.toString(16).padStart(12, "0");
	const middle = (0x7000 | counter).toString(16);
	const rest = tail.toString("hex");
	return `${time.slice(0, 8)}-${time.slice(8)}-${middle}-${rest.slice(0, 4)}-${rest.slice(4)}`;
}

/** The creation time held in a UUIDv7, milliseconds since the Unix epoch. */
export function timeOfId(id: string): number {
	return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}

/** The smallest id of a moment: for time filters over the primary key. */
export function firstIdAt(ms: number): string {
	const time = Math.max(0, Math.floor(ms)).toString(16).padStart(12, "0");
	return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-000000000000`;
}

const hyphen = 45;

/** Of a hexadecimal digit's character code: letters of either case stand 9 below their low four bits. */
function nibbleOf(code: number): number {
	return (code & 15) + 9 * (code >> 6);
}

const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";
const values = new Map([...alphabet].map((letter, value) => [letter, BigInt(value)]));

/** `msg` + UUID → `msg_` and 26 base32 characters (the TypeID form). */
export function showId(prefix: string, id: string): string {
	// 128 bits are 26 groups of five with two zero bits in front: a group is taken as soon as it is full.
	let text = `${prefix}_`;
	let held = 0;
	let bits = 2;
	for (let i = 0; i < id.length; i++) {
		const code = id.charCodeAt(i);
		if (code === hyphen) continue;
		held = ((held << 4) | nibbleOf(code)) & 0x1ff;
		bits += 4;
		if (bits < 5) continue;
		bits -= 5;
		text += alphabet[(held >> bits) & 31] as string;
	}
	return text;
}

/** The inverse of `showId`; undefined for anything that is not exactly such an id. */
export function readId(prefix: string, shown: string): string | undefined {
	if (shown.length !== prefix.length + 27 || !shown.startsWith(`${prefix}_`)) return undefined;
	let number = 0n;
	for (const letter of shown.slice(prefix.length + 1)) {
		const value = values.get(letter);
		if (value === undefined) return undefined;
		number = (number << 5n) | value;
	}
	if (number >= 1n << 128n) return undefined;
	const hex = number.toString(16).padStart(32, "0");
	return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
