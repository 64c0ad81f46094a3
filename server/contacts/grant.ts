/**
 * Consent that a tenant states with the send itself: when and where the person gave it. It becomes a
 * statement on record, with that evidence, before the message is judged. It never outranks anything
 * newer: who has said STOP since stays out.
 */
import type { Scope, Tx } from "#platform/db.ts";
import type { Vault } from "#vault/index.ts";
import { addressIndex } from "./address.ts";
import { insertGrants } from "./grant-store.ts";

export interface Grant {
	/** A fresh id for the row, unprefixed. */
	readonly id: string;
	/** E.164 with its plus. */
	readonly address: string;
	/** Where the consent was given, in the tenant's words. */
	readonly source: string;
	/** Milliseconds since the epoch; not in the future. */
	readonly consentedAtMs: number;
}

/** Records grants of one tenant's environment, in one statement; keys must be warm. */
export function recordGrants(
	tx: Tx,
	vault: Vault,
	scope: Scope,
	grants: readonly Grant[],
	nowMs: number,
): void {
	const newest = new Map<string, Grant>();
	for (const grant of grants) {
		const known = newest.get(grant.address);
		if (known === undefined || known.consentedAtMs < grant.consentedAtMs)
			newest.set(grant.address, grant);
	}
	const rows = [...newest.values()].map(({ id, address, source, consentedAtMs }) => ({
		id,
		consentedAtMs,
		addressIndex: addressIndex(vault, scope.tenantId, scope.environment, address),
		sealed: vault.sealJson(
			{ ...scope, table: "consent_statements", column: "sealed", row: id },
			{ address, source, dated: true },
		),
	}));
	insertGrants(tx, scope, nowMs, rows);
}
