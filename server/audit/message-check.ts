/**
 * Goes round and round through everything that entered the ledger and compares the stored messages with it, from the
 * entry down: the digests that the entry's root is made of, their members, each message's bytes. At a bounded pace, and
 * from where the last process left off. What does not agree is told once in the log and in both ledgers.
 */
import type { Clock } from "#platform/clock.ts";
import type { Database, Tx } from "#platform/db.ts";
import { readId, showId } from "#platform/ids.ts";
import type { Log } from "#platform/log.ts";
import {
	checkPlace,
	type CheckPlace,
	checksDue,
	digestEntries,
	type DigestRoot,
	digestsOfEntry,
	findDigest,
	lockCheck,
	saveCheckPlace,
} from "./digest-store.ts";
import { readEntry, targetsMax } from "./entry.ts";
import { digestsMax } from "./fold.ts";
import { type Act, type Ledger, shownLog, system } from "./ledger.ts";
import { isLeafOf, type MessageFacts } from "./message-leaf.ts";
import { platformLog } from "./store.ts";
import { hashBytes } from "./tree.ts";
import { wideRoot } from "./wide-tree.ts";

/** How messages are read back; handed in, for the ledger knows nothing of their tables. */
export interface MessageReader {
	/** Those of these messages of a tenant that are there. */
	facts(tx: Tx, tenantId: string, ids: readonly string[]): Promise<readonly MessageFacts[]>;
	/** Of these ids, those whose month of the table is not there: dropped as a whole. */
	lost(
		tx: Tx,
		table: "messages" | "message_digests",
		ids: readonly string[],
	): Promise<ReadonlySet<string>>;
}

export interface CheckParts {
	/** With the worker's role. */
	readonly db: Pick<Database, "inPlatform">;
	readonly ledger: Ledger;
	readonly clock: Clock;
	readonly log: Log;
	readonly messages: MessageReader;
}

export type Why = "message_changed" | "message_missing" | "digest_changed";

/** Something is not what the ledger holds. */
export interface Finding {
	readonly tenantId: string;
	readonly why: Why;
	/** `msg_…`; of a digest, the entry that it is in, `aud_…`. */
	readonly target: string;
}

export interface MessageCheck {
	/**
	 * Looks at the next messages: stops when it has seen `most`, but ends the digest it is at. A tenant whose round ended
	 * less than `restMs` ago is left alone. Returns how many it has looked at.
	 */
	step(most: number, restMs: number): Promise<number>;
	/** What was found since the start; the same thing once. */
	readonly found: number;
	/** Messages that are gone with their whole month, seen in steps since the start. */
	readonly gone: number;
}

const tenantsMax = 20;
const entriesMax = 100;
/** Remembered, so that each is told once. */
const toldMax = 10_000;

interface Round {
	readonly findings: Finding[];
	seen: number;
	gone: number;
}

export function createMessageCheck(parts: CheckParts): MessageCheck {
	const told = new Set<string>();
	let gone = 0;
	const isNew = ({ why, target }: Finding): boolean => !told.has(`${why} ${target}`);
	return {
		get found() {
			return told.size;
		},
		get gone() {
			return gone;
		},
		async step(most, restMs) {
			const round: Round = { findings: [], seen: 0, gone: 0 };
			const fresh = await parts.db.inPlatform(async (tx) => {
				if (!(await lockCheck(tx))) return [];
				const before = new Date(parts.clock.now() - restMs);
				for (const tenantId of await checksDue(tx, tenantsMax, before)) {
					tx.enterTenants([tenantId]);
					await checkTenant(parts, tx, tenantId, most, round);
					if (round.seen >= most) break;
				}
				const found = round.findings.filter(isNew).slice(0, toldMax - told.size);
				for (const { tenantId, why, target } of found)
					parts.log.error(
						{ event: "ledger.messages_altered", ledger: shownLog(tenantId), why, target },
						"what is stored of messages is not what the ledger holds",
					);
				await record(parts.ledger, tx, found);
				return found;
			});
			for (const { why, target } of fresh) told.add(`${why} ${target}`);
			gone += round.gone;
			return round.seen;
		},
	};
}

async function record(ledger: Ledger, tx: Tx, findings: readonly Finding[]): Promise<void> {
	if (findings.length === 0) return;
	const tenants = [...new Set(findings.map((one) => one.tenantId))];
	tx.enterTenants([platformLog, ...tenants]);
	const acts: Act[] = [];
	for (const [, those] of Map.groupBy(findings, (one) => `${one.tenantId} ${one.why}`))
		for (let at = 0; at < those.length; at += targetsMax) {
			const some = those.slice(at, at + targetsMax);
			const { tenantId, why } = some[0] as Finding;
			const act = {
				event: "control.failed",
				actor: system,
				outcome: "failed",
				targets: [...new Set(some.map((one) => one.target))],
				data: { control: "messages.digests", why },
			} as const;
			acts.push({ ...act, log: platformLog }, { ...act, log: tenantId });
		}
	await ledger.record(tx, acts);
}

async function checkTenant(
	parts: CheckParts,
	tx: Tx,
	tenantId: string,
	most: number,
	round: Round,
): Promise<void> {
	let place = await checkPlace(tx, tenantId);
	const entries = await digestEntries(tx, tenantId, place.entryId, entriesMax);
	for (const { id, entry } of entries) {
		const digestId = await checkEntry(parts, tx, { tenantId, id, entry, place, most }, round);
		place = digestId === null ? { entryId: id, digestId: null } : { ...place, digestId };
		if (round.seen >= most) break;
	}
	// Nothing behind the last one: the next round begins with the first.
	if (entries.length === 0) place = { entryId: null, digestId: null };
	saveCheckPlace(tx, tenantId, place, new Date(parts.clock.now()));
}

interface EntryAtHand {
	readonly tenantId: string;
	readonly id: string;
	readonly entry: Buffer;
	readonly place: CheckPlace;
	readonly most: number;
}

/** Returns the last digest looked at when there is more of the entry, else null. */
async function checkEntry(
	parts: CheckParts,
	tx: Tx,
	{ tenantId, id, entry, place, most }: EntryAtHand,
	round: Round,
): Promise<string | null> {
	const digests = await digestsOfEntry(tx, tenantId, id, digestsMax + 1);
	if (!isWhole(entry, digests)) {
		if (await isLost(parts.messages, tx, id, entry)) return null;
		round.findings.push({ tenantId, why: "digest_changed", target: showId("aud", id) });
	}
	const left = digests.filter((one) => place.digestId === null || one.id > place.digestId);
	for (const [i, { id: digestId }] of left.entries()) {
		await checkDigest(parts, tx, tenantId, digestId, id, round);
		if (round.seen >= most) return i + 1 < left.length ? digestId : null;
	}
	return null;
}

/** Whether the digests that are there give the root that the entry says. */
function isWhole(entry: Buffer, digests: readonly DigestRoot[]): boolean {
	const data = dataOf(entry);
	if (digests.length === 0 || data?.["digests"] !== digests.length) return false;
	return wideRoot(Buffer.concat(digests.map((one) => one.root))).toString("hex") === data["root"];
}

function dataOf(entry: Buffer): Readonly<Record<string, unknown>> | undefined {
	return readEntry(entry)?.["data"] as Readonly<Record<string, unknown>> | undefined;
}

/** Whether a month that its digests were in was dropped. */
async function isLost({ lost }: MessageReader, tx: Tx, id: string, entry: Buffer) {
	const first = readId("msg", String(dataOf(entry)?.["first"]));
	const ids = first === undefined ? [id] : [first, id];
	return (await lost(tx, "message_digests", ids)).size > 0;
}

async function checkDigest(
	{ messages }: CheckParts,
	tx: Tx,
	tenantId: string,
	digestId: string,
	entryId: string,
	round: Round,
): Promise<void> {
	const digest = await findDigest(tx, tenantId, digestId);
	if (digest === undefined) return;
	const { messageIds, leaves, root } = digest;
	round.seen += messageIds.length;
	const isOwn = leaves.length === hashBytes * messageIds.length && wideRoot(leaves).equals(root);
	if (!isOwn)
		round.findings.push({ tenantId, why: "digest_changed", target: showId("aud", entryId) });
	const stored = await messages.facts(tx, tenantId, messageIds);
	const facts = new Map(stored.map((one) => [one.id, one]));
	const missing: string[] = [];
	for (const [i, messageId] of messageIds.entries()) {
		const own = facts.get(messageId);
		if (own === undefined) missing.push(messageId);
		else if (!isLeafOf(own, leaves.subarray(i * hashBytes, (i + 1) * hashBytes)))
			round.findings.push({ tenantId, why: "message_changed", target: showId("msg", messageId) });
	}
	if (missing.length === 0) return;
	const lost = await messages.lost(tx, "messages", missing);
	round.gone += lost.size;
	for (const messageId of missing.filter((one) => !lost.has(one)))
		round.findings.push({ tenantId, why: "message_missing", target: showId("msg", messageId) });
}
