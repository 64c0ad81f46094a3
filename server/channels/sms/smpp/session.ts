/**
 * One SMPP connection, as ESME or as SMSC (v3.4 §2): matches responses to requests, times them,
 * keeps the link alive, answers what is malformed, and holds back when the other side is slow. It
 * knows nothing of binds, messages or reconnecting. Nothing the peer sends can make it throw, and
 * everything it holds is bounded.
 */
import type { Socket } from "node:net";
import type { Clock } from "#platform/clock.ts";
import { commandIds, responseBit } from "./command.ts";
import { createFramer, type Framer } from "./frame.ts";
import { createOutlet, type Outlet } from "./outlet.ts";
import { decode, type DecodeFailure, type Pdu } from "./pdu.ts";
import { nack, refusal } from "./refusal.ts";
import { status } from "./status.ts";

export type Answer =
	| { readonly kind: "response"; readonly pdu: Pdu }
	/** No answer within the response timeout. */
	| { readonly kind: "timeout" }
	/** The connection ended after the octets were handed to the socket. */
	| { readonly kind: "lost" }
	/** The connection ended before: nothing has left. */
	| { readonly kind: "unsent" }
	/** The answer came after "timeout" had been given; the second and last call. */
	| { readonly kind: "late"; readonly pdu: Pdu };

export type CloseReason =
	| "peer_closed"
	| "peer_unbound"
	| "unbound"
	| "closed"
	| "socket_error"
	/** enquire_link was not answered. */
	| "silent"
	| "inactive"
	/** The octets are not SMPP, or too many PDUs were malformed. */
	| "garbage"
	/** The peer does not read what it asks for. */
	| "flooded";

export interface SessionTimers {
	readonly responseTimeoutMs: number;
	/** enquire_link is sent after so long without a PDU of the peer that makes sense; 0: never. */
	readonly enquireLinkMs: number;
	/** How long the peer may then say nothing that does. */
	readonly enquireTimeoutMs: number;
	/** Closes after so long without a PDU of the peer that makes sense; 0: never. */
	readonly inactivityMs: number;
}

export const defaultTimers: SessionTimers = {
	responseTimeoutMs: 30_000,
	enquireLinkMs: 30_000,
	enquireTimeoutMs: 10_000,
	inactivityMs: 0,
};

export interface SessionCounts {
	/** Responses to a sequence that waits for none. */
	unmatched: number;
	timeouts: number;
	lateAnswers: number;
	/** PDUs that could not be read, or that answer another command than was asked. */
	protocolErrors: number;
}

export interface SessionParts {
	/** Connected (and, for TLS, past its handshake). */
	readonly socket: Socket;
	readonly clock: Clock;
	/** An SMSC stops reading while its own answers do not leave; an ESME must not, or both would wait. */
	readonly role: "esme" | "smsc";
	readonly timers: SessionTimers;
	/** A request of the peer, to be answered with `answer`; enquire_link and unbind never come here. */
	readonly onRequest: (pdu: Pdu) => void;
	readonly onDrain: () => void;
	/** Called once, after every request has been settled. */
	readonly onClose: (reason: CloseReason) => void;
}

export interface Session {
	/**
	 * Sends a request; its sequence number is given here. `settle` is called once (and once more for
	 * a late answer), never from within this call. False: the session is closed and nothing was done.
	 */
	request(pdu: Pdu, settle: (answer: Answer) => void): boolean;
	/** Sends the response to a request that came through `onRequest`; dropped when closed. */
	answer(pdu: Pdu): void;
	/** The peer is slow: send no requests until `onDrain`. */
	blocked(): boolean;
	outstanding(): number;
	counts(): Readonly<SessionCounts>;
	/** unbind, then the end of the connection; at the latest after `timeoutMs`. Resolves when closed. */
	unbind(timeoutMs: number): Promise<void>;
	close(reason?: CloseReason): void;
}

/** Requests of the peer handed up and not answered yet, before reading stops. */
const unansweredMax = 1_000;
/** Octets waiting for a peer that does not read. */
const waitingBytesMax = 4 * 1024 * 1024;
/** Malformed PDUs before the connection is given up. */
const protocolErrorsMax = 100;
/** Timed-out requests remembered for their late answer. */
const lateMax = 1_000;

interface Pending {
	/** Gone once it was called for the last time: see `settle`. */
	settle: ((answer: Answer) => void) | undefined;
	/** The command id of the only response that fits. */
	readonly expects: number;
	/** When the octets were handed over, by `clock.elapsed`; undefined: they wait. */
	sentAtMs: number | undefined;
}

interface State {
	readonly parts: SessionParts;
	readonly outlet: Outlet;
	readonly framer: Framer;
	readonly pending: Map<number, Pending>;
	readonly late: Map<number, Pending>;
	readonly counts: SessionCounts;
	readonly closed: (() => void)[];
	waiting: Pending[];
	sequence: number;
	unanswered: number;
	paused: boolean;
	heardAtMs: number;
	/** When reading began again after a pause: answers that waited in the socket are not late. */
	resumedAtMs: number;
	enquiredAtMs: number | undefined;
	reason: CloseReason | undefined;
	ended: boolean;
	tick: NodeJS.Timeout | undefined;
	linger: NodeJS.Timeout | undefined;
}

/** Takes over a connected socket. */
export function createSession(parts: SessionParts): Session {
	const { socket, clock } = parts;
	const state: State = {
		parts,
		outlet: createOutlet(socket, {
			onHandedOver: () => markSent(state),
			onDrain: () => {
				adjustReading(state);
				parts.onDrain();
			},
		}),
		framer: createFramer(),
		pending: new Map(),
		late: new Map(),
		counts: { unmatched: 0, timeouts: 0, lateAnswers: 0, protocolErrors: 0 },
		closed: [],
		waiting: [],
		sequence: 0,
		unanswered: 0,
		paused: false,
		heardAtMs: clock.elapsed(),
		resumedAtMs: Number.NEGATIVE_INFINITY,
		enquiredAtMs: undefined,
		reason: undefined,
		ended: false,
		tick: undefined,
		linger: undefined,
	};
	socket.setNoDelay(true);
	socket.on("data", (chunk: Buffer) => hear(state, chunk));
	socket.on("error", () => void (state.reason ??= "socket_error"));
	socket.on("close", () => finish(state));
	if (socket.destroyed) setImmediate(() => finish(state));
	// The check waits for the poll phase: after a stall, what has already arrived is read first.
	state.tick = setInterval(() => setImmediate(() => check(state)), tickMs(parts.timers)).unref();
	return {
		request: (pdu, settle) => request(state, pdu, settle),
		answer: (pdu) => answer(state, pdu),
		blocked: () => state.outlet.blocked(),
		outstanding: () => state.pending.size,
		counts: () => state.counts,
		unbind: (timeoutMs) => unbind(state, timeoutMs),
		close: (reason = "closed") => shut(state, reason),
	};
}

function tickMs(timers: SessionTimers): number {
	const due = [
		timers.responseTimeoutMs,
		timers.enquireLinkMs,
		timers.enquireTimeoutMs,
		timers.inactivityMs,
	];
	return Math.min(1_000, Math.max(10, Math.min(...due.filter((ms) => ms > 0)) / 4));
}

function request(state: State, pdu: Pdu, settle: (answer: Answer) => void): boolean {
	if (state.ended || state.reason !== undefined) return false;
	const sequence = state.sequence >= 0x7fffffff ? 1 : state.sequence + 1;
	state.outlet.put(pdu, sequence);
	state.sequence = sequence;
	const asked = pdu.command === "other" ? pdu.commandId : commandIds[pdu.command];
	const pending: Pending = { settle, expects: (asked | responseBit) >>> 0, sentAtMs: undefined };
	state.pending.set(sequence, pending);
	state.waiting.push(pending);
	return true;
}

function answer(state: State, pdu: Pdu): void {
	if (state.unanswered > 0) state.unanswered--;
	reply(state, pdu);
	adjustReading(state);
}

function reply(state: State, pdu: Pdu): void {
	if (state.ended || state.reason !== undefined) return;
	state.outlet.put(pdu, pdu.sequence);
	if (state.outlet.waitingBytes() > waitingBytesMax) shut(state, "flooded");
}

function markSent(state: State): void {
	const now = state.parts.clock.elapsed();
	for (const pending of state.waiting) pending.sentAtMs = now;
	state.waiting = [];
}

function hear(state: State, chunk: Buffer): void {
	const fault = state.framer.push(chunk, (octets) => {
		if (state.reason !== undefined) return false;
		const result = decode(octets);
		if (result.ok) take(state, result.pdu);
		else refuse(state, result);
		return state.reason === undefined;
	});
	if (fault !== undefined && state.reason === undefined) {
		state.counts.protocolErrors++;
		reply(state, nack(0, status.invalidCommandLength));
		end(state, "garbage");
	}
	adjustReading(state);
}

/**
 * The peer lives and we understand each other. Octets alone prove neither: on a stream whose framing is lost
 * the peer goes on talking, and nothing it says is ever an answer.
 */
function understood(state: State): void {
	state.heardAtMs = state.parts.clock.elapsed();
	state.enquiredAtMs = undefined;
}

function take(state: State, pdu: Pdu): void {
	const id = pdu.command === "other" ? pdu.commandId : commandIds[pdu.command];
	if (id >= responseBit) return match(state, id, pdu);
	if (pdu.command !== "other") understood(state);
	if (pdu.command === "enquire_link")
		return reply(state, {
			command: "enquire_link_resp",
			sequence: pdu.sequence,
			status: status.ok,
		});
	if (pdu.command === "unbind") {
		reply(state, { command: "unbind_resp", sequence: pdu.sequence, status: status.ok });
		return end(state, "peer_unbound");
	}
	state.unanswered++;
	state.parts.onRequest(pdu);
}

function match(state: State, id: number, pdu: Pdu): void {
	const fits = (pending: Pending): boolean =>
		id === commandIds.generic_nack || id === pending.expects;
	const pending = state.pending.get(pdu.sequence);
	if (pending !== undefined && fits(pending)) {
		state.pending.delete(pdu.sequence);
		understood(state);
		return settle(pending, { kind: "response", pdu });
	}
	const late = state.late.get(pdu.sequence);
	if (late !== undefined && fits(late)) {
		state.late.delete(pdu.sequence);
		state.counts.lateAnswers++;
		understood(state);
		return settle(late, { kind: "late", pdu });
	}
	if (pending === undefined && late === undefined) state.counts.unmatched++;
	else state.counts.protocolErrors++;
}

/**
 * The last call for a request. What it leads to, a whole message, is let go: V8 leaves the table that a Map outgrew, or had
 * too many holes in, with all that was in it and with a reference to the next one, so that in a Map of which much is
 * deleted the young generation's collector finds everything that ever was in it.
 */
function settle(pending: Pending, answer: Answer): void {
	const { settle: tell } = pending;
	pending.settle = undefined;
	tell?.(answer);
}

/** Answers a PDU that cannot be read. A malformed response is not answered: its request times out. */
function refuse(state: State, failure: DecodeFailure): void {
	if (++state.counts.protocolErrors > protocolErrorsMax) return shut(state, "garbage");
	if (failure.commandId >= responseBit) return;
	reply(state, refusal(failure));
}

function adjustReading(state: State): void {
	const { socket, role } = state.parts;
	const hold = state.unanswered >= unansweredMax || (role === "smsc" && state.outlet.blocked());
	if (hold === state.paused || state.ended) return;
	state.paused = hold;
	if (hold) socket.pause();
	else {
		// What waited in the socket meanwhile was not the peer's silence.
		state.heardAtMs = state.parts.clock.elapsed();
		state.resumedAtMs = state.heardAtMs;
		state.enquiredAtMs = undefined;
		socket.resume();
	}
}

function check(state: State): void {
	if (state.ended) return;
	const { clock, timers } = state.parts;
	const now = clock.elapsed();
	if (!state.paused) {
		expire(state, now);
		if (state.enquiredAtMs !== undefined && now - state.enquiredAtMs >= timers.enquireTimeoutMs)
			return shut(state, "silent");
		if (timers.inactivityMs > 0 && now - state.heardAtMs >= timers.inactivityMs)
			return shut(state, "inactive");
	}
	if (
		timers.enquireLinkMs > 0 &&
		state.enquiredAtMs === undefined &&
		now - state.heardAtMs >= timers.enquireLinkMs
	) {
		if (request(state, { command: "enquire_link", sequence: 0, status: 0 }, () => {}))
			state.enquiredAtMs = now;
	}
}

/** Requests are pending in the order they were sent, so the first that is in time ends the search. */
function expire(state: State, now: number): void {
	const { responseTimeoutMs } = state.parts.timers;
	for (const [sequence, pending] of state.pending) {
		if (pending.sentAtMs === undefined) return;
		if (now - Math.max(pending.sentAtMs, state.resumedAtMs) < responseTimeoutMs) return;
		state.pending.delete(sequence);
		state.counts.timeouts++;
		state.late.set(sequence, pending);
		if (state.late.size > lateMax) state.late.delete(state.late.keys().next().value as number);
		pending.settle?.({ kind: "timeout" });
	}
}

function unbind(state: State, timeoutMs: number): Promise<void> {
	if (state.ended) return Promise.resolve();
	const closed = new Promise<void>((resolve) => state.closed.push(resolve));
	const asked = request(state, { command: "unbind", sequence: 0, status: 0 }, (answered) => {
		if (answered.kind === "response" || answered.kind === "timeout") end(state, "unbound");
	});
	if (asked) state.outlet.flush();
	clearTimeout(state.linger);
	state.linger = setTimeout(() => shut(state, "unbound"), timeoutMs);
	return closed;
}

/** Lets what was put leave, then ends; a peer that does not end its side is cut off a second later. */
function end(state: State, reason: CloseReason): void {
	if (state.ended || state.reason !== undefined) return;
	state.outlet.flush();
	state.reason = reason;
	state.parts.socket.end();
	clearTimeout(state.linger);
	state.linger = setTimeout(() => state.parts.socket.destroy(), 1_000);
}

function shut(state: State, reason: CloseReason): void {
	state.reason ??= reason;
	state.parts.socket.destroy();
	finish(state);
}

function finish(state: State): void {
	if (state.ended) return;
	state.ended = true;
	clearInterval(state.tick);
	clearTimeout(state.linger);
	state.outlet.close();
	const pending = [...state.pending.values()];
	state.pending.clear();
	state.late.clear();
	for (const one of pending) settle(one, { kind: one.sentAtMs === undefined ? "unsent" : "lost" });
	state.parts.onClose(state.reason ?? "peer_closed");
	for (const resolve of state.closed) resolve();
}
