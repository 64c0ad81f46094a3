/**
 * What must hold, whatever happens: looks at every commit of the database, at everything that leaves for a carrier
 * and at every answer to a client, from outside the product. It keeps the first violation; it never corrects.
 */
import type { SmsSubmission, SubmitOutcome } from "#channels/index.ts";
import { addressKey, askedKeys, consentOf, isSuppressed } from "./meanings-facts.ts";
import type { Session } from "./memory-database.ts";
import { watchBeside, watchCode } from "./oracle-apart.ts";
import { type Attempt, complain, type OracleState, type Permit } from "./oracle-state.ts";
import { watchTurn } from "./oracle-turns.ts";
import type {
	BatchRow,
	EventRow,
	LaneEntryRow,
	MessageRow,
	OutboxRow,
	StateRow,
	SubmissionRow,
} from "./schema.ts";
import type { Change } from "./tables.ts";
import type { Owner } from "./virtual-time.ts";

// The database --------------------------------------------------------------------------------------------

/** Notes what a start of batches is entitled to, from the committed truth and not from its answer. */
export function watchStatement(
	oracle: OracleState,
	session: Session,
	name: string,
	values: readonly unknown[],
): void {
	const { tables } = oracle.parts;
	const { writer, owner } = session;
	if (name === "lanes.start_batches") {
		const [ids, holder, nowMs] = values as [string[], string, number];
		const held = new Set(
			ids.filter((id) => isHeld(tables.batches.committed.get(id), holder, nowMs)),
		);
		const permits = new Map<string, Permit>();
		for (const [messageId, batchId] of oracle.batchOf)
			if (held.has(batchId))
				permits.set(messageId, {
					owner,
					startedAtMs: nowMs,
					suppressed: true,
					consent: undefined,
					suspectOf: oracle.entries.get(messageId)?.apart === true ? batchId : undefined,
				});
		oracle.starting.set(session, permits);
	}
	if (name !== "contacts.suppressed_among") return;
	const view = { tables, writer, sees: () => true };
	const permits = oracle.starting.get(session);
	if (permits === undefined) {
		const told = oracle.accepting.get(session) ?? new Map<string, boolean>();
		oracle.accepting.set(session, told);
		for (const one of askedKeys(values))
			told.set(addressKey(one.tenantId, one.environment, one.index), isSuppressed(view, one));
		return;
	}
	for (const [messageId, permit] of permits) {
		const { tenantId, environment, addressIndex } = oracle.messages.get(messageId) as MessageRow;
		const asked = { tenantId, environment, index: addressIndex };
		permits.set(messageId, {
			...permit,
			suppressed: isSuppressed(view, asked),
			consent: consentOf(view, asked),
		});
	}
}

/** A batch may be started by the very commit that accepts its messages, with the facts they were judged by. */
function watchStarted(oracle: OracleState, session: Session, batch: BatchRow): void {
	const { startedAtMs, handedOver } = batch;
	if (startedAtMs === null) return;
	const { owner } = session;
	for (const id of handedOver?.messageIds ?? []) {
		const {
			class: number,
			tenantId,
			environment,
			addressIndex,
		} = oracle.messages.get(id) as MessageRow;
		if (number >= 2)
			complain(
				oracle,
				"at most once",
				`${id} would be unknown after a crash, before it could leave`,
			);
		const name = addressKey(tenantId, environment, addressIndex);
		const suppressed = oracle.accepting.get(session)?.get(name) ?? true;
		// Consent is never read here: what needs it does not leave this way.
		const permit = { owner, startedAtMs, suppressed, consent: undefined, suspectOf: undefined };
		oracle.permits.set(`${id}/${owner.name}`, permit);
	}
}

function isHeld(batch: BatchRow | undefined, holder: string, nowMs: number): boolean {
	return batch !== undefined && batch.owner === holder && batch.leaseUntilMs > nowMs;
}

export function watchCommit(
	oracle: OracleState,
	session: Session,
	changes: readonly Change[],
): void {
	for (const [messageId, permit] of oracle.starting.get(session) ?? [])
		oracle.permits.set(`${messageId}/${permit.owner.name}`, permit);
	oracle.starting.delete(session);
	const told = new Map<string, number>();
	for (const { table, before, after } of changes)
		if (table === "outbox" && before === undefined && after !== undefined)
			for (const [messageId, eventId, rank] of (after as OutboxRow).refs) {
				const ref = `${messageId}/${eventId}/${rank}`;
				told.set(ref, (told.get(ref) ?? 0) + 1);
			}
	const expect = (messageId: string, eventId: string, rank: number): void => {
		const ref = `${messageId}/${eventId}/${rank}`;
		if (told.get(ref) !== 1)
			complain(
				oracle,
				"one event per change",
				`${messageId} to ${rank}: ${told.get(ref) ?? 0} events`,
			);
		told.delete(ref);
	};
	const events = Map.groupBy(
		changes.filter(({ table }) => table === "message_events").map(({ after }) => after as EventRow),
		(event) => event.messageId,
	);
	for (const change of changes)
		if (change.table === "message_states") watchState(oracle, change, events, expect);
	for (const change of changes) watchRow(oracle, change, events, expect);
	for (const { table, before, after } of changes)
		if (table === "dispatch_batches" && before === undefined && after !== undefined)
			watchStarted(oracle, session, after as BatchRow);
	oracle.accepting.delete(session);
	for (const ref of told.keys())
		complain(oracle, "one event per change", `${ref} told without a change`);
}

type Events = ReadonlyMap<string, readonly EventRow[]>;
type Expect = (messageId: string, eventId: string, rank: number) => void;

/** From this rank on nothing changes a message. */
const settledFrom = 40;

/** One commit may move a message several times: each move is an event, and each goes forward. */
function watchState(
	oracle: OracleState,
	{ before, after }: Change,
	events: Events,
	expect: Expect,
): void {
	const [from, to] = [before as StateRow | undefined, after as StateRow];
	if (from?.eventId === to.eventId && from.status === to.status) return;
	let rank = from?.status ?? 10;
	const moves = (events.get(to.messageId) ?? []).toSorted((a, b) => a.status - b.status);
	for (const move of moves) {
		if (move.status <= rank || rank >= settledFrom)
			complain(oracle, "states go forward", `${to.messageId} from ${rank} to ${move.status}`);
		rank = move.status;
		expect(to.messageId, move.id, move.status);
	}
	if (to.status !== rank)
		complain(
			oracle,
			"states go forward",
			`${to.messageId} is ${to.status}, its events end with ${rank}`,
		);
}

function watchRow(oracle: OracleState, change: Change, events: Events, expect: Expect): void {
	if (change.table === "messages" && change.before === undefined) {
		const row = change.after as MessageRow;
		const token = row.dltTemplateId ?? "";
		if (oracle.byToken.has(token))
			complain(oracle, "one message per key", `${token} is stored twice`);
		oracle.byToken.set(token, row.id);
		oracle.messages.set(row.id, row);
		oracle.leftBefore.set(row.id, oracle.left.length);
		if (!events.has(row.id)) expect(row.id, row.id, 10);
	}
	if (change.table === "lane_entries" && change.after !== undefined) {
		const entry = change.after as LaneEntryRow;
		oracle.entries.set(entry.messageId, entry);
		if (entry.batchId !== null) oracle.batchOf.set(entry.messageId, entry.batchId);
	}
	if (change.table === "dispatch_batches" && change.before === undefined) {
		const batch = change.after as BatchRow;
		for (const id of batch.handedOver?.messageIds ?? []) oracle.batchOf.set(id, batch.id);
	}
	if (change.table === "submissions" && change.after !== undefined) {
		const row = change.after as SubmissionRow;
		oracle.submissions.set(`${row.routeId}/${row.carrierId}`, row);
	}
}

// The carrier ---------------------------------------------------------------------------------------------

export function watchLeaving(
	oracle: OracleState,
	owner: Owner,
	{ id }: SmsSubmission,
	beside: ReadonlySet<string>,
	atMs: number,
): (outcome: SubmitOutcome) => void {
	const attempt: Attempt = { owner, outcome: undefined };
	const message = oracle.messages.get(id);
	const permit = oracle.permits.get(`${id}/${owner.name}`);
	if (message === undefined)
		complain(oracle, "accepted is durable", `${id} leaves and is not stored`);
	else if (permit === undefined)
		complain(oracle, "own lease", `${id} leaves ${owner.name} without a start of its own`);
	else {
		// One start, one submit.
		oracle.permits.delete(`${id}/${owner.name}`);
		watchRules(oracle, message, permit);
		watchRepeat(oracle, message);
		watchBeside(oracle, owner, id, permit.suspectOf, beside, atMs);
		watchCode(oracle, id, atMs);
		if (oracle.isCrowd) watchTurn(oracle, message);
	}
	const attempts = oracle.attempts.get(id) ?? [];
	oracle.attempts.set(id, [...attempts, attempt]);
	return (outcome) => void (attempt.outcome = outcome);
}

const minuteMs = 60_000;

/** Minutes since midnight in India. */
function indianMinute(atMs: number): number {
	return (atMs / minuteMs + 330) % 1_440;
}

function watchRules(oracle: OracleState, message: MessageRow, permit: Permit): void {
	const { id } = message;
	const isCleared = oracle.minted.get(id)?.some((untilMs) => permit.startedAtMs < untilMs) === true;
	if (!isCleared)
		complain(
			oracle,
			"cleared and in time",
			`${id} leaves at ${permit.startedAtMs} without a clearance that holds: ${oracle.minted.get(id)?.join() ?? "none"}`,
		);
	if (permit.suppressed)
		complain(oracle, "no send after STOP", `${id} leaves to who said STOP before`);
	if (message.class !== 3) return;
	if (permit.consent !== true)
		complain(oracle, "consent before promotion", `${id} leaves without consent`);
	// By its process's clock at the start: a process that is paused after it cannot know.
	const minute = indianMinute(permit.startedAtMs);
	if (minute < 600 || minute >= 1_245)
		complain(oracle, "inside the window", `${id} leaves at minute ${minute.toFixed(2)} of the day`);
}

/** Whether the carrier may have taken an earlier submit. */
export function mayHaveTaken({ outcome }: Attempt): boolean {
	return (
		outcome?.kind !== "unsent" && !(outcome?.kind === "refused" && outcome.carrierIds.length === 0)
	);
}

function watchRepeat(oracle: OracleState, message: MessageRow): void {
	const earlier = (oracle.attempts.get(message.id) ?? []).filter(mayHaveTaken);
	if (earlier.length === 0) return;
	if (message.class >= 2)
		return complain(oracle, "at most once", `${message.id} leaves again, class ${message.class}`);
	const entry = oracle.entries.get(message.id);
	if (entry?.possibleDuplicate !== true)
		complain(oracle, "duplicates are flagged", `${message.id} leaves again and is not flagged`);
}
