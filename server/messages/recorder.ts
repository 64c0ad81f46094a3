/**
 * Writes what happened at the carriers: results of submits and receipts, many of them in one transaction,
 * one transaction at a time. Results are kept until the database has taken them (their number is bounded by
 * the carriers' windows); a receipt that cannot be stored is refused, so that the carrier sends it again.
 */
import type { Clock } from "#platform/clock.ts";
import type { Database, Tx } from "#platform/db.ts";
import type { Ids } from "#platform/ids.ts";
import type { Log } from "#platform/log.ts";
import type { Effects } from "./effects.ts";
import * as lanes from "./lane-store.ts";
import { type IncomingReceipt, marksOf, matchAll, transitionsOf } from "./receipts.ts";
import { insertDecisions } from "./store.ts";
import * as submissions from "./submission-store.ts";
import { applyTransitions, type Transition } from "./transition-store.ts";

/** Results or receipts of one transaction. */
const writeMax = 1_000;
/** Receipts that may wait to be written before the carrier is told to come back. */
const receiptsWaitingMax = 20_000;
const retryMs = 250;

export interface Result {
	readonly batchId: string;
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
}

export function createRecorder(parts: RecorderParts): Recorder {
	const open = new Map<string, number>();
	let results: Result[] = [];
	let receipts: WaitingReceipt[] = [];
	let writing = false;
	let onIdle: (() => void)[] = [];

	const pump = async (): Promise<void> => {
		while (results.length > 0 || receipts.length > 0) {
			const some = results.slice(0, writeMax);
			const news = receipts.slice(0, writeMax);
			const done = countDown(open, some);
			try {
				await parts.worker.inPlatform((tx) => writeAll(parts, tx, some, news.map((one) => one.receipt), done));
			} catch (error) {
				await failed(parts, error, news);
				receipts = receipts.slice(news.length);
				continue;
			}
			for (const result of some) close(open, result.batchId);
			results = results.slice(some.length);
			receipts = receipts.slice(news.length);
			for (const one of news) one.resolve();
		}
	};
	const wake = (): void => {
		if (writing) return;
		writing = true;
		setImmediate(() => void pump().finally(() => {
			writing = false;
			if (results.length > 0 || receipts.length > 0) wake();
			else for (const done of onIdle.splice(0)) done();
		}));
	};
	return {
		open: (batchId, parcels) => void open.set(batchId, parcels),
		record(result) {
			results.push(result);
			wake();
		},
		receipt(receipt) {
			if (receipts.length >= receiptsWaitingMax) return Promise.reject(new Error("too many receipts wait"));
			const stored = new Promise<void>((resolve, reject) => void receipts.push({ receipt, resolve, reject }));
			wake();
			return stored;
		},
		openIds: () => [...open.keys()],
		pending: () => results.length + receipts.length,
		idle: () => (writing ? new Promise((resolve) => void onIdle.push(resolve)) : Promise.resolve()),
	};
}

/** Batches whose last parcel is among these results. */
function countDown(open: ReadonlyMap<string, number>, results: readonly Result[]): string[] {
	const counts = new Map<string, number>();
	for (const { batchId } of results) counts.set(batchId, (counts.get(batchId) ?? 0) + 1);
	return [...counts].filter(([batchId, count]) => count >= (open.get(batchId) ?? 0)).map(([batchId]) => batchId);
}

function close(open: Map<string, number>, batchId: string): void {
	const left = (open.get(batchId) ?? 1) - 1;
	if (left <= 0) open.delete(batchId);
	else open.set(batchId, left);
}

async function failed(parts: RecorderParts, error: unknown, news: readonly WaitingReceipt[]): Promise<void> {
	parts.log.error({ err: error }, "results could not be written; trying again");
	for (const one of news) one.reject(error);
	await new Promise((resolve) => void setTimeout(resolve, retryMs));
}

async function writeAll(parts: RecorderParts, tx: Tx, results: readonly Result[], receipts: readonly IncomingReceipt[], doneBatches: readonly string[]): Promise<void> {
	const nowMs = parts.clock.now();
	const effects = results.map((result) => result.effects);
	const sent = effects.flatMap((effect) => effect.submissions ?? []);
	tx.enterTenants(tenantsOf(effects));
	submissions.insertSubmissions(tx, sent);
	const early = sent.length === 0 ? [] : await unpark(tx, sent);
	const told = await interpret(parts, tx, [...early, ...receipts], tenantsOf(effects), nowMs);
	applyTransitions(tx, nowMs, [...effects.flatMap((effect) => effect.transition ?? []), ...told.transitions]);
	submissions.parkReceipts(tx, nowMs, told.unmatched.map((receipt) => ({
		id: parts.ids.next(), routeId: receipt.routeId, carrierIds: receipt.candidates, state: receipt.messageState, errorCode: receipt.errorCode ?? null,
	})));
	insertDecisions(tx, nowMs, effects.flatMap((effect) => effect.decision ?? []));
	lanes.returnEntries(tx, effects.flatMap((effect) => effect.returned ?? []));
	lanes.finishEntries(tx, effects.flatMap((effect) => effect.finished ?? []));
	lanes.dropBatches(tx, doneBatches);
}

/** Receipts that came before the answer to their submit. */
async function unpark(tx: Tx, sent: readonly submissions.Submission[]): Promise<IncomingReceipt[]> {
	const found = await Promise.all([...idsByRoute(sent.map((one) => [one.routeId, one.carrierId]))].map(([routeId, ids]) => submissions.unparkReceipts(tx, routeId, ids)));
	return found.flat().map((row) => ({
		routeId: row.route_id, candidates: [row.carrier_id], messageState: row.state, errorCode: row.error_code ?? undefined,
	}));
}

/** Matches receipts to submissions; leaves the transaction in all tenants concerned. */
async function interpret(parts: RecorderParts, tx: Tx, receipts: readonly IncomingReceipt[], tenants: readonly string[], nowMs: number): Promise<{ transitions: Transition[]; unmatched: IncomingReceipt[] }> {
	if (receipts.length === 0) return { transitions: [], unmatched: [] };
	const asked = idsByRoute(receipts.flatMap((receipt) => receipt.candidates.map((id) => [receipt.routeId, id] as const)));
	const answers = await Promise.all([...asked].map(async ([routeId, ids]) => [routeId, await submissions.matchReceipts(tx, routeId, ids)] as const));
	const matched = answers.map(([routeId, rows]) => matchAll(receipts.filter((receipt) => receipt.routeId === routeId), rows));
	const all = matched.flatMap((one) => one.matched);
	tx.enterTenants([...new Set([...tenants, ...all.map(({ match }) => match.tenant_id)])]);
	const marks = marksOf(all);
	const segments = marks.length === 0 ? [] : await submissions.markSegments(tx, marks);
	return { transitions: transitionsOf(all, segments, nowMs, () => parts.ids.next()), unmatched: matched.flatMap((one) => one.unmatched) };
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
	for (const { transition, submissions: sent, returned, finished } of effects) {
		const tenantId = transition?.tenantId ?? returned?.tenantId ?? finished?.tenantId ?? sent?.[0]?.tenantId;
		if (tenantId !== undefined) tenants.add(tenantId);
	}
	return [...tenants];
}
