/** What the oracle knows, and the names of what must hold. It keeps the first violation; it never corrects. */
import type { SubmitOutcome } from "#channels/index.ts";
import type { Session } from "./memory-database.ts";
import type { LaneEntryRow, MessageRow, SubmissionRow, Tables } from "./schema.ts";
import type { Owner } from "./virtual-time.ts";

export const invariants = [
	"accepted is durable",
	"one message per key",
	"own lease",
	"cleared and in time",
	"no send after STOP",
	"consent before promotion",
	"inside the window",
	"at most once",
	"duplicates are flagged",
	"states go forward",
	"one event per change",
	"receipts count",
	"answers count",
	"late answers count",
	"throttling ends nothing",
	"nothing is left over",
	"every message ends",
	"class order",
	"tenants in turn",
	"suspects leave apart",
	"codes do not wait",
	"the innocent end soon",
	"the innocent leave seldom",
	"bounded",
	"no failure escapes",
	"every message is hashed",
] as const;
export type Invariant = (typeof invariants)[number];

export interface Violation {
	readonly invariant: Invariant;
	readonly detail: string;
}

/** One submit of a message that has begun. */
export interface Attempt {
	readonly owner: Owner;
	outcome: SubmitOutcome | undefined;
}

/** That a batch was marked as started by its holder, with what was true when the facts were read. */
export interface Permit {
	readonly owner: Owner;
	/** By the holder's clock. */
	readonly startedAtMs: number;
	readonly suppressed: boolean;
	readonly consent: boolean | undefined;
	/** The batch that was started, if it is to leave apart: so said its lane entry. */
	readonly suspectOf: string | undefined;
}

interface Departure {
	readonly atMs: number;
	/** The batch that it left in, if it was a suspect. */
	readonly suspectOf: string | undefined;
}

/** The last departure of each message from each process: what one still waits for may have left another since. */
type Departures = Map<string, Departure>;

export interface OracleParts {
	readonly tables: Tables;
	/** How long the carriers take to answer, as a rule. */
	readonly answerMs: number;
}

export interface OracleState {
	readonly parts: OracleParts;
	readonly departures: Departures;
	/** On a day whose only trouble is poison: the blind indexes of those who end the connection. */
	poisonous: ReadonlySet<string> | undefined;
	violation: Violation | undefined;
	readonly messages: Map<string, MessageRow>;
	readonly byToken: Map<string, string>;
	/** By session: what its start of batches has found so far. */
	readonly starting: Map<Session, Map<string, Permit>>;
	/** By session that is accepting: of each recipient it asked about, whether it had said STOP. */
	readonly accepting: Map<Session, Map<string, boolean>>;
	/** Of starts that are committed, by message and process, until it leaves. */
	readonly permits: Map<string, Permit>;
	/** Clearances minted, by message: until when. */
	readonly minted: Map<string, number[]>;
	readonly attempts: Map<string, Attempt[]>;
	readonly submissions: Map<string, SubmissionRow>;
	/** The last lane entry of each message, also when it is gone, and the last batch it was in. */
	readonly entries: Map<string, LaneEntryRow>;
	readonly batchOf: Map<string, string>;
	/** Last words that a process has taken, by route and carrier id. */
	readonly told: Map<string, number[]>;
	/** A day without troubles and with more messages than the carrier takes at once: turns can be counted. */
	isCrowd: boolean;
	/** Everything that left, in order, and how much had left when each message was stored. */
	readonly left: MessageRow[];
	readonly leftBefore: Map<string, number>;
	readonly late: {
		readonly owner: Owner;
		readonly messageId: string;
		readonly carrierId: string;
	}[];
}

export function createOracle(parts: OracleParts): OracleState {
	return {
		parts,
		departures: new Map(),
		poisonous: undefined,
		violation: undefined,
		messages: new Map(),
		byToken: new Map(),
		starting: new Map(),
		accepting: new Map(),
		permits: new Map(),
		minted: new Map(),
		attempts: new Map(),
		submissions: new Map(),
		entries: new Map(),
		batchOf: new Map(),
		told: new Map(),
		isCrowd: false,
		left: [],
		leftBefore: new Map(),
		late: [],
	};
}

export function complain(oracle: OracleState, invariant: Invariant, detail: string): void {
	oracle.violation ??= { invariant, detail };
}
