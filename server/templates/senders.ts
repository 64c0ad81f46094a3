/**
 * The sender identities of a tenant: registered, listed, deleted. One that exists elsewhere, or looks
 * like one that does, is refused: the answer tells that it is taken and nothing about by whom.
 */
import type { Scope, Tx } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import { showId } from "#platform/ids.ts";
import type { Place, Vault } from "#vault/index.ts";
import { ownerKey, type SenderKind } from "./sender.ts";
import { countSenders, insertSender, type SenderRow } from "./store.ts";

/** How many senders one environment of a tenant may have. */
export const sendersMax = 1_000;

export interface Registration {
	/** A fresh id for the row, unprefixed. */
	readonly id: string;
	readonly kind: SenderKind;
	/** As `requireSender` returned it. */
	readonly address: string;
	readonly atMs: number;
}

/**
 * Registers a sender; keys must be warm. Throws `conflict` when it, or one that looks like it, is
 * registered already by anybody, and `limit_reached`.
 */
export async function registerSender(
	tx: Tx,
	vault: Vault,
	scope: Scope,
	{ id, kind, address, atMs }: Registration,
): Promise<SenderRow> {
	const { tenantId, environment } = scope;
	if ((await countSenders(tx, scope)) >= sendersMax) throw Fault.of("limit_reached");
	const addressSealed = vault.seal(placeOf(scope, id), Buffer.from(address, "utf8"));
	const isOurs = await insertSender(tx, scope, {
		id,
		kind,
		atMs,
		addressSealed,
		addressIndex: vault.index(tenantId, environment, "sms.sender", address),
		platformIndex: vault.platformIndex(environment, "sms.sender", ownerKey(address)),
	});
	if (!isOurs)
		throw Fault.of("conflict", {
			message: "This sender, or one that looks like it, is already registered.",
			details: [{ param: "address", message: "address is already registered" }],
		});
	return { id, addressSealed, kind, active: true, createdAt: atMs };
}

/** A sender as the API shows it. */
export function showSender(vault: Vault, scope: Scope, row: SenderRow) {
	return {
		id: showId("snd", row.id),
		address: vault.open(placeOf(scope, row.id), row.addressSealed).toString("utf8"),
		kind: row.kind,
		active: row.active,
		created_at: new Date(row.createdAt).toISOString(),
	};
}

function placeOf(scope: Scope, row: string): Place {
	return { ...scope, table: "senders", column: "address_sealed", row };
}
