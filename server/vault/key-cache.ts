/**
 * Tenants' keys in memory: bounded, fetched for all who wait at once, fetched again every ten minutes so that
 * new epochs are noticed, and dropped when nobody used them for a quarter of an hour. While the key service cannot
 * be reached, what is held goes on for ten minutes more; then it is given up. It may hang instead of refusing: nobody
 * waits long for keys that are held, and who works for several tenants says how long for any.
 */
import type { Clock } from "#platform/clock.ts";
import type { Keys } from "./keys.ts";
import { VaultError } from "./vault-error.ts";

export interface KeyCache {
	/**
	 * Waits until these tenants' keys are at hand, at most `patienceMs`: what is fetched then comes later. Keys that are held
	 * and only due to be fetched anew are waited for a quarter of a second.
	 */
	warm(tenantIds: readonly string[], patienceMs?: number): Promise<void>;
	/** The keys of a warm tenant; throws a VaultError for any other. */
	of(tenantId: string): Keys;
	/** The next `warm` fetches the tenant's keys anew. */
	forget(tenantId: string): void;
	/** As `forget`, unless they were fetched lately: for what may be a key that is new, or one that never was. */
	suspect(tenantId: string): void;
	/** Puts others in their place; they are no younger for it. Nothing when the tenant left memory. */
	exchange(tenantId: string, change: (keys: Keys) => Keys): void;
}

export interface KeyCacheParts {
	/** Keys of those tenants that exist, or why they cannot be had: one broken key must not stop a batch. */
	readonly load: (tenantIds: readonly string[]) => Promise<ReadonlyMap<string, Keys | VaultError>>;
	readonly clock: Clock;
	/** How many tenants' keys are held at most; 10,000 unless told. */
	readonly tenantsMax?: number;
}

const tenantsMaxDefault = 10_000;
/** After this long `warm` fetches a tenant's keys anew. */
const refreshMs = 10 * 60_000;
/** Keys that could not be fetched anew for this long are of no use any more. */
const awayMs = 2 * refreshMs;
/** Whoever makes keys up has them fetched this often, whatever they send. */
const suspectMs = 30_000;
/** Keys nobody warmed for this long leave memory. */
const idleMs = 15 * 60_000;
/** How long what is held, and to be fetched anew, is waited for, milliseconds. */
const heldPatienceMs = 250;
/** Of who works for several tenants, for the keys of any, milliseconds: the others must not wait for a service that hangs. */
export const briefMs = 250;

interface Held {
	keys: Keys | VaultError;
	readonly loadedAtMs: number;
	usedAtMs: number;
	/** Something changed: to be fetched anew, and used meanwhile. */
	isStale: boolean;
}

export function createKeyCache(parts: KeyCacheParts): KeyCache {
	const { load, clock, tenantsMax = tenantsMaxDefault } = parts;
	/** In order of use, the longest unused first. */
	const held = new Map<string, Held>();
	const loading = new Map<string, Promise<void>>();

	const ask = async (tenantIds: readonly string[]): Promise<void> => {
		const loaded = await load(tenantIds);
		const nowMs = clock.elapsed();
		for (const [tenantId, keys] of loaded) {
			const before = held.get(tenantId);
			if (isAway(keys) && before !== undefined && !isOver(before, nowMs)) continue;
			const landed = withoutDestroyed(keys, before?.keys);
			moveToEnd(held, tenantId, {
				keys: landed,
				loadedAtMs: nowMs,
				usedAtMs: nowMs,
				isStale: false,
			});
		}
		for (const [tenantId, { usedAtMs }] of held) {
			if (held.size <= tenantsMax && nowMs - usedAtMs < idleMs) break;
			held.delete(tenantId);
		}
	};

	/** Whether the tenant's keys need no fetching; marks them as used. */
	const touch = (tenantId: string, nowMs: number): boolean => {
		const found = held.get(tenantId);
		if (found === undefined) return false;
		found.usedAtMs = nowMs;
		moveToEnd(held, tenantId, found);
		const isFresh = !found.isStale && nowMs - found.loadedAtMs < refreshMs;
		return isFresh && !(found.keys instanceof VaultError);
	};

	/** One ask for all of these, which others may wait for too. */
	const startLoading = (tenantIds: readonly string[]): Promise<void> => {
		const fetched = ask(tenantIds).finally(() => {
			for (const tenantId of tenantIds) loading.delete(tenantId);
		});
		for (const tenantId of tenantIds) loading.set(tenantId, fetched);
		return fetched;
	};

	return {
		async warm(tenantIds, patienceMs = Number.POSITIVE_INFINITY) {
			const nowMs = clock.elapsed();
			const wanted = new Set(tenantIds);
			if (wanted.size > tenantsMax)
				throw VaultError.of("not_warm", "more tenants are wanted at once than keys may be held");
			const cold = [...wanted].filter((tenantId) => !touch(tenantId, nowMs));
			if (cold.length === 0) return;
			const underway = new Set(cold.flatMap((tenantId) => loading.get(tenantId) ?? []));
			const missing = cold.filter((tenantId) => !loading.has(tenantId));
			if (missing.length > 0) underway.add(startLoading(missing));
			const areHeld = cold.every((tenantId) => isUsable(held.get(tenantId), nowMs));
			const mostMs = areHeld ? Math.min(patienceMs, heldPatienceMs) : patienceMs;
			await within(mostMs, Promise.all(underway));
		},
		...verbsOver(held, clock),
	};
}

/** What needs no fetching. */
function verbsOver(held: ReadonlyMap<string, Held>, clock: Clock): Omit<KeyCache, "warm"> {
	return {
		of(tenantId) {
			const keys = held.get(tenantId)?.keys;
			if (keys === undefined)
				throw VaultError.of("not_warm", `the keys of tenant ${tenantId} are not in memory`);
			if (keys instanceof VaultError) throw keys;
			return keys;
		},
		forget(tenantId) {
			const found = held.get(tenantId);
			if (found !== undefined) found.isStale = true;
		},
		suspect(tenantId) {
			const found = held.get(tenantId);
			if (found !== undefined && clock.elapsed() - found.loadedAtMs >= suspectMs)
				found.isStale = true;
		},
		exchange(tenantId, change) {
			const found = held.get(tenantId);
			if (found === undefined || found.keys instanceof VaultError) return;
			found.keys = withoutDestroyed(change(found.keys), found.keys);
		},
	};
}

/**
 * Of two who read a tenant's epochs at once the slower one may have read them before an epoch was destroyed: what is
 * known to be destroyed does not come back.
 */
function withoutDestroyed<T extends Keys | VaultError>(
	next: T,
	before: Keys | VaultError | undefined,
): T {
	if (next instanceof VaultError || before === undefined || before instanceof VaultError)
		return next;
	const [now, then] = [next.contacts, before.contacts];
	if (now instanceof VaultError || then instanceof VaultError) return next;
	return now.oldest < then.oldest ? { ...next, contacts: then } : next;
}

function isAway(keys: Keys | VaultError): boolean {
	return keys instanceof VaultError && keys.reason === "keys_away";
}

function isOver({ keys, loadedAtMs }: Held, nowMs: number): boolean {
	return keys instanceof VaultError || nowMs - loadedAtMs >= awayMs;
}

function isUsable(found: Held | undefined, nowMs: number): boolean {
	return found !== undefined && !isOver(found, nowMs);
}

/** Waits no longer than so many milliseconds. What fails later fails for nobody: it is asked for again. */
async function within(mostMs: number, work: Promise<unknown>): Promise<void> {
	if (mostMs === Number.POSITIVE_INFINITY) return void (await work);
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<void>((resolve) => void (timer = setTimeout(resolve, mostMs)));
	try {
		await Promise.race([work, late]);
	} finally {
		clearTimeout(timer);
	}
}

function moveToEnd(held: Map<string, Held>, tenantId: string, entry: Held): void {
	held.delete(tenantId);
	held.set(tenantId, entry);
}
