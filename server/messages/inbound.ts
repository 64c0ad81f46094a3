/**
 * What people send us: finds whose number or sender they wrote to, keeps the parts of a long message until
 * it is whole, puts STOP and START into force, and stores the message. In that order, in one transaction:
 * a STOP is in force when the carrier is told that we have it.
 */
import {
	type DeliverSm,
	join,
	judgePart,
	readKeyword,
	readUserData,
	referenceNumber,
} from "#channels/index.ts";
import { recordStarts, recordStops } from "#contacts/index.ts";
import type { Clock } from "#platform/clock.ts";
import type { Database, Environment, Scope, Tx } from "#platform/db.ts";
import type { Ids } from "#platform/ids.ts";
import type { Log } from "#platform/log.ts";
import { ownerKey } from "#templates/index.ts";
import type { Vault } from "#vault/index.ts";
import { findOwners, keepPart, type KeptPart, takeParts } from "./inbound-store.ts";
import type { Sealed } from "./parcel.ts";
import { placeOf } from "./prepare.ts";
import { states } from "./state.ts";
import { insertMessages } from "./store.ts";
import { applyTransitions } from "./transition-store.ts";

export interface InboundParts {
	readonly worker: Database;
	readonly vault: Vault;
	readonly ids: Ids;
	readonly clock: Clock;
	readonly log: Log;
	/** Counts what no tenant owns. */
	readonly unowned: () => void;
}

/** One text message from a person, as a carrier handed it up. */
export interface FromPerson {
	readonly environment: Environment;
	readonly pdu: DeliverSm;
}

/** Resolves when it is stored (or is nobody's); rejects when it could not be stored, so that the carrier repeats it. */
export async function receiveInbound(
	parts: InboundParts,
	{ environment, pdu }: FromPerson,
): Promise<void> {
	const address = personOf(pdu);
	const read = readUserData(pdu);
	const owner = await ownerOf(parts, environment, pdu);
	if (owner === undefined || address === undefined || !read.ok) {
		parts.unowned();
		parts.log.warn(
			{ why: owner === undefined ? "no_owner" : address === undefined ? "no_number" : "not_text" },
			"an inbound message was not taken",
		);
		return;
	}
	await parts.vault.warm([owner.tenantId]);
	const scope: Scope = { tenantId: owner.tenantId, environment };
	const part =
		read.concatenation !== undefined &&
		judgePart(read.concatenation) === "part" &&
		read.concatenation.total > 1
			? read.concatenation
			: undefined;
	await parts.worker.inTenants([scope.tenantId], async (tx) => {
		const text =
			part === undefined
				? read.text
				: await collect(parts, tx, scope, {
						address,
						sender: owner.sender,
						text: read.text,
						concatenation: part,
					});
		if (text !== undefined)
			await store(parts, tx, scope, {
				address,
				sender: owner.sender,
				text,
				encoding: read.encoding,
				segments: part?.total ?? 1,
			});
	});
}

/** A person's number in E.164. Carriers send it with or without a plus. */
function personOf(pdu: DeliverSm): string | undefined {
	const digits = pdu.source.address.replace(/^\+/, "");
	return /^[1-9][0-9]{5,14}$/.test(digits) ? `+${digits}` : undefined;
}

async function ownerOf(
	parts: InboundParts,
	environment: Environment,
	pdu: DeliverSm,
): Promise<{ tenantId: string; sender: string } | undefined> {
	const to = pdu.destination.address;
	const forms = /^[0-9]{9,15}$/.test(to) ? [`+${to}`, to] : [to];
	const indexes = forms.map((form) =>
		parts.vault.platformIndex(environment, "sms.sender", ownerKey(form)),
	);
	const owners = await parts.worker.inPlatform((tx) => findOwners(tx, environment, indexes));
	for (const [i, index] of indexes.entries()) {
		const found = owners.find((owner) => owner.platform_index.equals(index));
		if (found !== undefined) return { tenantId: found.tenant_id, sender: forms[i] as string };
	}
	return undefined;
}

interface Part {
	readonly address: string;
	readonly sender: string;
	readonly text: string;
	readonly concatenation: Parameters<typeof referenceNumber>[0];
}

/** Keeps the part; returns the whole text when it was the last one missing. */
async function collect(
	parts: InboundParts,
	tx: Tx,
	scope: Scope,
	part: Part,
): Promise<string | undefined> {
	const { vault } = parts;
	const reference = referenceNumber(part.concatenation);
	const row: KeptPart = {
		...scope,
		reference,
		part: part.concatenation.part,
		parts: part.concatenation.total,
		addressIndex: vault.index(scope.tenantId, scope.environment, "sms.address", part.address),
		senderIndex: vault.index(scope.tenantId, scope.environment, "sms.sender", part.sender),
	};
	const place = (number: number): Parameters<Vault["seal"]>[0] => ({
		...scope,
		table: "inbound_parts",
		column: "sealed",
		row: `${row.addressIndex.toString("base64")}/${reference}/${number}`,
	});
	const kept = await keepPart(
		tx,
		row,
		vault.seal(place(row.part), Buffer.from(part.text)),
		parts.clock.now(),
	);
	if (kept.length < row.parts) return undefined;
	const joined = join(
		kept.map((one) => ({
			concatenation: { ...part.concatenation, part: one.part, total: one.parts },
			text: vault.open(place(one.part), one.sealed).toString(),
		})),
	);
	if (joined.kind === "waiting") return undefined;
	takeParts(tx, row);
	return joined.kind === "whole" ? joined.text : part.text;
}

interface Whole {
	readonly address: string;
	readonly sender: string;
	readonly text: string;
	readonly encoding: string;
	readonly segments: number;
}

async function store(parts: InboundParts, tx: Tx, scope: Scope, whole: Whole): Promise<void> {
	const { vault, ids } = parts;
	const nowMs = parts.clock.now();
	const id = ids.next();
	const keyword = readKeyword(whole.text);
	const said = {
		...scope,
		id: ids.next(),
		address: whole.address,
		originator: whole.sender,
		atMs: nowMs,
	};
	if (keyword === "stop") await recordStops(tx, vault, [said]);
	if (keyword === "start") await recordStarts(tx, vault, [said]);
	const contents: Sealed = [whole.address, whole.sender, whole.text, null, null, null, false];
	insertMessages(tx, scope, true, nowMs, [
		{
			id,
			class: 2,
			addressIndex: vault.index(scope.tenantId, scope.environment, "sms.address", whole.address),
			senderIndex: vault.index(scope.tenantId, scope.environment, "sms.sender", whole.sender),
			sealed: vault.sealJson(placeOf(scope, id), contents),
			encoding: whole.encoding === "UCS2" ? 1 : 0,
			segments: whole.segments,
			characters: [...whole.text].length,
			country: "ZZ",
			dltTemplateId: null,
			tagIndexes: null,
			apiKeyId: null,
			scheduledAtMs: null,
			expiresAtMs: nowMs,
		},
	]);
	applyTransitions(tx, nowMs, [
		{
			...scope,
			messageId: id,
			rank: states.received.rank,
			atMs: nowMs,
			error: null,
			carrierError: null,
			possibleDuplicate: false,
			eventId: ids.next(),
		},
	]);
}
