/**
 * Who must not be written to: recorded by a person's STOP, by the tenant, or after a complaint, and
 * ended by the person's START or by who made it. A suppression covers every sender of the tenant and
 * every class. It holds for the next dispatch, because dispatch asks the table each time.
 */
import type { Environment, Scope, Tx } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import { showId } from "#platform/ids.ts";
import {
	type ContactKey,
	type ContactKeys,
	type Place,
	type Vault,
	VaultError,
} from "#vault/index.ts";
import { addressKey, requireKey } from "./address.ts";
import {
	type AddressKey,
	type EndedSuppression,
	endByStart,
	endManually,
	findSuppression,
	insertSuppressions,
	suppressionReasons,
	type SuppressionRow,
} from "./store.ts";

/** What a person wrote, at most one row per address in a batch: their last word. */
export interface Keyword {
	readonly tenantId: string;
	readonly environment: Environment;
	/** A fresh id; used by a stop only. */
	readonly id: string;
	/** The person, E.164 with its plus. */
	readonly address: string;
	/** The tenant's number they wrote to, if known. */
	readonly originator: string | null;
	/** When they said it, milliseconds since the epoch. */
	readonly atMs: number;
}

export interface SealedAddress {
	readonly address: string;
	readonly originator: string | null;
}

/**
 * Suppresses these people, in the caller's transaction (role worker or app; warm keys). Repeating it
 * changes nothing. Returns the ids of the suppressions that are new, unprefixed.
 */
export async function recordStops(
	tx: Tx,
	vault: Vault,
	stops: readonly Keyword[],
): Promise<string[]> {
	const rows = await sealed(tx, vault, stops);
	return insertSuppressions(
		tx,
		rows.map((row) => ({ ...row, reason: "stop" as const })),
	);
}

/**
 * Ends what these people's own STOP began. What the tenant or a complaint suppressed stays. Repeating
 * it changes nothing. Returns the suppressions that it ended, their ids unprefixed.
 */
export function recordStarts(
	tx: Tx,
	vault: Vault,
	starts: readonly Keyword[],
): Promise<EndedSuppression[]> {
	const rows = starts.map(({ tenantId, environment, address, atMs }) => {
		return { ...addressKey(vault, { tenantId, environment }, address), atMs };
	});
	return endByStart(tx, rows);
}

/** The tenant suppresses a person; when they are suppressed already, that stays as it is. */
export async function suppressManually(
	tx: Tx,
	vault: Vault,
	request: Keyword,
): Promise<{ readonly isNew: boolean }> {
	const rows = await sealed(tx, vault, [request]);
	const inserted = await insertSuppressions(
		tx,
		rows.map((row) => ({ ...row, reason: "manual" as const })),
	);
	return { isNew: inserted.length > 0 };
}

async function sealed(tx: Tx, vault: Vault, keywords: readonly Keyword[]) {
	const people = keywords.map(({ tenantId, environment, address }) =>
		addressKey(vault, { tenantId, environment }, address),
	);
	const keys = await vault.contacts.ensure(tx, people);
	return keywords.map(({ tenantId, environment, id, address, originator, atMs }, i) => {
		const contact = people[i] as AddressKey;
		const content: SealedAddress = { address, originator };
		const place = placeOf({ tenantId, environment }, id);
		const addressSealed = vault.sealJsonFor(requireKey(keys, contact), place, content);
		return { ...contact, id, atMs, addressSealed };
	});
}

function placeOf(scope: Scope, row: string): Place {
	return { ...scope, table: "suppressions", column: "address_sealed", row };
}

/**
 * Ends a suppression that the tenant itself made. Throws `not_found`, and `validation_failed` for a
 * person's own STOP or a complaint, which are not the tenant's to end. Ending twice is no error.
 */
export async function liftManually(tx: Tx, scope: Scope, id: string, nowMs: number): Promise<void> {
	const row = await findSuppression(tx, scope, id);
	if (row === undefined) throw Fault.of("not_found");
	if (row.reason !== "manual")
		throw Fault.parameter(
			"id",
			"Only a manual suppression can be ended here; a person's own stop ends when they write START.",
		);
	endManually(tx, scope, id, nowMs);
}

const shownReasons = { stop: "keyword_stop", manual: "manual", complaint: "complaint" } as const;
const origins = { stop: "keyword", manual: "api_key", complaint: "dlr_event" } as const;
const endings = { start: "keyword_start", manual: "api_key" } as const;

/** The public name of a reason, and back. */
export function reasonNamed(shown: string): SuppressionRow["reason"] | undefined {
	for (const reason of suppressionReasons) if (shownReasons[reason] === shown) return reason;
	return undefined;
}

/** In place of a number whose owner was erased: the suppression stays in force. */
const erased: SealedAddress = { address: "**ERASED**", originator: null };

function addressOf(
	vault: Vault,
	contacts: ContactKeys,
	scope: Scope,
	row: SuppressionRow,
): SealedAddress {
	const { addressIndex: index } = row;
	if (index === null) return erased;
	const contact = contacts.of({ ...scope, index });
	try {
		return openAddress(vault, contact, scope, row);
	} catch (error) {
		if (error instanceof VaultError && error.reason === "erased") return erased;
		throw error;
	}
}

/** Throws a VaultError, `erased` when nobody can read it any more. */
export function openAddress(
	vault: Pick<Vault, "openJsonFor">,
	contact: ContactKey | undefined,
	scope: Scope,
	row: Pick<SuppressionRow, "id" | "addressSealed">,
): SealedAddress {
	return vault.openJsonFor(contact, placeOf(scope, row.id), row.addressSealed);
}

/** A suppression as the API shows it. */
export function showSuppression(
	vault: Vault,
	contacts: ContactKeys,
	scope: Scope,
	row: SuppressionRow,
) {
	const { address, originator } = addressOf(vault, contacts, scope, row);
	const createdAt = new Date(row.createdAt).toISOString();
	const endedAt = row.endedAt === null ? null : new Date(row.endedAt).toISOString();
	return {
		id: showId("sup", row.id),
		destination: address,
		originator,
		reason: shownReasons[row.reason],
		origin: origins[row.reason],
		applies_to: "all",
		blocking: endedAt === null,
		effective_at: createdAt,
		ended_at: endedAt,
		ended_reason: row.endedReason === null ? null : endings[row.endedReason],
		ended_effective_at: endedAt,
		created_at: createdAt,
		last_asserted_at: createdAt,
	};
}
