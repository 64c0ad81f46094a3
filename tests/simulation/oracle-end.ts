/**
 * What must hold at the end of a simulation, after calm and time enough: nothing is left over, everything has ended,
 * and what was heard is on record. The other half of oracle.ts.
 */
import { rowKey } from "./meanings-accept.ts";
import { mayHaveTaken } from "./oracle.ts";
import { type Attempt, complain, type OracleState } from "./oracle-state.ts";
import type { MessageRow, SubmissionRow } from "./schema.ts";

/** From this rank on a message has ended, unless a true receipt corrects it. */
const finalFrom = 30;

/** After calm and time enough. `noLoss`: nothing may have made the product give up a result. */
export function judgeEnd(oracle: OracleState, noLoss: boolean): void {
	const { tables } = oracle.parts;
	for (const [, { messageId, batchId }] of tables.laneEntries.committed) {
		const batch =
			batchId === null
				? ""
				: tables.batches.committed.has(batchId)
					? ", leased"
					: ", of a batch that is gone";
		complain(oracle, "nothing is left over", `a lane entry of ${messageId}${batch}`);
	}
	for (const [id] of tables.batches.committed)
		complain(oracle, "nothing is left over", `the batch ${id}`);
	for (const message of oracle.messages.values()) judgeMessage(oracle, message);
	judgeDigests(oracle);
	for (const [key, row] of oracle.submissions) judgeReceipts(oracle, key, row);
	if (noLoss) judgeAnswers(oracle);
}

/** Every message stands in one digest of its scope, with a hash of its own. */
function judgeDigests(oracle: OracleState): void {
	const members = new Map<string, number>();
	for (const [id, digest] of oracle.parts.tables.digests.committed) {
		const { tenantId, environment, messageIds, leaves } = digest;
		if (leaves.length !== 32 * messageIds.length)
			complain(oracle, "every message is hashed", `digest ${id} lacks hashes`);
		for (const messageId of messageIds) {
			const name = `${tenantId}/${environment}/${messageId}`;
			members.set(name, (members.get(name) ?? 0) + 1);
		}
	}
	for (const { tenantId, environment, id } of oracle.messages.values()) {
		const count = members.get(`${tenantId}/${environment}/${id}`) ?? 0;
		if (count !== 1) complain(oracle, "every message is hashed", `${id} is in ${count} digests`);
	}
}

/** What a process heard from a carrier while it lived is on record. */
function judgeAnswers(oracle: OracleState): void {
	const known = new Set([...oracle.submissions.values()].map((row) => row.carrierId));
	for (const [messageId, attempts] of oracle.attempts)
		for (const { owner, outcome } of attempts)
			if (
				owner.isAlive &&
				outcome?.kind === "accepted" &&
				!outcome.carrierIds.every((id) => known.has(id))
			)
				complain(
					oracle,
					"answers count",
					`${messageId} was taken as ${outcome.carrierIds}, nobody knows`,
				);
	const heard = new Set<string>();
	for (const { owner, messageId, carrierId } of oracle.late) {
		// Of a message of one part the first one settles it; nobody waits for another.
		const isFirst = !heard.has(messageId);
		heard.add(messageId);
		const isAwaited = oracle.attempts
			.get(messageId)
			?.some((attempt) => attempt.owner === owner && attempt.outcome?.kind === "unknown");
		if (isFirst && isAwaited === true && owner.isAlive && !known.has(carrierId))
			complain(oracle, "late answers count", `${messageId} was taken as ${carrierId}, too late`);
	}
}

function judgeMessage(oracle: OracleState, { tenantId, id }: MessageRow): void {
	const state = oracle.parts.tables.states.committed.get(rowKey(tenantId, id));
	if (state === undefined || state.status < finalFrom)
		return complain(oracle, "every message ends", `${id} stays ${state?.status ?? "accepted"}`);
	const attempts = oracle.attempts.get(id) ?? [];
	if (attempts.filter(mayHaveTaken).length > 1 && !state.possibleDuplicate)
		complain(
			oracle,
			"duplicates are flagged",
			`${id} left twice and ends as ${state.status} without the flag`,
		);
	const isThrottledOnly =
		attempts.length > 0 &&
		attempts.every((attempt) => !mayHaveTaken(attempt) && isThrottled(attempt));
	if (state.status === 42 && isThrottledOnly)
		complain(oracle, "throttling ends nothing", `${id} failed, and was only throttled`);
}

const lastWords = new Set([2, 3, 4, 5, 8]);

/** A message of one part whose submission is known, and of which a last word was taken, is settled by it. */
function judgeReceipts(oracle: OracleState, key: string, row: SubmissionRow): void {
	const words = (oracle.told.get(key) ?? []).filter((state) => lastWords.has(state));
	if (row.segments !== 1 || words.length === 0) return;
	const state = oracle.parts.tables.states.committed.get(rowKey(row.tenantId, row.messageId));
	if ((state?.status ?? 0) < 40)
		complain(
			oracle,
			"receipts count",
			`${row.messageId} stays ${state?.status}, its receipts said ${words}`,
		);
}

function isThrottled({ outcome }: Attempt): boolean {
	return outcome?.kind === "refused" && outcome.disposition === "throttled";
}
