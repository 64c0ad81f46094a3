/**
 * Writes what happened at the carriers: results of submits and receipts, many of them in one transaction,
 * one transaction at a time. Results are kept until the database has taken them (their number is bounded by
 * the carriers' windows); a receipt that cannot be stored is refused, so that the carrier sends it again.
 */
import type { Clock } from "#platform/clock.ts";
import { type Database, sqlState, type Tx } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import type { Ids } from "#platform/ids.ts";
import type { Log } from "#platform/log.ts";
import type { Effects } from "./effects.ts";
import * as lanes from "./lane-store.ts";
import { type IncomingReceipt, marksOf, matchAll, transitionsOf } from "./receipts.ts";
import { insertDecisions } from "./store.ts";
import * as submissions from "./submission-store.ts";
import { applyTransitions, type Transition } from "./transition-store.ts";

/** Results or receipts of one transaction. */
const writeMax = 256;
/** Receipts that may wait to be written before the carrier is told to come back. */
const receiptsWaitingMax = 20_000;
const retryMs = 250;
/** How long few results are gathered for a transaction, milliseconds: nobody waits for them. */
const gatherMs = 24;
/** A carrier that sends no receipt for so long may wait for the answers to those that it has sent, milliseconds. */
const quietMs = 4;
const few = 200;

export interface Result {
	/** The batch whose parcel this ends; undefined for news that come later. */
	readonly batchId: string | undefined;
	readonly effects: Effects;
}

interface WaitingReceipt {
	readonly receipt: IncomingReceipt;
	readonly resolve: () => void;
	readonly reject: (error: unknown) => void;
}

export interface RecorderParts {
	readonly worker: Database;
	readonly ids: Ids;
	readonly clock: Clock;
	readonly log: Log;
	readonly onEvents: () => void;
}

export interface Recorder {
	/** A batch is about to be sent: it is dropped when its last parcel's result has been written. */
	open(batchId: string, parcels: number): void;
	record(result: Result): void;
	/** Resolves when the receipt is stored, rejects when it could not be. */
	receipt(receipt: IncomingReceipt): Promise<void>;
	/** Batches that are being sent. */
	openIds(): string[];
	pending(): number;
	idle(): Promise<void>;
	/**
	 * Resolves when all is written, or after so long, and then writes nothing more: the number of results that are not
	 * written. Their batches stay, and what became of their messages is unknown when the leases end.
	 */
	stop(withinMs: number): Promise<number>;
}

interface Inner {
	readonly parts: RecorderParts;
	/** Parcels of batches being sent that have no written result yet. */
	readonly open: Map<string, number>;
	results: Result[];
	receipts: WaitingReceipt[];
	/** Items of the next transaction, at most: one by one while a poisonous one is looked for. */
	most: number;
	writing: boolean;
	stopped: boolean;
	readonly onIdle: (() => void)[];
}

export function createRecorder(parts: RecorderParts): Recorder {
	const inner: Inner = {
		parts,
		open: new Map(),
		results: [],
		receipts: [],
		most: writeMax,
		writing: false,
		stopped: false,
		onIdle: [],
	};
	const idle = (): Promise<void> =>
		inner.writing ? new Promise((resolve) => void inner.onIdle.push(resolve)) : Promise.resolve();
	return {
		open: (batchId, parcels) => void inner.open.set(batchId, parcels),
		record(result) {
			inner.results.push(result);
			wake(inner);
		},
		receipt(receipt) {
			if (inner.stopped || inner.receipts.length >= receiptsWaitingMax)
				return Promise.reject(new Error("no receipt can be stored now"));
			const stored = new Promise<void>(
				(resolve, reject) => void inner.receipts.push({ receipt, resolve, reject }),
			);
			wake(inner);
			return stored;
		},
		openIds: () => [...inner.open].filter(([, left]) => left !== spoiled).map(([id]) => id),
		pending: () => inner.results.length + inner.receipts.length,
		idle,
		async stop(withinMs) {
			let timer: NodeJS.Timeout | undefined;
			const late = new Promise<void>((resolve) => void (timer = setTimeout(resolve, withinMs)));
			await Promise.race([idle(), late]);
			clearTimeout(timer);
			inner.stopped = true;
			return inner.results.length;
		},
	};
}

function wake(inner: Inner): void {
	if (inner.writing || inner.stopped) return;
	inner.writing = true;
	void writeOut(inner);
}

/**
 * Resolves when it is time to write: when many wait, when they have waited long enough, or when there are receipts and
 * no more came. Few and large transactions cost the database less than many small ones.
 */
async function gather(inner: Inner): Promise<void> {
	for (let waitedMs = 0; waitedMs < gatherMs; waitedMs += quietMs) {
		const before = inner.receipts.length;
		await new Promise((resolve) => void setTimeout(resolve, quietMs));
		const receipts = inner.receipts.length;
		if (receipts + inner.results.length >= few) return;
		if (receipts > 0 && receipts === before) return;
	}
}

async function writeOut(inner: Inner): Promise<void> {
	for (;;) {
		const waiting = inner.results.length + inner.receipts.length;
		if (waiting === 0 || inner.stopped) break;
		if (waiting < few) await gather(inner);
		if (!inner.stopped) await writeSome(inner);
	}
	inner.writing = false;
	for (const done of inner.onIdle.splice(0)) done();
}

async function writeSome(inner: Inner): Promise<void> {
	const { parts, open } = inner;
	const some = inner.results.slice(0, inner.most);
	const news = inner.receipts.slice(0, some.length < inner.most ? inner.most : 0);
	const done = countDown(open, some);
	try {
		const receipts = news.map((one) => one.receipt);
		await parts.worker.inPlatform((tx) => writeAll(parts, tx, some, receipts, done));
	} catch (error) {
		await recover(inner, error, some, news);
		return;
	}
	inner.most = Math.min(writeMax, inner.most * 2);
	settle(inner, some, news);
	for (const one of news) one.resolve();
	parts.onEvents();
}

function settle(inner: Inner, some: readonly Result[], news: readonly WaitingReceipt[]): void {
	for (const { batchId } of some) if (batchId !== undefined) close(inner.open, batchId);
	inner.results = inner.results.slice(some.length);
	inner.receipts = inner.receipts.slice(news.length);
}

/**
 * A database that is away is waited for, with the results kept and the receipts refused. What it refuses to
 * take is tried again one by one; the one that fails alone is given up loudly, so that it cannot hold up the
 * others: its batch stays, and its lease's end makes it an unknown outcome.
 */
async function recover(
	inner: Inner,
	error: unknown,
	some: readonly Result[],
	news: readonly WaitingReceipt[],
): Promise<void> {
	// A deadlock's victim (SQLSTATE class 40) is as innocent as who finds no database.
	const mayPass = error instanceof Fault || sqlState(error)?.startsWith("40") === true;
	inner.parts.log.error(
		{ err: error, results: some.length, receipts: news.length },
		"results could not be written",
	);
	if (mayPass || some.length + news.length === 1) {
		if (!mayPass) spoil(inner.open, some);
		settle(inner, mayPass ? [] : some, news);
		for (const one of news) one.reject(error);
		await new Promise((resolve) => void setTimeout(resolve, retryMs));
	} else inner.most = 1;
}

/** Of a batch that has lost a result: it is never done, and its lease is not renewed. */
const spoiled = Number.POSITIVE_INFINITY;
/** Spoiled batches remembered until the process ends; the oldest are forgotten. */
const spoiledMax = 1_000;

function spoil(open: Map<string, number>, results: readonly Result[]): void {
	for (const { batchId } of results) if (batchId !== undefined) open.set(batchId, spoiled);
	const all = [...open].filter(([, left]) => left === spoiled);
	for (const [batchId] of all.slice(0, Math.max(0, all.length - spoiledMax))) open.delete(batchId);
}

/** Batches whose last parcel is among these results. */
function countDown(open: ReadonlyMap<string, number>, results: readonly Result[]): string[] {
	const counts = new Map<string, number>();
	for (const { batchId } of results)
		if (batchId !== undefined) counts.set(batchId, (counts.get(batchId) ?? 0) + 1);
	return [...counts]
		.filter(([batchId, count]) => count >= (open.get(batchId) ?? spoiled))
		.map(([batchId]) => batchId);
}

function close(open: Map<string, number>, batchId: string): void {
	const left = (open.get(batchId) ?? 1) - 1;
	if (left <= 0) open.delete(batchId);
	else open.set(batchId, left);
}

/** Writes results and receipts in the caller's transaction. */
export async function writeAll(
	parts: Pick<RecorderParts, "ids" | "clock">,
	tx: Tx,
	results: readonly Result[],
	receipts: readonly IncomingReceipt[],
	doneBatches: readonly string[],
): Promise<void> {
	const nowMs = parts.clock.now();
	const effects = results.map((result) => result.effects);
	const sent = effects.flatMap((effect) => effect.submissions ?? []);
	tx.enterTenants(tenantsOf(effects));
	submissions.insertSubmissions(tx, sent);
	const early = sent.length === 0 ? [] : await unpark(tx, sent);
	const told = await interpret(parts, tx, [...early, ...receipts], tenantsOf(effects), nowMs);
	applyTransitions(tx, nowMs, [
		...effects.flatMap((effect) => effect.transition ?? []),
		...told.transitions,
	]);
	submissions.parkReceipts(
		tx,
		nowMs,
		told.unmatched.map((receipt) => ({
			id: parts.ids.next(),
			routeId: receipt.routeId,
			carrierIds: receipt.candidates,
			state: receipt.messageState,
			errorCode: receipt.errorCode ?? null,
		})),
	);
	insertDecisions(
		tx,
		nowMs,
		effects.flatMap((effect) => effect.decision ?? []),
	);
	lanes.returnEntries(
		tx,
		results.flatMap(({ batchId, effects: { returned } }) =>
			returned === undefined ? [] : [{ ...returned, batchId: batchId ?? null }],
		),
	);
	lanes.finishEntries(
		tx,
		effects.flatMap((effect) => effect.finished ?? []),
	);
	const released = effects.flatMap((effect) => effect.released ?? []);
	lanes.releaseBatches(
		tx,
		[...new Set(released.map((one) => one.tenantId))],
		[...new Set(released.map((one) => one.batchId))],
	);
	lanes.dropBatches(tx, doneBatches);
}

/** Receipts that came before the answer to their submit. */
async function unpark(tx: Tx, sent: readonly submissions.Submission[]): Promise<IncomingReceipt[]> {
	const found = await Promise.all(
		[...idsByRoute(sent.map((one) => [one.routeId, one.carrierId]))].map(([routeId, ids]) =>
			submissions.unparkReceipts(tx, routeId, ids),
		),
	);
	return receiptsOf(found.flat());
}

/** Parked receipts as they came. */
export function receiptsOf(rows: readonly submissions.Unparked[]): IncomingReceipt[] {
	return rows.map((row) => ({
		routeId: row.route_id,
		candidates: [row.carrier_id],
		messageState: row.state,
		errorCode: row.error_code ?? undefined,
	}));
}

/**
 * Matches receipts to submissions, by the likeliest form of their id and, where that finds nothing, by the
 * others; leaves the transaction in all tenants concerned.
 */
async function interpret(
	parts: Pick<RecorderParts, "ids">,
	tx: Tx,
	receipts: readonly IncomingReceipt[],
	tenants: readonly string[],
	nowMs: number,
): Promise<{ transitions: Transition[]; unmatched: readonly IncomingReceipt[] }> {
	if (receipts.length === 0) return { transitions: [], unmatched: [] };
	const first = await match(tx, receipts, (receipt) => receipt.candidates.slice(0, 1));
	const second = await match(tx, first.unmatched, (receipt) => receipt.candidates.slice(1));
	const all = [...first.matched, ...second.matched];
	tx.enterTenants([...new Set([...tenants, ...all.map((one) => one.match.tenant_id)])]);
	const marks = marksOf(all);
	const segments = marks.length === 0 ? [] : await submissions.markSegments(tx, marks);
	const transitions = transitionsOf(all, segments, nowMs, () => parts.ids.next());
	return { transitions, unmatched: second.unmatched };
}

async function match(
	tx: Tx,
	receipts: readonly IncomingReceipt[],
	forms: (receipt: IncomingReceipt) => readonly string[],
): Promise<ReturnType<typeof matchAll>> {
	const asked = idsByRoute(
		receipts.flatMap((receipt) => forms(receipt).map((id) => [receipt.routeId, id] as const)),
	);
	if (asked.size === 0) return { matched: [], unmatched: [...receipts] };
	const answers = await Promise.all(
		[...asked].map(async ([routeId, ids]) => {
			const own = receipts.filter((receipt) => receipt.routeId === routeId);
			return matchAll(own, await submissions.matchReceipts(tx, routeId, ids));
		}),
	);
	return {
		matched: answers.flatMap((one) => one.matched),
		unmatched: answers.flatMap((one) => one.unmatched),
	};
}

function idsByRoute(pairs: readonly (readonly [string, string])[]): Map<string, string[]> {
	const byRoute = new Map<string, string[]>();
	for (const [routeId, id] of pairs) {
		const ids = byRoute.get(routeId);
		if (ids === undefined) byRoute.set(routeId, [id]);
		else ids.push(id);
	}
	return byRoute;
}

function tenantsOf(effects: readonly Effects[]): string[] {
	const tenants = new Set<string>();
	for (const { transition, submissions: sent, returned, finished, released } of effects) {
		const tenantId =
			transition?.tenantId ??
			returned?.tenantId ??
			finished?.tenantId ??
			released?.tenantId ??
			sent?.[0]?.tenantId;
		if (tenantId !== undefined) tenants.add(tenantId);
	}
	return [...tenants];
}
