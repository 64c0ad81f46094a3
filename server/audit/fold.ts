/**
 * Messages enter the ledger: what commits have hashed since the last time becomes one entry for each tenant and
 * environment, about one a second, however many messages there were. The entry and the rows' way to it are one transaction.
 */
import type { Database, Tx } from "#platform/db.ts";
import { showId } from "#platform/ids.ts";
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

/** One step. True when there may be more to do at once. */
export function fold({ db, ledger }: FoldParts): Promise<boolean> {
	return db.inPlatform(async (tx) => {
		// The sequencer's own lock: what is placed and what is added do not cross.
		if (!(await lockSequence(tx))) return false;
		const names = await digestsWaiting(tx, digestsMax);
		if (names.length === 0) return false;
		tx.enterTenants([...new Set(names.map((one) => one.tenantId))]);
		await foldSome(ledger, tx, names);
		return names.length === digestsMax;
	});
}

async function foldSome(ledger: Ledger, tx: Tx, names: readonly DigestName[]): Promise<void> {
	const digests = await digestsToFold(tx, names);
	const scopes = Map.groupBy(digests, (one) => `${one.tenantId}/${one.environment}`);
	const byScope = [...scopes.values()];
	const ids = await ledger.record(tx, byScope.map(actOf));
	const folded = byScope.flatMap((those, i) =>
		those.map((one) => ({ ...one, entryId: ids[i] as string })),
	);
	if ((await foldDigests(tx, folded)) !== names.length)
		throw new Error("a digest of messages was put into an entry by somebody else");
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
