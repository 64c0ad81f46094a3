/**
 * Messages enter the ledger: what commits have hashed since the last time becomes one entry for each tenant and
 * environment, about one a second, however many messages there were; of hundreds of tenants that send at once each has one
 * in so many seconds, or the ledger would be larger than what it tells of. The entry and the rows' way to it are one transaction.
 */
import type { Database, Tx } from "#platform/db.ts";
import { showId } from "#platform/ids.ts";
import { zeroId } from "#platform/page.ts";
import {
	type DigestName,
	digestsToFold,
	digestsWaiting,
	type FoldedDigest,
	foldDigests,
} from "./digest-store.ts";
import { type Act, type Ledger, system } from "./ledger.ts";
import { lockSequence } from "./sequencer-store.ts";
import { wideRoot } from "./wide-tree.ts";

export interface FoldParts {
	/** With the worker's role. */
	readonly db: Pick<Database, "inPlatform">;
	readonly ledger: Ledger;
}

/** Digests of one step, all tenants together; of one entry, no more. */
export const digestsMax = 1_000;
/** An entry of a tenant holds what it sent in so long, milliseconds, if there are few tenants that send. */
const everyMs = 1_000;
/** The rest that follows a step for each of its entries, milliseconds: there are 250 a second at most, of however many tenants. */
const entryMs = 4;

/** The tenant whose digests were looked at last: the next step goes on behind it, and begins again at the first. */
export interface FoldTurn {
	after: string;
}

export function firstFold(): FoldTurn {
	return { after: zeroId };
}

/** One step. Returns when the next one is due, milliseconds from now. `turn` is kept from one step to the next. */
export function fold({ db, ledger }: FoldParts, turn = firstFold()): Promise<number> {
	return db.inPlatform(async (tx) => {
		// The sequencer's own lock: what is placed and what is added do not cross.
		if (!(await lockSequence(tx))) return everyMs;
		const names = await digestsWaiting(tx, turn.after, digestsMax);
		const isFirst = turn.after === zeroId;
		// What is left of the last one's comes in the next round: it may get more as fast as we take it.
		turn.after = names.length === digestsMax ? (names.at(-1) as DigestName).tenantId : zeroId;
		if (names.length === 0) return isFirst ? everyMs : 0;
		tx.enterTenants([...new Set(names.map((one) => one.tenantId))]);
		const restMs = entryMs * (await foldSome(ledger, tx, names));
		return names.length === digestsMax ? restMs : Math.max(everyMs, restMs);
	});
}

/** Returns how many entries it made. */
async function foldSome(ledger: Ledger, tx: Tx, names: readonly DigestName[]): Promise<number> {
	const digests = await digestsToFold(tx, names);
	const scopes = Map.groupBy(digests, (one) => `${one.tenantId}/${one.environment}`);
	const byScope = [...scopes.values()];
	const ids = await ledger.record(tx, byScope.map(actOf));
	const folded = byScope.flatMap((those, i) =>
		those.map((one) => ({ ...one, entryId: ids[i] as string })),
	);
	if ((await foldDigests(tx, folded)) !== names.length)
		throw new Error("a digest of messages was put into an entry by somebody else");
	return ids.length;
}

function actOf(digests: readonly FoldedDigest[]): Act {
	const firsts = digests.map((one) => one.first).sort();
	const lasts = digests.map((one) => one.last).sort();
	const { tenantId, environment } = digests[0] as FoldedDigest;
	return {
		log: tenantId,
		environment,
		event: "messages.accepted",
		actor: system,
		data: {
			count: digests.reduce((sum, one) => sum + one.count, 0),
			digests: digests.length,
			first: showId("msg", firsts[0] as string),
			last: showId("msg", lasts.at(-1) as string),
			root: wideRoot(Buffer.concat(digests.map((one) => one.root))).toString("hex"),
		},
	};
}
