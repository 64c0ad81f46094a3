/**
 * The routes that send. Handlers are thin: they read drafts, hand them to the acceptor, and show what was
 * decided; a repeated Idempotency-Key is answered from what was stored then.
 */
import type { Clock } from "#platform/clock.ts";
import type { Database, Scope } from "#platform/db.ts";
import { Fault, type FaultDetail } from "#platform/errors.ts";
import { type Answer, type Call, type Route, route } from "#platform/http.ts";
import { nextTurn } from "#platform/turns.ts";
import { explain } from "#policy/index.ts";
import type { Vault } from "#vault/index.ts";
import { type Draft, type MessageRequest, readDraft } from "./draft.ts";
import type { Acceptor } from "./group.ts";
import * as store from "./read-store.ts";
import { contactOf } from "./prepare.ts";
import { shownTime, renderAccepted, renderStored } from "./render.ts";
import * as shapes from "./schemas.ts";
import type { Retryable } from "./retry-store.ts";
import { errorOfNumber, states } from "./state.ts";

export interface SendRouteParts {
	readonly db: Database;
	readonly vault: Vault;
	readonly clock: Clock;
	readonly acceptor: Acceptor;
}

/** Messages of a batch that are read in one turn of the event loop. */
const readAtOnce = 64;

const refusals = {
	401: { description: "No valid key." },
	403: { description: "The key lacks the scope." },
} as const;

export function sendRoute(parts: SendRouteParts): Route {
	return route({
		method: "POST",
		path: "/v1/sms/messages",
		operationId: "sendSms",
		tag: "SMS",
		permission: "sms:send",
		idempotency: "own",
		audited: false,
		summary: "Send one SMS",
		description:
			"Answered after the commit: an accepted message is never lost. A message that a rule refuses is answered with status `rejected`, the rule and its citation; one that must wait for a window with `scheduled`. Requests that arrive together share a commit.",
		body: shapes.messageRequest,
		answers: {
			202: {
				description: "Stored: accepted, scheduled or rejected by a rule.",
				schema: shapes.messageSchema,
			},
			401: refusals[401],
			403: refusals[403],
			409: { description: "The same Idempotency-Key is being executed." },
			422: { description: "A parameter is not acceptable." },
			429: { description: "Too much waits to be accepted." },
			503: { description: "Nothing was accepted; Retry-After says when to try again." },
		},
		handle: async (call) => {
			const read = readDraft(call.body, parts.clock.now());
			if ("details" in read) throw complaint(read.details);
			return answer(await accept(parts, call, [read.draft]), (messages) => messages[0]);
		},
	});
}

export function batchRoute(parts: SendRouteParts): Route {
	return route({
		method: "POST",
		path: "/v1/sms/batches",
		operationId: "sendSmsBatch",
		tag: "SMS",
		permission: "sms:send",
		idempotency: "own",
		audited: false,
		summary: `Send up to ${shapes.batchMax} SMS`,
		description:
			"All messages are validated before any is stored: one that is malformed refuses the batch. Rules judge each message by itself.",
		body: shapes.batchRequest,
		bodyLimitBytes: 4 * 1024 * 1024,
		answers: {
			202: { description: "Stored, in the order given.", schema: shapes.batchAnswer },
			401: refusals[401],
			403: refusals[403],
			413: { description: "The body is larger than 4 MiB." },
			422: { description: "A parameter is not acceptable." },
			429: { description: "Too much waits to be accepted." },
			503: { description: "Nothing was accepted." },
		},
		handle: async (call) => {
			const nowMs = parts.clock.now();
			const drafts: Draft[] = [];
			const details: FaultDetail[] = [];
			for (const [i, message] of (call.body.messages as MessageRequest[]).entries()) {
				if (i % readAtOnce === readAtOnce - 1) await nextTurn();
				const read = readDraft(message, nowMs, `messages[${i}].`);
				if ("draft" in read) drafts.push(read.draft);
				else details.push(...read.details);
				if (details.length >= 20) break;
			}
			if (details.length > 0) throw complaint(details);
			return answer(await accept(parts, call, drafts), (messages) => ({
				data: messages,
				summary: {
					accepted_count: messages.filter((message) => message["status"] !== "rejected").length,
				},
			}));
		},
	});
}

function complaint(details: readonly FaultDetail[]): Fault {
	const first = details[0] as FaultDetail;
	return Fault.of("validation_failed", { message: `${first.param}: ${first.message}`, details });
}

interface Outcome {
	readonly messages: readonly Record<string, unknown>[];
	readonly replayed: boolean;
}

function answer(
	outcome: Outcome,
	shape: (messages: readonly Record<string, unknown>[]) => unknown,
): Answer {
	const body = shape(outcome.messages);
	return outcome.replayed
		? { status: 202, body, headers: { "idempotent-replayed": "true" } }
		: { status: 202, body };
}

async function accept(
	parts: SendRouteParts,
	call: Call,
	drafts: readonly Draft[],
): Promise<Outcome> {
	const { scope, caller, idempotency } = call;
	await parts.vault.warm([scope.tenantId]);
	const done = await parts.acceptor.accept({
		scope,
		keyId: caller.keyId,
		drafts,
		idempotency: idempotency && retryableOf(parts.vault, scope, idempotency),
	});
	switch (done.kind) {
		case "accepted": {
			const at = shownTime(done.atMs);
			const messages = done.messages.map((message) => renderAccepted(message, at));
			return { messages, replayed: false };
		}
		case "replayed":
			return { messages: await replay(parts, scope, done.messageIds), replayed: true };
	}
}

/** A request is little more than a number and a known text: its fingerprint has a key, or anybody could try. */
function retryableOf(
	vault: Vault,
	{ tenantId }: Scope,
	{ keyHashInput, fingerprintInput }: NonNullable<Call["idempotency"]>,
): Retryable {
	return {
		keyHash: vault.digest("idempotency-key", keyHashInput),
		fingerprint: vault.mac(tenantId, "idempotency", [fingerprintInput]),
		olderFingerprint: vault.digest(fingerprintInput),
	};
}

/** The first answer, made again from what was stored then: a message's later states are left out. */
async function replay(
	parts: SendRouteParts,
	scope: Scope,
	ids: readonly string[],
): Promise<Record<string, unknown>[]> {
	await parts.vault.warm([scope.tenantId]);
	const [rows, decisions, contacts] = await parts.db.inTenant(scope, async (tx) => {
		const [rows, decisions] = await Promise.all([
			store.messagesByIds(tx, scope, ids),
			store.decisionsOf(tx, scope, ids),
		]);
		const people = rows.map((row) => contactOf(scope, row.address_index));
		return [rows, decisions, await parts.vault.contacts.load(tx, people)] as const;
	});
	const byId = new Map(rows.map((row) => [row.id, row]));
	return ids.flatMap((id) => {
		const row = byId.get(id);
		if (row === undefined) return [];
		const decision = decisions.find((one) => one.message_id === id);
		const rejected =
			row.status === states.rejected.rank && row.changed_at?.getTime() === row.created_at.getTime();
		const dueAt = decision?.until ?? row.scheduled_at;
		const then: store.StoredMessage = rejected
			? row
			: {
					...row,
					status: null,
					sent_at: null,
					error: null,
					possible_duplicate: null,
					due_at: dueAt,
				};
		const outcome = rejected ? "refused" : (decision?.outcome ?? "cleared");
		const contact = contacts.of(contactOf(scope, row.address_index));
		const shown = renderStored(parts.vault, contact, scope, then, row.created_at.getTime());
		return [{ ...shown, decision: replayDecision(row, decision, outcome) }];
	});
}

function replayDecision(
	row: store.StoredMessage,
	decision: store.StoredDecision | undefined,
	outcome: string,
): Record<string, unknown> {
	const until = decision?.until;
	if (until !== null && until !== undefined) return { outcome, until: until.toISOString() };
	if (outcome !== "refused") return { outcome };
	const verdicts =
		decision === undefined ? [] : (explain(decision.verdicts, decision.ruleset) ?? []);
	const refusing = verdicts.find((one) => one.verdict === "refuse");
	const reason = errorOfNumber(row.error ?? 0).says;
	return { outcome, rule: refusing?.rule ?? null, reason, cites: refusing?.cites ?? [] };
}
