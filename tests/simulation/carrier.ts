/**
 * The carriers of a simulation, behind the product's own `SmppPool`: they take, refuse, stay silent, answer late,
 * drop binds, and send receipts early, doubled, contradictory, for nobody, or never. What a message's parts make of
 * its outcome is the product's own job.ts. Knows nothing of what is right: that is oracle.ts.
 */
import type {
	Dialect,
	PoolHandlers,
	SmppPool,
	SmsSubmission,
	SubmitOutcome,
} from "#channels/index.ts";
import type { Clock } from "#platform/clock.ts";
import {
	abandon,
	createJob,
	type Job,
	recordAnswer,
	recordLateAnswer,
	settleWhenDone,
} from "../../server/channels/sms/smpp/job.ts";
import { buildSubmits } from "../../server/channels/sms/smpp/submission.ts";
import { createTrials, type TrialBind } from "../../server/channels/sms/smpp/trial.ts";
import { take } from "./carrier-receipts.ts";
import type { CarrierMemory, CarrierParts, Flight, Line } from "./carrier-state.ts";
import type { Owner } from "./virtual-time.ts";
import { type CarrierWeather, calmCarrier, drawFate } from "./weather.ts";

export interface Carrier {
	open(
		owner: Owner,
		routeId: string,
		dialect: Dialect,
		clock: Clock,
	): (handlers: PoolHandlers) => SmppPool;
	/** Ends one bind, or all; they stand again after so long. */
	dropBinds(share: number, backMs: number): void;
	/** Whether a process that lives is still to be given an answer, too late. */
	isAnswering(): boolean;
	weather: CarrierWeather;
}

const responseTimeoutMs = 4_000;

export function createCarrier(parts: CarrierParts): Carrier {
	const inner: CarrierMemory = { parts, lines: [], weather: calmCarrier, lastId: 70_000_000 };
	return {
		open: (owner, routeId, dialect, clock) => (handlers) =>
			openPool(inner, { owner, routeId, dialect, handlers }, clock),
		dropBinds(share, backMs) {
			for (const line of inner.lines)
				if (line.owner.isAlive && parts.random.fraction() < share) drop(inner, line, backMs);
		},
		isAnswering: () =>
			inner.lines.some(({ owner, lateAnswers }) => owner.isAlive && lateAnswers > 0),
		get weather() {
			return inner.weather;
		},
		set weather(weather) {
			inner.weather = weather;
		},
	};
}

function openPool(
	inner: CarrierMemory,
	line: Pick<Line, "owner" | "routeId" | "dialect" | "handlers">,
	clock: Clock,
): SmppPool {
	const own: Line = {
		...line,
		listeners: [],
		queue: [],
		flights: new Set(),
		trials: createTrials<TrialBind>({
			clock,
			binds: () => [asBind(inner, own)],
			onChange: () => freed(inner, own),
		}),
		lateAnswers: 0,
		suspect: undefined,
		isBound: false,
		isStopped: false,
	};
	inner.lines.push(own);
	const { time, random, window } = inner.parts;
	time.schedule(random.fraction() * 50, own.owner, () => bind(inner, own));
	const isOpen = (): boolean => own.isBound && !own.isStopped && own.trials.aside() === undefined;
	const urgentQueued = (): number =>
		own.queue.filter(({ submission }) => submission.urgent === true).length;
	const free = (): number => (isOpen() ? window - own.flights.size : 0);
	return {
		submit: (submission) => submit(inner, own, submission, clock, false),
		submitApart: (submission) => submit(inner, own, submission, clock, true),
		trialRoom: () => own.trials.room(),
		trialSize: () => own.trials.size(),
		room: () => Math.max(0, free() - urgentQueued()),
		commonRoom: () => Math.max(0, free() - keptOf(window) - own.queue.length),
		onRoom: (listener) => void own.listeners.push(listener),
		// These carriers agree on no rate.
		share: () => undefined,
		state: () => ({
			state: own.isStopped ? "stopped" : own.isBound ? "bound" : "connecting",
			binds: [],
			queued: own.queue.length,
			outstanding: own.flights.size,
			counts: {} as never,
			outcomes: {} as never,
		}),
		async stop(graceMs) {
			own.isStopped = true;
			giveBack(own);
			own.trials.stop();
			if (own.flights.size > 0)
				await new Promise<void>((resolve) => void time.schedule(graceMs, own.owner, resolve));
			drop(inner, own, undefined);
		},
	};
}

function bind(inner: CarrierMemory, line: Line): void {
	if (line.isStopped) return;
	line.isBound = true;
	inner.parts.watcher.note(`${line.owner.name} bound`);
	freed(inner, line);
}

function freed(inner: CarrierMemory, line: Line): void {
	inner.parts.time.schedule(0, line.owner, () => {
		pump(inner, line);
		if (line.isBound && !line.isStopped && line.flights.size < inner.parts.window)
			for (const listener of line.listeners) listener();
	});
}

function submit(
	inner: CarrierMemory,
	line: Line,
	submission: SmsSubmission,
	clock: Clock,
	isApart: boolean,
): Promise<SubmitOutcome> {
	if (!line.isBound || line.isStopped) return Promise.resolve({ kind: "unsent" });
	const built = buildSubmits(submission, line.dialect, clock);
	if (!built.ok) {
		const { commandStatus, name, disposition } = built;
		return Promise.resolve({ kind: "refused", commandStatus, name, disposition, carrierIds: [] });
	}
	return new Promise((resolve) => {
		let told: ((outcome: SubmitOutcome) => void) | undefined;
		const job: Job = createJob(submission.id, built.pdus, (outcome) => {
			if (isApart) line.trials.settled(job, outcome);
			told?.(outcome);
			resolve(outcome);
		});
		const first = (): void => {
			const beside = new Set([...line.flights].map((flight) => flight.job.id));
			told = inner.parts.watcher.leaves(line.owner, line.routeId, submission, beside);
		};
		firsts.set(job, first);
		if (isApart) {
			withdraw(line, job.id);
			line.trials.add(job);
			return pump(inner, line);
		}
		const ahead = line.queue.findIndex(
			(one) => one.submission.urgent !== true && one.job.next === 0,
		);
		const at = submission.urgent === true && ahead >= 0 ? ahead : line.queue.length;
		line.queue.splice(at, 0, { job, submission });
		pump(inner, line);
	});
}

/** As the product's pool does: what of this message was started earlier, and has not left, is given back. */
function withdraw(line: Line, id: string): void {
	const stale = line.queue.filter(({ job }) => job.id === id && job.next === 0);
	for (const one of stale) {
		line.queue.splice(line.queue.indexOf(one), 1);
		abandon(one.job);
		settleWhenDone(one.job);
	}
}

/** What of a window is kept for what is urgent. */
function keptOf(window: number): number {
	return Math.min(1, window - 1);
}

/** What to do when the first part of a job leaves. */
const firsts = new WeakMap<Job, () => void>();

function pump(inner: CarrierMemory, line: Line): void {
	writeSuspect(inner, line);
	line.trials.tend();
	while (line.isBound && line.flights.size < inner.parts.window && line.queue.length > 0) {
		const { job, submission } = line.queue[0] as Line["queue"][number];
		const kept = submission.urgent === true || job.next > 0 ? 0 : keptOf(inner.parts.window);
		if (line.flights.size >= inner.parts.window - kept) return;
		if (job.next >= job.pdus.length) {
			line.queue.shift();
			continue;
		}
		// What is half written is written to its end.
		if (job.next === 0 && line.trials.aside() !== undefined) break;
		if (job.next === 0) firsts.get(job)?.();
		sendPart(inner, line, job);
		if (job.next >= job.pdus.length) line.queue.shift();
	}
}

function writeSuspect(inner: CarrierMemory, line: Line): void {
	const { suspect: job } = line;
	if (job === undefined) return;
	while (line.isBound && line.flights.size < inner.parts.window && job.next < job.pdus.length) {
		if (job.next === 0) firsts.get(job)?.();
		sendPart(inner, line, job);
	}
	if (job.next >= job.pdus.length) line.suspect = undefined;
}

/** The line as the product's trials see a bind. */
function asBind(inner: CarrierMemory, line: Line): TrialBind {
	const isBusy = (): boolean => line.suspect !== undefined || (line.queue[0]?.job.next ?? 0) > 0;
	return {
		mode: "transceiver",
		state: () => (line.isBound && !line.isStopped ? "bound" : "waiting"),
		outstanding: () => line.flights.size,
		busy: isBusy,
		free: () => (isBusy() ? 0 : Math.max(0, inner.parts.window - line.flights.size)),
		take(job) {
			line.suspect = job;
			writeSuspect(inner, line);
		},
		roundTripMs: () => inner.parts.answerMs,
		excuse: () => undefined,
	};
}

function sendPart(inner: CarrierMemory, line: Line, job: Job): void {
	const flight: Flight = { line, job, part: job.next, isOver: false };
	job.next++;
	job.due++;
	line.flights.add(flight);
	const { time, random } = inner.parts;
	const drawn = drawFate(inner.weather, random);
	const fate = job.pdus[0]?.destination.address === inner.parts.poison ? "drop" : drawn;
	const answerMs =
		inner.parts.answerMs * (0.5 + random.fraction()) * (random.fraction() < 0.05 ? 20 : 1);
	const respond = (status: number, carrierId: string): void =>
		void time.schedule(answerMs, line.owner, () => land(inner, flight, status, carrierId));
	inner.parts.watcher.note(
		`${line.owner.name} part ${flight.part} of ${job.id.slice(-6)}: ${fate}`,
	);
	switch (fate) {
		case "accept":
			return respond(0, take(inner, line.routeId, answerMs));
		case "temporary":
			return respond(random.fraction() < 0.5 ? 0x08 : 0x64, "");
		case "throttled":
			return respond(0x58, "");
		case "permanent":
			return respond(0x0b, "");
		case "silentTaken":
		case "silentLost":
		case "late": {
			const id = fate === "silentLost" ? "" : take(inner, line.routeId, answerMs);
			time.schedule(responseTimeoutMs, line.owner, () =>
				silence(inner, flight, fate === "late" ? id : ""),
			);
			return;
		}
		case "drop":
			if (random.fraction() < 0.5) take(inner, line.routeId, answerMs);
			time.schedule(1, line.owner, () =>
				drop(inner, line, 200 + random.fraction() * (drawn === "drop" ? 3_000 : 800)),
			);
	}
}

function land(inner: CarrierMemory, flight: Flight, status: number, messageId: string): void {
	if (flight.isOver) return;
	over(flight);
	const pdu = { command: "submit_sm_resp", sequence: 1, status, messageId, tlvs: [] } as const;
	recordAnswer(flight.job, flight.part, { kind: "response", pdu }, flight.line.dialect.refusals);
	freed(inner, flight.line);
}

function silence(inner: CarrierMemory, flight: Flight, lateId: string): void {
	if (flight.isOver) return;
	const { time, random, watcher } = inner.parts;
	const { line, job, part } = flight;
	over(flight);
	recordAnswer(job, part, { kind: "timeout" }, line.dialect.refusals);
	freed(inner, line);
	if (lateId === "") return;
	line.lateAnswers++;
	time.schedule(100 + random.fraction() * 9_000, line.owner, () => {
		line.lateAnswers--;
		if (!line.isBound || line.isStopped) return;
		watcher.lateAnswer(line.owner, job.id, lateId);
		if (recordLateAnswer(job, part, lateId)) return;
		line.handlers.onLateAnswer({ submissionId: job.id, part, commandStatus: 0, carrierId: lateId });
	});
}

function over(flight: Flight): void {
	flight.isOver = true;
	flight.line.flights.delete(flight);
}

/** The connection ends: what was sent is in doubt, what was not is given back. */
function drop(inner: CarrierMemory, line: Line, backMs: number | undefined): void {
	if (!line.isBound) return;
	line.isBound = false;
	inner.parts.watcher.note(`${line.owner.name} lost its bind`);
	const flights = [...line.flights];
	for (const { job } of flights) abandon(job);
	const { suspect } = line;
	line.suspect = undefined;
	if (suspect !== undefined && !flights.some(({ job }) => job === suspect)) {
		abandon(suspect);
		settleWhenDone(suspect);
	}
	for (const flight of flights) {
		over(flight);
		recordAnswer(flight.job, flight.part, { kind: "lost" }, line.dialect.refusals);
	}
	giveBack(line);
	line.trials.tend();
	if (backMs !== undefined) inner.parts.time.schedule(backMs, line.owner, () => bind(inner, line));
}

function giveBack(line: Line): void {
	for (const { job } of line.queue.splice(0)) {
		if (job.next >= job.pdus.length) continue;
		abandon(job);
		settleWhenDone(job);
	}
}
