/**
 * Erasing a contact: its key is destroyed, and with it everything sealed under it. The erasure is first written into a
 * list beside the database, so that a database restored from before it is erased again before it serves anybody. What
 * other copies of the database hold becomes unreadable when the epoch is turned; until then the certificate says so.
 */
import type { Database, Scope, Tx } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import type { Ids } from "#platform/ids.ts";
import { readEpochs } from "./contact-epochs.ts";
import { bringBackSurvivors, type TurnParts } from "./epoch-turn.ts";
import {
	addToList,
	demandYoungEnough,
	type Listed,
	readList,
	withdrawFromList,
} from "./erasure-list.ts";
import type { KeyFiles } from "./key-files.ts";
import {
	completeErasures,
	contactEpochsBehind,
	eraseContact,
	type ErasureRow,
	erasuresMissing,
	erasuresWaiting,
	findErasure,
} from "./rotation-store.ts";

export interface ErasureParts extends TurnParts {
	readonly db: Pick<Database, "inTenant">;
	readonly ids: Ids;
}

/** Who is erased, by both blind indexes of their address. */
export interface ErasedAddress {
	readonly index: Buffer;
	/** That suppressions are found by: the person's stay in force under it. */
	readonly suppressionIndex: Buffer;
}

export interface Erasures {
	/**
	 * The tenant's key must be warm. `record` puts the act on record in the same transaction: if it throws, nobody is
	 * erased. Returns what is certified.
	 */
	erase(scope: Scope, who: ErasedAddress, record: OnRecord): Promise<ErasureRow>;
	/** Throws Fault `not_found`. */
	find(scope: Scope, id: string): Promise<ErasureRow>;
	/**
	 * Before anybody is served: erases again what a restored database does not know, and brings back the keys of those
	 * who were not erased. Returns how many of each. Throws a RestoreError when the database is older than the list reaches.
	 */
	replay(): Promise<Replayed>;
}

export type OnRecord = (tx: Tx, erasureId: string) => Promise<void>;

export interface Replayed {
	readonly erased: number;
	readonly broughtBack: number;
	/** Lines of the list that cannot be read: of an erasure that a crash cut off before anybody was told. */
	readonly unreadable: number;
}

const waitingMost = 10_000;

export function createErasures(parts: ErasureParts): Erasures {
	const { db, files, ids, clock } = parts;
	const apply = async (one: Listed, record?: OnRecord): Promise<void> => {
		const { tenantId, environment } = one;
		await db.inTenant({ tenantId, environment }, async (tx) => {
			await eraseContact(tx, one);
			await record?.(tx, one.id);
		});
	};
	const find = async (scope: Scope, id: string): Promise<ErasureRow> => {
		const row = await db.inTenant(scope, (tx) => findErasure(tx, scope, id));
		if (row === undefined) throw Fault.of("not_found");
		return row;
	};
	return {
		find,
		async erase(scope, who, record) {
			const epoch = readEpochs(files, scope.tenantId).at(-1)?.epoch ?? 1;
			const listed = { ...scope, ...who, id: ids.next(), epoch, atMs: clock.now() };
			addToList(files, listed);
			try {
				await apply(listed, record);
			} catch (error) {
				// Rolled back for certain; of any other failure nobody knows whether it was.
				if (error instanceof Fault && error.name === "audit_unavailable")
					withdrawFromList(files, listed);
				throw error;
			}
			return find(scope, listed.id);
		},
		async replay() {
			await demandYoungEnough(parts);
			const broughtBack = await bringBackAll(parts);
			let erased = 0;
			let unreadable = 0;
			for await (const { listed, unreadable: lost } of readList(files)) {
				unreadable += lost;
				const missing = await parts.worker.inPlatform((tx) => erasuresMissing(tx, listed));
				for (const one of listed.filter(({ id }) => missing.has(id))) {
					await apply(one);
					erased++;
				}
			}
			await completeTurned(parts);
			return { erased, broughtBack, unreadable };
		},
	};
}

async function bringBackAll(parts: ErasureParts): Promise<number> {
	const tenants = tenantsOf(parts.files);
	const behind = await parts.worker.inPlatform((tx) => contactEpochsBehind(tx, tenants));
	let count = 0;
	for (const tenantId of behind) count += await bringBackSurvivors(parts, tenantId);
	return count;
}

/** What was erased in an epoch that is destroyed is complete, also when the process that destroyed it died just then. */
async function completeTurned({ worker, files, clock }: ErasureParts): Promise<void> {
	const waiting = await worker.inPlatform((tx) => erasuresWaiting(tx, waitingMost));
	for (const { tenantId } of waiting) {
		const oldest = readEpochs(files, tenantId)[0]?.epoch ?? 1;
		await worker.inTenants([tenantId], async (tx) =>
			completeErasures(tx, tenantId, oldest, clock.now()),
		);
	}
}

function tenantsOf(files: KeyFiles): { readonly tenantId: string; readonly oldest: number }[] {
	return files.tenants().map((tenantId) => ({
		tenantId,
		oldest: readEpochs(files, tenantId)[0]?.epoch ?? 1,
	}));
}
