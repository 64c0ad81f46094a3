/**
 * When India allows promotion, as effective-dated data. TCCCPR 2018 has no single clause on hours:
 * subscribers' preferences have nine time bands, of which 00–06, 06–08, 08–10 and 21–24 are off by
 * default, which leaves 10:00–21:00. The 9-to-9 window of 2010/2011 is history. India has one zone,
 * +05:30, and no summer time. A change of law is a new row here, never an edit of an old one.
 */
import type { Dated } from "../rule.ts";

export interface PromotionalHours {
	/** Minutes that local time is ahead of UTC. */
	readonly offsetMinutes: number;
	/** Minutes after local midnight; the first included, the last not. */
	readonly fromMinute: number;
	readonly untilMinute: number;
	/** Minutes before the close at which dispatch stops, so that what has left arrives in time. */
	readonly guardMinutes: number;
}

export const promotionalHours: readonly Dated<PromotionalHours>[] = [
	{
		from: "2019-02-28T00:00:00+05:30",
		value: { offsetMinutes: 330, fromMinute: 600, untilMinute: 1260, guardMinutes: 15 },
		cites: [
			"TCCCPR 2018 (TRAI 6 of 2018), default time bands of the preference register",
			"DLT error 651 EC_INVALID_PROMO_TIME (enforced by operators since October 2025)",
		],
	},
];
