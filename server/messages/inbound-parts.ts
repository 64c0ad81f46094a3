/**
 * Long messages of a batch: parts meet those of the batch and those that the table kept from before, and a
 * whole text comes out where the last one missing arrives. Parts are played in the order they came, in
 * memory, exactly as if each had been a transaction: a part told again changes nothing, and a reference used
 * again after its set was whole begins a new set. Only what still waits at the end is written.
 */
import { join, referenceNumber } from "#channels/index.ts";
import type { Scope, Tx } from "#platform/db.ts";
import {
	type ContactKey,
	type ContactKeys,
	type ContactRef,
	type Vault,
	VaultError,
} from "#vault/index.ts";
import { holdSets, keepParts, type NewPart, type PartSet, takeSets } from "./inbound-store.ts";
import type { InboundText, PartOf } from "./inbound-text.ts";

/** A text whose owner is known. */
export interface OwnedText extends InboundText {
	readonly scope: Scope;
	/** The form of the number or sender written to under which it is registered. */
	readonly sender: string;
	readonly addressIndex: Buffer;
	readonly senderIndex: Buffer;
}

interface HeldPart {
	readonly total: number;
	/** Sealed as the table has it, or the text that came in this batch. */
	readonly says: Buffer | string;
}

interface HeldSet {
	readonly row: PartSet;
	/** By part number: of two parts with one number the first counts. */
	readonly held: Map<number, HeldPart>;
	/** Whether the table holds rows of it. */
	isStored: boolean;
	wasWhole: boolean;
}

/** What opens and seals: the people's keys are there, made if there was none. */
export interface Opening {
	readonly vault: Vault;
	readonly contacts: ContactKeys;
}

/** The key of a contact that was ensured: it may have been erased between two statements. */
export function keyOf(contacts: ContactKeys, contact: ContactRef): ContactKey {
	const key = contacts.of(contact);
	if (key === undefined) throw VaultError.of("erased", "the contact was erased just now");
	return key;
}

/** The texts that are whole, in the order they became so; the parts of others are kept. */
export async function joinParts(
	opening: Opening,
	tx: Tx,
	texts: readonly OwnedText[],
	nowMs: number,
): Promise<OwnedText[]> {
	const sets = setsOf(texts);
	const all = [...sets.values()];
	const stored = await holdSets(
		tx,
		all.map((set) => set.row),
	);
	for (const { set: index, part, parts, sealed } of stored) {
		const set = all[index] as HeldSet;
		set.isStored = true;
		set.held.set(part, { total: parts, says: sealed });
	}
	const whole = texts.flatMap((text) => {
		if (text.part === undefined) return [text];
		const joined = add(
			opening,
			sets.get(nameOf(rowOf(text, text.part))) as HeldSet,
			text,
			text.part,
		);
		return joined === undefined ? [] : [{ ...text, text: joined }];
	});
	takeSets(
		tx,
		all.filter((set) => set.wasWhole && set.isStored).map((set) => set.row),
	);
	keepParts(
		tx,
		nowMs,
		all.flatMap((set) => newPartsOf(opening, set)),
	);
	return whole;
}

function setsOf(texts: readonly OwnedText[]): Map<string, HeldSet> {
	const sets = new Map<string, HeldSet>();
	for (const text of texts) {
		if (text.part === undefined) continue;
		const row = rowOf(text, text.part);
		const name = nameOf(row);
		if (!sets.has(name)) sets.set(name, { row, held: new Map(), isStored: false, wasWhole: false });
	}
	return sets;
}

function rowOf({ scope, addressIndex, senderIndex }: OwnedText, part: PartOf): PartSet {
	return { ...scope, addressIndex, senderIndex, reference: referenceNumber(part) };
}

function nameOf(row: PartSet): string {
	const [address, sender] = [row.addressIndex, row.senderIndex].map((i) => i.toString("base64"));
	return `${row.tenantId}/${row.environment}/${address}/${sender}/${row.reference}`;
}

/** Adds a part to its set; the whole text when it was the last one missing. */
function add(
	opening: Opening,
	set: HeldSet,
	{ text }: OwnedText,
	part: PartOf,
): string | undefined {
	const { held } = set;
	if (!held.has(part.part)) held.set(part.part, { total: part.total, says: text });
	const kept = [...held].filter(([, one]) => one.total === part.total);
	if (kept.length < part.total) return undefined;
	const joined = join(
		kept.map(([number, one]) => ({
			concatenation: { ...part, part: number },
			text: textOf(opening, set.row, number, one),
		})),
	);
	if (joined.kind === "waiting") return undefined;
	held.clear();
	set.wasWhole = true;
	return joined.kind === "whole" ? joined.text : text;
}

/** As JSON: a character cut between two parts is no UTF-8, and must be whole again when they are joined. */
function textOf(opening: Opening, row: PartSet, number: number, { says }: HeldPart): string {
	if (typeof says === "string") return says;
	const contact = opening.contacts.of(personOf(row));
	return opening.vault.openJsonFor<string>(contact, placeOf(row, number), says);
}

function personOf({ tenantId, environment, addressIndex }: PartSet): ContactRef {
	return { tenantId, environment, index: addressIndex };
}

function newPartsOf({ vault, contacts }: Opening, { row, held }: HeldSet): NewPart[] {
	const seal = (part: number, says: string): Buffer =>
		vault.sealJsonFor(keyOf(contacts, personOf(row)), placeOf(row, part), says);
	return [...held].flatMap(([part, { total, says }]) =>
		typeof says === "string" ? [{ ...row, part, parts: total, sealed: seal(part, says) }] : [],
	);
}

function placeOf(row: PartSet, part: number): Parameters<Vault["seal"]>[0] {
	return {
		tenantId: row.tenantId,
		environment: row.environment,
		table: "inbound_parts",
		column: "sealed",
		row: `${row.addressIndex.toString("base64")}/${row.reference}/${part}`,
	};
}
