/**
 * Brings waiting messages from the table into the lanes in memory: leases them by tenant in turn, reads
 * them in one query, opens them, and recalls their clearances. Also gives back what was never started.
 */
import { type Segmented, segment } from "#channels/index.ts";
import type { Database, Tx } from "#platform/db.ts";
import type { Clock } from "#platform/clock.ts";
import type { Ids } from "#platform/ids.ts";
import type { Log } from "#platform/log.ts";
import { type Clearance, recall } from "#policy/index.ts";
import {
	briefMs,
	type ContactKeys,
	type ContactRef,
	type Vault,
	VaultError,
	type VaultReason,
} from "#vault/index.ts";
import { zeroId } from "#platform/page.ts";
import { nextTurn } from "#platform/turns.ts";
import { type ApartParts, type Leased, setApart, type Suspects } from "./apart.ts";
import { batchMax, leaseMs } from "./handover.ts";
import * as claims from "./claim-store.ts";
import * as store from "./lane-store.ts";
import type { Lanes } from "./lanes.ts";
import type { Batch, Dlt, Parcel, Sealed } from "./parcel.ts";
import { bodyDigestOf, placeOf } from "./prepare.ts";
import type { Recorder } from "./recorder.ts";
import { numberOfError, states } from "./state.ts";

export interface ClaimParts extends ApartParts {
	readonly worker: Database;
	readonly vault: Vault;
	readonly ids: Ids;
	readonly clock: Clock;
	readonly log: Log;
	readonly lanes: Lanes;
	/** Of suspects: each batch is tried apart. */
	readonly suspects: Suspects;
	readonly owner: string;
	readonly recorder: Pick<Recorder, "record">;
	/** By lane, as `route/class`: the tenant that was served last. The next claim goes on behind it. */
	readonly turns: Map<string, string>;
}

/** Messages of one lane in memory that claims fill up to. */
export const claimMax = 4_096;
/** Messages of one claim: what is read and opened at a time. */
const claimOnce = 1_024;
/** Tenants served in one claim; the others have their turn in the next. */
const tenantsMax = 64;
/** Looks for tenants in one claim: those who wait may all have nothing due. */
const looksMax = 8;

/** Lanes of these routes that have due work in the table, as `route/class`: asked for all in one query. */
export async function waitingLanes(
	{ worker, clock }: Pick<ClaimParts, "worker" | "clock">,
	routeIds: readonly string[],
): Promise<ReadonlySet<string>> {
	if (routeIds.length === 0) return new Set();
	const found = await worker.inPlatform((tx) => claims.lanesWaiting(tx, routeIds, clock.now()));
	return new Set(found.map((lane) => `${lane.route_id}/${lane.class}`));
}

/**
 * Claims for one lane. Returns whether the table may hold more that is due.
 * A message whose contents or clearance are not authentic is rejected: what was tampered with is not sent.
 */
export async function claimLane(
	parts: ClaimParts,
	routeId: string,
	classNumber: number,
): Promise<boolean> {
	const space = claimMax - parts.lanes.waiting(routeId, classNumber);
	if (space < batchMax) return true;
	const nowMs = parts.clock.now();
	const lane = { routeId, class: classNumber };
	const { more, leased } = await parts.worker.inPlatform((tx) =>
		lease(parts, tx, lane, Math.min(space, claimOnce), nowMs),
	);
	if (leased.length === 0) return more;
	const tenants = [...new Set(leased.map((one) => one.request.tenantId))];
	await parts.vault.warm(tenants, briefMs);
	const pairs = leased.flatMap((one) =>
		one.entries.map((entry) => [one.request.tenantId, entry.message_id] as const),
	);
	const { loaded, contacts } = await parts.worker.inTenants(tenants, async (tx) => {
		const loaded = await claims.loadMessages(
			tx,
			pairs.map(([tenantId]) => tenantId),
			pairs.map(([, id]) => id),
		);
		return { loaded, contacts: await parts.vault.contacts.load(tx, loaded.map(recipientOf)) };
	});
	const byId = new Map(loaded.map((message) => [message.id, message]));
	for (const { request, entries, isApart } of leased) {
		// Opening a batch takes milliseconds: whoever sends a one-time code meanwhile comes in between.
		await nextTurn();
		const parcels = entries.flatMap(
			(entry) => openParcel(parts, contacts, routeId, entry, byId.get(entry.message_id)) ?? [],
		);
		if (parcels.length > 0)
			(isApart ? parts.suspects : parts.lanes).push({
				id: request.batchId,
				routeId,
				class: classNumber,
				tenantId: request.tenantId,
				parcels,
				handed: false,
				started: false,
			});
	}
	return more;
}

async function lease(
	parts: ClaimParts,
	tx: Tx,
	lane: claims.LaneName,
	most: number,
	nowMs: number,
): Promise<{ more: boolean; leased: readonly Leased[] }> {
	const { tenants, isRound } = await tenantsInTurn(parts, tx, lane, nowMs);
	if (tenants.length === 0) return { more: !isRound, leased: [] };
	const batchesEach = Math.max(1, Math.floor(most / batchMax / tenants.length));
	const messagesEach = Math.min(batchMax, Math.floor(most / tenants.length));
	const requests = tenants.flatMap((tenantId) =>
		Array.from({ length: batchesEach }, () => ({ tenantId, batchId: parts.ids.next() })),
	);
	const entries = await claims.leaseEntries(tx, lane, requests, messagesEach, nowMs);
	const found = requests
		.map((request, i) => ({ request, entries: entries[i] ?? [], isApart: false }))
		.filter((one) => one.entries.length > 0);
	const inMemory = parts.suspects.waiting(lane.routeId, lane.class);
	const leased = setApart(parts, tx, lane.routeId, found, inMemory, nowMs);
	store.makeBatches(
		tx,
		leased.map((one) => one.request.batchId),
		parts.owner,
		nowMs + leaseMs,
	);
	return { more: found.length > 0 || !isRound, leased };
}

/**
 * Tenants with something due, behind those that were served last; `isRound`: all that wait were looked at. Without turns the
 * first ones would be served as long as they have anything, and those who came last not at all.
 */
async function tenantsInTurn(
	{ turns }: ClaimParts,
	tx: Tx,
	lane: claims.LaneName,
	nowMs: number,
): Promise<{ tenants: readonly string[]; isRound: boolean }> {
	const name = `${lane.routeId}/${lane.class}`;
	let after = turns.get(name) ?? zeroId;
	let fromFirst = after === zeroId;
	let isRound = false;
	const tenants = new Set<string>();
	for (let looks = 0; looks < looksMax && tenants.size < tenantsMax && !isRound; looks++) {
		const most = tenantsMax - tenants.size;
		const { due, last } = await claims.tenantsWaiting(tx, lane, nowMs, after, most);
		for (const tenantId of due) tenants.add(tenantId);
		after = last ?? zeroId;
		isRound = last === undefined && fromFirst;
		if (last === undefined) fromFirst = true;
	}
	turns.set(name, after);
	return { tenants: [...tenants], isRound };
}

function recipientOf(row: claims.LoadedMessage): ContactRef {
	return { tenantId: row.tenant_id, environment: row.environment, index: row.address_index };
}

function openParcel(
	parts: ClaimParts,
	contacts: ContactKeys,
	routeId: string,
	entry: claims.LeasedEntry,
	row: claims.LoadedMessage | undefined,
): Parcel | undefined {
	try {
		if (row === undefined) throw new Error("the message of a lane entry is missing");
		const scope = { tenantId: row.tenant_id, environment: row.environment };
		const [to, from, text, , , entityId] = parts.vault.openJsonFor<Sealed>(
			contacts.of(recipientOf(row)),
			placeOf(scope, row.id),
			row.sealed,
		);
		const dlt: Dlt | undefined =
			entityId === null && row.dlt_template_id === null
				? undefined
				: { entityId, templateId: row.dlt_template_id };
		const bodyDigest = bodyDigestOf(parts.vault, from, text, dlt);
		return {
			...scope,
			messageId: row.id,
			class: row.class,
			routeId,
			to,
			from,
			segmented: cut(text),
			country: row.country,
			dlt,
			addressIndex: row.address_index,
			suppressionIndex: parts.vault.suppressionIndex(scope.tenantId, scope.environment, to),
			senderIndex: row.sender_index,
			bodyDigest,
			clearance: clearanceOf(parts, row, bodyDigest),
			expiresAtMs: row.expires_at.getTime(),
			inTable: true,
			attempt: entry.attempt,
			possibleDuplicate: entry.possible_duplicate,
			abandoned: entry.abandoned,
			apart: entry.apart,
		};
	} catch (error) {
		parts.log.error(
			{ err: error, message_id: entry.message_id },
			"a waiting message or its clearance is not authentic; it is not sent",
		);
		if (row !== undefined && isTampered(error)) reject(parts, row);
		return undefined;
	}
}

class NotAuthentic extends Error {}

const mayPass: ReadonlySet<VaultReason> = new Set(["not_warm", "unknown_key", "keys_away"]);

/** Also when the recipient was erased: nobody can read what was to be sent. As opposed to a key that is not at hand: that may pass, and the entry is leased again. */
function isTampered(error: unknown): boolean {
	if (error instanceof NotAuthentic) return true;
	return error instanceof VaultError && !mayPass.has(error.reason);
}

function reject(parts: ClaimParts, row: claims.LoadedMessage): void {
	const tenantId = row.tenant_id;
	const transition = {
		tenantId,
		messageId: row.id,
		environment: row.environment,
		rank: states.rejected.rank,
		atMs: parts.clock.now(),
		error: numberOfError("fact_missing"),
		carrierError: null,
		possibleDuplicate: false,
		eventId: parts.ids.next(),
	};
	const finished = { tenantId, messageId: row.id };
	parts.recorder.record({ batchId: undefined, effects: { transition, finished } });
}

function cut(text: string): Segmented {
	const segmented = segment(text);
	if (!segmented.ok) throw new NotAuthentic("a stored text cannot be cut into segments");
	return segmented;
}

function clearanceOf(parts: ClaimParts, row: claims.LoadedMessage, bodyDigest: Buffer): Clearance {
	const { ruleset, clear_until: clearUntil, seal } = row;
	if (ruleset === null || clearUntil === null || seal === null)
		throw new NotAuthentic("a message that stands in a lane was never cleared");
	const stored = { ruleset, validUntil: clearUntil.getTime(), seal };
	const bound = {
		tenantId: row.tenant_id,
		environment: row.environment,
		messageId: row.id,
		recipient: row.address_index,
		bodyDigest,
	};
	const clearance = recall(stored, bound, parts.vault);
	if (clearance === undefined) throw new NotAuthentic("the stored clearance is not this message's");
	return clearance;
}

/** Gives batches that were never started back to the table, at once. */
export async function releaseBatches(
	worker: Database,
	batches: readonly Pick<Batch, "id" | "tenantId">[],
): Promise<void> {
	if (batches.length === 0) return;
	const tenants = [...new Set(batches.map((batch) => batch.tenantId))];
	await worker.inTenants(tenants, async (tx) =>
		store.releaseBatches(
			tx,
			tenants,
			batches.map((batch) => batch.id),
		),
	);
}
