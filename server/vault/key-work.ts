/**
 * The work on keys that goes on beside serving: turning the epochs that erasures wait for, and rotations that somebody
 * asked for. One thing at a time; what a crash stops goes on at the next start.
 */
import { createDueWatch, type DueParts, type DueWatch } from "./key-due.ts";
import { readEpochs } from "./contact-epochs.ts";
import { removeOldMonths } from "./erasure-list.ts";
import { type TurnParts, turnEpoch } from "./epoch-turn.ts";
import {
	countRoots,
	destroyRoot,
	newestRoot,
	rewrapAll,
	rotateTenantKey,
} from "./root-rotation.ts";

export type KeyWorkParts = TurnParts & DueParts;

export interface KeyStatus {
	readonly provider: string;
	/** A sentence when the key service cannot be used. */
	readonly trouble: string | undefined;
	/** `provider:version` of the root key that wraps now. */
	readonly newestRoot: string | undefined;
	/** Keys by the root key that wraps them. */
	readonly keysByRoot: ReadonlyMap<string, number>;
	readonly rootDueAtMs: number | undefined;
	readonly tenantsDue: number;
	readonly tenantsTurning: number;
	readonly erasuresWaiting: number;
	readonly oldestErasureMs: number | undefined;
	/** Why the last piece of work stopped. */
	readonly lastFailure: string | undefined;
}

export interface KeyWork {
	/** A new root key where the provider can make one; everything is wrapped anew beside serving. */
	rotateRoot(): Promise<void>;
	/** A new key and a new contact epoch for one tenant; the epoch is turned when it has settled. */
	rotateTenant(tenantId: string): Promise<void>;
	/** Throws a VaultError while something is wrapped by it. */
	destroyRoot(root: string): Promise<void>;
	status(): Promise<KeyStatus>;
	/** One round, by itself every minute. */
	work(): Promise<void>;
	/** Wraps by the newest root key what is not; by itself at the start and after a rotation. */
	rewrap(): Promise<void>;
	stop(): Promise<void>;
}

const roundMs = 60_000;
/** How often the list of erasures is looked at for what nobody needs any more. */
const listMs = 86_400_000;

export function startKeyWork(parts: KeyWorkParts): KeyWork {
	const { log, wrapping, files } = parts;
	const due = createDueWatch(parts);
	const turning = new Set<string>(turningNow(parts));
	let lastFailure: string | undefined;
	let queue: Promise<void> = Promise.resolve();
	const inTurn = (work: () => Promise<void>): Promise<void> => {
		const done = queue.then(work);
		queue = done.catch((error: unknown) => {
			lastFailure = error instanceof Error ? error.message : "unknown";
			log.error(
				{ event: "keys.work_failed", err: error },
				"work on keys stopped; it goes on later",
			);
		});
		return done;
	};
	const tidyList = daily(parts);
	const round = async (): Promise<void> => {
		for (const tenantId of (await due.look()).toTurn) turning.add(tenantId);
		for (const tenantId of turning) {
			if ((await turnEpoch(parts, tenantId)) !== "turned") continue;
			turning.delete(tenantId);
			log.info({ event: "keys.epoch_turned", tenant_id: tenantId }, "a contact epoch was turned");
		}
		await tidyList();
		lastFailure = undefined;
	};
	const rewrap = async (): Promise<void> => {
		const keys = await rewrapAll(parts);
		if (keys > 0)
			log.info({ event: "keys.rewrapped", keys }, "keys are wrapped by the newest root key");
	};
	const later = (work: () => Promise<void>): void => void inTurn(work).catch(() => undefined);
	const timer = setInterval(() => later(round), roundMs);
	timer.unref();
	later(rewrap);
	later(round);
	return {
		work: () => inTurn(round),
		rewrap: () => inTurn(rewrap),
		async rotateRoot() {
			await wrapping.current.rotate();
			later(rewrap);
		},
		rotateTenant: (tenantId) =>
			inTurn(async () => {
				await rotateTenantKey(parts, tenantId);
				parts.forgetTenant(tenantId);
				if (readEpochs(files, tenantId).length === 1) await turnEpoch(parts, tenantId);
				if (readEpochs(files, tenantId).length > 1) turning.add(tenantId);
			}),
		destroyRoot: (root) => inTurn(() => destroyRoot(parts, root)),
		status: () => statusOf(parts, due, { tenantsTurning: turning.size, lastFailure }),
		async stop() {
			clearInterval(timer);
			await queue;
		},
	};
}

/** Looks at the list of erasures, but once a day only. */
function daily(parts: KeyWorkParts): () => Promise<void> {
	let atMs = Number.NEGATIVE_INFINITY;
	return async () => {
		if (parts.clock.elapsed() - atMs < listMs) return;
		await removeOldMonths(parts);
		atMs = parts.clock.elapsed();
	};
}

async function statusOf(
	parts: KeyWorkParts,
	due: DueWatch,
	rest: Pick<KeyStatus, "tenantsTurning" | "lastFailure">,
): Promise<KeyStatus> {
	const { current } = parts.wrapping;
	const trouble = await current.health();
	// Without the key service the last look has to do.
	const { erasures, tenants, oldestErasureMs } = await due.look().catch(() => due.last());
	return {
		provider: current.kind,
		trouble,
		newestRoot: trouble === undefined ? await newestRoot(parts) : undefined,
		keysByRoot: (await countRoots(parts)).byRoot,
		rootDueAtMs: due.rootDueAtMs(),
		tenantsDue: tenants,
		erasuresWaiting: erasures,
		oldestErasureMs,
		...rest,
	};
}

/** Tenants whose turn an earlier start began. */
function turningNow({ files }: KeyWorkParts): string[] {
	return files.tenants().filter((tenantId) => readEpochs(files, tenantId).length > 1);
}
