/**
 * How answers kept for retries are sealed: under the key of the person they are about, so that erasing them leaves nothing
 * to read in what was kept, nor in a backup of it; else under the tenant's.
 */
import { Fault } from "#platform/errors.ts";
import type { AnswerPlace, IdempotencyParts } from "#platform/idempotency.ts";
import { type ContactRef, type Vault, VaultError } from "#vault/index.ts";

/** In place of an answer whose person was erased between the act and the keeping of its answer. */
const gone = Buffer.alloc(0);

export function answerSeals(
	vault: Vault,
): Pick<IdempotencyParts, "warm" | "digest" | "fingerprint" | "seal" | "open"> {
	const { warm, digest, mac } = vault;
	return {
		warm,
		digest,
		fingerprint: (tenantId, text) => mac(tenantId, "idempotency", [text]),
		async seal(tx, place, about, plaintext) {
			if (about === undefined) return vault.seal(place, plaintext);
			const contact = contactOf(place, about);
			// Not made anew: who has no key any more has just been erased.
			const key = (await vault.contacts.load(tx, [contact])).of(contact);
			return key === undefined ? gone : vault.sealFor(key, place, plaintext);
		},
		async open(tx, place, about, sealed) {
			if (about === undefined) return vault.open(place, sealed);
			const contact = contactOf(place, about);
			const keys = await vault.contacts.load(tx, [contact]);
			try {
				return vault.openFor(keys.of(contact), place, sealed);
			} catch (error) {
				if (error instanceof VaultError && error.reason === "erased")
					throw Fault.of("contact_erased");
				throw error;
			}
		},
	};
}

function contactOf({ tenantId, environment }: AnswerPlace, index: Buffer): ContactRef {
	return { tenantId, environment, index };
}
