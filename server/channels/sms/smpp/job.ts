/**
 * A message on its way through one bind: its parts, what became of each, and the one outcome that
 * follows. The rule behind every line: what may have reached the carrier is never called unsent.
 */
import type { SubmitSm } from "./pdu.ts";
import type { Answer } from "./session.ts";
import { readStatus, type StatusEntry } from "./status.ts";

/** `contradiction`: a nack that says nothing is wrong. */
export type Doubt = "timeout" | "connection_lost" | "contradiction";

export type SubmitOutcome =
	/** The carrier's id of each part, in order. */
	| { readonly kind: "accepted"; readonly carrierIds: readonly string[] }
	| {
			readonly kind: "refused";
			readonly commandStatus: number;
			readonly name: string;
			readonly disposition: "permanent" | "retry" | "throttled" | "route";
			/** Ids of the parts that were accepted all the same. */
			readonly carrierIds: readonly string[];
	  }
	/** It may have been taken, or not: nobody here can know. */
	| {
			readonly kind: "unknown";
			readonly reason: Doubt;
			readonly carrierIds: readonly string[];
	  }
	/** No octet left: safe to send elsewhere. */
	| { readonly kind: "unsent" };

export interface Job {
	readonly id: string;
	readonly pdus: readonly SubmitSm[];
	readonly settle: (outcome: SubmitOutcome) => void;
	/** The next part to send; `pdus.length` when there is no more to be sent. */
	next: number;
	/** Parts sent whose answer is due. */
	due: number;
	readonly carrierIds: (string | undefined)[];
	refusal: StatusEntry | undefined;
	doubt: Doubt | undefined;
	/** Whether any part has been handed to a socket. */
	left: boolean;
}

export function createJob(id: string, pdus: readonly SubmitSm[], settle: Job["settle"]): Job {
	const carrierIds: undefined[] = Array(pdus.length).fill(undefined);
	return {
		id,
		pdus,
		settle,
		next: 0,
		due: 0,
		carrierIds,
		refusal: undefined,
		doubt: undefined,
		left: false,
	};
}

/** Parts that are still to be sent. */
export function partsToSend(job: Job): number {
	return job.pdus.length - job.next;
}

/** Records what became of a part. After the first trouble the job's other parts are not sent. */
export function recordAnswer(
	job: Job,
	part: number,
	answer: Exclude<Answer, { kind: "late" }>,
	refusals: ReadonlyMap<number, StatusEntry>,
): void {
	job.due--;
	if (answer.kind !== "unsent") job.left = true;
	if (answer.kind === "response") {
		const { pdu } = answer;
		const code = "status" in pdu ? pdu.status : 0;
		if (pdu.command === "submit_sm_resp" && code === 0) job.carrierIds[part] = pdu.messageId;
		else if (code === 0) job.doubt ??= "contradiction";
		else keepRefusal(job, readStatus(code, refusals));
	} else if (answer.kind === "timeout") job.doubt ??= "timeout";
	else if (answer.kind === "lost") job.doubt ??= "connection_lost";
	if (job.carrierIds[part] === undefined) abandon(job);
	settleWhenDone(job);
}

/**
 * The answer to a part that was given up, while others are still due: the carrier has it after all. False when the
 * job has its outcome, so that somebody else must be told.
 */
export function recordLateAnswer(job: Job, part: number, carrierId: string): boolean {
	if (isDone(job)) return false;
	job.carrierIds[part] = carrierId;
	return true;
}

/** Sends no more of it. */
export function abandon(job: Job): void {
	job.next = job.pdus.length;
}

/** The first refusal counts, unless a later part is refused for good. */
function keepRefusal(job: Job, entry: StatusEntry): void {
	if (
		job.refusal === undefined ||
		(job.refusal.disposition !== "permanent" && entry.disposition === "permanent")
	)
		job.refusal = entry;
}

export function settleWhenDone(job: Job): void {
	if (isDone(job)) job.settle(outcomeOf(job));
}

/** No part is due, and none is still to be sent. */
function isDone(job: Job): boolean {
	return job.due === 0 && job.next >= job.pdus.length;
}

/**
 * A part refused for good decides: the message cannot become whole. A doubt outweighs a refusal that
 * invites another try, because that try might be the second delivery.
 */
function outcomeOf(job: Job): SubmitOutcome {
	const carrierIds = job.carrierIds.filter((id) => id !== undefined);
	const { refusal, doubt } = job;
	// Whatever was in doubt has been answered since.
	if (carrierIds.length === job.pdus.length) return { kind: "accepted", carrierIds };
	if (refusal !== undefined && (refusal.disposition === "permanent" || doubt === undefined)) {
		const disposition = refusal.disposition === "bind" ? "route" : refusal.disposition;
		return {
			kind: "refused",
			commandStatus: refusal.code,
			name: refusal.name,
			disposition,
			carrierIds,
		};
	}
	if (doubt !== undefined) return { kind: "unknown", reason: doubt, carrierIds };
	if (!job.left) return { kind: "unsent" };
	return { kind: "unknown", reason: "connection_lost", carrierIds };
}
