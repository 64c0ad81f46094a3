/**
 * A person's address as it is stored: sealed with its row bound in, and a blind index to find it by.
 * In clear it exists only in a request and its answer. Reading a number is the channels' business and
 * is handed in.
 */
import type { Scope } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import {
	type ContactKey,
	type ContactKeys,
	type ContactRef,
	type Vault,
	VaultError,
} from "#vault/index.ts";
import type { AddressKey } from "./store.ts";

/** Reads an international number; `why` is a sentence that does not repeat it. */
export type ReadNumber = (
	text: string,
) =>
	| { readonly ok: true; readonly e164: string; readonly country: string }
	| { readonly ok: false; readonly why: string };

/** The number in E.164 with its plus; throws `validation_failed` naming `param`. */
export function requireNumber(readNumber: ReadNumber, text: string, param: string): string {
	const read = readNumber(text);
	if (!read.ok) throw Fault.parameter(param, read.why);
	return read.e164;
}

/** The blind index of a person's SMS address, E.164 with its plus. The tenant's key must be warm. */
export function addressIndex(
	vault: Pick<Vault, "index">,
	tenantId: string,
	environment: string,
	e164: string,
): Buffer {
	return vault.index(tenantId, environment, "sms.address", e164);
}

/** Both indexes of a person's SMS address, E.164 with its plus. The tenant's key must be warm. */
export function addressKey(
	vault: Pick<Vault, "index" | "suppressionIndex">,
	scope: Scope,
	e164: string,
): AddressKey {
	const { tenantId, environment } = scope;
	const index = addressIndex(vault, tenantId, environment, e164);
	const suppressionIndex = vault.suppressionIndex(tenantId, environment, e164);
	return { tenantId, environment, index, suppressionIndex };
}

/** The key of a contact that was ensured: it may have been erased between two statements. */
export function requireKey(keys: ContactKeys, contact: ContactRef): ContactKey {
	const key = keys.of(contact);
	if (key === undefined) throw VaultError.of("erased", "the contact was erased just now");
	return key;
}
