/**
 * Contact keys in use: loaded for many contacts at once, made where there is none, held in memory for a while so that the
 * message path reads the keys of people it has met lately no more. Whether somebody was erased is asked each time, in the
 * caller's own transaction: a key that was destroyed by any process is used by none from then on.
 */
import type { Clock } from "#platform/clock.ts";
import { sqlState, type Tx } from "#platform/db.ts";
import type { Random } from "#platform/ids.ts";
import { type ContactCache, createContactCache } from "./contact-cache.ts";
import type { ContactEpochs } from "./contact-epochs.ts";
import { type ContactKey, contactKey } from "./contact-key.ts";
import {
	type ContactKeyRow,
	type ContactRef,
	insertContactKeys,
	offerContactKeys,
} from "./contact-store.ts";
import { findKeys, type Loaded, type LoadParts, PerContact } from "./find-keys.ts";
import type { Keys } from "./keys.ts";
import { deriveContact, secretBytes } from "./stored-key.ts";
import { VaultError } from "./vault-error.ts";

/** Keys of some contacts, for as long as one piece of work takes. */
export interface ContactKeys {
	/** Undefined when the contact has none: never written to, or erased. Throws a VaultError when it does not open. */
	of(contact: ContactRef): ContactKey | undefined;
}

export interface NewContactKey {
	readonly key: ContactKey;
	readonly row: ContactKeyRow;
}

export interface Contacts {
	/** One query, of those not in memory and of whether somebody was erased. The tenants must be warm. */
	load(tx: Tx, contacts: readonly ContactRef[]): Promise<ContactKeys>;
	/** The same, and makes a key for those who have none, in this transaction. */
	ensure(tx: Tx, contacts: readonly ContactRef[]): Promise<ContactKeys>;
	/** A new key that is not stored yet. */
	make(contact: ContactRef): NewContactKey;
	/**
	 * Keys for one transaction that makes those it lacks without waiting for the answer. With `sure`, for one that has failed
	 * in this: `load` makes them, and waits for whoever makes the same ones, so that it cannot be lost to another again.
	 */
	group(sure?: boolean): GroupKeys;
}

/**
 * For a transaction that is tried again when it fails with 23505: somebody else made one of the keys meanwhile, and
 * `load` will find it.
 */
export interface GroupKeys {
	load(tx: Tx, contacts: readonly ContactRef[]): Promise<void>;
	/** The key of a contact that was loaded; a new one if it has none. */
	of(contact: ContactRef): ContactKey;
	/** Sends the new keys made since the last call, in the contacts' scope. */
	store(tx: Tx): void;
	/** They are committed: they enter memory. */
	committed(): void;
}

export interface ContactParts extends Omit<LoadParts, "cache"> {
	readonly random: Random;
	readonly clock: Clock;
	/** How many contacts' keys are held in memory; 200,000 unless told. 0: none, every piece of work asks the database. */
	readonly contactsMax?: number;
}

type Parts = ContactParts & { readonly cache: ContactCache };

interface Made extends NewContactKey {
	readonly material: Buffer;
}

/** Some 25 MB when they are all there. */
const contactsMaxDefault = 200_000;

export function createContacts(options: ContactParts): Contacts {
	const { clock, contactsMax = contactsMaxDefault } = options;
	const parts: Parts = { ...options, cache: createContactCache(clock, contactsMax) };
	return {
		load: async (tx, contacts) => lookup(await findKeys(parts, tx, contacts)),
		ensure: async (tx, contacts) => lookup(await ensure(parts, tx, contacts)),
		make: (contact) => make(parts, contact),
		group: (sure = false) => createGroup(parts, sure ? ensure : findKeys),
	};
}

/** Whether a transaction failed because somebody else made one of its contacts' keys first: with it, the same will work. */
export function lostToAnother(error: unknown): boolean {
	const state = sqlState(error);
	return state === "23505" || state === "40P01";
}

async function ensure(parts: Parts, tx: Tx, contacts: readonly ContactRef[]): Promise<Loaded> {
	const loaded = await findKeys(parts, tx, contacts);
	const missing = new PerContact<ContactRef>();
	for (const one of contacts) if (loaded.keys.get(one) === undefined) missing.set(one, one);
	const made = missing.values().map((contact) => make(parts, contact));
	if (made.length === 0) return loaded;
	const rows = made.map(({ row }) => row);
	const taken = new Set(await offerContactKeys(tx, rows));
	// They enter memory when they are read again: this transaction may yet fail.
	for (const { row, key } of made) if (taken.has(row)) loaded.keys.set(row, key);
	const others = rows.filter((row) => !taken.has(row));
	if (others.length === 0) return loaded;
	const theirs = await findKeys(parts, tx, others);
	for (const one of others) {
		const key = theirs.keys.get(one);
		if (key !== undefined) loaded.keys.set(one, key);
	}
	return loaded;
}

function make({ random, clock, keysOf }: Parts, contact: ContactRef): Made {
	const { tenantId, environment, index } = contact;
	const { newest, keyOf } = epochsOf(keysOf(tenantId));
	const under = keyOf(newest);
	if (under === undefined) throw VaultError.of("unknown_key", "the newest epoch has no key");
	const secret = random.bytes(secretBytes);
	const { stored, material } = deriveContact(under, newest, contact, secret);
	const row = { tenantId, environment, index, epoch: newest, stored, createdAtMs: clock.now() };
	return { key: contactKey(material), row, material };
}

function epochsOf({ contacts }: Keys): ContactEpochs {
	if (contacts instanceof VaultError) throw contacts;
	return contacts;
}

function createGroup(parts: Parts, loadKeys: typeof ensure): GroupKeys {
	const found = new PerContact<ContactKey | VaultError>();
	/** Of each tenant, as counted before anything was made. */
	const erasures = new Map<string, number>();
	const made: Made[] = [];
	let stored = 0;
	const makeOne = (contact: ContactRef): ContactKey => {
		const fresh = make(parts, contact);
		made.push(fresh);
		return fresh.key;
	};
	return {
		async load(tx, contacts) {
			const loaded = await loadKeys(parts, tx, contacts);
			found.take(loaded.keys);
			for (const [tenantId, count] of loaded.erasures)
				if (!erasures.has(tenantId)) erasures.set(tenantId, count);
		},
		of(contact) {
			const key = found.getOrMake(contact, makeOne);
			if (key instanceof VaultError) throw key;
			return key;
		},
		store(tx) {
			insertContactKeys(
				tx,
				made.slice(stored).map(({ row }) => row),
			);
			stored = made.length;
		},
		committed() {
			for (const { row, material } of made) {
				const count = erasures.get(row.tenantId);
				if (count !== undefined) parts.cache.keep(row, material, count);
			}
		},
	};
}

function lookup({ keys }: Loaded): ContactKeys {
	return {
		of(contact) {
			const key = keys.get(contact);
			if (key instanceof VaultError) throw key;
			return key;
		},
	};
}
