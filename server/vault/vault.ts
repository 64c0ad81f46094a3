/**
 * The vault: seals values to their place, indexes them blindly, signs facts. Everything but `warm` is
 * synchronous and needs the tenant's keys in memory. It never returns a key and never logs.
 */
import type { Clock } from "#platform/clock.ts";
import type { Database } from "#platform/db.ts";
import type { Random } from "#platform/ids.ts";
import {
	type ContactKey,
	contactFormat,
	contactNonceBytes,
	isContactSealed,
} from "./contact-key.ts";
import { type Contacts, createContacts } from "./contacts.ts";
import { deriveBytes } from "./derive.ts";
import { digest, equalBytes } from "./digest.ts";
import { epochOf, format, openEnvelope, sealEnvelope } from "./envelope.ts";
import type { KeyFiles } from "./key-files.ts";
import { createKeyring, type Keyring, type KeyringParts } from "./keyring.ts";
import type { Part } from "./hmac.ts";
import type { Keys } from "./keys.ts";
import { bindPlace, type Place, type PlatformPlace } from "./place.ts";
import { localProvider } from "./providers/local.ts";
import {
	findSuppressionKeys,
	findWrappedKeys,
	offerSuppressionKey,
	setContactEpoch,
} from "./store.ts";
import { VaultError } from "./vault-error.ts";
import { createWrapping, type Wrapping } from "./wrapping.ts";
import { nonceSource } from "./xaes.ts";

export interface Vault {
	/**
	 * Loads the keys of these tenants that are not in memory, with one query. A tenant that does not exist is
	 * not an error here; using its keys is. Waits at most `patienceMs`: what is not there by then comes later. Who works
	 * for several tenants says `briefMs`.
	 */
	warm(tenantIds: readonly string[], patienceMs?: number): Promise<void>;
	/** XAES-256-GCM under the tenant's newest key, bound to the place; 45 bytes longer than the plaintext. */
	seal(place: Place, plaintext: Buffer): Buffer;
	/** Throws a VaultError when the value was moved or changed, or its key is not known. */
	open(place: Place, sealed: Buffer): Buffer;
	sealJson(place: Place, value: unknown): Buffer;
	openJson<T>(place: Place, sealed: Buffer): T;
	/** Keys of contacts: what is sealed under one can be made unreadable for good by destroying it. */
	readonly contacts: Contacts;
	/** Under a contact's key, bound to the place; 33 bytes longer than the plaintext. */
	sealFor(contact: ContactKey, place: Place, plaintext: Buffer | string): Buffer;
	sealJsonFor(contact: ContactKey, place: Place, value: unknown): Buffer;
	/**
	 * What `sealFor` sealed, and what was sealed under the tenant's key before contacts had keys. Throws a VaultError
	 * `erased` when the contact's key is not there any more, or is a later one.
	 */
	openFor(contact: ContactKey | undefined, place: Place, sealed: Buffer): Buffer;
	openJsonFor<T>(contact: ContactKey | undefined, place: Place, sealed: Buffer): T;
	/** 32 bytes: HMAC-SHA256 under the tenant's key for (environment, field). The caller normalises `value`. */
	index(tenantId: string, environment: string, field: string, value: string): Buffer;
	/** As `index`, of an address, under the key that only suppressions are found by. */
	suppressionIndex(tenantId: string, environment: string, address: string): Buffer;
	/** As `index`, under the platform's key: for what must be unique among all tenants. */
	platformIndex(environment: string, field: string, value: string): Buffer;
	sealPlatform(place: PlatformPlace, plaintext: Buffer): Buffer;
	openPlatform(place: PlatformPlace, sealed: Buffer): Buffer;
	/** 32 bytes: HMAC-SHA256 under the tenant's MAC key over the purpose and the parts, in order. */
	mac(tenantId: string, purpose: string, parts: readonly Part[]): Buffer;
	/** In constant time; a MAC of another length is not valid. */
	verifyMac(tenantId: string, purpose: string, parts: readonly Part[], mac: Buffer): boolean;
	/** SHA-256 over the parts, each behind its length. */
	digest(...parts: Part[]): Buffer;
	/** The next `warm` loads the tenant's keys anew: they were rotated. */
	forgetTenant(tenantId: string): void;
	/** A new random key for a tenant that does not exist yet. */
	makeTenantKey(tenantId: string): Promise<NewTenantKey>;
}

export interface NewTenantKey {
	/** Under the root key: `tenant_keys.wrapped`. */
	readonly wrapped: Buffer;
	/** Seals the tenant's first rows, before its key is stored and can be warmed. */
	seal(place: Place, plaintext: Buffer): Buffer;
}

/** A root key at hand, 32 bytes, not kept; or a provider, with the platform's key beside it (`openKeys`). */
export type VaultKeys =
	| { readonly rootKey: Buffer }
	| { readonly wrapping: Wrapping; readonly platformKey: Buffer; readonly files?: KeyFiles };

export type VaultParts = VaultKeys & {
	readonly db: Pick<Database, "inPlatform">;
	readonly random: Random;
	readonly clock: Clock;
	/** How many tenants' keys are held in memory; 10,000 unless told. */
	readonly tenantsMax?: number;
	readonly contactsMax?: number;
};

export function createVault(parts: VaultParts): Vault {
	const { random, clock, contactsMax } = parts;
	const keyring = keyringOf(parts);
	const contacts = createContacts({
		keysOf: keyring.of,
		refreshEpochs: keyring.refreshEpochs,
		random,
		clock,
		...(contactsMax !== undefined && { contactsMax }),
	});

	const nonceOf = noncesPerKeys(random);
	const seal = (keys: Keys, tenantId: string, place: PlatformPlace, plaintext: Buffer): Buffer => {
		const epoch = keys.newestEpoch;
		const aad = bindPlace(format, tenantId, place);
		return sealEnvelope(knownKey(keys, epoch), epoch, nonceOf(keys), aad, plaintext);
	};
	const vault: Vault = {
		warm: keyring.warm,
		seal: (place, plaintext) => seal(keyring.of(place.tenantId), place.tenantId, place, plaintext),
		open: (place, sealed) => openOrSuspect(keyring, place, sealed),
		sealJson: (place, value) => vault.seal(place, Buffer.from(JSON.stringify(value), "utf8")),
		openJson: (place, sealed) => JSON.parse(vault.open(place, sealed).toString("utf8")),
		contacts,
		...contactVerbs(
			random,
			(place, sealed) => vault.open(place, sealed),
			// A contact's key may outlast its tenant's in memory: while those are not at hand it is of no use either.
			(place) => void keyring.of(place.tenantId),
		),
		forgetTenant: keyring.forget,
		index: (tenantId, environment, field, value) =>
			keyring.of(tenantId).index(environment, field, value),
		suppressionIndex(tenantId, environment, address) {
			const { suppressions } = keyring.of(tenantId);
			if (suppressions instanceof VaultError) throw suppressions;
			return suppressions(environment, "sms.address", address);
		},
		platformIndex: keyring.platform.index,
		sealPlatform: (place, plaintext) => seal(keyring.platform, "", place, plaintext),
		openPlatform: (place, sealed) => open(keyring.platform, "", place, sealed),
		mac: (tenantId, purpose, parts) => keyring.of(tenantId).mac.parts([purpose, ...parts]),
		verifyMac: (tenantId, purpose, parts, mac) =>
			equalBytes(vault.mac(tenantId, purpose, parts), mac),
		digest,
		async makeTenantKey(tenantId) {
			const { wrapped, keys } = await keyring.makeNew(tenantId);
			return {
				wrapped,
				seal(place, plaintext) {
					if (place.tenantId !== tenantId)
						throw VaultError.of("malformed", "a new tenant's key seals that tenant's rows only");
					return seal(keys, tenantId, place, plaintext);
				},
			};
		},
	};
	return vault;
}

function keyringOf(parts: VaultParts): Keyring {
	const { db, random, clock, tenantsMax } = parts;
	return createKeyring({
		...("wrapping" in parts ? parts : keysAtHand(parts.rootKey, random)),
		random,
		clock,
		...(tenantsMax !== undefined && { tenantsMax }),
		load: (tenantIds) => db.inPlatform((tx) => findWrappedKeys(tx, tenantIds)),
		epochs: "wrapping" in parts ? epochsIn(parts, db, clock) : undefined,
		suppressions: "wrapping" in parts ? suppressionsIn(parts, db, clock) : undefined,
	});
}

function noncesPerKeys(random: Random): (keys: Keys) => Buffer {
	const sources = new WeakMap<Keys, () => Buffer>();
	return (keys) => {
		let source = sources.get(keys);
		if (source === undefined) sources.set(keys, (source = nonceSource(random)));
		return source();
	};
}

function epochsIn(
	{ files }: { readonly files?: KeyFiles },
	db: VaultParts["db"],
	clock: Clock,
): KeyringParts["epochs"] {
	if (files === undefined) return undefined;
	return {
		files,
		began: (tenantId) => db.inPlatform(async (tx) => setContactEpoch(tx, tenantId, 1, clock.now())),
	};
}

function suppressionsIn(
	{ files }: { readonly files?: KeyFiles },
	db: VaultParts["db"],
	clock: Clock,
): KeyringParts["suppressions"] {
	if (files === undefined) return undefined;
	return {
		find: (tenantIds) => db.inPlatform((tx) => findSuppressionKeys(tx, tenantIds)),
		offer: (row) => db.inPlatform(async (tx) => offerSuppressionKey(tx, row, clock.now())),
	};
}

type ContactVerbs = Pick<Vault, "sealFor" | "sealJsonFor" | "openFor" | "openJsonFor">;

/** `openOlder` opens what was sealed under the tenant's key; `demand` throws when that key is not at hand. */
function contactVerbs(
	random: Random,
	openOlder: Vault["open"],
	demand: (place: Place) => void,
): ContactVerbs {
	const verbs: ContactVerbs = {
		sealFor(contact, place, plaintext) {
			demand(place);
			const nonce = random.bytes(contactNonceBytes);
			return contact.seal(nonce, bindPlace(contactFormat, place.tenantId, place), plaintext);
		},
		sealJsonFor: (contact, place, value) => verbs.sealFor(contact, place, JSON.stringify(value)),
		openFor(contact, place, sealed) {
			demand(place);
			return sealed[0] === format ? openOlder(place, sealed) : openContact(contact, place, sealed);
		},
		openJsonFor: (contact, place, sealed) =>
			JSON.parse(verbs.openFor(contact, place, sealed).toString("utf8")),
	};
	return verbs;
}

function openContact(contact: ContactKey | undefined, place: Place, sealed: Buffer): Buffer {
	const { table, column } = place;
	// An empty value is what an erasure leaves where a row must stay.
	if (sealed.length > 0 && !isContactSealed(sealed))
		throw VaultError.of("malformed", "these bytes are not a sealed value of a known format");
	if (contact === undefined || !contact.sealed(sealed))
		throw VaultError.of("erased", `the contact of a value of ${table}.${column} was erased`);
	const opened = contact.open(bindPlace(contactFormat, place.tenantId, place), sealed);
	if (opened === undefined)
		throw VaultError.of(
			"not_authentic",
			`a value of ${table}.${column} was changed or belongs elsewhere`,
		);
	return opened;
}

function keysAtHand(rootKey: Buffer, random: Random) {
	const provider = localProvider({ kind: "file", keys: [rootKey], random });
	const platformKey = deriveBytes(rootKey, "root/platform");
	return { wrapping: createWrapping(provider, []), platformKey };
}

function knownKey(keys: Keys, epoch: number) {
	const key = keys.sealing(epoch);
	if (key === undefined) throw VaultError.of("unknown_key", `key epoch ${epoch} is not known`);
	return key;
}

function openOrSuspect(keyring: Keyring, place: Place, sealed: Buffer): Buffer {
	const { tenantId } = place;
	try {
		return open(keyring.of(tenantId), tenantId, place, sealed);
	} catch (error) {
		// A clock that is far off, here or where the key was made. Whoever asks again will find it known.
		if (error instanceof VaultError && error.reason === "unknown_key") keyring.suspect(tenantId);
		throw error;
	}
}

function open(keys: Keys, tenantId: string, place: PlatformPlace, sealed: Buffer): Buffer {
	const key = knownKey(keys, epochOf(sealed));
	const opened = openEnvelope(key, bindPlace(format, tenantId, place), sealed);
	if (opened === undefined)
		throw VaultError.of(
			"not_authentic",
			`a value of ${place.table}.${place.column} was changed or belongs elsewhere`,
		);
	return opened;
}
