/**
 * From an Authorization header to an Actor. Look-ups that arrive together share a query; a key that proved
 * valid is believed for at most a second, and not a moment longer once this process revokes it. What another
 * process revokes is caught at the next send by `keysStillValid`. Failures are never remembered.
 */
import type { Clock } from "#platform/clock.ts";
import type { Database } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import { equalBytes, hashSecret } from "#vault/index.ts";
import { type Actor, mintActor } from "./actor.ts";
import { bearerToken, idOf, type ReadKey, readKey } from "./key-text.ts";
import { createLookups } from "./lookups.ts";
import type { FoundKey } from "./store.ts";

export interface Authenticator {
	/** Throws Fault key_missing, key_invalid, tenant_suspended, or database_unavailable. */
	authenticate(authorization: string | undefined): Promise<Actor>;
	/** Forgets a key that was revoked. Call it after the commit. */
	forgetKey(keyId: string): void;
	/** Forgets the keys of a tenant that was suspended. Call it after the commit. */
	forgetTenant(tenantId: string): void;
}

export interface AuthenticatorParts {
	readonly db: Pick<Database, "inPlatform">;
	readonly clock: Clock;
	/** How many valid keys are remembered; 10,000 unless told. */
	readonly rememberedMax?: number;
}

/** How long a valid key is believed without asking again. */
const believedMs = 1_000;
const rememberedMaxDefault = 10_000;
/** Compared with when a key is not found, so that an unknown id takes as long as a wrong secret. */
const nobodysHash = hashSecret("");

interface Remembered {
	readonly actor: Actor;
	readonly secretHash: Buffer;
	readonly expiresAtMs: number;
	readonly askedAtMs: number;
}

export function createAuthenticator(parts: AuthenticatorParts): Authenticator {
	const { clock, rememberedMax = rememberedMaxDefault } = parts;
	const lookups = createLookups(parts.db);
	/** By kind and shown id; the longest remembered first. */
	const remembered = new Map<string, Remembered>();
	/** Counts what was forgotten: an answer asked for before that must not be remembered after it. */
	let forgotten = 0;

	const recall = (name: string, secretHash: Buffer): Actor | undefined => {
		const known = remembered.get(name);
		if (known === undefined || clock.elapsed() - known.askedAtMs >= believedMs) return undefined;
		if (known.expiresAtMs <= clock.now()) return undefined;
		return equalBytes(known.secretHash, secretHash) ? known.actor : undefined;
	};

	const remember = (name: string, known: Remembered): void => {
		remembered.delete(name);
		remembered.set(name, known);
		const nowMs = clock.elapsed();
		for (const [oldest, { askedAtMs }] of remembered) {
			if (remembered.size <= rememberedMax && nowMs - askedAtMs < believedMs) break;
			remembered.delete(oldest);
		}
	};

	const forget = (matches: (actor: Actor) => boolean): void => {
		forgotten++;
		for (const [name, { actor }] of remembered) if (matches(actor)) remembered.delete(name);
	};

	const ask = async (name: string, read: ReadKey, secretHash: Buffer): Promise<Actor> => {
		const id = idOf(read.shownId);
		const askedAtMs = clock.elapsed();
		const forgottenBefore = forgotten;
		const found = id === undefined ? undefined : await lookups.find(read.kind, id);
		const actor = prove(read, secretHash, found, clock.now());
		if (forgotten === forgottenBefore && found !== undefined) {
			const expiresAtMs = found.expiresAt?.getTime() ?? Number.POSITIVE_INFINITY;
			remember(name, { actor, secretHash, expiresAtMs, askedAtMs });
		}
		return actor;
	};

	return {
		async authenticate(authorization) {
			const token = bearerToken(authorization);
			if (token === undefined) throw Fault.of("key_missing");
			const read = readKey(token);
			if (read === undefined) throw Fault.of("key_invalid");
			const name = read.kind + read.shownId;
			const secretHash = hashSecret(read.secret);
			return recall(name, secretHash) ?? (await ask(name, read, secretHash));
		},
		forgetKey: (keyId) => forget((actor) => actor.keyId === keyId),
		forgetTenant: (tenantId) => forget((actor) => actor.tenantId === tenantId),
	};
}

/** The one place where a stored key becomes an actor: every doubt is `key_invalid`. */
function prove(
	read: ReadKey,
	secretHash: Buffer,
	found: FoundKey | undefined,
	nowMs: number,
): Actor {
	const proven = equalBytes(found?.secretHash ?? nobodysHash, secretHash);
	if (found === undefined || !proven) throw Fault.of("key_invalid");
	if (found.revokedAt !== null) throw Fault.of("key_invalid");
	if (found.expiresAt !== null && found.expiresAt.getTime() <= nowMs) throw Fault.of("key_invalid");
	const { id: keyId, tenantId, environment, scopes } = found;
	if (read.kind === "operator") return mintActor({ keyId, tenant: undefined, scopes: [] });
	if (tenantId === null || environment !== read.kind) throw Fault.of("key_invalid");
	if (found.suspendedAt !== null) throw Fault.of("tenant_suspended");
	return mintActor({ keyId, tenant: { tenantId, environment }, scopes });
}
