/** What a simulated carrier is told and what it remembers: for carrier.ts and carrier-receipts.ts. */
import type { Dialect, PoolHandlers, SmsSubmission, SubmitOutcome } from "#channels/index.ts";
import type { Random } from "#platform/ids.ts";
import type { Job } from "../../server/channels/sms/smpp/job.ts";
import type { TrialBind, Trials } from "../../server/channels/sms/smpp/trial.ts";
import type { Owner, VirtualTime } from "./virtual-time.ts";
import type { CarrierWeather } from "./weather.ts";

export interface CarrierWatcher {
	/** The first octet of a message leaves. Returns what is told when the attempt has its outcome. */
	leaves(
		owner: Owner,
		routeId: string,
		submission: SmsSubmission,
		/** Messages that are on the same bind without an answer. */
		beside: ReadonlySet<string>,
	): (outcome: SubmitOutcome) => void;
	/** A receipt was given to a process, which has said that it is stored. */
	receiptTaken(routeId: string, carrierId: string, messageState: number): void;
	lateAnswer(owner: Owner, messageId: string, carrierId: string): void;
	note(text: string): void;
}

export interface CarrierParts {
	readonly time: VirtualTime;
	readonly random: Random;
	readonly watcher: CarrierWatcher;
	readonly window: number;
	/** Milliseconds between the sending of a part and its answer, as a rule. */
	readonly answerMs: number;
	/** A message to this number ends the connection each time that it comes. */
	readonly poison: string;
}

export interface Flight {
	readonly line: Line;
	readonly job: Job;
	readonly part: number;
	isOver: boolean;
}

/** One process's binds of one route. */
export interface Line {
	readonly owner: Owner;
	readonly routeId: string;
	readonly dialect: Dialect;
	readonly handlers: PoolHandlers;
	readonly listeners: (() => void)[];
	readonly queue: { readonly job: Job; readonly submission: SmsSubmission }[];
	readonly flights: Set<Flight>;
	readonly trials: Trials<TrialBind>;
	/** Answers that are still to come, too late. */
	lateAnswers: number;
	/** A suspect that is not wholly written yet. */
	suspect: Job | undefined;
	isBound: boolean;
	isStopped: boolean;
}

/** Shared with carrier-receipts.ts. */
export interface CarrierMemory {
	readonly parts: CarrierParts;
	readonly lines: Line[];
	weather: CarrierWeather;
	lastId: number;
}
