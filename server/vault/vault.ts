/**
 * The vault: seals values to their place, indexes them blindly, signs facts. Everything but `warm` is
 * synchronous and needs the tenant's keys in memory. It never returns a key and never logs.
 */
import type { Clock } from "#platform/clock.ts";
import type { Database } from "#platform/db.ts";
import type { Random } from "#platform/ids.ts";
import { digest, equalBytes } from "./digest.ts";
import { epochOf, format, openEnvelope, sealEnvelope } from "./envelope.ts";
import { createKeyring } from "./keyring.ts";
import type { Part } from "./hmac.ts";
import type { Keys } from "./keys.ts";
import { bindPlace, type Place, type PlatformPlace } from "./place.ts";
import { findWrappedKeys } from "./store.ts";
import { VaultError } from "./vault-error.ts";
import { nonceSource } from "./xaes.ts";

export interface Vault {
	/**
	 * Loads the keys of these tenants that are not in memory, with one query. A tenant that does not exist is
	 * not an error here; using its keys is.
	 */
	warm(tenantIds: readonly string[]): Promise<void>;
	/** XAES-256-GCM under the tenant's newest key, bound to the place; 45 bytes longer than the plaintext. */
	seal(place: Place, plaintext: Buffer): Buffer;
	/** Throws a VaultError when the value was moved or changed, or its key is not known. */
	open(place: Place, sealed: Buffer): Buffer;
	sealJson(place: Place, value: unknown): Buffer;
	openJson<T>(place: Place, sealed: Buffer): T;
	/** 32 bytes: HMAC-SHA256 under the tenant's key for (environment, field). The caller normalises `value`. */
	index(tenantId: string, environment: string, field: string, value: string): Buffer;
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
	/** A new random key for a tenant that does not exist yet, wrapped under the root: `tenant_keys.wrapped`. */
	wrapNewTenantKey(tenantId: string): Buffer;
	/** Seals under a key just made by `wrapNewTenantKey`, before it is stored and can be warmed. */
	sealUnder(wrapped: Buffer, place: Place, plaintext: Buffer): Buffer;
}

export interface VaultParts {
	readonly db: Pick<Database, "inPlatform">;
	/** 32 bytes, see `openRootKey`; not kept, the caller may overwrite them. */
	readonly rootKey: Buffer;
	readonly random: Random;
	readonly clock: Clock;
	/** How many tenants' keys are held in memory; 10,000 unless told. */
	readonly tenantsMax?: number;
}

export function createVault(parts: VaultParts): Vault {
	const { db, random, ...rest } = parts;
	const keyring = createKeyring({
		...rest,
		random,
		load: (tenantIds) => db.inPlatform((tx) => findWrappedKeys(tx, tenantIds)),
	});

	const sources = new WeakMap<Keys, () => Buffer>();
	const nonceOf = (keys: Keys): Buffer => {
		let source = sources.get(keys);
		if (source === undefined) sources.set(keys, (source = nonceSource(random)));
		return source();
	};
	const seal = (keys: Keys, tenantId: string, place: PlatformPlace, plaintext: Buffer): Buffer => {
		const epoch = keys.newestEpoch;
		const aad = bindPlace(format, tenantId, place);
		return sealEnvelope(knownKey(keys, epoch), epoch, nonceOf(keys), aad, plaintext);
	};
	const vault: Vault = {
		warm: keyring.warm,
		seal: (place, plaintext) => seal(keyring.of(place.tenantId), place.tenantId, place, plaintext),
		open: (place, sealed) => open(keyring.of(place.tenantId), place.tenantId, place, sealed),
		sealJson: (place, value) => vault.seal(place, Buffer.from(JSON.stringify(value), "utf8")),
		openJson: (place, sealed) => JSON.parse(vault.open(place, sealed).toString("utf8")),
		index: (tenantId, environment, field, value) =>
			keyring.of(tenantId).index(environment, field, value),
		platformIndex: keyring.platform.index,
		sealPlatform: (place, plaintext) => seal(keyring.platform, "", place, plaintext),
		openPlatform: (place, sealed) => open(keyring.platform, "", place, sealed),
		mac: (tenantId, purpose, parts) => keyring.of(tenantId).mac.parts([purpose, ...parts]),
		verifyMac: (tenantId, purpose, parts, mac) =>
			equalBytes(vault.mac(tenantId, purpose, parts), mac),
		digest,
		wrapNewTenantKey: keyring.wrapNew,
		sealUnder(wrapped, place, plaintext) {
			const { tenantId } = place;
			const keys = keyring.unwrap(tenantId, [{ tenantId, epoch: 1, wrapped }]);
			return seal(keys, tenantId, place, plaintext);
		},
	};
	return vault;
}

function knownKey(keys: Keys, epoch: number) {
	const key = keys.sealing(epoch);
	if (key === undefined) throw VaultError.of("unknown_key", `key epoch ${epoch} is not known`);
	return key;
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
