/**
 * Sends batches: marks them as started, judges again what may have changed, and gives each parcel that is
 * still clear to its route's binds. Takes a `Clearance`, not a message: a parcel without a usable one is
 * screened anew or not sent. Holds no database connection while a carrier is waited for.
 */
import type { Dialect, LateAnswer, SmppPool, SubmitOutcome } from "#channels/index.ts";
import type { Clock } from "#platform/clock.ts";
import type { Database } from "#platform/db.ts";
import type { Ids, Random } from "#platform/ids.ts";
import type { Log } from "#platform/log.ts";
import { classOfNumber, type Facts, renew, stillClear } from "#policy/index.ts";
import { briefMs, type Vault } from "#vault/index.ts";
import { nextTurn } from "#platform/turns.ts";
import {
	afterAbandoning,
	afterDeferral,
	afterDispatchRefusal,
	afterExpiry,
	afterSubmit,
	type EffectContext,
	type Effects,
} from "./effects.ts";
import { gatherFacts, type Known } from "./facts.ts";
import { leaseMs } from "./handover.ts";
import type { LateAnswers } from "./late-answers.ts";
import { startBatches } from "./lane-store.ts";
import type { Batch, Parcel, Subject } from "./parcel.ts";
import { type Begin, createPump, createTrialPump } from "./pump.ts";
import type { Recorder } from "./recorder.ts";
import type { Restraint } from "./restraint.ts";
import type { Room } from "./room.ts";
import type { Router } from "./router.ts";
import { errorOfRefusal } from "./state.ts";
import { insertDecisions, type NewDecision } from "./store.ts";
import { submissionOf } from "./submission.ts";

/** Messages given to the binds in one turn of the event loop: whoever has a one-time code comes in between. */
export const turnMax = 32;
const retryMs = 250;
/** How long a message waits that could not be made ready to leave, milliseconds. */
const unreadyMs = 5_000;

export interface DispatchParts {
	readonly worker: Database;
	readonly vault: Vault;
	readonly clock: Clock;
	readonly ids: Ids;
	readonly random: Random;
	readonly log: Log;
	readonly room: Room;
	readonly restraint: Pick<Restraint, "restMs">;
	readonly recorder: Recorder;
	readonly router: Router;
	readonly lateAnswers: LateAnswers;
	readonly owner: string;
	readonly unknownReconcileMs: number;
	/** The binds of a route; undefined when this process does not serve it. */
	readonly outletOf: (routeId: string) => Outlet | undefined;
	/** These have left the lanes. */
	readonly onTaken: (batches: readonly Batch[]) => void;
}

/** Where a route's parcels leave. */
export interface Outlet {
	readonly pool: SmppPool;
	readonly dialect: Dialect;
}

/** A batch with what its messages were judged by as they were accepted, in the order of its parcels; empty if it is not started. */
export interface StartedBatch extends Batch {
	readonly known: readonly Known[];
}

export interface Dispatcher {
	/** There may be work or room on this route. */
	wake(routeId: string): void;
	/** Sends a batch that its acceptance has marked as started. */
	sendStarted(batch: StartedBatch): void;
	/** No new batches; resolves when what is in flight has its result. */
	stop(): Promise<void>;
	inFlight(): number;
	/** The answer to a submit whose outcome was taken for unknown. */
	late(answer: LateAnswer): void;
}

export function createDispatcher(parts: DispatchParts): Dispatcher {
	const { recorder } = parts;
	let stopping = false;
	let flying = 0;
	let onLanded: (() => void)[] = [];
	const own: OwnParts = { ...parts, isStopping: () => stopping };

	const context = contextOf(parts);
	const land = (batchId: string, effects: Effects): void => {
		recorder.record({ batchId, effects });
		if (--flying === 0) for (const done of onLanded.splice(0)) done();
	};
	/** From here on each message has its result. */
	const fly = (batches: readonly Batch[]): void => {
		for (const { id, parcels } of batches) {
			recorder.open(id, parcels.length);
			flying += parcels.length;
		}
	};
	const begin: Begin = (outlet, batches) => {
		fly(batches);
		return send(own, outlet, batches, context, land);
	};
	const pump = createPump(own, (outlet, batches) => {
		parts.onTaken(batches);
		return begin(outlet, batches);
	});
	const tryApart = createTrialPump(own, begin);
	return {
		wake(routeId) {
			pump(routeId);
			tryApart(routeId);
		},
		sendStarted(batch) {
			fly([batch]);
			const outlet = parts.outletOf(batch.routeId) as Outlet;
			const known = new Map([[batch.id, batch.known]]);
			void sendAll(parts, outlet, [batch], known, context, land);
		},
		inFlight: () => flying,
		late(answer) {
			const effects = parts.lateAnswers.effectsOf(answer, context);
			if (effects !== undefined) recorder.record({ batchId: undefined, effects });
		},
		async stop() {
			stopping = true;
			if (flying > 0)
				await new Promise<void>((resolve) => void (onLanded = [...onLanded, resolve]));
		},
	};
}

function contextOf(parts: DispatchParts): EffectContext {
	return {
		get nowMs() {
			return parts.clock.now();
		},
		eventId: () => parts.ids.next(),
		nextRoute: (parcel) => parts.router.after(parcel.routeId, parcel.environment, parcel.country),
		unknownReconcileMs: parts.unknownReconcileMs,
		fraction: () => parts.random.fraction(),
	};
}

type Land = (batchId: string, effects: Effects) => void;
type OwnParts = DispatchParts & { readonly isStopping: () => boolean };

async function send(
	parts: OwnParts,
	outlet: Outlet,
	batches: readonly Batch[],
	context: EffectContext,
	land: Land,
): Promise<void> {
	await sendAll(parts, outlet, batches, await start(parts, batches), context, land);
}

/** Judges the parcels of started batches once more and gives those that are clear to the binds, some in each turn. */
async function sendAll(
	parts: DispatchParts,
	outlet: Outlet,
	batches: readonly Batch[],
	started: Started,
	context: EffectContext,
	land: Land,
): Promise<void> {
	const renewed: NewDecision[] = [];
	let done = 0;
	for (const batch of batches) {
		// Asked of the batch: one that was lost may hold a message that came back to us in another.
		const knownOf = started.get(batch.id);
		for (const [i, parcel] of batch.parcels.entries()) {
			if (done++ > 0 && done % turnMax === 1) await nextTurn();
			sendOne(parts, outlet, batch, parcel, knownOf?.[i], context, land, renewed);
		}
	}
	if (renewed.length > 0) void storeRenewed(parts, renewed);
}

function sendOne(
	parts: DispatchParts,
	{ pool, dialect }: Outlet,
	batch: Batch,
	parcel: Parcel,
	known: Known | undefined,
	context: EffectContext,
	land: Land,
	renewed: NewDecision[],
): void {
	if (known === undefined) {
		// The lease ran out before we could start: nothing left, and whoever holds it now decides.
		land(batch.id, { released: { tenantId: batch.tenantId, batchId: batch.id } });
		return;
	}
	const tell = (error: unknown, says: string): void =>
		parts.log.error({ err: error, message_id: parcel.messageId }, says);
	let leaves: Promise<SubmitOutcome>;
	try {
		const stopped = judge(parts, parcel, known.facts, context, renewed);
		if (stopped !== undefined) {
			land(batch.id, stopped);
			return;
		}
		const submission = submissionOf(parcel, dialect, known.facts, known.settings, context.nowMs);
		leaves = parcel.apart ? pool.submitApart(submission) : pool.submit(submission);
	} catch (error) {
		// Such as a tenant's keys that do not open just now. Nothing of it left; the others go on.
		tell(error, "a message could not be made ready to leave; it waits");
		land(batch.id, afterDeferral(parcel, context.nowMs + unreadyMs));
		return;
	}
	void leaves.then(
		(outcome) => {
			if (parcel.apart) tellTrial(parts, batch, parcel, outcome);
			if (outcome.kind === "unknown") parts.lateAnswers.remember(parcel);
			land(batch.id, afterSubmit(parcel, outcome, context));
		},
		(error) => {
			tell(error, "a submit failed in an unforeseen way");
			const outcome = { kind: "unknown", reason: "connection_lost", carrierIds: [] } as const;
			land(batch.id, afterSubmit(parcel, outcome satisfies SubmitOutcome, context));
		},
	);
}

/** For whoever looks for the message that ends connections. */
function tellTrial(
	{ log }: DispatchParts,
	{ parcels }: Batch,
	{ messageId, routeId, attempt }: Parcel,
	outcome: SubmitOutcome,
): void {
	if (outcome.kind !== "unknown" || outcome.reason !== "connection_lost") return;
	const submits = attempt + 1;
	log.warn(
		{
			event: "smpp.suspect",
			message_id: messageId,
			route_id: routeId,
			submits,
			beside: parcels.length - 1,
		},
		"the connection ended again when this message was submitted apart from others",
	);
}

/** By batch that is still ours: what is known of its messages, in the order of its parcels. */
type Started = ReadonlyMap<string, readonly Known[]>;

/**
 * Persists that these batches are being sent, and reads fresh facts; again and again while the database is away, until
 * the lease has run out or there is a stop.
 */
async function start(parts: OwnParts, batches: readonly Batch[]): Promise<Started> {
	const startedAtMs = parts.clock.now();
	const subjects = batches.flatMap((batch) =>
		batch.parcels.map((parcel) => subjectOf(parcel, startedAtMs)),
	);
	const tenants = [...new Set(batches.map((batch) => batch.tenantId))];
	for (;;) {
		try {
			// What has waited for its carrier for long may outlive its tenant's keys in memory; renewing needs them.
			await parts.vault.warm(tenants, briefMs);
			return await parts.worker.inTenants(tenants, async (tx) => {
				const [ours, gathered] = await Promise.all([
					startBatches(
						tx,
						batches.map((batch) => batch.id),
						parts.owner,
						startedAtMs,
						startedAtMs + leaseMs,
					),
					gatherFacts(tx, subjects),
				]);
				let next = 0;
				const known = batches.map(({ id, parcels }) => {
					const from = next;
					next += parcels.length;
					return [id, gathered.slice(from, next)] as const;
				});
				return new Map(known.filter(([id]) => ours.has(id)));
			});
		} catch (error) {
			parts.log.error({ err: error }, "batches could not be started; trying again");
			await new Promise((resolve) => void setTimeout(resolve, retryMs));
			if (parts.isStopping() || parts.clock.now() > startedAtMs + leaseMs) return new Map();
		}
	}
}

function subjectOf(parcel: Parcel, at: number): Subject {
	return {
		tenantId: parcel.tenantId,
		environment: parcel.environment,
		messageId: parcel.messageId,
		recipient: parcel.addressIndex,
		suppressionIndex: parcel.suppressionIndex,
		bodyDigest: parcel.bodyDigest,
		class: classOfNumber(parcel.class) ?? "promotional",
		senderIndex: parcel.senderIndex,
		country: parcel.country,
		dlt: parcel.dlt,
		at,
	};
}

/** What ends or delays the parcel instead of sending it; undefined when it may go. */
function judge(
	parts: DispatchParts,
	parcel: Parcel,
	facts: Facts,
	context: EffectContext,
	renewed: NewDecision[],
): Effects | undefined {
	if (parcel.abandoned) return afterAbandoning(parcel, context);
	if (context.nowMs >= parcel.expiresAtMs) return afterExpiry(parcel, context);
	const standing = stillClear(parcel.clearance, facts);
	if (standing.kind === "clear") return undefined;
	if (
		standing.kind === "stale" &&
		(standing.why === "forged" || standing.why === "other_message")
	) {
		parts.log.error(
			{ message_id: parcel.messageId, why: standing.why },
			"a message came to dispatch with a clearance that is not its own",
		);
		return afterDispatchRefusal(parcel, "fact_missing", context);
	}
	// At the time of the facts: a clock set back since then would make it a standing clearance, which is not usable.
	const outcome = renew(facts, parts.vault, facts.now);
	const decision: NewDecision = {
		tenantId: parcel.tenantId,
		environment: parcel.environment,
		messageId: parcel.messageId,
		ruleset: outcome.ruleset,
		verdicts: outcome.verdicts,
		outcome: outcome.kind,
		untilMs: outcome.kind === "deferred" ? outcome.until : null,
	};
	switch (outcome.kind) {
		case "cleared":
			renewed.push(decision);
			return undefined;
		case "refused":
			return {
				...afterDispatchRefusal(parcel, errorOfRefusal[outcome.refusal.code], context),
				decision,
			};
		case "deferred":
			return {
				...(outcome.until >= parcel.expiresAtMs
					? afterExpiry(parcel, context)
					: afterDeferral(parcel, outcome.until)),
				decision,
			};
	}
}

/** What was judged anew and cleared is told in the message's decisions; the message does not wait for it. */
async function storeRenewed(parts: DispatchParts, renewed: readonly NewDecision[]): Promise<void> {
	try {
		await parts.worker.inTenants([...new Set(renewed.map((row) => row.tenantId))], async (tx) =>
			insertDecisions(tx, parts.clock.now(), renewed),
		);
	} catch (error) {
		parts.log.error({ err: error }, "renewed clearances could not be stored");
	}
}
