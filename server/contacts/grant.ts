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
	readonly scope: Scope;
	/** A fresh id for the row, unprefixed. */
	readonly id: string;
	/** E.164 with its plus. */
	readonly address: string;
	/** Where the consent was given, in the tenant's words. */
	readonly source: string;
	/** Milliseconds since the epoch; not in the future. */
	readonly consentedAtMs: number;
}

/** Records grants of any number of tenants in one statement; the contacts' keys are loaded. */
export function recordGrants(
	tx: Tx,
	vault: Vault,
	grants: readonly Grant[],
	nowMs: number,
	contacts: Pick<GroupKeys, "of">,
): void {
	const newest = new Map<string, Grant>();
	for (const grant of grants) {
		const name = `${grant.scope.tenantId}/${grant.scope.environment}/${grant.address}`;
		const known = newest.get(name);
		if (known === undefined || known.consentedAtMs < grant.consentedAtMs) newest.set(name, grant);
	}
	const rows = [...newest.values()].map(({ scope, id, address, source, consentedAtMs }) => {
		const index = addressIndex(vault, scope.tenantId, scope.environment, address);
		const place = { ...scope, table: "consent_statements", column: "sealed", row: id };
		const evidence = { address, source, dated: true };
		const contact = contacts.of({ ...scope, index });
		const sealed = vault.sealJsonFor(contact, place, evidence);
		return { scope, id, consentedAtMs, addressIndex: index, sealed };
	});
	insertGrants(tx, nowMs, rows);
}
