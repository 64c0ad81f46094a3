/**
 * Accept, screen and route a group of requests in one commit: keys, facts, verdicts, messages, lane
 * entries, outbox. What it returns has been committed. Never sends; a message that a rule refuses is stored
 * as rejected, with its verdicts, so that the refusal can be read and proved.
 */
import { keysStillValid } from "#access/index.ts";
import { type Grant, recordGrants } from "#contacts/index.ts";
import type { Clock } from "#platform/clock.ts";
import type { Database, Scope, Tx } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import type { Ids } from "#platform/ids.ts";
import { screen } from "#policy/index.ts";
import { type GroupKeys, lostToAnother, type Vault } from "#vault/index.ts";
import { nextTurn } from "#platform/turns.ts";
import type { Draft } from "./draft.ts";
import { gatherFacts, type Known } from "./facts.ts";
import type { Handover, HandoverPlan } from "./handover.ts";
import { type Accepted, clearanceOf, decide, rejection } from "./decide.ts";
import { contactOf, type Prepared, placeOf, prepare, type SenderIndexes } from "./prepare.ts";
import type { Router } from "./router.ts";
import { states } from "./state.ts";
import * as store from "./store.ts";
import { applyTransitions, type Transition } from "./transition-store.ts";

export interface AcceptRequest {
	readonly scope: Scope;
	readonly keyId: string;
	readonly drafts: readonly Draft[];
	readonly idempotency: store.Retryable | undefined;
}

export type AcceptAnswer =
	| { readonly kind: "accepted"; readonly messages: readonly Accepted[]; readonly atMs: number }
	| { readonly kind: "replayed"; readonly messageIds: readonly string[] }
	| { readonly kind: "fault"; readonly fault: Fault };

export interface AcceptParts {
	readonly db: Database;
	readonly vault: Vault;
	readonly ids: Ids;
	readonly clock: Clock;
	readonly router: Router;
	readonly handover: Handover | undefined;
	readonly senderIndexes: SenderIndexes;
}

/** A request in work: its rows, made before the transaction. */
interface Work {
	readonly request: AcceptRequest;
	readonly prepared: readonly Prepared[];
	answer: AcceptAnswer | undefined;
}

/** Answers in the order of the requests. Throws when nothing was committed. */
export async function acceptGroup(
	parts: AcceptParts,
	requests: readonly AcceptRequest[],
): Promise<AcceptAnswer[]> {
	const { vault, clock, db, handover } = parts;
	await vault.warm([...new Set(requests.map((request) => request.scope.tenantId))]);
	const nowMs = clock.now();
	const work: Work[] = [];
	for (const request of requests)
		work.push({ request, prepared: await prepareAll(parts, request, nowMs), answer: undefined });
	for (let tries = 1; ; tries++) {
		const plan = handover?.();
		const contacts = vault.contacts.group(tries > 1);
		try {
			await db.inTenant((requests[0] as AcceptRequest).scope, (tx) =>
				write({ ...parts, contacts }, tx, groupByScope(work), nowMs, plan),
			);
		} catch (error) {
			plan?.cancel();
			if (tries < triesMax && lostToAnother(error)) continue;
			throw error;
		}
		plan?.commit();
		contacts.committed();
		break;
	}
	return work.map((one) => one.answer ?? { kind: "fault", fault: Fault.of("internal") });
}

/** A commit is tried so often when others make the same contacts' keys at the same time. */
const triesMax = 3;

interface WriteParts extends AcceptParts {
	readonly contacts: GroupKeys;
}

/** Messages prepared, or judged, in one turn of the event loop: a large batch must not hold up a one-time code. */
const messagesAtOnce = 64;

async function prepareAll(
	parts: AcceptParts,
	{ scope, keyId, drafts }: AcceptRequest,
	nowMs: number,
): Promise<Prepared[]> {
	const prepared: Prepared[] = [];
	for (const [i, draft] of drafts.entries()) {
		if (i > 0 && i % messagesAtOnce === 0) await nextTurn();
		prepared.push(prepare(parts, scope, keyId, draft, nowMs));
	}
	return prepared;
}

async function write(
	parts: WriteParts,
	tx: Tx,
	groups: readonly Work[][],
	nowMs: number,
	plan: HandoverPlan | undefined,
): Promise<void> {
	// Each scope's questions are sent in its own scope; all of them travel together. The transaction begins in the
	// scope of the first group, and stays there when it is the only one.
	const gathered = await Promise.all(
		groups.map((group, i) => {
			if (i > 0) tx.enter(scopeOf(group));
			return ask(parts, tx, group, nowMs);
		}),
	);
	for (const [i, group] of groups.entries()) {
		if (groups.length > 1) tx.enter(scopeOf(group));
		await record(parts, tx, group, gathered[i] as Answers, nowMs, plan);
	}
}

function scopeOf(group: readonly Work[]): Scope {
	return (group[0] as Work).request.scope;
}

interface Answers {
	readonly newKeys: ReadonlySet<string>;
	readonly knownKeys: readonly store.KnownKey[];
	readonly validKeyIds: ReadonlySet<string>;
	readonly known: readonly Known[];
}

/** Every query is sent before the first answer is awaited: one round trip for the whole group. */
async function ask(
	parts: WriteParts,
	tx: Tx,
	group: readonly Work[],
	nowMs: number,
): Promise<Answers> {
	const scope = scopeOf(group);
	const { contacts } = parts;
	const grants = grantsOf(parts, group);
	const recipients = group.flatMap(({ prepared }) =>
		prepared.map(({ row }) => contactOf(scope, row.addressIndex)),
	);
	const loading = contacts.load(tx, recipients);
	if (grants.length > 0) {
		// Evidence is sealed before it goes on record, and goes on record before anything is judged.
		await loading;
		recordGrants(tx, parts.vault, scope, grants, nowMs, contacts);
		contacts.store(tx);
	}
	const claims = group.flatMap(({ request, prepared }) =>
		request.idempotency === undefined
			? []
			: [{ ...request.idempotency, messageIds: prepared.map((one) => one.row.id) }],
	);
	const [newKeys, knownKeys, validKeyIds, gathered] = await Promise.all([
		store.claimKeys(tx, scope, nowMs, claims),
		claims.length === 0
			? []
			: store.readKeys(
					tx,
					scope,
					claims.map((claim) => claim.keyHash),
				),
		keysStillValid(tx, scope, [...new Set(group.map(({ request }) => request.keyId))], nowMs),
		gatherFacts(
			tx,
			group.flatMap(({ prepared }) => prepared.map((one) => one.subject)),
		),
		loading,
	]);
	return { newKeys, knownKeys, validKeyIds, known: gathered };
}

/** Consent stated with the sends goes on record before they are judged, also when one of them is refused. */
function grantsOf(parts: AcceptParts, group: readonly Work[]): Grant[] {
	return group.flatMap(({ prepared }) =>
		prepared.flatMap(({ draft }) =>
			draft.consent === undefined
				? []
				: [{ id: parts.ids.next(), address: draft.to, ...draft.consent }],
		),
	);
}

/** A revoked key, or an Idempotency-Key that was used before. */
function settleEarly(
	request: AcceptRequest,
	answers: Answers,
	known: ReadonlyMap<string, store.KnownKey>,
): AcceptAnswer | undefined {
	const { idempotency, keyId } = request;
	if (!answers.validKeyIds.has(keyId)) return { kind: "fault", fault: Fault.of("key_invalid") };
	if (idempotency === undefined) return undefined;
	const name = idempotency.keyHash.toString("base64");
	if (answers.newKeys.has(name)) return undefined;
	const earlier = known.get(name);
	if (earlier === undefined)
		return { kind: "fault", fault: Fault.of("request_in_progress", { retryAfterSeconds: 1 }) };
	if (!store.isSameRequest(idempotency, earlier) || earlier.messageIds === null)
		return { kind: "fault", fault: Fault.of("idempotency_key_reuse") };
	return { kind: "replayed", messageIds: earlier.messageIds };
}

/** What a scope's messages become in the tables. */
interface Rows {
	readonly messages: store.JudgedMessage[];
	readonly refused: Transition[];
	readonly events: [string, string, number][];
}

/** Settles every request's answer and stores the messages, some in each turn of the event loop. */
async function record(
	parts: WriteParts,
	tx: Tx,
	group: readonly Work[],
	answers: Answers,
	nowMs: number,
	plan: HandoverPlan | undefined,
): Promise<void> {
	const scope = scopeOf(group);
	const keys = new Map(answers.knownKeys.map((key) => [key.keyHash.toString("base64"), key]));
	const rows: Rows = { messages: [], refused: [], events: [] };
	let done = 0;
	for (const work of group) {
		const known = answers.known.slice(done, done + work.prepared.length);
		work.answer = settleEarly(work.request, answers, keys);
		if (work.answer === undefined) {
			const messages: Accepted[] = [];
			for (const [i, prepared] of work.prepared.entries()) {
				if ((done + i) % messagesAtOnce === messagesAtOnce - 1) await nextTurn();
				messages.push(recordOne(parts, scope, prepared, known[i] as Known, nowMs, plan, rows));
			}
			work.answer = { kind: "accepted", messages, atMs: nowMs };
		}
		done += work.prepared.length;
	}
	parts.contacts.store(tx);
	const outbox = { id: parts.ids.next(), events: rows.events };
	store.insertJudged(tx, scope, nowMs, rows.messages, plan?.lease, outbox);
	applyTransitions(tx, nowMs, rows.refused);
}

function recordOne(
	parts: WriteParts,
	scope: Scope,
	prepared: Prepared,
	known: Known,
	nowMs: number,
	plan: HandoverPlan | undefined,
	rows: Rows,
): Accepted {
	const { draft } = prepared;
	const outcome = screen(known.facts, "accept", parts.vault, nowMs);
	const { id } = prepared.row;
	const contact = parts.contacts.of(contactOf(scope, prepared.row.addressIndex));
	const sealed = parts.vault.sealJsonFor(contact, placeOf(scope, id), prepared.contents);
	const { ruleset, verdicts } = outcome;
	const candidates =
		outcome.kind === "refused" ? [] : parts.router.candidates(scope.environment, draft.country);
	const [routeId] = candidates;
	const decision = decide(prepared, outcome, routeId, nowMs);
	const deferredUntilMs = outcome.kind === "deferred" ? outcome.until : null;
	// Also of what nothing serves, or what would wait too long: the rules did clear it.
	const clearance = clearanceOf(outcome);
	const keep = (lane: store.JudgedMessage["lane"]): void =>
		void rows.messages.push({
			...prepared.row,
			sealed,
			ruleset,
			verdicts,
			deferredUntilMs,
			clearance,
			lane,
		});
	if (decision.kind === "rejected" || clearance === undefined || routeId === undefined) {
		keep(undefined);
		rows.refused.push(rejection(parts.ids.next(), scope, id, decision, nowMs));
		return { id, draft, decision };
	}
	const { dueAtMs } = decision;
	const mayLeave = outcome.kind === "cleared" && dueAtMs <= nowMs;
	const batchId = mayLeave ? plan?.add(prepared, routeId, outcome.clearance, known) : undefined;
	keep({ routeId, dueAtMs, batchId: batchId ?? null });
	rows.events.push([id, id, states.accepted.rank]);
	return { id, draft, decision };
}

function groupByScope(work: readonly Work[]): Work[][] {
	const groups = new Map<string, Work[]>();
	for (const one of work) {
		const name = `${one.request.scope.tenantId}/${one.request.scope.environment}`;
		const group = groups.get(name);
		if (group === undefined) groups.set(name, [one]);
		else group.push(one);
	}
	return [...groups.values()];
}
