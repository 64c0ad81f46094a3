/** How rough the carriers and the database of a simulation are: chances, and what is drawn from them. */
import type { Random } from "#platform/ids.ts";

/** What may happen to one part, with its weight. */
export interface CarrierWeather {
	readonly accept: number;
	readonly temporary: number;
	readonly throttled: number;
	readonly permanent: number;
	readonly silentTaken: number;
	readonly silentLost: number;
	readonly late: number;
	readonly drop: number;
	/** Chances of what receipts do, 0 to 1. */
	readonly receiptLost: number;
	readonly receiptEarly: number;
	readonly receiptDoubled: number;
	readonly receiptBad: number;
	readonly receiptLies: number;
	readonly receiptStray: number;
}

export const calmCarrier: CarrierWeather = {
	accept: 1,
	temporary: 0,
	throttled: 0,
	permanent: 0,
	silentTaken: 0,
	silentLost: 0,
	late: 0,
	drop: 0,
	receiptLost: 0,
	receiptEarly: 0,
	receiptDoubled: 0,
	receiptBad: 0,
	receiptLies: 0,
	receiptStray: 0,
};

export const roughCarrier: CarrierWeather = {
	accept: 80,
	temporary: 5,
	throttled: 5,
	permanent: 2,
	silentTaken: 3,
	silentLost: 2,
	late: 4,
	drop: 1.5,
	receiptLost: 0.05,
	receiptEarly: 0.1,
	receiptDoubled: 0.15,
	receiptBad: 0.1,
	receiptLies: 0.08,
	receiptStray: 0.05,
};

/** What becomes of one part. */
type Fate =
	| "accept"
	| "temporary"
	| "throttled"
	| "permanent"
	| "silentTaken"
	| "silentLost"
	| "late"
	| "drop";
const fates: readonly Fate[] = [
	"accept",
	"temporary",
	"throttled",
	"permanent",
	"silentTaken",
	"silentLost",
	"late",
	"drop",
];

export function drawFate(weather: CarrierWeather, random: Random): Fate {
	let left = random.fraction() * fates.reduce((sum, fate) => sum + weather[fate], 0);
	return fates.find((fate) => (left -= weather[fate]) < 0) ?? "accept";
}

/** Chances, 0 to 1, of what goes wrong with one transaction. */
export interface DatabaseWeather {
	readonly refused: number;
	readonly statementFails: number;
	readonly lostBeforeCommit: number;
	readonly lostAfterCommit: number;
	/** That something else runs between two statements. */
	readonly pause: number;
}

export const calmDatabase: DatabaseWeather = {
	refused: 0,
	statementFails: 0,
	lostBeforeCommit: 0,
	lostAfterCommit: 0,
	pause: 0.05,
};
