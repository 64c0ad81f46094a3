/**
 * Contact keys held in memory for a while. Each is good for as long as nobody of its tenant was erased since it was read:
 * whoever asks for one says how many erasures the database counts now. Bounded, in two halves: what was not used while
 * one half filled up goes with the other, without a list of who was used when.
 *
 * The keys lie in a few large buffers, not in objects of their own: a hundred thousand objects that are held cost the
 * garbage collector more than reading the keys again would. A half that goes is overwritten.
 */
import type { Clock } from "#platform/clock.ts";
import { type ContactKey, contactKey, materialBytes } from "./contact-key.ts";
import type { ContactRef } from "./contact-store.ts";

export interface ContactCache {
	/** `erasures`: of the tenant, as the database counts them in the present transaction. */
	recall(contact: ContactRef, erasures: number): ContactKey | undefined;
	/** `material`: copied. `erasures`: as they were counted before the key was read or made. */
	keep(contact: ContactRef, material: Buffer, erasures: number): void;
	/** How many of a tenant's erasures were counted last, as far as known: a guess of what they are now. */
	erasures(tenantId: string): number;
	counted(tenantId: string, erasures: number): void;
}

const heldMs = 10 * 60_000;
/** Forgetting a guess costs a query more, nothing else; so does forgetting keys. */
const tenantsMax = 10_000;

/** `contactsMax` 0: nothing is held. */
export function createContactCache(clock: Clock, contactsMax: number): ContactCache {
	const places = Math.ceil(contactsMax / 2);
	let young = new Half(places);
	let old = new Half(places);
	const guesses = new Map<string, number>();
	/** Numbers of tenants' environments: an index belongs to one of them. */
	const scopes = new Map<string, Map<string, number>>();
	let scopesMade = 0;
	const scopeOf = ({ tenantId, environment }: ContactRef): number => {
		let own = scopes.get(tenantId);
		if (own === undefined) {
			if (scopes.size >= tenantsMax) scopes.clear();
			scopes.set(tenantId, (own = new Map()));
		}
		let number = own.get(environment);
		if (number === undefined) own.set(environment, (number = ++scopesMade));
		return number;
	};
	const enter = (contact: ContactRef, entry: Entry): void => {
		if (young.isFull()) {
			old.clear();
			[young, old] = [old, young];
		}
		young.put(contact.index, entry);
	};
	return {
		recall(contact, erasures) {
			if (places === 0) return undefined;
			const recent = young.find(contact.index);
			const found = recent ?? old.find(contact.index);
			if (found?.erasures !== erasures) return undefined;
			// That somebody else asks with this index must not be enough.
			if (found.scope !== scopeOf(contact)) return undefined;
			if (clock.elapsed() - found.atMs >= heldMs) return undefined;
			const material = Buffer.from(found.material);
			if (recent === undefined) enter(contact, { ...found, material });
			return contactKey(material);
		},
		keep(contact, material, erasures) {
			if (places === 0) return;
			enter(contact, { scope: scopeOf(contact), erasures, atMs: clock.elapsed(), material });
		},
		erasures: (tenantId) => guesses.get(tenantId) ?? 0,
		counted(tenantId, erasures) {
			if (guesses.get(tenantId) === erasures) return;
			if (guesses.size >= tenantsMax) guesses.clear();
			guesses.set(tenantId, erasures);
		},
	};
}

interface Entry {
	readonly scope: number;
	readonly erasures: number;
	readonly atMs: number;
	readonly material: Buffer;
}

const indexBytes = 32;
const entryBytes = indexBytes + materialBytes;

/** Room that a half begins with; it doubles until it has all its places. */
const placesAtFirst = 256;

/** A hash table (open addressing: Knuth, The Art of Computer Programming 3, §6.4, algorithm L), never more than half full. */
class Half {
	readonly #most: number;
	/** Number of the entry, from 1; 0 is free. */
	#table = new Uint32Array(0);
	#entries = Buffer.alloc(0);
	#scopes = new Float64Array(0);
	#erasures = new Float64Array(0);
	#times = new Float64Array(0);
	#used = 0;

	constructor(most: number) {
		this.#most = most;
		this.#grow(Math.min(most, placesAtFirst));
	}

	isFull(): boolean {
		return this.#used >= this.#most;
	}

	find(index: Buffer): Entry | undefined {
		const number = this.#table[this.#slotOf(index)] as number;
		if (number === 0) return undefined;
		const at = number - 1;
		return {
			scope: this.#scopes[at] as number,
			erasures: this.#erasures[at] as number,
			atMs: this.#times[at] as number,
			material: this.#entries.subarray(at * entryBytes + indexBytes, (at + 1) * entryBytes),
		};
	}

	put(index: Buffer, { scope, erasures, atMs, material }: Entry): void {
		if (this.#used === this.#times.length) this.#grow(Math.min(this.#most, 2 * this.#used));
		const slot = this.#slotOf(index);
		const number = this.#table[slot] || ++this.#used;
		this.#table[slot] = number;
		const at = number - 1;
		this.#entries.set(index, at * entryBytes);
		this.#entries.set(material, at * entryBytes + indexBytes);
		this.#scopes[at] = scope;
		this.#erasures[at] = erasures;
		this.#times[at] = atMs;
	}

	clear(): void {
		this.#table.fill(0);
		this.#entries.fill(0, 0, this.#used * entryBytes);
		this.#used = 0;
	}

	/** Where this index stands, or would. It is the output of an HMAC: any part of it is as good as a hash. */
	#slotOf(index: Buffer): number {
		const mask = this.#table.length - 1;
		let slot = index.readUInt32LE(0) & mask;
		for (;;) {
			const number = this.#table[slot] as number;
			if (number === 0) return slot;
			const start = (number - 1) * entryBytes;
			if (this.#entries.compare(index, 0, indexBytes, start, start + indexBytes) === 0) return slot;
			slot = (slot + 1) & mask;
		}
	}

	#grow(places: number): void {
		const entries = Buffer.alloc(places * entryBytes);
		this.#entries.copy(entries);
		this.#entries.fill(0);
		this.#entries = entries;
		this.#scopes = enlarged(this.#scopes, places);
		this.#erasures = enlarged(this.#erasures, places);
		this.#times = enlarged(this.#times, places);
		this.#table = new Uint32Array(2 ** Math.ceil(Math.log2(2 * Math.max(places, 1))));
		for (let at = 0; at < this.#used; at++) {
			const start = at * entryBytes;
			this.#table[this.#slotOf(entries.subarray(start, start + indexBytes))] = at + 1;
		}
	}
}

function enlarged(numbers: Float64Array<ArrayBuffer>, places: number): Float64Array<ArrayBuffer> {
	const more = new Float64Array(places);
	more.set(numbers);
	return more;
}
