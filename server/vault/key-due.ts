/** What is late with keys: erasures that backups could still undo, and keys older than they should be. */
import type { Clock } from "#platform/clock.ts";
import type { Database } from "#platform/db.ts";
import type { Log } from "#platform/log.ts";
import type { Metrics } from "#platform/metrics.ts";
import type { KeyFiles } from "./key-files.ts";
import { newestRoot, type RotationParts } from "./root-rotation.ts";
import { erasuresWaiting, type TenantKeyRow, tenantKeysAfter } from "./rotation-store.ts";

export interface DueParts extends RotationParts {
	readonly log: Log;
	readonly metrics: Pick<Metrics, "gauge">;
	/** 0: never due. */
	readonly rotationDays: number;
	readonly erasureWindowDays: number;
	/** No older backup of the database will ever be restored. */
	readonly backupDays: number;
}

export interface Due {
	/** When the newest root key was first seen. */
	readonly rootSinceMs: number;
	/** Tenants whose newest key is older than it should be. */
	readonly tenants: number;
	readonly erasures: number;
	/** When the oldest of them was asked for; undefined when none waits. */
	readonly oldestErasureMs: number | undefined;
	/** Tenants whose epoch must be turned now, so that the window is kept. */
	readonly toTurn: readonly string[];
}

export interface DueWatch {
	look(): Promise<Due>;
	last(): Due;
	/** When the root key is due; undefined: never. */
	rootDueAtMs(): number | undefined;
}

const dayMs = 86_400_000;
const waitingMost = 1_000;
const pageRows = 500;
/** Ages change slowly: not every look walks over all tenants. */
const agesMs = 3_600_000;
const rootsFile = "roots.json";

export function createDueWatch(parts: DueParts): DueWatch {
	const { clock, rotationDays, erasureWindowDays, log } = parts;
	let last: Due = {
		rootSinceMs: clock.now(),
		tenants: 0,
		erasures: 0,
		oldestErasureMs: undefined,
		toTurn: [],
	};
	let agesAtMs = Number.NEGATIVE_INFINITY;
	const rotationMs = rotationDays === 0 ? Number.POSITIVE_INFINITY : rotationDays * dayMs;
	const windowMs = erasureWindowDays * dayMs;
	const isRootDue = (): boolean => clock.now() >= last.rootSinceMs + rotationMs;
	const waitedMs = (): number => Math.max(0, clock.now() - (last.oldestErasureMs ?? clock.now()));
	declareGauges(parts, () => {
		const rootDue = isRootDue() ? 1 : 0;
		return { keys: last.tenants + rootDue, erasures: last.erasures, waitedMs: waitedMs() };
	});
	return {
		last: () => last,
		rootDueAtMs: () => (rotationDays === 0 ? undefined : last.rootSinceMs + rotationMs),
		async look() {
			const waiting = await parts.worker.inPlatform((tx) => erasuresWaiting(tx, waitingMost));
			const isNew = clock.elapsed() - agesAtMs >= agesMs;
			const ages = isNew ? await lookAtAges(parts, rotationMs) : last;
			last = {
				rootSinceMs: ages.rootSinceMs,
				tenants: ages.tenants,
				erasures: waiting.reduce((sum, one) => sum + one.waiting, 0),
				oldestErasureMs: waiting[0]?.oldestMs,
				// Half the window is left for what may go wrong.
				toTurn: waiting
					.filter((one) => clock.now() >= one.oldestMs + windowMs / 2)
					.map((one) => one.tenantId),
			};
			if (waitedMs() > windowMs)
				log.warn(
					{ event: "keys.erasure_late", erasures: last.erasures },
					"erasures wait longer than they may",
				);
			if (!isNew) return last;
			agesAtMs = clock.elapsed();
			if (isRootDue()) log.warn({ event: "keys.root_due" }, "the root key is due for rotation");
			if (last.tenants > 0)
				log.warn(
					{ event: "keys.tenants_due", tenants: last.tenants },
					"tenants' keys are due for rotation",
				);
			return last;
		},
	};
}

function declareGauges(
	{ metrics }: DueParts,
	read: () => { readonly keys: number; readonly erasures: number; readonly waitedMs: number },
): void {
	const { gauge } = metrics;
	gauge("wx_keys_due", "tenants' keys and root keys older than they should be", () => read().keys);
	gauge(
		"wx_erasures_waiting",
		"erased contacts that backups could still undo",
		() => read().erasures,
	);
	gauge(
		"wx_erasure_oldest_seconds",
		"how long the oldest of them has been waiting",
		() => read().waitedMs / 1000,
	);
}

async function lookAtAges(
	parts: DueParts,
	rotationMs: number,
): Promise<Pick<Due, "rootSinceMs" | "tenants">> {
	const nowMs = parts.clock.now();
	const rootSinceMs = rootSince(parts.files, await newestRoot(parts), nowMs);
	return { rootSinceMs, tenants: await countOld(parts, nowMs - rotationMs) };
}

/** A root key has no birthday of its own: the day we first saw it wrap is kept. */
function rootSince(files: KeyFiles, root: string, nowMs: number): number {
	const text = files.read(rootsFile);
	const seen = (text === undefined ? {} : JSON.parse(text.toString("utf8"))) as Record<
		string,
		string
	>;
	const known = seen[root];
	if (known !== undefined) return Date.parse(known);
	const all = { ...seen, [root]: new Date(nowMs).toISOString() };
	files.write(rootsFile, `${JSON.stringify(all, undefined, "\t")}\n`);
	return nowMs;
}

async function countOld(
	{ worker }: { readonly worker: Pick<Database, "inPlatform">; readonly clock: Clock },
	beforeMs: number,
): Promise<number> {
	const newest = new Map<string, number>();
	let after: TenantKeyRow | undefined;
	let old = 0;
	do {
		const from = after;
		const rows = await worker.inPlatform((tx) => tenantKeysAfter(tx, from, pageRows));
		after = rows.length < pageRows ? undefined : rows.at(-1);
		for (const { tenantId, createdAtMs } of rows) newest.set(tenantId, createdAtMs);
		// Rows come by tenant: what is complete needs no remembering.
		for (const [tenantId, createdAtMs] of newest) {
			if (tenantId === after?.tenantId) continue;
			if (createdAtMs < beforeMs) old++;
			newest.delete(tenantId);
		}
	} while (after !== undefined);
	return old;
}
