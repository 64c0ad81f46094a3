/**
 * Gives suppressions of before their index under the key of suppressions, beside serving. That takes the number in clear:
 * it is opened once, under the person's key or the tenant's. Whose number nobody can open any more stays under the
 * old index, which is looked up for as long as there is such a row; it changes over when the person writes STOP again.
 */
import type { Database, Scope } from "#platform/db.ts";
import type { Log } from "#platform/log.ts";
import type { Metrics } from "#platform/metrics.ts";
import { type ContactKeys, type Vault, VaultError } from "#vault/index.ts";
import { addressKey } from "./address.ts";
import { type OldSuppression, oldSuppressions, tenantsToReindex } from "./reindex-store.ts";
import { type AddressKey, indexSuppressions } from "./store.ts";
import { openAddress } from "./suppression.ts";

export interface ReindexParts {
	readonly worker: Pick<Database, "inPlatform" | "inTenants">;
	readonly vault: Vault;
	readonly log: Log;
	readonly metrics: Pick<Metrics, "gauge">;
}

export interface Reindexing {
	/** One walk over all that is left, by itself at the start and every hour. Returns what it found. */
	walk(): Promise<{ readonly indexed: number; readonly left: number }>;
	stop(): Promise<void>;
}

const tenantsOnce = 100;
const rowsOnce = 500;
/** Processes of an older version may go on writing rows without the index for a while. */
const walkMs = 3_600_000;

export function startReindexing(parts: ReindexParts): Reindexing {
	const { log, metrics } = parts;
	let left = 0;
	let stopping = false;
	let queue: Promise<unknown> = Promise.resolve();
	metrics.gauge(
		"wx_suppressions_old_index",
		"suppressions in force that are still found by the index of before",
		() => left,
	);
	const walk = async (): Promise<{ indexed: number; left: number }> => {
		const sum = await walkAll(parts, () => stopping);
		({ left } = sum);
		if (sum.indexed > 0)
			log.info({ event: "suppressions.reindexed", ...sum }, "suppressions have a key of their own");
		return sum;
	};
	const inTurn = (): ReturnType<typeof walk> => {
		const done = queue.then(walk);
		queue = done.catch((error: unknown) =>
			log.warn(
				{ event: "suppressions.reindex_failed", err: error },
				"suppressions are still to be re-indexed; they are in force meanwhile",
			),
		);
		return done;
	};
	const later = (): void => void inTurn().catch(() => undefined);
	const timer = setInterval(later, walkMs);
	timer.unref();
	later();
	return {
		walk: inTurn,
		async stop() {
			stopping = true;
			clearInterval(timer);
			await queue;
		},
	};
}

async function walkAll(parts: ReindexParts, isStopping: () => boolean) {
	const sum = { indexed: 0, left: 0 };
	let after: string | undefined;
	while (!isStopping()) {
		const from = after;
		const tenants = await parts.worker.inPlatform((tx) => tenantsToReindex(tx, from, tenantsOnce));
		for (const tenantId of tenants) await walkTenant(parts, tenantId, sum, isStopping);
		after = tenants.at(-1);
		if (tenants.length < tenantsOnce) break;
	}
	return sum;
}

async function walkTenant(
	{ worker, vault }: ReindexParts,
	tenantId: string,
	sum: { indexed: number; left: number },
	isStopping: () => boolean,
): Promise<void> {
	let after: string | undefined;
	while (!isStopping()) {
		// Fetching keys takes a connection of its own.
		await vault.warm([tenantId]);
		const from = after;
		const rows = await worker.inTenants([tenantId], async (tx) => {
			const found = await oldSuppressions(tx, tenantId, from, rowsOnce);
			const refs = found.map((row) => contactOf(tenantId, row));
			const contacts = await vault.contacts.load(tx, refs);
			const keys = found.flatMap((row) => keyOf(vault, contacts, tenantId, row) ?? []);
			indexSuppressions(tx, keys);
			sum.indexed += keys.length;
			sum.left += found.length - keys.length;
			return found;
		});
		after = rows.at(-1)?.id;
		if (rows.length < rowsOnce) return;
	}
}

function contactOf(tenantId: string, { environment, addressIndex: index }: OldSuppression) {
	return { tenantId, environment, index };
}

/** Undefined when the number cannot be opened, or is not the one that the row is found by. */
function keyOf(
	vault: Vault,
	contacts: ContactKeys,
	tenantId: string,
	row: OldSuppression,
): AddressKey | undefined {
	const scope: Scope = { tenantId, environment: row.environment };
	try {
		const contact = contacts.of(contactOf(tenantId, row));
		const { address } = openAddress(vault, contact, scope, row);
		const key = addressKey(vault, scope, address);
		return key.index.equals(row.addressIndex) ? key : undefined;
	} catch (error) {
		// The key service is away: not a word about the row.
		if (error instanceof VaultError && error.reason !== "keys_away" && error.reason !== "not_warm")
			return undefined;
		throw error;
	}
}
