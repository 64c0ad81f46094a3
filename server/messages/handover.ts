/**
 * Hand-over in memory: messages are leased, in their accept commit, to the half of this process that sends, and given
 * to it as soon as the commit is made, so that nothing is read back. The batch's row names its messages and remains
 * the truth: they enter the lane's table only if they must wait after all, or if the holder dies. What finds its lane
 * empty is marked as started in that same commit, and leaves at once.
 */
import type { Clock } from "#platform/clock.ts";
import type { Ids } from "#platform/ids.ts";
import type { Clearance } from "#policy/index.ts";
import {
	type HandedBatch,
	type HandedMessage,
	type LeftBatch,
	packOctets,
	type ToSending,
} from "./channel.ts";
import type { Known } from "./facts.ts";
import type { Gate } from "./gate.ts";
import type { Prepared } from "./prepare.ts";
import type { Lease } from "./store.ts";

/** Messages of one batch: what becomes of unknown outcome, at most, when a process dies on it. */
export const batchMax = 64;
/** How long a batch is held before another worker may take it, milliseconds. Renewed while it is held. */
export const leaseMs = 20_000;

/** Makes a plan for one commit. */
export type Handover = () => HandoverPlan;

export interface HandoverPlan {
	/** The batch that the message joins; undefined when it must wait in the table. */
	add(prepared: Prepared, routeId: string, clearance: Clearance, known: Known): string | undefined;
	/** Under which its batches are to be written. */
	readonly lease: Lease;
	/** After the commit: the batches are handed over. */
	commit(): void;
	/** The commit failed: nothing happened. */
	cancel(): void;
}

export interface HandoverParts {
	readonly gate: Gate;
	readonly ids: Ids;
	readonly clock: Clock;
	/** Who sends: batches are leased to it. */
	readonly owner: string;
	readonly post: (message: ToSending) => void;
}

export function createHandover(parts: HandoverParts): Handover {
	return () => createPlan(parts);
}

function createPlan({ gate, ids, clock, owner, post }: HandoverParts): HandoverPlan {
	const open = new Map<string, HandedBatch>();
	const batches: HandedBatch[] = [];
	const startedIds: string[] = [];
	const waiting = new Set<string>();
	const untilMs = clock.now() + leaseMs;
	return {
		lease: { owner, untilMs, startedIds },
		add(prepared, routeId, clearance, known) {
			const { row, subject } = prepared;
			const [classNumber, tenantId] = [row.class, subject.tenantId];
			const passage = gate.pass(routeId, classNumber, tenantId);
			if (passage === "table") {
				waiting.add(`${routeId}/${classNumber}`);
				return undefined;
			}
			const started = passage === "started";
			const name = `${routeId}/${classNumber}/${tenantId}/${passage}`;
			let batch = open.get(name);
			if (batch === undefined || batch.messages.length >= batchMax) {
				const { settings } = known;
				const shared = { routeId, class: classNumber, tenantId, started, settings };
				batch = { id: ids.next(), ...shared, messages: [] };
				open.set(name, batch);
				batches.push(batch);
				if (started) startedIds.push(batch.id);
			}
			batch.messages.push(handedOf(prepared, clearance, known));
			return batch.id;
		},
		commit() {
			const texts = batches.map((batch) => JSON.stringify(batch));
			if (texts.length > 0) post({ kind: "handed", batches: texts, untilMs });
			if (waiting.size > 0) post({ kind: "waits", lanes: [...waiting] });
		},
		cancel() {
			gate.left(batches.map(leftOf));
			// The gate has closed these lanes, and only the other half opens them.
			if (waiting.size > 0) post({ kind: "waits", lanes: [...waiting] });
		},
	};
}

/** What of a batch no longer takes up room. */
function leftOf(batch: HandedBatch): LeftBatch {
	const { routeId, class: classNumber, tenantId, started, messages } = batch;
	return { routeId, class: classNumber, tenantId, started, messages: messages.length };
}

function handedOf(
	{ draft, row, subject }: Prepared,
	{ ruleset, validUntil, seal }: Clearance,
	{ facts }: Known,
): HandedMessage {
	const { environment, messageId, class: name, country, dlt, at } = subject;
	const { recipient, bodyDigest, senderIndex, suppressionIndex } = subject;
	return {
		subject: { environment, messageId, class: name, country, dlt, at },
		octets: packOctets([recipient, bodyDigest, senderIndex, seal, suppressionIndex]),
		clearance: { ruleset, validUntil },
		to: draft.to,
		from: draft.from,
		text: draft.text,
		expiresAtMs: row.expiresAtMs,
		judged: {
			registered: facts.sender?.registered === true,
			active: facts.sender?.active === true,
			suppressed: facts.suppressed === true,
			promotionalConsent: facts.promotionalConsent,
		},
	};
}
