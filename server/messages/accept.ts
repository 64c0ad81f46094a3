/**
 * Accept, screen and route a group of requests, of any number of tenants, in one commit: keys, facts, verdicts, messages,
 * lane entries, outbox. What it returns has been committed. Never sends; a message that a rule refuses is stored as
 * rejected, with its verdicts, so that the refusal can be read and proved.
 */
import { type KeyInUse, keysStillValid } from "#access/index.ts";
import { type Grant, recordGrants } from "#contacts/index.ts";
import type { Clock } from "#platform/clock.ts";
import type { Database, Scope, Tx } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import type { Ids } from "#platform/ids.ts";
import { screen } from "#policy/index.ts";
import { briefMs, type GroupKeys, lostToAnother, type Vault } from "#vault/index.ts";
import { nextTurn } from "#platform/turns.ts";
import type { Draft } from "./draft.ts";
import { gatherFacts, type Known } from "./facts.ts";
import type { Handover, HandoverPlan } from "./handover.ts";
import { type Accepted, clearanceOf, decide, rejection } from "./decide.ts";
import { contactOf, type Prepared, placeOf, prepare, type SenderIndexes } from "./prepare.ts";
import type { Router } from "./router.ts";
import { states } from "./state.ts";
import * as retries from "./retry-store.ts";
import * as store from "./store.ts";
import { applyTransitions, type Transition } from "./transition-store.ts";

export interface AcceptRequest {
	readonly scope: Scope;
	readonly keyId: string;
	readonly drafts: readonly Draft[];
	readonly idempotency: retries.Retryable | undefined;
}

/** Of a request that was carried out, now or earlier. */
export type Answered =
	| { readonly kind: "accepted"; readonly messages: readonly Accepted[]; readonly atMs: number }
	| { readonly kind: "replayed"; readonly messageIds: readonly string[] };

/** `failed`: this request alone was not; a Fault, or what else was thrown for it. */
export type AcceptAnswer = Answered | { readonly kind: "failed"; readonly error: unknown };

export interface AcceptParts {
	/** Its transactions are in the tenants of the group. */
	readonly worker: Database;
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
	const { vault, clock, worker, handover } = parts;
	const tenantIds = [...new Set(requests.map((request) => request.scope.tenantId))];
	// Each request has waited for its own already: here nobody waits for another's.
	await vault.warm(tenantIds, briefMs);
	const nowMs = clock.now();
	const all: Work[] = [];
	for (const request of requests) all.push(await prepareAll(parts, request, nowMs));
	const work = all.filter(({ answer }) => answer === undefined);
	for (let tries = 1; work.length > 0; tries++) {
		const plan = handover?.();
		const contacts = vault.contacts.group(tries > 1);
		try {
			await worker.inTenants(tenantIds, async (tx) => {
				const answers = await ask({ ...parts, contacts }, tx, work, nowMs);
				await record({ ...parts, contacts }, tx, work, answers, nowMs, plan);
			});
		} catch (error) {
			plan?.cancel();
			if (tries < triesMax && lostToAnother(error)) continue;
			throw error;
		}
		plan?.commit();
		contacts.committed();
		break;
	}
	return all.map(({ answer }) => answer ?? { kind: "failed", error: Fault.of("internal") });
}

/** A commit is tried so often when others make the same contacts' keys at the same time. */
const triesMax = 3;

interface WriteParts extends AcceptParts {
	readonly contacts: GroupKeys;
}

/** Messages prepared, or judged, in one turn of the event loop: a large batch must not hold up a one-time code. */
const messagesAtOnce = 64;

/** A tenant whose keys do not open has its answer at once; the others of the group have nothing to do with it. */
async function prepareAll(
	parts: AcceptParts,
	request: AcceptRequest,
	nowMs: number,
): Promise<Work> {
	const { scope, keyId, drafts } = request;
	const prepared: Prepared[] = [];
	try {
		for (const [i, draft] of drafts.entries()) {
			if (i > 0 && i % messagesAtOnce === 0) await nextTurn();
			prepared.push(prepare(parts, scope, keyId, draft, nowMs));
		}
	} catch (error) {
		return { request, prepared: [], answer: { kind: "failed", error } };
	}
	return { request, prepared, answer: undefined };
}

interface Answers {
	/** Names of idempotency keys. */
	readonly newKeys: ReadonlySet<string>;
	readonly knownKeys: ReadonlyMap<string, retries.KnownKey>;
	/** Names of API keys, as `nameOfKey` gives them. */
	readonly validKeys: ReadonlySet<string>;
	readonly known: readonly Known[];
}

/** Every query is sent before the first answer is awaited: one round trip for the whole group. */
async function ask(
	parts: WriteParts,
	tx: Tx,
	group: readonly Work[],
	nowMs: number,
): Promise<Answers> {
	const { contacts } = parts;
	const grants = grantsOf(parts, group);
	const recipients = group.flatMap(({ request: { scope }, prepared }) =>
		prepared.map(({ row }) => contactOf(scope, row.addressIndex)),
	);
	const loading = contacts.load(tx, recipients);
	if (grants.length > 0) {
		// Evidence is sealed before it goes on record, and goes on record before anything is judged.
		await loading;
		recordGrants(tx, parts.vault, grants, nowMs, contacts);
		contacts.store(tx);
	}
	const claims = group.flatMap(({ request: { scope, idempotency }, prepared }) =>
		idempotency === undefined
			? []
			: [{ scope, ...idempotency, messageIds: prepared.map((one) => one.row.id) }],
	);
	const [newKeys, knownKeys, valid, gathered] = await Promise.all([
		retries.claimKeys(tx, nowMs, claims),
		retries.readKeys(tx, claims),
		keysStillValid(tx, keysOf(group), nowMs),
		gatherFacts(
			tx,
			group.flatMap(({ prepared }) => prepared.map((one) => one.subject)),
		),
		loading,
	]);
	return { newKeys, knownKeys, validKeys: new Set(valid.map(nameOfKey)), known: gathered };
}

/** Each once: many requests are sent with the same. */
function keysOf(group: readonly Work[]): KeyInUse[] {
	const keys = group.map(({ request: { scope, keyId } }) => ({ scope, id: keyId }));
	return [...new Map(keys.map((key) => [nameOfKey(key), key])).values()];
}

function nameOfKey({ scope, id }: KeyInUse): string {
	return `${scope.tenantId}/${scope.environment}/${id}`;
}

/** Consent stated with the sends goes on record before they are judged, also when one of them is refused. */
function grantsOf(parts: AcceptParts, group: readonly Work[]): Grant[] {
	return group.flatMap(({ request: { scope }, prepared }) =>
		prepared.flatMap(({ draft }) =>
			draft.consent === undefined
				? []
				: [{ scope, id: parts.ids.next(), address: draft.to, ...draft.consent }],
		),
	);
}

/** A revoked key, or an Idempotency-Key that was used before. */
function settleEarly(
	{ scope, idempotency, keyId }: AcceptRequest,
	answers: Answers,
): AcceptAnswer | undefined {
	if (!answers.validKeys.has(nameOfKey({ scope, id: keyId })))
		return { kind: "failed", error: Fault.of("key_invalid") };
	if (idempotency === undefined) return undefined;
	const name = retries.keyName(scope, idempotency.keyHash);
	if (answers.newKeys.has(name)) return undefined;
	const earlier = answers.knownKeys.get(name);
	if (earlier === undefined)
		return { kind: "failed", error: Fault.of("request_in_progress", { retryAfterSeconds: 1 }) };
	if (!retries.isSameRequest(idempotency, earlier) || earlier.messageIds === null)
		return { kind: "failed", error: Fault.of("idempotency_key_reuse") };
	return { kind: "replayed", messageIds: earlier.messageIds };
}

/** What the messages of one tenant's environment become in the tables. */
interface Rows {
	readonly scope: Scope;
	readonly rows: store.JudgedMessage[];
	readonly digestId: string;
	readonly events: [string, string, number][];
	readonly refused: Transition[];
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
	const byScope = new Map<string, Rows>();
	let done = 0;
	for (const work of group) {
		const { request, prepared } = work;
		work.answer = settleEarly(request, answers);
		if (work.answer === undefined) {
			const rows = rowsOf(byScope, request.scope, parts.ids);
			const messages: Accepted[] = [];
			for (const [i, one] of prepared.entries()) {
				if ((done + i) % messagesAtOnce === messagesAtOnce - 1) await nextTurn();
				messages.push(recordOne(parts, one, answers.known[done + i] as Known, nowMs, plan, rows));
			}
			work.answer = { kind: "accepted", messages, atMs: nowMs };
		}
		done += prepared.length;
	}
	parts.contacts.store(tx);
	const all = [...byScope.values()];
	store.insertJudged(tx, nowMs, all, plan?.lease);
	applyTransitions(
		tx,
		nowMs,
		all.flatMap(({ refused }) => refused),
	);
}

function rowsOf(byScope: Map<string, Rows>, scope: Scope, ids: Ids): Rows {
	const name = `${scope.tenantId}/${scope.environment}`;
	const known = byScope.get(name);
	if (known !== undefined) return known;
	const rows = { scope, rows: [], digestId: ids.next(), events: [], refused: [] };
	byScope.set(name, rows);
	return rows;
}

function recordOne(
	parts: WriteParts,
	prepared: Prepared,
	known: Known,
	nowMs: number,
	plan: HandoverPlan | undefined,
	{ scope, rows, events, refused }: Rows,
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
		void rows.push({
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
		refused.push(rejection(parts.ids.next(), scope, id, decision, nowMs));
		return { id, draft, decision };
	}
	const { dueAtMs } = decision;
	const mayLeave = outcome.kind === "cleared" && dueAtMs <= nowMs;
	const batchId = mayLeave ? plan?.add(prepared, routeId, outcome.clearance, known) : undefined;
	keep({ routeId, dueAtMs, batchId: batchId ?? null });
	events.push([id, id, states.accepted.rank]);
	return { id, draft, decision };
}
