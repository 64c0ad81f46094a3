/**
 * API keys of a tenant and environment: made, listed, revoked. A key's text exists only in the answer that
 * made it; a key can give no scope that it lacks.
 */
import type { Clock } from "#platform/clock.ts";
import type { Database, Environment, Scope } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import type { Secret } from "#platform/hidden.ts";
import type { Audit } from "#platform/http.ts";
import { type Ids, type Random, showId } from "#platform/ids.ts";
import type { Vault } from "#vault/index.ts";
import type { Actor } from "./actor.ts";
import type { Authenticator } from "./authenticate.ts";
import { keyPrefix, mintKey } from "./key-text.ts";
import type { Page } from "./page.ts";
import { grantableScopes } from "./scopes.ts";
import {
	type ApiKeyRow,
	countApiKeys,
	insertApiKeys,
	insertOperatorKey,
	listApiKeys,
	listNewerApiKeys,
	type NewApiKey,
	revokeApiKeys,
} from "./store.ts";

export interface AccessParts {
	readonly db: Database;
	readonly vault: Vault;
	readonly clock: Clock;
	readonly ids: Ids;
	readonly random: Random;
}

/** Usable keys that one tenant may have in one environment. */
export const apiKeysMax = 100;

export interface ApiKey {
	readonly id: string;
	readonly environment: Environment;
	readonly name: string;
	/** As granted: `*` is not spelt out. */
	readonly scopes: readonly string[];
	readonly createdAtMs: number;
	readonly expiresAtMs: number | undefined;
	readonly revokedAtMs: number | undefined;
}

/** A key and, this one time, its text. */
export interface IssuedKey extends ApiKey {
	readonly text: Secret;
}

export interface KeyRequest {
	readonly name: string;
	/** From `grantableScopes`. */
	readonly scopes: readonly string[];
	readonly expiresAtMs?: number | undefined;
}

/** What is stored and what is shown of a key being made; `sealName` seals under the tenant. */
export function prepareKey(
	parts: Pick<AccessParts, "ids" | "random">,
	scope: Scope,
	request: KeyRequest,
	nowMs: number,
	sealName: (place: ReturnType<typeof namePlace>, name: Buffer) => Buffer,
): { readonly stored: NewApiKey; readonly issued: IssuedKey } {
	const { name, scopes, expiresAtMs } = request;
	const { environment } = scope;
	const unknown = scopes.find((one) => !grantableScopes.includes(one));
	if (unknown !== undefined || scopes.length === 0)
		throw Fault.parameter("scopes", "scopes must be one or more of the known scopes");
	const id = parts.ids.next();
	const { text, secretHash } = mintKey(environment, id, parts.random);
	const nameSealed = sealName(namePlace(scope, id), Buffer.from(name, "utf8"));
	return {
		stored: { id, environment, secretHash, nameSealed, scopes, expiresAtMs },
		issued: {
			id,
			environment,
			name,
			scopes,
			createdAtMs: nowMs,
			expiresAtMs,
			revokedAtMs: undefined,
			text,
		},
	};
}

/** Makes a key in this scope. Throws Fault limit_reached, validation_failed, audit_unavailable. */
export async function createApiKey(
	parts: AccessParts,
	scope: Scope,
	request: KeyRequest,
	audit: Audit,
): Promise<IssuedKey> {
	const { db, vault, clock } = parts;
	const nowMs = clock.now();
	await vault.warm([scope.tenantId]);
	const { stored, issued } = prepareKey(parts, scope, request, nowMs, vault.seal);
	await db.inTenant(scope, async (tx) => {
		if ((await countApiKeys(tx, scope, nowMs)) >= apiKeysMax) throw Fault.of("limit_reached");
		insertApiKeys(tx, scope.tenantId, [stored], nowMs);
		const { name, scopes, expiresAtMs } = request;
		const expires_at = expiresAtMs === undefined ? null : new Date(expiresAtMs).toISOString();
		const targets = [showId(keyPrefix, issued.id)];
		await audit.record(tx, { targets, detail: { name, scopes, expires_at } });
	});
	return issued;
}

/** As `createApiKey`, for a caller: only scopes the caller has. Throws Fault permission_denied for others. */
export function grantApiKey(
	parts: AccessParts,
	actor: Actor,
	request: KeyRequest,
	audit: Audit,
): Promise<IssuedKey> {
	const lacking = request.scopes.find((scope) => !actor.scopes.includes(scope));
	if (lacking !== undefined && grantableScopes.includes(lacking))
		throw Fault.of("permission_denied", {
			message: `The API key lacks the scope ${lacking} and so cannot give it.`,
		});
	const { tenantId, environment } = actor;
	return createApiKey(parts, { tenantId, environment }, request, audit);
}

/** A page of keys, newest first, and whether there are more beyond it in the direction asked. */
export async function readApiKeys(
	parts: Pick<AccessParts, "db" | "vault">,
	scope: Scope,
	page: Page,
): Promise<{ readonly keys: ApiKey[]; readonly more: boolean }> {
	const { limit, after, before } = page;
	const rows = await parts.db.inTenant(scope, (tx) =>
		before === undefined
			? listApiKeys(tx, scope, after, limit + 1)
			: listNewerApiKeys(tx, scope, before, limit + 1),
	);
	const more = rows.length > limit;
	const shown = rows.slice(0, limit);
	if (before !== undefined) shown.reverse();
	await parts.vault.warm([scope.tenantId]);
	return { keys: shown.map((row) => apiKeyOf(parts.vault, scope, row)), more };
}

function apiKeyOf(vault: Vault, scope: Scope, row: ApiKeyRow): ApiKey {
	const { id, nameSealed } = row;
	return {
		id,
		environment: scope.environment,
		name: nameSealed === null ? "" : vault.open(namePlace(scope, id), nameSealed).toString("utf8"),
		scopes: row.scopes,
		createdAtMs: row.createdAt.getTime(),
		expiresAtMs: row.expiresAt?.getTime(),
		revokedAtMs: row.revokedAt?.getTime(),
	};
}

/** Revokes a key for good; this process refuses it from now on. Throws Fault not_found, audit_unavailable. */
export async function revokeApiKey(
	parts: Pick<AccessParts, "db" | "clock"> & {
		readonly authenticator: Pick<Authenticator, "forgetKey">;
	},
	scope: Scope,
	id: string,
	audit: Audit,
): Promise<void> {
	await parts.db.inTenant(scope, async (tx) => {
		const found = await revokeApiKeys(tx, scope, [id], parts.clock.now());
		if (found.length === 0) throw Fault.of("not_found");
		await audit.record(tx, { targets: [showId(keyPrefix, id)] });
	});
	parts.authenticator.forgetKey(id);
}

/** Makes a key for the platform's operator. Throws Fault audit_unavailable. */
export async function createOperatorKey(
	parts: Pick<AccessParts, "db" | "clock" | "ids" | "random">,
	audit: Audit,
): Promise<{ readonly id: string; readonly text: Secret }> {
	const id = parts.ids.next();
	const { text, secretHash } = mintKey("operator", id, parts.random);
	await parts.db.inPlatform(async (tx) => {
		insertOperatorKey(tx, id, secretHash, parts.clock.now());
		await audit.record(tx, { targets: [showId(keyPrefix, id)] });
	});
	return { id, text };
}

function namePlace({ tenantId, environment }: Scope, id: string) {
	return { tenantId, environment, table: "api_keys", column: "name_sealed", row: id };
}
