/**
 * Tenants' keys in memory: bounded, fetched for all who wait at once, fetched again every ten minutes so that
 * new epochs are noticed, and dropped when nobody used them for a quarter of an hour. While the key service cannot
 * be reached, what is held goes on for ten minutes more; then it is given up.
 */
import type { Clock } from "#platform/clock.ts";
import type { Keys } from "./keys.ts";
import { VaultError } from "./vault-error.ts";

export interface KeyCache {
	warm(tenantIds: readonly string[]): Promise<void>;
	/** The keys of a warm tenant; throws a VaultError for any other. */
	of(tenantId: string): Keys;
	/** The next `warm` fetches the tenant's keys anew. */
	forget(tenantId: string): void;
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
/** Keys nobody warmed for this long leave memory. */
const idleMs = 15 * 60_000;

interface Held {
	readonly keys: Keys | VaultError;
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
			moveToEnd(held, tenantId, { keys, loadedAtMs: nowMs, usedAtMs: nowMs, isStale: false });
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
		async warm(tenantIds) {
			const nowMs = clock.elapsed();
			const wanted = new Set(tenantIds);
			if (wanted.size > tenantsMax)
				throw VaultError.of("not_warm", "more tenants are wanted at once than keys may be held");
			const cold = [...wanted].filter((tenantId) => !touch(tenantId, nowMs));
			if (cold.length === 0) return;
			const underway = new Set(cold.flatMap((tenantId) => loading.get(tenantId) ?? []));
			const missing = cold.filter((tenantId) => !loading.has(tenantId));
			if (missing.length > 0) underway.add(startLoading(missing));
			await Promise.all(underway);
		},
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
	};
}

function isAway(keys: Keys | VaultError): boolean {
	return keys instanceof VaultError && keys.reason === "keys_away";
}

function isOver({ keys, loadedAtMs }: Held, nowMs: number): boolean {
	return keys instanceof VaultError || nowMs - loadedAtMs >= awayMs;
}

function moveToEnd(held: Map<string, Held>, tenantId: string, entry: Held): void {
	held.delete(tenantId);
	held.set(tenantId, entry);
}
