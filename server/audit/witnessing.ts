/**
 * Takes each log's newest checkpoint to the witnesses and keeps what they co-sign. Nothing waits for them: a witness that
 * is away or refuses raises an alarm, and the product goes on. A witness that refuses has seen another history, or ours
 * was taken back: that is what it is for.
 */
import type { Clock } from "#platform/clock.ts";
import type { Database, Tx } from "#platform/db.ts";
import type { Egress } from "#platform/egress.ts";
import type { Log } from "#platform/log.ts";
import type { Metrics } from "#platform/metrics.ts";
import { readCosignature, type Witness, witnessRequest } from "./cosignature.ts";
import { shownLog } from "./ledger.ts";
import { proveConsistency } from "./proofs.ts";
import { findCheckpoint } from "./store.ts";
import { checkpointsToCosign, insertCosignature, type ToCosign } from "./witness-store.ts";

export interface WitnessingParts {
	/** With the worker's role. */
	readonly db: Pick<Database, "inPlatform">;
	readonly egress: Pick<Egress, "post">;
	readonly clock: Clock;
	readonly log: Log;
	readonly metrics: Pick<Metrics, "gauge">;
	readonly witnesses: readonly Witness[];
	/** Ends what is under way. */
	readonly signal?: AbortSignal;
}

export interface Witnessing {
	/** One round to each witness. True when there may be more to do at once. */
	step(): Promise<boolean>;
	/** How long the one that is furthest behind has not caught up, in seconds. */
	behindSeconds(): number;
	/** Logs that some witness refuses. */
	refusedLogs(): number;
}

const logsMax = 32;

/** What came of asking: a line, a refusal for good reasons, or nobody to ask. */
type Verdict =
	| { readonly kind: "cosigned"; readonly line: string }
	| { readonly kind: "refused" | "away"; readonly why: string };

interface Standing {
	readonly witness: Witness;
	readonly refused: Set<string>;
	/** Where the next round begins. */
	behind: string | undefined;
	lateSinceMs: number | undefined;
	away: boolean;
}

export function createWitnessing(parts: WitnessingParts): Witnessing {
	const { clock, metrics, witnesses } = parts;
	const standings = witnesses.map((witness): Standing => {
		const refused = new Set<string>();
		return { witness, refused, behind: undefined, lateSinceMs: undefined, away: false };
	});
	const behindSeconds = (): number =>
		Math.max(
			0,
			...standings.map(
				({ lateSinceMs: at }) => (at === undefined ? 0 : clock.elapsed() - at) / 1_000,
			),
		);
	const refusedLogs = (): number => new Set(standings.flatMap(({ refused }) => [...refused])).size;
	metrics.gauge(
		"wx_ledger_witness_behind_seconds",
		"How long the witness that is furthest behind has had checkpoints to co-sign.",
		behindSeconds,
	);
	metrics.gauge(
		"wx_ledger_witness_refused_logs",
		"Logs that a witness refuses to co-sign: it has seen another history.",
		refusedLogs,
	);
	return {
		behindSeconds,
		refusedLogs,
		async step() {
			const again = await Promise.all(standings.map((one) => round(parts, one)));
			return again.includes(true);
		},
	};
}

async function round(parts: WitnessingParts, standing: Standing): Promise<boolean> {
	const { db, clock } = parts;
	const { witness, behind } = standing;
	const waiting = await db.inPlatform((tx) => checkpointsToCosign(tx, witness.id, behind, logsMax));
	let done = 0;
	for (const one of waiting) {
		const verdict = await ask(parts, witness, one);
		if (!settle(parts, standing, one, verdict)) break;
		if (verdict.kind !== "cosigned") continue;
		done++;
		await db.inPlatform(async (tx) => {
			tx.enterTenants([one.tenantId]);
			insertCosignature(tx, one, witness.id, verdict.line, new Date(clock.now()));
		});
	}
	const more = waiting.length === logsMax && !standing.away;
	standing.behind = more ? waiting.at(-1)?.tenantId : undefined;
	if (done === waiting.length && !more) standing.lateSinceMs = undefined;
	else standing.lateSinceMs ??= clock.elapsed();
	return more;
}

/** Tells what is new about it. False: the witness is away, and need not be asked about the others. */
function settle(
	{ log }: WitnessingParts,
	standing: Standing,
	{ tenantId }: ToCosign,
	verdict: Verdict,
): boolean {
	const { witness, refused } = standing;
	const about = { witness: witness.name, ledger: shownLog(tenantId) };
	if (verdict.kind === "away") {
		if (!standing.away)
			log.warn({ event: "ledger.witness_away", ...about, why: verdict.why }, "a witness is away");
		standing.away = true;
		return false;
	}
	standing.away = false;
	if (verdict.kind === "cosigned") refused.delete(tenantId);
	else if (!refused.has(tenantId)) {
		refused.add(tenantId);
		log.error({ event: "ledger.witness_refused", ...about, why: verdict.why }, "a witness refuses");
	}
	return true;
}

/** Asks; once more from where the witness says it stands. */
async function ask(parts: WitnessingParts, witness: Witness, one: ToCosign): Promise<Verdict> {
	const first = await askFrom(parts, witness, one, one.seen);
	if (typeof first !== "number") return first;
	if (first > one.size)
		return {
			kind: "refused",
			why: `it has seen ${first} entries, and ${one.size} are signed here`,
		};
	const second = await askFrom(parts, witness, one, first);
	if (typeof second !== "number") return second;
	return { kind: "refused", why: `it has seen another root of ${second} entries` };
}

/** A number: the size that the witness has seen, when it is another one. */
async function askFrom(
	{ db, egress, signal }: WitnessingParts,
	witness: Witness,
	one: ToCosign,
	old: number,
): Promise<Verdict | number> {
	const made = await db.inPlatform((tx) => requestOf(tx, one, old));
	if (made === undefined) return { kind: "refused", why: `there is no checkpoint of ${one.size}` };
	const headers = { "content-type": "text/plain; charset=utf-8" };
	const ending = signal === undefined ? {} : { signal };
	const url = `${witness.url}add-checkpoint`;
	const outcome = await egress.post(url, headers, made.request, ending);
	if (outcome.kind === "failed") return { kind: "away", why: outcome.reason };
	const { status, bodyStart } = outcome;
	if (status === 409 && /^(0|[1-9][0-9]{0,15})\n$/.test(bodyStart)) return Number(bodyStart);
	if (status === 429 || status >= 500) return { kind: "away", why: `HTTP status ${status}` };
	if (status !== 200) return { kind: "refused", why: `HTTP status ${status}` };
	const line = readCosignature(bodyStart, made.checkpoint, witness);
	if (line === undefined) return { kind: "refused", why: "its signature does not verify" };
	return { kind: "cosigned", line };
}

async function requestOf(
	tx: Tx,
	{ tenantId, epoch, size }: ToCosign,
	old: number,
): Promise<{ readonly request: string; readonly checkpoint: string } | undefined> {
	tx.enterTenants([tenantId]);
	const found = await findCheckpoint(tx, tenantId, epoch, size);
	if (found === undefined) return undefined;
	const isFirst = old === 0 || old === size;
	const proof = isFirst ? [] : await proveConsistency(tx, tenantId, epoch, old, size);
	const { checkpoint } = found;
	return { request: witnessRequest(old, proof, checkpoint), checkpoint };
}
