/**
 * Reads what carriers say of our messages: receipts that were matched to submissions become transitions.
 * Pure. A message of several segments is delivered when all are; it has failed when one has.
 */
import { type MessageErrorCode, numberOfError, type StateName, states } from "./state.ts";
import type { Match, MessageSegments, SegmentState } from "./submission-store.ts";
import type { Transition } from "./transition-store.ts";

/** A receipt as it came over a route. */
export interface IncomingReceipt {
	readonly routeId: string;
	/** Forms of the id under which the submit may have been answered, likeliest first. */
	readonly candidates: readonly string[];
	/** SMPP message_state, 0–9. */
	readonly messageState: number;
	readonly errorCode: string | undefined;
}

interface Meaning {
	readonly state: StateName;
	readonly error?: MessageErrorCode;
}

/** SMPP v3.4 §5.2.28 (and v5's 0 and 9): what each message_state makes of the message. */
const meanings: readonly (Meaning | undefined)[] = [
	undefined, // SCHEDULED: not final, nothing new
	undefined, // ENROUTE: as `sent`
	{ state: "delivered" },
	{ state: "expired", error: "unreachable" },
	{ state: "failed", error: "blocked_by_carrier" }, // DELETED by the carrier
	{ state: "undelivered", error: "unreachable" },
	undefined, // ACCEPTED: as `sent`
	{ state: "uncertain", error: "unknown" },
	{ state: "failed", error: "blocked_by_carrier" }, // REJECTED
	{ state: "failed", error: "blocked_by_carrier" }, // SKIPPED
];

export interface MatchedReceipt {
	readonly receipt: IncomingReceipt;
	readonly match: Match;
}

/** Finds each receipt's submission: the likeliest form of its id first, of several the newest. */
export function matchAll(
	receipts: readonly IncomingReceipt[],
	matches: readonly Match[],
): { matched: MatchedReceipt[]; unmatched: IncomingReceipt[] } {
	const byId = new Map<string, Match>();
	for (const match of matches) {
		const known = byId.get(match.asked);
		if (known === undefined || known.submitted_at < match.submitted_at)
			byId.set(match.asked, match);
	}
	const matched: MatchedReceipt[] = [];
	const unmatched: IncomingReceipt[] = [];
	for (const receipt of receipts) {
		const match = receipt.candidates.map((id) => byId.get(id)).find((found) => found !== undefined);
		if (match === undefined) unmatched.push(receipt);
		else matched.push({ receipt, match });
	}
	return { matched, unmatched };
}

/** Receipts that need the other segments' states, as marks on their segments. */
export function marksOf(matched: readonly MatchedReceipt[]): SegmentState[] {
	return matched
		.filter(
			({ receipt, match }) => match.segments > 1 && meanings[receipt.messageState] !== undefined,
		)
		.map(({ receipt, match }) => ({
			tenantId: match.tenant_id,
			messageId: match.message_id,
			segment: match.segment,
			submittedAtMs: match.submitted_at.getTime(),
			state: receipt.messageState,
		}));
}

/** `segments`: how the messages of several segments stand, after their marks. */
export function transitionsOf(
	matched: readonly MatchedReceipt[],
	segments: readonly MessageSegments[],
	nowMs: number,
	eventId: () => string,
): Transition[] {
	const transitions: Transition[] = [];
	for (const { receipt, match } of matched) {
		const messageState = match.segments === 1 ? receipt.messageState : combined(match, segments);
		const meaning = messageState === undefined ? undefined : meanings[messageState];
		if (meaning === undefined) continue;
		transitions.push({
			tenantId: match.tenant_id,
			messageId: match.message_id,
			environment: match.environment,
			rank: states[meaning.state].rank,
			atMs: nowMs,
			error: meaning.error === undefined ? null : numberOfError(meaning.error),
			carrierError: meaning.state === "delivered" ? null : (receipt.errorCode ?? null),
			possibleDuplicate: false,
			eventId: eventId(),
		});
	}
	return transitions;
}

/** One state for all segments of an attempt; undefined while some are open. */
function combined(match: Match, all: readonly MessageSegments[]): number | undefined {
	const own = all.find(
		(one) =>
			one.message_id === match.message_id &&
			one.submitted_at.getTime() === match.submitted_at.getTime(),
	);
	if (own === undefined) return undefined;
	const bad = own.states.find((state) => state !== 0 && state !== 2);
	if (bad !== undefined) return bad;
	return own.states.length === own.segments && own.states.every((state) => state === 2)
		? 2
		: undefined;
}
