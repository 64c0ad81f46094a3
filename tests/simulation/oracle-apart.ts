/**
 * Suspects, messages whose last submit ended with the connection: what leaves beside whom, how often an innocent one
 * leaves and how soon it ends. Another part of oracle.ts.
 */
import { answerMostMs, drainMostMs } from "../../server/channels/sms/smpp/trial.ts";
import { rowKey } from "./meanings-accept.ts";
import { complain, type OracleState } from "./oracle-state.ts";
import type { Owner } from "./virtual-time.ts";

/**
 * A suspect leaves with nothing beside it but its own group, and what was silent for long before; nothing else leaves
 * beside it, unless it is silent for long itself. `suspectOf`: the batch that its process started, if it is one. `beside`:
 * what is on the same bind without an answer.
 */
export function watchBeside(
	oracle: OracleState,
	owner: Owner,
	id: string,
	suspectOf: string | undefined,
	beside: ReadonlySet<string>,
	atMs: number,
): void {
	const { departures } = oracle;
	departures.set(`${id}/${owner.name}`, { atMs, suspectOf });
	for (const other of beside) {
		const theirs = departures.get(`${other}/${owner.name}`);
		if (other === id || theirs === undefined) continue;
		if (suspectOf === undefined && theirs.suspectOf === undefined) continue;
		if (suspectOf === theirs.suspectOf) continue;
		const silentMs = suspectOf === undefined ? answerMostMs : drainMostMs(oracle.parts.answerMs);
		if (atMs - theirs.atMs < silentMs)
			complain(
				oracle,
				"suspects leave apart",
				`${id} (suspect: ${suspectOf !== undefined}) leaves beside ${other}, ${atMs - theirs.atMs} ms after it`,
			);
	}
}

/** With the poisonous ones, in a group after it, and alone. */
const innocentSubmitsMax = 3;
/** A code waits for a bind that comes back, and for a trial. */
const codeWaitsMaxMs = 5_000;
const deliveredRank = 40;

/** On a day whose only trouble is poison: a code leaves soon, whatever is tried. */
export function watchCode(oracle: OracleState, id: string, atMs: number): void {
	if (oracle.poisonous === undefined || oracle.attempts.has(id)) return;
	const message = oracle.messages.get(id);
	if (message === undefined || message.class !== 0) return;
	const waitedMs = atMs - message.createdAtMs;
	if (waitedMs > codeWaitsMaxMs)
		complain(oracle, "codes do not wait", `${id} leaves after ${waitedMs} ms`);
}

/** On such a day, at its end: every innocent message is delivered, and has left so often at most. */
export function judgeInnocents(oracle: OracleState): void {
	const { poisonous, parts } = oracle;
	for (const [id, { tenantId, addressIndex }] of oracle.messages) {
		if (poisonous?.has(addressIndex.toString("hex")) === true) continue;
		const state = parts.tables.states.committed.get(rowKey(tenantId, id));
		const submits = oracle.attempts.get(id)?.length ?? 0;
		if (state?.status !== deliveredRank)
			complain(oracle, "the innocent end soon", `${id} is ${state?.status ?? "accepted"}`);
		if (submits > innocentSubmitsMax)
			complain(oracle, "the innocent leave seldom", `${id} left ${submits} times`);
	}
}
