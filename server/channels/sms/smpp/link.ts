/**
 * One bind of a route, kept standing: connects, binds, answers the SMSC, comes back by itself after a
 * loss, and stops in good order. Credentials that are refused are not hammered: carriers lock accounts.
 */
import { backoffMs, refusedMs } from "./backoff.ts";
import { openSocket } from "./connect.ts";
import { abandon, partsToSend, settleWhenDone } from "./job.ts";
import { countsOf, type Link, type LinkMemory, type LinkParts, setState } from "./link-state.ts";
import { canSubmit, progress, slots, windowFree } from "./link-submit.ts";
import { createPace } from "./pace.ts";
import type { BindCommand, Pdu } from "./pdu.ts";
import { notServed } from "./refusal.ts";
import { type CloseReason, createSession, type Session } from "./session.ts";
import { status, statusName } from "./status.ts";

export function createLink(parts: LinkParts): Link {
	const inner: LinkMemory = {
		parts,
		pace: createPace(parts.settings.tps),
		counts: {
			submitted: 0,
			throttled: 0,
			unknownStatuses: 0,
			delivered: 0,
			notDelivered: 0,
			timeouts: 0,
			lateAnswers: 0,
			unmatched: 0,
			protocolErrors: 0,
			connects: 0,
		},
		state: "connecting",
		session: undefined,
		current: undefined,
		outstanding: 0,
		roundTripMs: 0,
		failures: 0,
		isExcused: false,
		refusals: 0,
		boundAtMs: undefined,
		lastFailure: undefined,
		timer: undefined,
		stopping: false,
		aborted: new AbortController(),
		idle: undefined,
	};
	void connect(inner);
	return {
		mode: parts.settings.mode,
		get counts() {
			return countsOf(inner);
		},
		state: () => inner.state,
		outstanding: () => inner.outstanding,
		free: (nowMs, kept) => Math.max(0, Math.min(slots(inner) - kept, inner.pace.available(nowMs))),
		waitMs: (nowMs) => (windowFree(inner) > 0 && canSubmit(inner) ? inner.pace.waitMs(nowMs) : 0),
		rate: (nowMs) => inner.pace.rate(nowMs),
		share: (part, nowMs) => inner.pace.share(part, nowMs),
		roundTripMs: () => inner.roundTripMs,
		excuse: (isExcused) => void (inner.isExcused = isExcused),
		take(job) {
			inner.current = job;
			progress(inner);
		},
		busy: () => inner.current !== undefined,
		progress: () => progress(inner),
		stop: (graceMs) => stop(inner, graceMs),
		lastFailure: () => inner.lastFailure,
	};
}

async function connect(inner: LinkMemory): Promise<void> {
	const { settings, clock, reach } = inner.parts;
	setState(inner, "connecting", "");
	inner.counts.connects++;
	const connected = await openSocket(settings.target, {
		timeoutMs: settings.connectTimeoutMs,
		signal: inner.aborted.signal,
		reach,
	});
	if (!connected.ok) return comeBack(inner, connected.reason);
	if (inner.stopping) return void connected.socket.destroy();
	const session = createSession({
		socket: connected.socket,
		clock,
		role: "esme",
		timers: settings.timers,
		onRequest: (pdu) => serve(inner, session, pdu),
		onDrain: () => {
			progress(inner);
			inner.parts.onFree();
		},
		onClose: (reason) => closed(inner, session, reason),
	});
	inner.session = session;
	bind(inner, session);
}

/** Answers to a bind that repeating will not change and that may lock the account out. */
const credentialRefusals: ReadonlySet<number> = new Set([
	status.bindFailed,
	status.invalidPassword,
	status.invalidSystemId,
	status.invalidSystemType,
]);

function bind(inner: LinkMemory, session: Session): void {
	const { dialect, mode, systemId, password } = inner.parts.settings;
	const command: BindCommand = `bind_${mode}`;
	session.request(
		{
			command,
			sequence: 0,
			systemId,
			password,
			systemType: dialect.systemType,
			interfaceVersion: dialect.interfaceVersion,
			addressTon: 0,
			addressNpi: 0,
			addressRange: "",
			tlvs: [],
		},
		(answer) => {
			if (answer.kind === "late" || answer.kind === "lost" || answer.kind === "unsent") return;
			const code =
				answer.kind === "response" && "status" in answer.pdu ? answer.pdu.status : undefined;
			if (code === 0 && answer.kind === "response" && answer.pdu.command !== "generic_nack")
				return bound(inner);
			inner.lastFailure = code === undefined ? "bind_timeout" : statusName(code);
			if (code !== undefined && credentialRefusals.has(code)) inner.refusals++;
			session.close();
		},
	);
}

function bound(inner: LinkMemory): void {
	inner.boundAtMs = inner.parts.clock.elapsed();
	inner.refusals = 0;
	inner.lastFailure = undefined;
	setState(inner, "bound", "");
	inner.parts.onFree();
}

function closed(inner: LinkMemory, session: Session, reason: CloseReason): void {
	const last = session.counts();
	for (const name of ["timeouts", "lateAnswers", "unmatched", "protocolErrors"] as const)
		inner.counts[name] += last[name];
	inner.session = undefined;
	const job = inner.current;
	inner.current = undefined;
	inner.idle?.();
	comeBack(inner, inner.state === "bound" ? reason : (inner.lastFailure ?? reason));
	if (job !== undefined) {
		// Parts already sent were settled by the session; the others never left.
		const wasOpen = partsToSend(job) > 0;
		abandon(job);
		if (wasOpen) settleWhenDone(job);
	}
	inner.parts.onFree();
}

/** Plans the next attempt. */
function comeBack(inner: LinkMemory, reason: string): void {
	if (inner.stopping) return setState(inner, "stopped", reason);
	const { clock, random, settings } = inner.parts;
	const stoodMs = inner.boundAtMs === undefined ? 0 : clock.elapsed() - inner.boundAtMs;
	inner.boundAtMs = undefined;
	const isFirst = inner.isExcused || stoodMs >= settings.backoff.steadyMs;
	inner.failures = isFirst ? 1 : inner.failures + 1;
	inner.lastFailure = reason;
	const refused = inner.refusals >= settings.backoff.refusalsMax;
	setState(inner, refused ? "refused" : "waiting", reason);
	const waitMs = refused
		? refusedMs(settings.backoff, random)
		: backoffMs(inner.failures, settings.backoff, random);
	clearTimeout(inner.timer);
	inner.timer = setTimeout(() => void connect(inner), waitMs).unref();
}

/** A request of the SMSC. deliver_sm is answered when it is safely kept, and not before. */
function serve(inner: LinkMemory, session: Session, pdu: Pdu): void {
	if (pdu.command !== "deliver_sm") {
		const answer = notServed(pdu);
		if (answer !== undefined) session.answer(answer);
		return;
	}
	const reply = (commandStatus: number): void =>
		session.answer({
			command: "deliver_sm_resp",
			sequence: pdu.sequence,
			status: commandStatus,
			messageId: "",
			tlvs: [],
		});
	if (inner.state !== "bound") return reply(status.invalidBindStatus);
	const kept = (): void => {
		inner.counts.delivered++;
		reply(status.ok);
	};
	const notKept = (): void => {
		inner.counts.notDelivered++;
		reply(status.temporaryError);
	};
	try {
		inner.parts.onDeliver(pdu).then(kept, notKept);
	} catch {
		notKept();
	}
}

async function stop(inner: LinkMemory, graceMs: number): Promise<void> {
	if (inner.stopping) return;
	inner.stopping = true;
	clearTimeout(inner.timer);
	inner.aborted.abort();
	const { session } = inner;
	if (session === undefined) return setState(inner, "stopped", "stopped");
	if (inner.outstanding > 0 || inner.current !== undefined) {
		const { promise, resolve } = Promise.withResolvers<void>();
		const timer = setTimeout(resolve, graceMs);
		inner.idle = () => {
			if (inner.current === undefined || inner.session === undefined) resolve();
		};
		await promise;
		clearTimeout(timer);
	}
	if (inner.session === undefined) return;
	if (inner.state === "bound") await session.unbind(Math.min(5_000, Math.max(graceMs, 100)));
	else session.close();
}
