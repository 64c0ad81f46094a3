/**
 * Consent that a tenant states with the send itself: when and where the person gave it. It becomes a
 * statement on record, with that evidence, before the message is judged. It never outranks anything
 * newer: who has said STOP since stays out.
 */
import type { Scope, Tx } from "#platform/db.ts";
import type { GroupKeys, Vault } from "#vault/index.ts";
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

/** Records grants of one tenant's environment, in one statement; the contacts' keys are loaded. */
export function recordGrants(
	tx: Tx,
	vault: Vault,
	scope: Scope,
	grants: readonly Grant[],
	nowMs: number,
	contacts: Pick<GroupKeys, "of">,
): void {
	const newest = new Map<string, Grant>();
	for (const grant of grants) {
		const known = newest.get(grant.address);
		if (known === undefined || known.consentedAtMs < grant.consentedAtMs)
			newest.set(grant.address, grant);
	}
	const rows = [...newest.values()].map(({ id, address, source, consentedAtMs }) => {
		const index = addressIndex(vault, scope.tenantId, scope.environment, address);
		const place = { ...scope, table: "consent_statements", column: "sealed", row: id };
		const evidence = { address, source, dated: true };
		const contact = contacts.of({ ...scope, index });
		const sealed = vault.sealJsonFor(contact, place, evidence);
		return { id, consentedAtMs, addressIndex: index, sealed };
	});
	insertGrants(tx, scope, nowMs, rows);
}
