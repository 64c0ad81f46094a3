/**
 * Recording: `record` writes the entries of acts in the transaction of the acts. If it cannot, it throws
 * `audit_unavailable`, the transaction goes back, and nothing has been done. A privileged act is refused too
 * when the signer has been away for ten minutes: what happens then could be rewritten unseen for too long.
 */
import type { Clock } from "#platform/clock.ts";
import { sqlState, type Tx } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import { type Ids, showId } from "#platform/ids.ts";
import { sha256, type Vault } from "#vault/index.ts";
import { type Actor, encodeEntry, type EntryData, type Outcome } from "./entry.ts";
import { type EventName, type EventType, eventTypes } from "./events.ts";
import { insertEntries, type NewEntry, platformLog, unsignedSince } from "./store.ts";

export interface LedgerParts {
	readonly vault: Pick<Vault, "sealJson" | "sealPlatform">;
	readonly clock: Clock;
	readonly ids: Ids;
}

export interface Act {
	/** The tenant whose log it belongs to, or `platformLog`. */
	readonly log: string;
	readonly event: EventName;
	readonly actor: Actor;
	readonly environment?: "live" | "test" | undefined;
	readonly targets?: readonly string[];
	readonly outcome?: Outcome;
	readonly requestId?: string;
	readonly data?: EntryData;
	/** Sealed; the tenant's keys must be warm. */
	readonly detail?: unknown;
}

export interface Ledger {
	/** All in the caller's transaction. Returns the entries' ids. @throws Fault `audit_unavailable` */
	record(tx: Tx, acts: readonly Act[]): Promise<readonly string[]>;
}

export const system: Actor = { type: "system", id: null };

/** How long privileged acts go on without a signature. */
export const signerAwayMs = 10 * 60_000;

/** How a log is named in entries and origins. */
export function shownLog(tenantId: string): string {
	return tenantId === platformLog ? "platform" : showId("ten", tenantId);
}

export function createLedger(parts: LedgerParts): Ledger {
	return {
		async record(tx, acts) {
			const atMs = parts.clock.now();
			const rows = acts.map((act) => rowOf(parts, act, atMs));
			const isPrivileged = acts.some(({ event }) => (eventTypes[event] as EventType).privileged);
			const [since] = await Promise.all([
				isPrivileged ? unsignedSince(tx) : undefined,
				insertEntries(tx, rows),
			]).catch((error: unknown) => {
				throw isOfTheLedger(error) ? unavailable(error) : error;
			});
			if (since !== undefined && atMs - since > signerAwayMs)
				throw unavailable(undefined, "The ledger's signer is away, so this act was not done.");
			return rows.map((row) => row.id);
		},
	};
}

function rowOf({ vault, ids }: LedgerParts, act: Act, atMs: number): NewEntry {
	const id = ids.next();
	const { log, event, actor, detail } = act;
	const sealed = detail === undefined ? null : seal(vault, log, id, detail);
	const entry = encodeEntry({
		id: showId("aud", id),
		log: shownLog(log),
		atMs,
		action: event,
		actor,
		environment: act.environment ?? null,
		targets: act.targets ?? [],
		outcome: act.outcome ?? "ok",
		requestId: act.requestId ?? null,
		data: act.data ?? {},
		detailSha256: sealed === null ? null : sha256(sealed).toString("hex"),
	});
	const shownActor = actor.id ?? actor.type;
	return { tenantId: log, id, action: event, actor: shownActor, entry, detailSealed: sealed };
}

/** A log belongs to no environment. */
export function detailPlace(row: string) {
	return { environment: "", table: "ledger_entries", column: "detail_sealed", row };
}

function seal(vault: LedgerParts["vault"], log: string, id: string, detail: unknown): Buffer {
	const place = detailPlace(id);
	if (log === platformLog) return vault.sealPlatform(place, Buffer.from(JSON.stringify(detail)));
	return vault.sealJson({ ...place, tenantId: log }, detail);
}

/** Not: a connection that is gone, or a transaction that an earlier statement had broken already. */
function isOfTheLedger(error: unknown): boolean {
	const state = sqlState(error);
	return state !== undefined && !/^(08|25|57P)/.test(state);
}

function unavailable(cause: unknown, message?: string): Fault {
	return Fault.of("audit_unavailable", {
		retryAfterSeconds: 5,
		...(cause === undefined ? {} : { cause }),
		...(message === undefined ? {} : { message }),
	});
}
