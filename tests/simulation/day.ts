/** What kind of day a seed has: how many processes, what goes wrong and how often. Drawn from the seed alone. */
import {
	type CarrierWeather,
	calmCarrier,
	calmDatabase,
	type DatabaseWeather,
	roughCarrier,
} from "./weather.ts";

/** What may go wrong in this seed, drawn from it. */
export interface Day {
	/** No troubles, and more messages than the carrier takes at once. */
	readonly isCrowd: boolean;
	/** No troubles but messages that end the connection. */
	readonly isPoisonous: boolean;
	/** Share of the messages that end the connection, 0 to 1. */
	readonly poison: number;
	readonly startMs: number;
	readonly activeMs: number;
	readonly processes: number;
	readonly requests: number;
	readonly wishes: number;
	readonly kills: number;
	readonly freezes: number;
	readonly jumps: number;
	readonly outages: number;
	readonly drops: number;
	readonly sleeps: number;
	/** How long a bind is away, at most. */
	readonly backMs: number;
	readonly database: DatabaseWeather;
	readonly carrier: CarrierWeather;
	readonly window: number;
	readonly answerMs: number;
	readonly liveRoutes: number;
	readonly testRoutes: number;
	/** Moments at which several requests come at once. */
	readonly bursts: number;
}

const starts = [
	"2026-11-23T12:00:00+05:30",
	"2026-11-23T12:00:00+05:30",
	"2026-11-23T20:44:48+05:30",
	"2026-11-23T09:59:50+05:30",
	"2026-11-30T23:59:50+05:30",
];

export function dayOf(seed: number): Day {
	const roll = rollFrom(seed);
	const often = (share: number, most: number): number =>
		roll() < share ? Math.ceil(roll() * most) : 0;
	const isRough = roll() < 0.75;
	const isLossy = roll() < 0.6;
	const kind = roll();
	const usual: Day = {
		isCrowd: false,
		isPoisonous: false,
		poison: 0,
		startMs: Date.parse(starts[Math.floor(roll() * starts.length)] as string),
		activeMs: 7_000 + roll() * 9_000,
		processes: roll() < 0.5 ? 1 : 2,
		requests: 8 + Math.floor(roll() * 24),
		wishes: Math.floor(roll() * 10),
		kills: often(0.6, 3),
		freezes: often(0.35, 2),
		jumps: often(0.35, 4),
		outages: often(0.4, 2),
		drops: often(0.5, 4),
		sleeps: often(0.3, 2),
		backMs: 5_000,
		database: isLossy
			? {
					refused: roll() * 0.02,
					statementFails: roll() < 0.5 ? roll() * 0.01 : 0,
					lostBeforeCommit: roll() * 0.05,
					lostAfterCommit: roll() * 0.12,
					pause: roll() * 0.3,
				}
			: calmDatabase,
		carrier: isRough ? roughCarrier : calmCarrier,
		window: 1 + Math.floor(roll() ** 2 * 30),
		answerMs: 5 + roll() * 60,
		liveRoutes: roll() < 0.4 ? 2 : 1,
		testRoutes: roll() < 0.2 ? 1 : 0,
		bursts: often(0.35, 6),
	};
	if (kind < 0.05) return { ...usual, ...crowd };
	if (kind < 0.15) return { ...usual, ...flapping };
	if (kind < 0.25) return { ...usual, ...sleepy };
	if (kind < 0.3) return { ...usual, ...poisonous, answerMs: kind < 0.275 ? 10 : 90 };
	return kind < 0.4 ? { ...usual, poison: 0.08 } : usual;
}

/** Binds and commits that fail again and again: much is given back, and written twice. */
const flapping = {
	processes: 2,
	drops: 20,
	backMs: 200,
	requests: 30,
	freezes: 2,
	sleeps: 0,
	database: {
		refused: 0.01,
		statementFails: 0,
		lostBeforeCommit: 0.02,
		lostAfterCommit: 0.35,
		pause: 0.3,
	},
	window: 4,
	answerMs: 60,
} as const;

/** Much waits in memory while nothing runs for long. */
const sleepy = {
	processes: 2,
	requests: 35,
	kills: 0,
	outages: 0,
	sleeps: 4,
	window: 1,
	answerMs: 60,
	database: { ...calmDatabase, pause: 0.3 },
} as const;

/** Nothing but what the day is for. */
const quiet = {
	startMs: Date.parse("2026-11-23T12:00:00+05:30"),
	processes: 1,
	requests: 0,
	wishes: 0,
	kills: 0,
	freezes: 0,
	jumps: 0,
	outages: 0,
	drops: 0,
	sleeps: 0,
	database: calmDatabase,
	carrier: calmCarrier,
	liveRoutes: 1,
	testRoutes: 0,
	bursts: 0,
} as const;

const crowd = { ...quiet, isCrowd: true, activeMs: 3_000, window: 2, answerMs: 10 } as const;

/** A batch with messages in it that end the connection, and codes all the while. */
const poisonous = { ...quiet, isPoisonous: true, activeMs: 45_000, window: 10 } as const;

/** A sequence for the day alone, so that the day of a seed stays when the product draws more or less. */
function rollFrom(seed: number): () => number {
	let state = (seed ^ 0x9e3779b9) >>> 0;
	return () => {
		state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5) >>> 0;
		const mixed = Math.imul(state ^ (state >>> 12), 0x297a2d39) >>> 0;
		return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
	};
}
