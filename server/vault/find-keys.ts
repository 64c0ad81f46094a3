/**
 * The stored keys of some contacts, opened: from memory as long as nobody of the tenant was erased since, else from the
 * database. One that is stored under an epoch this process does not know makes it look at the tenant's key file, once;
 * another process may have turned the epoch just now.
 */
import type { Tx } from "#platform/db.ts";
import type { ContactCache } from "./contact-cache.ts";
import { type ContactKey, contactKey } from "./contact-key.ts";
import { type ContactRef, findContactKeys, type FoundKeys } from "./contact-store.ts";
import type { Keys } from "./keys.ts";
import { openContact } from "./stored-key.ts";
import { VaultError } from "./vault-error.ts";

export interface LoadParts {
	readonly cache: ContactCache;
	readonly keysOf: (tenantId: string) => Keys;
	/** Reads these tenants' epochs anew if their files were written since they were read. */
	readonly refreshEpochs: (tenantIds: readonly string[]) => Promise<void>;
}

/** Contacts' things, each contact by its tenant, environment and index. */
export class PerContact<T> {
	readonly #tenants = new Map<string, Map<string, Map<string, T>>>();

	get({ tenantId, environment, index }: ContactRef): T | undefined {
		return this.#tenants.get(tenantId)?.get(environment)?.get(index.toString("latin1"));
	}

	/** What there is, or else what `make` gives, which is kept. */
	getOrMake(contact: ContactRef, make: (contact: ContactRef) => T): T {
		const values = this.#scope(contact.tenantId, contact.environment);
		const name = contact.index.toString("latin1");
		const known = values.get(name);
		if (known !== undefined) return known;
		const made = make(contact);
		values.set(name, made);
		return made;
	}

	set({ tenantId, environment, index }: ContactRef, value: T): void {
		this.#scope(tenantId, environment).set(index.toString("latin1"), value);
	}

	delete({ tenantId, environment, index }: ContactRef): void {
		this.#tenants.get(tenantId)?.get(environment)?.delete(index.toString("latin1"));
	}

	take(others: PerContact<T>): void {
		for (const [tenantId, scopes] of others.#tenants)
			for (const [environment, values] of scopes) {
				const own = this.#scope(tenantId, environment);
				for (const [name, value] of values) own.set(name, value);
			}
	}

	values(): T[] {
		const scopes = [...this.#tenants.values()].flatMap((one) => [...one.values()]);
		return scopes.flatMap((values) => [...values.values()]);
	}

	#scope(tenantId: string, environment: string): Map<string, T> {
		let scopes = this.#tenants.get(tenantId);
		if (scopes === undefined) this.#tenants.set(tenantId, (scopes = new Map()));
		let values = scopes.get(environment);
		if (values === undefined) scopes.set(environment, (values = new Map()));
		return values;
	}
}

export interface Loaded {
	/** The key, or why it does not open: one that is broken must not stop a batch. None: there is none. */
	readonly keys: PerContact<ContactKey | VaultError>;
	/** How many erasures each tenant has had. */
	readonly erasures: ReadonlyMap<string, number>;
}

export async function findKeys(
	parts: LoadParts,
	tx: Tx,
	contacts: readonly ContactRef[],
): Promise<Loaded> {
	const keys: Loaded["keys"] = new PerContact();
	const erasures = new Map<string, number>();
	const { cache } = parts;
	for (const { tenantId } of contacts)
		if (!erasures.has(tenantId)) erasures.set(tenantId, cache.erasures(tenantId));
	if (erasures.size === 0) return { keys, erasures };
	const missing = new PerContact<ContactRef>();
	const recalled: ContactRef[] = [];
	for (const contact of contacts) {
		const key = cache.recall(contact, erasures.get(contact.tenantId) as number);
		if (key === undefined) missing.set(contact, contact);
		else if (recalled.push(contact) > 0) keys.set(contact, key);
	}
	const moved = await ask(parts, tx, missing.values(), keys, erasures);
	if (moved.size === 0) return { keys, erasures };
	// Somebody was erased since: what memory said of that tenant's people is not to be believed.
	const doubtful = recalled.filter(({ tenantId }) => moved.has(tenantId));
	if (doubtful.length === 0) return { keys, erasures };
	for (const contact of doubtful) keys.delete(contact);
	await ask(parts, tx, doubtful, keys, erasures);
	return { keys, erasures };
}

/** Enters what is found. Returns the tenants whose count of erasures is not as it was; `erasures` says what it is. */
async function ask(
	parts: LoadParts,
	tx: Tx,
	refs: readonly ContactRef[],
	keys: Loaded["keys"],
	erasures: Map<string, number>,
): Promise<Set<string>> {
	const tenantIds = [...erasures.keys()];
	const found = await findContactKeys(tx, refs, tenantIds);
	const moved = new Set<string>();
	for (const [i, count] of found.erasures.entries()) {
		const tenantId = tenantIds[i] as string;
		if (erasures.get(tenantId) !== count) moved.add(tenantId);
		erasures.set(tenantId, count);
		parts.cache.counted(tenantId, count);
	}
	const enter = (stored: readonly StoredKey[]): StoredKey[] =>
		stored.filter((one) => {
			const material = open(parts, one);
			if (material instanceof VaultError) {
				keys.set(one.contact, material);
				return material.reason === "unknown_key";
			}
			keys.set(one.contact, contactKey(material));
			parts.cache.keep(one.contact, material, erasures.get(one.contact.tenantId) as number);
			return false;
		});
	let strange = enter(storedOf(refs, found.keys));
	if (strange.length === 0) return moved;
	await parts.refreshEpochs([...new Set(strange.map(({ contact }) => contact.tenantId))]);
	strange = enter(strange).filter((one) => isDestroyed(parts, one));
	if (strange.length === 0) return moved;
	// Read just before an epoch was destroyed, and opened just after: now it stands under the next.
	const again = strange.map(({ contact }) => contact);
	enter(storedOf(again, (await findContactKeys(tx, again, [])).keys));
	return moved;
}

function storedOf(refs: readonly ContactRef[], found: FoundKeys["keys"]): StoredKey[] {
	return found.map(({ at, epoch, stored }) => ({ contact: refs[at] as ContactRef, epoch, stored }));
}

function isDestroyed(parts: LoadParts, { contact, epoch }: StoredKey): boolean {
	const { contacts } = parts.keysOf(contact.tenantId);
	return !(contacts instanceof VaultError) && epoch < contacts.oldest;
}

interface StoredKey {
	readonly contact: ContactRef;
	readonly epoch: number;
	readonly stored: Buffer;
}

/** The key's material. */
function open(parts: LoadParts, { contact, epoch, stored }: StoredKey): Buffer | VaultError {
	try {
		const { contacts } = parts.keysOf(contact.tenantId);
		if (contacts instanceof VaultError) return contacts;
		const under = contacts.keyOf(epoch);
		if (under === undefined)
			return VaultError.of("unknown_key", `contact epoch ${epoch} is not known`);
		const material = openContact(under, epoch, contact, stored);
		if (material === undefined)
			return VaultError.of("not_authentic", "a contact's key was changed or belongs elsewhere");
		return material;
	} catch (error) {
		if (error instanceof VaultError) return error;
		throw error;
	}
}
