/**
 * What people and customers do in a simulation: requests of every kind, repeated under their key when no answer
 * came, and what recipients want, changed at any moment. Checks what an answer promises.
 */

import { recordStarts, recordStops } from "#contacts/index.ts";
import type { Environment } from "#platform/db.ts";
import { insertStatements } from "../../server/contacts/consent-store.ts";
import type { AcceptRequest, Answered } from "../../server/messages/accept.ts";
import { type Draft, readDraft } from "../../server/messages/draft.ts";
import { rowKey } from "./meanings-accept.ts";
import { complain } from "./oracle-state.ts";
import { poisonAddress, type Process, scopeOf, type Tenant, type World } from "./world.ts";

/** A request as its sender knows it. */
export interface Asked {
	readonly request: AcceptRequest;
	readonly tenant: Tenant;
	answered: readonly string[] | undefined;
	tries: number;
	/** The client's last try is before this virtual moment: long before its key is forgotten. */
	readonly untilMs: number;
}

export interface Workload {
	readonly world: World;
	/** Those that serve. */
	readonly processes: () => readonly Process[];
	/** Answered requests: they may be asked again under their key. */
	readonly asked: Asked[];
	messages: number;
	/** Share of the messages that end the connection. */
	readonly poison: number;
	/** Requests whose client still waits or will try again. */
	pending: number;
}

const categories = ["authentication", "transactional", "service", "promotional"] as const;
const recipientCount = 8;
const texts = ["Your parcel is on its way.", "Ω".repeat(100), "a".repeat(330)];

export function pick<T>(world: World, list: readonly T[]): T {
	return list[Math.floor(world.random.fraction() * list.length)] as T;
}

export function between(world: World, from: number, to: number): number {
	return from + world.random.fraction() * (to - from);
}

export function addressOf(recipient: number): string {
	return `+9198123456${String(10 + recipient)}`;
}

/** Almost everyone has agreed to promotion at the start. */
export function grantConsent(world: World): void {
	for (const { id: tenantId } of world.tenants)
		for (const environment of ["live", "test"] as const)
			for (let i = 0; i < recipientCount - 1; i++) {
				const id = `${tenantId}/${environment}/${i}`;
				const addressIndex = world.vault.index(tenantId, environment, "sms.address", addressOf(i));
				world.tables.statements.committed.set(id, {
					tenantId,
					environment,
					id,
					addressIndex,
					coverage: "all",
					granted: true,
					consentedAtMs: world.wallMs() - 86_400_000,
				});
			}
}

export interface Wish {
	readonly count?: number;
	readonly category?: (typeof categories)[number];
	readonly tenant?: Tenant;
	readonly plain?: boolean;
	/** Which of its messages, from 0, end the connection. */
	readonly poisonous?: readonly number[];
}

/** A new request of one or more messages; each message's template id is its token. */
export function newRequest(work: Workload, wish: Wish = {}): Asked {
	const { world } = work;
	const tenant = wish.tenant ?? pick(world, world.tenants);
	const environment: Environment = world.random.fraction() < 0.9 ? "live" : "test";
	const chance = world.random.fraction();
	const usual = chance < 0.6 ? 1 : chance < 0.95 ? 2 + Math.floor(chance * 8) : 70;
	const drafts = Array.from({ length: wish.count ?? usual }, (_, i) => {
		const isPoisonous =
			wish.poisonous?.includes(i) ?? (work.poison > 0 && world.random.fraction() < work.poison);
		const category = wish.category ?? pick(world, categories);
		return newDraft(work, tenant, category, wish.plain === true, isPoisonous);
	});
	const name = String(work.messages);
	const hasKey = world.random.fraction() < 0.7;
	const request: AcceptRequest = {
		scope: scopeOf(tenant, wish.plain === true ? "live" : environment),
		keyId: tenant.keyId,
		drafts,
		idempotency: hasKey
			? {
					keyHash: Buffer.from(`key ${name}`),
					fingerprint: Buffer.from(name),
					olderFingerprint: Buffer.from(name),
				}
			: undefined,
	};
	return { request, tenant, answered: undefined, tries: 0, untilMs: world.time.now() + 3_600_000 };
}

function newDraft(
	work: Workload,
	tenant: Tenant,
	category: (typeof categories)[number],
	plain: boolean,
	isPoisonous: boolean,
): Draft {
	const { world } = work;
	const token = `1107${String(++work.messages).padStart(15, "0")}`;
	const chance = plain ? 1 : world.random.fraction();
	const inMs = (ms: number): string => new Date(Math.floor(world.wallMs() + ms)).toISOString();
	const read = readDraft(
		{
			to: isPoisonous
				? poisonAddress
				: addressOf(Math.floor(world.random.fraction() * recipientCount)),
			from: tenant.sender,
			text: plain
				? (texts[0] as string)
				: world.random.fraction() < 0.85
					? (texts[0] as string)
					: pick(world, texts),
			category,
			dlt: { template_id: token },
			...(chance < 0.15 ? { scheduled_at: inMs(between(world, 1_000, 25_000)) } : {}),
			...(chance > 0.1 && chance < 0.2
				? { validity_period: Math.ceil(between(world, 2, 40)) }
				: {}),
		},
		Math.floor(world.wallMs()),
	);
	if (!("draft" in read))
		throw new Error(`a draft of the simulation is wrong: ${JSON.stringify(read)}`);
	return read.draft;
}

/** Requests of any tenants in one moment: they share a commit. */
export function burst(work: Workload): void {
	for (let left = 2 + Math.floor(work.world.random.fraction() * 6); left > 0; left--)
		ask(work, newRequest(work));
}

const triesMax = 6;

/** Sends a request to some process; without an answer, again under its key. */
export function ask(work: Workload, asked: Asked): void {
	const { world } = work;
	const serving = work.processes();
	const again = (): void => {
		const isPatient = asked.tries < triesMax && world.time.now() < asked.untilMs;
		if (asked.request.idempotency === undefined || !isPatient) return;
		work.pending++;
		world.time.schedule(between(world, 50, 2_500), undefined, () => {
			work.pending--;
			ask(work, asked);
		});
	};
	asked.tries++;
	if (serving.length === 0) return again();
	const process = pick(world, serving);
	work.pending++;
	let isOver = false;
	const once = (next: () => void): void => {
		if (isOver) return;
		isOver = true;
		work.pending--;
		next();
	};
	world.time.as(process.owner, () => {
		void process.path?.acceptor.accept(asked.request).then(
			(answer) => once(() => heed(work, asked, answer)),
			() => once(again),
		);
	});
	// The client's patience.
	world.time.schedule(between(world, 3_000, 8_000), undefined, () => once(again));
}

function heed(work: Workload, asked: Asked, answer: Answered): void {
	const { oracle, tables, trace } = work.world;
	const ids = answer.kind === "accepted" ? answer.messages.map(({ id }) => id) : answer.messageIds;
	trace.note(`${answer.kind}: ${ids.length} messages from ${ids[0]?.slice(-6)}`);
	for (const id of ids)
		if (!tables.messages.committed.has(rowKey(asked.tenant.id, id)))
			complain(oracle, "accepted is durable", `${id} was answered and is not stored`);
	if (ids.length !== asked.request.drafts.length)
		complain(
			oracle,
			"accepted is durable",
			`${ids.length} ids for ${asked.request.drafts.length} messages`,
		);
	if (asked.answered === undefined) work.asked.push(asked);
	else if (asked.answered.join() !== ids.join())
		complain(
			oracle,
			"one message per key",
			`one key was answered with ${asked.answered[0]} and ${ids[0]}`,
		);
	asked.answered = ids;
}

/** A person or a tenant changes who may be written to. What the database refuses is said again. */
export function changeWishes(work: Workload): void {
	const { world } = work;
	const [process] = work.processes();
	if (process === undefined) return;
	const tenant = pick(world, world.tenants);
	const address = addressOf(Math.floor(world.random.fraction() * recipientCount));
	const scope = scopeOf(tenant, "live");
	const kind = pick(world, ["stop", "stop", "start", "consent", "consent"] as const);
	const granted = world.random.fraction() < 0.5;
	world.time.as(process.owner, () => {
		const { vault, ids, clock } = process;
		const words = { ...scope, id: ids.next(), address, originator: null, atMs: clock.now() };
		const done = vault.warm([tenant.id]).then(() =>
			process.worker.inTenants([tenant.id], async (tx) => {
				if (kind === "stop") await recordStops(tx, vault, [words]);
				else if (kind === "start") await recordStarts(tx, vault, [words]);
				else
					insertStatements(tx, scope, [
						{
							id: words.id,
							addressIndex: vault.index(tenant.id, "live", "sms.address", address),
							coverage: world.random.fraction() < 0.3 ? "all" : "non_transactional",
							granted,
							consentedAt: words.atMs,
							sealed: Buffer.alloc(0),
							recordedAtMs: words.atMs,
						},
					]);
			}),
		);
		void done.then(
			() => world.trace.note(`${kind} of ${address.slice(-2)}`),
			() => undefined,
		);
	});
}
