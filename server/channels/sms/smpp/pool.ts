/**
 * A route's binds as one: gives each message to the bind with most room, tells the caller how much
 * could leave now, and gives every message exactly one outcome. It retries nothing by itself: what the
 * carrier refused goes back to the caller, who knows the message's policy.
 */
import type { Clock } from "#platform/clock.ts";
import type { Secret } from "#platform/hidden.ts";
import type { Random } from "#platform/ids.ts";
import { type BackoffSettings, defaultBackoff } from "./backoff.ts";
import type { Reach, TlsSettings } from "./connect.ts";
import type { Dialect } from "./dialect.ts";
import { createJob, type SubmitOutcome } from "./job.ts";
import { createJobQueue, type JobQueue, withdrawUnsent } from "./job-queue.ts";
import { createLink } from "./link.ts";
import type { LateAnswer, Link, LinkCounts, LinkMode, LinkState } from "./link-state.ts";
import type { DeliverSm } from "./pdu.ts";
import { defaultTimers, type SessionTimers } from "./session.ts";
import { buildSubmits, type SmsSubmission } from "./submission.ts";
import { createTrials, type Trials } from "./trial.ts";

export interface SmppRoute {
	readonly host: string;
	readonly port: number;
	/** undefined: plain. */
	readonly tls: TlsSettings | undefined;
	readonly systemId: string;
	readonly password: Secret;
	readonly dialect: Dialect;
	/** How many binds of each mode. */
	readonly binds: Readonly<Record<LinkMode, number>>;
	/** submit_sm without an answer, per bind. */
	readonly window: number;
	/** submit_sm a second, per bind; 0: no limit. `share` says which part of it is ours. */
	readonly tps: number;
	readonly connectTimeoutMs?: number;
	readonly timers?: Partial<SessionTimers>;
	readonly backoff?: Partial<BackoffSettings>;
	/** Messages waiting for a bind, at most; more are given back unsent. */
	readonly queueMax?: number;
}

export interface Deliver {
	readonly routeId: string;
	/** Its octets are views over what was read from the socket: copy what you keep. */
	readonly pdu: DeliverSm;
}

export interface BindEvent {
	readonly routeId: string;
	readonly bind: number;
	readonly mode: LinkMode;
	readonly state: LinkState;
	/** Why, in one word or status name; "" when there is nothing to say. */
	readonly reason: string;
}

export interface PoolParts {
	readonly routeId: string;
	readonly route: SmppRoute;
	readonly clock: Clock;
	readonly random: Random;
	readonly reach?: Reach;
	/** Answered ESME_ROK when it resolves, ESME_RX_T_APPN when it rejects: the SMSC then tries again. */
	readonly onDeliver: (deliver: Deliver) => Promise<void>;
	/** The answer to a part whose outcome was given as unknown. */
	readonly onLateAnswer?: (late: LateAnswer) => void;
	readonly onBind?: (event: BindEvent) => void;
}

/** What a pool hears from the carrier; see `PoolParts`. */
export type PoolHandlers = Required<Pick<PoolParts, "onDeliver" | "onLateAnswer">>;

export interface BindState {
	readonly mode: LinkMode;
	readonly state: LinkState;
	readonly outstanding: number;
	/** submit_sm a second allowed at present; undefined: no limit. */
	readonly rate: number | undefined;
	readonly lastFailure: string | undefined;
}

export interface PoolState {
	/** Bound when any bind stands; refused when all are. */
	readonly state: "bound" | "connecting" | "refused" | "stopped";
	readonly binds: readonly BindState[];
	/** Messages waiting for a bind. */
	readonly queued: number;
	readonly outstanding: number;
	readonly counts: Readonly<LinkCounts>;
	readonly outcomes: Readonly<Record<SubmitOutcome["kind"], number>>;
}

export interface SmppPool {
	/**
	 * Sends one message over one bind, its parts in order with nothing between them. Never rejects.
	 * With no bind standing, or too much queued, the outcome is "unsent" at once.
	 */
	submit(submission: SmsSubmission): Promise<SubmitOutcome>;
	/**
	 * The same for a suspect: it leaves with nothing beside it but what is given so in the same turn. Only while
	 * `trialRoom()` is not 0.
	 */
	submitApart(submission: SmsSubmission): Promise<SubmitOutcome>;
	/** Suspects that may be given now, to leave together; 0 while others are tried, or none may be. */
	trialRoom(): number;
	/** Suspects that should leave together at present: 1, unless the carrier is slow to answer. */
	trialSize(): number;
	/** Parts that are urgent and could leave now without waiting. */
	room(): number;
	/**
	 * Parts that are not urgent and could leave now: without what is kept of each bind's window for what is, a sixteenth,
	 * 32 parts at most.
	 */
	commonRoom(): number;
	/** Calls `listener`, at most once a turn, when there is room that there was not. */
	onRoom(listener: () => void): void;
	/** Which part of the route's rate is ours, 0 to 1, when other processes bind with the same account. */
	share(part: number): void;
	state(): PoolState;
	/** Takes nothing more, waits for what is under way, unbinds. Idempotent. */
	stop(graceMs: number): Promise<void>;
}

const queueMaxDefault = 10_000;
const keptMax = 32;

interface Inner {
	readonly parts: PoolParts;
	readonly queueMax: number;
	readonly links: Link[];
	readonly listeners: (() => void)[];
	readonly outcomes: Record<SubmitOutcome["kind"], number>;
	/** Goes before `ordinary`, into all of the window. */
	readonly urgent: JobQueue;
	readonly ordinary: JobQueue;
	/** Parts of each bind's window that are to stay free for what is urgent. */
	readonly kept: number;
	readonly trials: Trials<Link>;
	/** Where the search for a bind begins, so that equals take turns. */
	first: number;
	turn: NodeJS.Immediate | undefined;
	paceTimer: NodeJS.Timeout | undefined;
	stopped: Promise<void> | undefined;
}

/** Starts binding at once. */
export function createSmppPool(parts: PoolParts): SmppPool {
	const inner: Inner = {
		parts,
		queueMax: parts.route.queueMax ?? queueMaxDefault,
		links: [],
		listeners: [],
		outcomes: { accepted: 0, refused: 0, unknown: 0, unsent: 0 },
		urgent: createJobQueue(),
		ordinary: createJobQueue(),
		kept: Math.min(keptMax, Math.floor(parts.route.window / 16)),
		trials: createTrials({
			clock: parts.clock,
			binds: () => inner.links,
			onChange: () => schedule(inner),
		}),
		first: 0,
		turn: undefined,
		paceTimer: undefined,
		stopped: undefined,
	};
	for (const mode of ["transceiver", "transmitter", "receiver"] as const)
		for (let count = parts.route.binds[mode]; count > 0; count--) addLink(inner, mode);
	return {
		submit: (submission) => submit(inner, submission, false),
		submitApart: (submission) => submit(inner, submission, true),
		trialRoom: () => inner.trials.room(),
		trialSize: () => inner.trials.size(),
		room: () => room(inner),
		commonRoom: () => commonRoom(inner),
		onRoom: (listener) => void inner.listeners.push(listener),
		share(part) {
			for (const link of inner.links) link.share(part, parts.clock.elapsed());
			schedule(inner);
		},
		state: () => stateOf(inner),
		stop: (graceMs) => (inner.stopped ??= stop(inner, graceMs)),
	};
}

function addLink(inner: Inner, mode: LinkMode): void {
	const { route, routeId, clock, random, reach, onDeliver, onLateAnswer, onBind } = inner.parts;
	const bind = inner.links.length;
	const link = createLink({
		settings: {
			target: { host: route.host, port: route.port, tls: route.tls },
			systemId: route.systemId,
			password: route.password.reveal(),
			mode,
			dialect: route.dialect,
			window: Math.max(1, route.window),
			tps: route.tps,
			connectTimeoutMs: route.connectTimeoutMs ?? 10_000,
			timers: { ...defaultTimers, ...route.timers },
			backoff: { ...defaultBackoff, ...route.backoff },
		},
		clock,
		random,
		reach,
		onDeliver: (pdu) => onDeliver({ routeId, pdu }),
		onLateAnswer: (late) => onLateAnswer?.(late),
		onFree: () => schedule(inner),
		onState: (state, reason) => onBind?.({ routeId, bind, mode, state, reason }),
	});
	inner.links.push(link);
}

function submit(inner: Inner, submission: SmsSubmission, isApart: boolean): Promise<SubmitOutcome> {
	const { route, clock } = inner.parts;
	const counted = (outcome: SubmitOutcome): SubmitOutcome => {
		inner.outcomes[outcome.kind]++;
		return outcome;
	};
	if (inner.stopped !== undefined || !anyBound(inner) || waiting(inner) >= inner.queueMax)
		return Promise.resolve(counted({ kind: "unsent" }));
	const built = buildSubmits(submission, route.dialect, clock);
	if (!built.ok) {
		const { commandStatus, name, disposition } = built;
		return Promise.resolve(
			counted({ kind: "refused", commandStatus, name, disposition, carrierIds: [] }),
		);
	}
	return new Promise((resolve) => {
		const job = createJob(submission.id, built.pdus, (outcome) => {
			if (isApart) inner.trials.settled(job, outcome);
			resolve(counted(outcome));
		});
		if (isApart) withdrawUnsent([inner.urgent, inner.ordinary], job.id);
		if (isApart) inner.trials.add(job);
		else (submission.urgent === true ? inner.urgent : inner.ordinary).put(job);
		pump(inner);
	});
}

function anyBound(inner: Inner): boolean {
	return inner.links.some((link) => link.mode !== "receiver" && link.state() === "bound");
}

function waiting(inner: Inner): number {
	return inner.urgent.waiting() + inner.ordinary.waiting();
}

/**
 * Goes on with the jobs at hand, then gives waiting ones to the binds: what is urgent first, then the oldest. A part may
 * have come due since its bind last looked: then there is no wait to arm a timer for, and nobody else would come.
 */
function pump(inner: Inner): void {
	const now = inner.parts.clock.elapsed();
	for (const link of inner.links) link.progress();
	inner.trials.tend();
	give(inner, inner.urgent, now, 0);
	if (inner.urgent.waiting() === 0) give(inner, inner.ordinary, now, inner.kept);
	if (waiting(inner) > 0 && !anyBound(inner)) giveBack(inner);
	armPace(inner, now);
}

/** Gives the jobs of a queue to the binds, as long as one has more than `kept` free. */
function give(inner: Inner, queue: JobQueue, now: number, kept: number): void {
	while (queue.waiting() > 0) {
		const link = roomiest(inner, now, kept);
		const job = link === undefined ? undefined : queue.take();
		if (link === undefined || job === undefined) return;
		link.take(job);
	}
}

function roomiest(inner: Inner, now: number, kept: number): Link | undefined {
	let best: Link | undefined;
	let most = 0;
	const { links } = inner;
	const aside = inner.trials.aside();
	for (let step = 0; step < links.length; step++) {
		const link = links[(inner.first + step) % links.length] as Link;
		const free = link.free(now, kept);
		if (free <= most || link === aside) continue;
		best = link;
		most = free;
	}
	inner.first = (inner.first + 1) % Math.max(1, links.length);
	return best;
}

function giveBack(inner: Inner): void {
	for (const queue of [inner.urgent, inner.ordinary])
		for (let job = queue.take(); job !== undefined; job = queue.take())
			job.settle({ kind: "unsent" });
}

/** Something became free: once a turn, however many answers arrived in it. */
function schedule(inner: Inner): void {
	inner.turn ??= setImmediate(() => {
		inner.turn = undefined;
		pump(inner);
		if (inner.stopped === undefined && room(inner) > 0)
			for (const listener of inner.listeners) listener();
	});
}

/** When only the rate holds a bind back, comes again when the rate allows. */
function armPace(inner: Inner, now: number): void {
	if (inner.paceTimer !== undefined || inner.stopped !== undefined) return;
	let waitMs = 0;
	for (const link of inner.links) {
		const wait = link.waitMs(now);
		if (wait > 0 && (waitMs === 0 || wait < waitMs)) waitMs = wait;
	}
	if (waitMs === 0) return;
	inner.paceTimer = setTimeout(() => {
		inner.paceTimer = undefined;
		for (const link of inner.links) link.progress();
		schedule(inner);
	}, Math.ceil(waitMs)).unref();
}

function room(inner: Inner): number {
	return Math.max(0, free(inner, 0) - inner.urgent.parts());
}

function commonRoom(inner: Inner): number {
	const queued = inner.urgent.parts() + inner.ordinary.parts();
	return Math.max(0, free(inner, inner.kept) - queued);
}

/** What all binds have free beyond `kept` of each. */
function free(inner: Inner, kept: number): number {
	if (inner.stopped !== undefined) return 0;
	const now = inner.parts.clock.elapsed();
	const aside = inner.trials.aside();
	const sum = inner.links.reduce(
		(sum, link) => (link === aside ? sum : sum + link.free(now, kept)),
		0,
	);
	armPace(inner, now);
	return sum;
}

function stateOf(inner: Inner): PoolState {
	const now = inner.parts.clock.elapsed();
	const states = inner.links.map((link) => link.state());
	const counts = { ...zeroCounts };
	for (const link of inner.links) {
		const own = link.counts;
		for (const name of Object.keys(counts) as (keyof LinkCounts)[]) counts[name] += own[name];
	}
	return {
		state: summary(inner, states),
		binds: inner.links.map((link) => bindState(link, now)),
		queued: waiting(inner),
		outstanding: inner.links.reduce((sum, link) => sum + link.outstanding(), 0),
		counts,
		outcomes: { ...inner.outcomes },
	};
}

const zeroCounts: LinkCounts = {
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
};

function summary(inner: Inner, states: readonly LinkState[]): PoolState["state"] {
	if (inner.stopped !== undefined) return "stopped";
	if (states.includes("bound")) return "bound";
	return states.length > 0 && states.every((state) => state === "refused")
		? "refused"
		: "connecting";
}

function bindState(link: Link, now: number): BindState {
	const rate = link.rate(now);
	return {
		mode: link.mode,
		state: link.state(),
		outstanding: link.outstanding(),
		rate: Number.isFinite(rate) ? rate : undefined,
		lastFailure: link.lastFailure(),
	};
}

async function stop(inner: Inner, graceMs: number): Promise<void> {
	giveBack(inner);
	inner.trials.stop();
	await Promise.all(inner.links.map((link) => link.stop(graceMs)));
	giveBack(inner);
	clearTimeout(inner.paceTimer);
	if (inner.turn !== undefined) clearImmediate(inner.turn);
}
