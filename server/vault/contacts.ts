/**
 * Contact keys in use: loaded for many contacts at once, made where there is none, held in memory for a while so that the
 * message path asks the database only for people it has not met lately. Bounded; what was erased elsewhere is noticed
 * within ten minutes, here at once.
 */
import type { Clock } from "#platform/clock.ts";
import { sqlState, type Tx } from "#platform/db.ts";
import type { Random } from "#platform/ids.ts";
import type { ContactEpochs } from "./contact-epochs.ts";
import {
	type ContactKey,
	contactKey,
	contactNonceBytes,
	materialBytes,
	unwrapContact,
	wrapContact,
} from "./contact-key.ts";
import {
	type ContactKeyRow,
	type ContactRef,
	findContactKeys,
	insertContactKeys,
	offerContactKeys,
} from "./contact-store.ts";
import type { Keys } from "./keys.ts";
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
	/** One query for those not in memory, none when all are. The tenants must be warm. */
	load(tx: Tx, contacts: readonly ContactRef[]): Promise<ContactKeys>;
	/** The same, and makes a key for those who have none, in this transaction. */
	ensure(tx: Tx, contacts: readonly ContactRef[]): Promise<ContactKeys>;
	/** A new key that is not stored yet. */
	make(contact: ContactRef): NewContactKey;
	/** Keys for one transaction that makes those it lacks without waiting for the answer. */
	group(): GroupKeys;
	/** The contact was erased. */
	forget(contact: ContactRef): void;
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

export interface ContactParts {
	readonly keysOf: (tenantId: string) => Keys;
	/** The tenant's keys are not the newest: fetch them anew before they are used again. */
	readonly forgetTenant: (tenantId: string) => void;
	readonly random: Random;
	readonly clock: Clock;
	/** How many contacts' keys are held in memory; 20,000 unless told. 0: none, every piece of work asks the database. */
	readonly contactsMax?: number;
}

const contactsMaxDefault = 20_000;
const heldMs = 10 * 60_000;
/** Longer than any transaction. */
const forgottenMs = 60_000;

export function createContacts(parts: ContactParts): Contacts {
	const held = createHeld(parts);
	return {
		load: async (tx, contacts) => lookup(await load(parts, held, tx, contacts)),
		ensure: async (tx, contacts) => lookup(await ensure(parts, held, tx, contacts)),
		make: (contact) => make(parts, contact),
		group: () => createGroup(parts, held),
		forget: held.forget,
	};
}

/** Whether a transaction failed because somebody else made one of its contacts' keys first: with it, the same will work. */
export function lostToAnother(error: unknown): boolean {
	const state = sqlState(error);
	return state === "23505" || state === "40P01";
}

interface Held {
	recall(contact: ContactRef): ContactKey | undefined;
	keep(contact: ContactRef, key: ContactKey): void;
	forget(contact: ContactRef): void;
}

function createHeld({ clock, contactsMax = contactsMaxDefault }: ContactParts): Held {
	/** In order of use, the longest unused first. */
	const held = new Map<string, { readonly key: ContactKey; readonly atMs: number }>();
	/** Erased lately: whoever read the key just before must not bring it back. */
	const forgotten = new Map<string, number>();
	return {
		recall(contact) {
			const name = nameOf(contact);
			const found = held.get(name);
			if (found === undefined) return undefined;
			held.delete(name);
			if (clock.elapsed() - found.atMs >= heldMs) return undefined;
			held.set(name, found);
			return found.key;
		},
		keep(contact, key) {
			const name = nameOf(contact);
			const forgottenAtMs = forgotten.get(name) ?? Number.NEGATIVE_INFINITY;
			if (contactsMax === 0 || clock.elapsed() - forgottenAtMs < forgottenMs) return;
			held.delete(name);
			if (held.size >= contactsMax) held.delete(held.keys().next().value as string);
			held.set(name, { key, atMs: clock.elapsed() });
		},
		forget(contact) {
			held.delete(nameOf(contact));
			for (const [name, atMs] of forgotten) {
				if (clock.elapsed() - atMs < forgottenMs) break;
				forgotten.delete(name);
			}
			forgotten.set(nameOf(contact), clock.elapsed());
		},
	};
}

/** By name: the key, or why it does not open. */
type Found = Map<string, ContactKey | VaultError>;

async function load(
	parts: ContactParts,
	held: Held,
	tx: Tx,
	contacts: readonly ContactRef[],
): Promise<Found> {
	const found: Found = new Map();
	const missing = new Map<string, ContactRef>();
	for (const contact of contacts) {
		const key = held.recall(contact);
		if (key === undefined) missing.set(nameOf(contact), contact);
		else found.set(nameOf(contact), key);
	}
	if (missing.size === 0) return found;
	const refs = [...missing.values()];
	for (const { at, epoch, wrapped } of await findContactKeys(tx, refs)) {
		const contact = refs[at] as ContactRef;
		const key = open(parts, contact, epoch, wrapped);
		found.set(nameOf(contact), key);
		if (!(key instanceof VaultError)) held.keep(contact, key);
	}
	return found;
}

async function ensure(
	parts: ContactParts,
	held: Held,
	tx: Tx,
	contacts: readonly ContactRef[],
): Promise<Found> {
	const found = await load(parts, held, tx, contacts);
	const missing = new Map(
		contacts.map((one) => [nameOf(one), one] as const).filter(([name]) => !found.has(name)),
	);
	if (missing.size === 0) return found;
	const made = [...missing.values()].map((contact) => make(parts, contact));
	const rows = made.map(({ row }) => row);
	const taken = new Set(await offerContactKeys(tx, rows));
	// They enter memory when they are read again: this transaction may yet fail.
	for (const { row, key } of made) if (taken.has(row)) found.set(nameOf(row), key);
	const others = [...missing.values()].filter((contact) => !found.has(nameOf(contact)));
	if (others.length === 0) return found;
	for (const { at, epoch, wrapped } of await findContactKeys(tx, others)) {
		const contact = others[at] as ContactRef;
		found.set(nameOf(contact), open(parts, contact, epoch, wrapped));
	}
	return found;
}

function make({ random, clock, keysOf }: ContactParts, contact: ContactRef): NewContactKey {
	const { newest, wrappingKey } = epochsOf(keysOf(contact.tenantId));
	const under = wrappingKey(newest);
	if (under === undefined) throw VaultError.of("unknown_key", "the newest epoch has no key");
	const material = random.bytes(materialBytes);
	const key = contactKey(material);
	const nonce = random.bytes(contactNonceBytes);
	const wrapped = wrapContact(under, newest, contact, nonce, material);
	material.fill(0);
	const { tenantId, environment, index } = contact;
	const row = { tenantId, environment, index, epoch: newest, wrapped, createdAtMs: clock.now() };
	return { key, row };
}

function createGroup(parts: ContactParts, held: Held): GroupKeys {
	const found: Found = new Map();
	const made: NewContactKey[] = [];
	let stored = 0;
	return {
		async load(tx, contacts) {
			for (const [name, key] of await load(parts, held, tx, contacts)) found.set(name, key);
		},
		of(contact) {
			const known = found.get(nameOf(contact));
			if (known instanceof VaultError) throw known;
			if (known !== undefined) return known;
			const fresh = make(parts, contact);
			made.push(fresh);
			found.set(nameOf(contact), fresh.key);
			return fresh.key;
		},
		store(tx) {
			insertContactKeys(
				tx,
				made.slice(stored).map(({ row }) => row),
			);
			stored = made.length;
		},
		committed() {
			for (const { row, key } of made) held.keep(row, key);
		},
	};
}

function nameOf({ tenantId, environment, index }: ContactRef): string {
	return `${tenantId}/${environment}/${index.toString("latin1")}`;
}

function lookup(found: Found): ContactKeys {
	return {
		of(contact) {
			const key = found.get(nameOf(contact));
			if (key instanceof VaultError) throw key;
			return key;
		},
	};
}

function epochsOf({ contacts }: Keys): ContactEpochs {
	if (contacts instanceof VaultError) throw contacts;
	return contacts;
}

/** The key, or why it does not open: one that is broken must not stop a batch. */
function open(
	parts: ContactParts,
	contact: ContactRef,
	epoch: number,
	wrapped: Buffer,
): ContactKey | VaultError {
	try {
		const under = epochsOf(parts.keysOf(contact.tenantId)).wrappingKey(epoch);
		if (under === undefined) {
			parts.forgetTenant(contact.tenantId);
			return VaultError.of("unknown_key", `contact epoch ${epoch} is not known`);
		}
		const material = unwrapContact(under, epoch, contact, wrapped);
		if (material === undefined)
			return VaultError.of("not_authentic", "a contact's key was changed or belongs elsewhere");
		const key = contactKey(material);
		material.fill(0);
		return key;
	} catch (error) {
		if (error instanceof VaultError) return error;
		throw error;
	}
}
