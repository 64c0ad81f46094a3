/**
 * Contact keys held in memory for a while. Each is good for as long as nobody of its tenant was erased since it was read:
 * whoever asks for one says how many erasures the database counts now. Bounded, in two halves: what was not used while
 * one half filled up goes with the other, without a list of who was used when.
 */
import type { Clock } from "#platform/clock.ts";
import type { ContactKey } from "./contact-key.ts";
import type { ContactRef } from "./contact-store.ts";

export interface ContactCache {
	/** `erasures`: of the tenant, as the database counts them in the present transaction. */
	recall(contact: ContactRef, erasures: number): ContactKey | undefined;
	/** `erasures`: as they were counted before the key was read or made. */
	keep(contact: ContactRef, key: ContactKey, erasures: number): void;
	/** How many of a tenant's erasures were counted last, as far as known: a guess of what they are now. */
	erasures(tenantId: string): number;
	counted(tenantId: string, erasures: number): void;
}

const heldMs = 10 * 60_000;
/** Forgetting a guess costs a query more, nothing else. */
const tenantsMax = 10_000;

interface Held {
	readonly tenantId: string;
	readonly environment: string;
	readonly key: ContactKey;
	readonly erasures: number;
	readonly atMs: number;
}

/** `contactsMax` 0: nothing is held. */
export function createContactCache(clock: Clock, contactsMax: number): ContactCache {
	let young = new Map<string, Held>();
	let old = new Map<string, Held>();
	const guesses = new Map<string, number>();
	const enter = (name: string, entry: Held): void => {
		if (young.size >= contactsMax / 2 && !young.has(name)) {
			old = young;
			young = new Map();
		}
		young.set(name, entry);
	};
	return {
		recall({ tenantId, environment, index }, erasures) {
			if (contactsMax === 0) return undefined;
			const name = nameOf(index);
			const recent = young.get(name);
			const found = recent ?? old.get(name);
			if (found === undefined || found.erasures !== erasures) return undefined;
			// An index belongs to one tenant and environment; that somebody else asks with it must not be enough.
			if (found.tenantId !== tenantId || found.environment !== environment) return undefined;
			if (clock.elapsed() - found.atMs >= heldMs) return undefined;
			if (recent === undefined) enter(name, found);
			return found.key;
		},
		keep({ tenantId, environment, index }, key, erasures) {
			if (contactsMax === 0) return;
			const atMs = clock.elapsed();
			enter(nameOf(index), { tenantId, environment, key, erasures, atMs });
		},
		erasures: (tenantId) => guesses.get(tenantId) ?? 0,
		counted(tenantId, erasures) {
			if (guesses.get(tenantId) === erasures) return;
			if (guesses.size >= tenantsMax) guesses.clear();
			guesses.set(tenantId, erasures);
		},
	};
}

function nameOf(index: Buffer): string {
	return index.toString("latin1");
}
