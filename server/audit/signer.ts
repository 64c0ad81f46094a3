/**
 * The signer. It reads the stored bytes of each log that grew, computes on from what it signed last, persists,
 * and only then gives the signature away. What does not continue its own state it never signs: that log is in
 * trouble until an operator has decided. The state it goes by is its own file, not the database.
 */
import type { Clock } from "#platform/clock.ts";
import type { Database, Tx } from "#platform/db.ts";
import type { SigningKey } from "#vault/index.ts";
import { originOf, signCheckpoint } from "./checkpoint.ts";
import { readEntry } from "./entry.ts";
import { shownLog } from "./ledger.ts";
import {
	type ChangedLog,
	changedLogs,
	insertCheckpoints,
	type NewCheckpoint,
	storedEntries,
} from "./signer-store.ts";
import { type LogState, readState, type SignerState, writeState } from "./signer-state.ts";
import { findCheckpoint } from "./store.ts";
import { LedgerTrouble, readOn } from "./stored-log.ts";
import { emptyEdge, rootOf } from "./tree.ts";

export interface SignerParts {
	/** With the signer's role. */
	readonly db: Pick<Database, "inPlatform">;
	readonly key: SigningKey;
	readonly clock: Clock;
	/** First part of every origin. */
	readonly name: string;
	readonly statePath: string;
	/** A log will not be signed any more, and why. */
	readonly onTrouble: (log: string, why: string) => void;
}

export interface Signer {
	/** Signs what grew. True when there may be more to do at once. */
	step(): Promise<boolean>;
	/** What has been signed. */
	readonly state: SignerState;
	/** Whether everything signed of this log is known to be in the database. */
	isReleased(tenantId: string): boolean;
	/** This log is not signed from now on. */
	giveUp(tenantId: string, why: string): void;
}

/** Changed logs that are asked for at once. */
const logsMax = 500;
/** Entries of one log that are read in a step, and of all logs that share a transaction. */
const entriesMax = 1_000;
const entriesAtOnce = 4_000;

export function createSigner(parts: SignerParts): Signer {
	const { db, name, statePath } = parts;
	let state = readState(statePath);
	const releases = createReleases(parts, state);
	/** Grew, and not yet signed to the end. */
	const behind = new Map<string, ChangedLog>();
	let seenTurn = 0;

	const persist = (next: SignerState): void => {
		writeState(statePath, next);
		state = next;
	};
	const giveUp = (tenantId: string, why: string): void => {
		const known = state.get(tenantId);
		behind.delete(tenantId);
		releases.waiting.delete(tenantId);
		if (known?.trouble !== undefined) return;
		const signed = known ?? nothingSigned(name, tenantId, 1);
		persist(new Map([...state, [tenantId, { ...signed, trouble: why }]]));
		parts.onTrouble(shownLog(tenantId), why);
	};
	const sign = async (): Promise<Map<string, LogState>> => {
		const signed = new Map<string, LogState>();
		for (const logs of portionsOf([...behind.values()], state)) {
			const found = await db.inPlatform((tx) =>
				Promise.all(logs.map((log) => tryToAdvance(tx, name, state.get(log.tenantId), log))),
			);
			for (const [i, next] of found.entries()) {
				const { tenantId } = logs[i] as ChangedLog;
				if (next instanceof LedgerTrouble) giveUp(tenantId, next.message);
				else signed.set(tenantId, next);
			}
		}
		return signed;
	};

	return {
		get state() {
			return state;
		},
		isReleased: (tenantId) => !releases.waiting.has(tenantId),
		giveUp,
		async step() {
			await releases.give();
			const changed = await db.inPlatform((tx) => changedLogs(tx, seenTurn, logsMax));
			for (const log of changed) behind.set(log.tenantId, log);
			const signed = await sign();
			if (signed.size > 0) persist(new Map([...state, ...signed]));
			for (const [tenantId, next] of signed) {
				releases.owe(tenantId, next);
				if (next.edge.size >= (behind.get(tenantId)?.size ?? 0)) behind.delete(tenantId);
			}
			seenTurn = changed.at(-1)?.turn ?? seenTurn;
			await releases.give();
			return changed.length === logsMax || behind.size > 0;
		},
	};
}

/** What has been signed and is on disk, and is not yet known to be in the database. */
function createReleases({ db, key, clock }: SignerParts, found: SignerState) {
	/** Logs whose last checkpoint the process before may have persisted and not given away: it is given with the next. */
	const before = new Map(found);
	const waiting = new Map<string, readonly NewCheckpoint[]>();
	return {
		waiting,
		owe(tenantId: string, next: LogState): void {
			const last = before.get(tenantId);
			before.delete(tenantId);
			// One of an earlier epoch went into the entry that forked the log; one of the same size is the same.
			const states = last?.epoch === next.epoch && last.edge.size > 0 ? [last, next] : [next];
			waiting.set(
				tenantId,
				states.map((one) => checkpointOf(key, tenantId, one)),
			);
		},
		async give(): Promise<void> {
			if (waiting.size === 0) return;
			const given = [...waiting.values()].flat();
			const at = new Date(clock.now());
			await db.inPlatform(async (tx) => insertCheckpoints(tx, given, key.publicKey, at));
			waiting.clear();
		},
	};
}

function checkpointOf(key: SigningKey, tenantId: string, signed: LogState): NewCheckpoint {
	const { origin, epoch, edge } = signed;
	const head = { origin, size: edge.size, root: rootOf(edge) };
	return { tenantId, epoch, ...head, checkpoint: signCheckpoint(head, key) };
}

/** Logs that are read in one transaction, all at once: thousands of logs grow by an entry each. */
function portionsOf(logs: readonly ChangedLog[], state: SignerState): readonly ChangedLog[][] {
	const portions: ChangedLog[][] = [];
	let room = 0;
	for (const log of logs) {
		const grown = log.size - (state.get(log.tenantId)?.edge.size ?? 0);
		const wanted = Math.max(1, Math.min(grown, entriesMax));
		if (wanted > room || portions.at(-1)?.length === logsMax) {
			portions.push([]);
			room = entriesAtOnce;
		}
		portions.at(-1)?.push(log);
		room -= wanted;
	}
	return portions;
}

async function tryToAdvance(
	...asked: Parameters<typeof advance>
): Promise<LogState | LedgerTrouble> {
	try {
		return await advance(...asked);
	} catch (error) {
		if (error instanceof LedgerTrouble) return error;
		throw error;
	}
}

/** What may be signed of a log next. Throws LedgerTrouble when what is stored does not continue what was signed. */
async function advance(
	tx: Tx,
	name: string,
	known: LogState | undefined,
	log: ChangedLog,
): Promise<LogState> {
	const { origin } = nothingSigned(name, log.tenantId, log.epoch);
	const start = known?.epoch === log.epoch ? known : await begin(tx, name, known, log);
	if (start.trouble !== undefined) throw new LedgerTrouble(start.trouble);
	if (start.origin !== origin)
		throw new LedgerTrouble(`it was signed as ${start.origin}; the ledger's name may not change`);
	if (start.edge.size > log.size)
		throw new LedgerTrouble(`${start.edge.size} entries were signed, and ${log.size} are there`);
	const edge = await readOn(tx, log, start.edge, log.size, entriesMax);
	if (edge.size === log.size && !rootOf(edge).equals(log.root))
		throw new LedgerTrouble(`the root of ${log.size} entries is not that of the stored bytes`);
	const checkpoints = start.checkpoints + (edge.size > start.edge.size ? 1 : 0);
	return { ...start, edge, checkpoints };
}

function nothingSigned(name: string, tenantId: string, epoch: number): LogState {
	const origin = originOf(name, shownLog(tenantId), epoch);
	return { origin, epoch, edge: emptyEdge, checkpoints: 0, trouble: undefined };
}

/** The start of a log that is new, or that was forked openly: then its first entry tells what was signed before. */
async function begin(
	tx: Tx,
	name: string,
	known: LogState | undefined,
	log: ChangedLog,
): Promise<LogState> {
	const fresh = nothingSigned(name, log.tenantId, log.epoch);
	if (known === undefined) {
		if (log.epoch === 1 && (await findCheckpoint(tx, log.tenantId, 1)) === undefined) return fresh;
		throw new LedgerTrouble("checkpoints exist, and the signer's state knows nothing of them");
	}
	if (log.epoch < known.epoch)
		throw new LedgerTrouble(`epoch ${known.epoch} was signed, and only ${log.epoch} is there`);
	const [first] = await storedEntries(tx, log, 0, 1, 1);
	const says = first === undefined ? undefined : readEntry(first.entry);
	const data = says?.["data"] as Readonly<Record<string, unknown>> | undefined;
	const isFork =
		says?.action === "ledger.forked" &&
		data?.["origin"] === known.origin &&
		data["signed_size"] === known.edge.size &&
		data["signed_root"] === rootOf(known.edge).toString("hex");
	if (isFork) return fresh;
	throw new LedgerTrouble(
		`epoch ${log.epoch} does not begin with what was signed of ${known.origin}`,
	);
}
