/**
 * Sending over a bind: one job at a time is written, inside the carrier's window and rate, so that the
 * parts of a message leave in order with nothing between them; answers to earlier jobs may still be
 * due. Nothing is ever sent twice.
 */
import { type Job, partsToSend, recordAnswer, recordLateAnswer } from "./job.ts";
import type { LinkMemory } from "./link-state.ts";
import type { Pdu } from "./pdu.ts";
import type { Answer, Session } from "./session.ts";
import { readStatus, status } from "./status.ts";

export function canSubmit(inner: LinkMemory): boolean {
	return inner.state === "bound" && inner.parts.settings.mode !== "receiver";
}

export function windowFree(inner: LinkMemory): number {
	return inner.parts.settings.window - inner.outstanding;
}

/** Slots for a new job: none while another is being written or the socket is full. */
export function slots(inner: LinkMemory): number {
	if (!canSubmit(inner) || inner.stopping || inner.current !== undefined) return 0;
	return inner.session?.blocked() === false ? Math.max(0, windowFree(inner)) : 0;
}

export function progress(inner: LinkMemory): void {
	const { session, current: job } = inner;
	if (job === undefined || session === undefined || !canSubmit(inner)) return;
	while (partsToSend(job) > 0 && windowFree(inner) > 0 && !session.blocked()) {
		const now = inner.parts.clock.elapsed();
		if (!inner.pace.take(now) || !send(inner, session, job, now)) break;
	}
	if (partsToSend(job) === 0) inner.current = undefined;
}

function send(inner: LinkMemory, session: Session, job: Job, nowMs: number): boolean {
	const part = job.next;
	const pdu = job.pdus[part] as Pdu;
	const sent = session.request(pdu, (answer) => answered(inner, job, part, nowMs, answer));
	if (!sent) return false;
	job.next++;
	job.due++;
	inner.outstanding++;
	inner.counts.submitted++;
	return true;
}

function answered(
	inner: LinkMemory,
	job: Job,
	part: number,
	sentAtMs: number,
	answer: Answer,
): void {
	if (answer.kind === "late") return late(inner, job, part, answer.pdu);
	inner.outstanding--;
	if (answer.kind === "response") {
		watchRoundTrip(inner, inner.parts.clock.elapsed() - sentAtMs);
		judge(inner, sentAtMs, answer.pdu);
	}
	recordAnswer(job, part, answer, inner.parts.settings.dialect.refusals);
	if (inner.current === job && partsToSend(job) === 0) inner.current = undefined;
	if (inner.outstanding === 0) inner.idle?.();
	progress(inner);
	inner.parts.onFree();
}

/** Nearer to the short ones: many answers take long because many submits left together. */
function watchRoundTrip(inner: LinkMemory, tookMs: number): void {
	const known = inner.roundTripMs;
	inner.roundTripMs = known === 0 ? tookMs : known + (tookMs - known) / (tookMs < known ? 4 : 64);
}

/** What a refusal says about the bind rather than about the message. */
function judge(inner: LinkMemory, sentAtMs: number, pdu: Pdu): void {
	const code = "status" in pdu ? pdu.status : 0;
	if (code === 0) return;
	const entry = readStatus(code, inner.parts.settings.dialect.refusals);
	if (!entry.known) inner.counts.unknownStatuses++;
	if (entry.disposition === "throttled") {
		inner.counts.throttled++;
		inner.pace.slow(sentAtMs, inner.parts.clock.elapsed());
	}
	if (code === status.invalidBindStatus) {
		// The SMSC has forgotten the bind. Not from within the reading of its answer.
		setImmediate(() => inner.session?.close());
	}
}

function late(inner: LinkMemory, job: Job, part: number, pdu: Pdu): void {
	const commandStatus = "status" in pdu ? pdu.status : 0;
	const carrierId = pdu.command === "submit_sm_resp" ? pdu.messageId : "";
	if (commandStatus === 0 && carrierId !== "" && recordLateAnswer(job, part, carrierId)) return;
	inner.parts.onLateAnswer({ submissionId: job.id, part, commandStatus, carrierId });
}
