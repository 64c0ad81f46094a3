/**
 * Writes a batch of texts from people: finds whose numbers and senders they wrote to, keeps the parts of long
 * messages until they are whole, puts STOP and START into force and on record in the ledger, and stores the messages.
 * In that order, in one transaction: a STOP is in force when the carrier is told that we have it.
 */
import type { Act, Ledger } from "#audit/index.ts";
import { type EndedSuppression, recordStarts, recordStops } from "#contacts/index.ts";
import type { Clock } from "#platform/clock.ts";
import type { Database, Scope, Tx } from "#platform/db.ts";
import { type Ids, showId } from "#platform/ids.ts";
import { ownerKey } from "#templates/index.ts";
import { briefMs, type ContactKeys, type Vault } from "#vault/index.ts";
import { joinParts, keyOf, type OwnedText } from "./inbound-parts.ts";
import { findOwners } from "./inbound-store.ts";
import type { InboundText } from "./inbound-text.ts";
import { type Words, wordsOf } from "./inbound-words.ts";
import type { Sealed } from "./parcel.ts";
import { contactOf, placeOf } from "./prepare.ts";
import { states } from "./state.ts";
import { insertInbound, type NewMessage } from "./store.ts";
import { applyTransitions } from "./transition-store.ts";

export interface WriteParts {
	readonly worker: Database;
	readonly ledger: Ledger;
	readonly vault: Vault;
	readonly ids: Ids;
	readonly clock: Clock;
}

export interface Written {
	/** Messages that are there now; parts that wait are none yet. */
	readonly messages: number;
	/** Texts that are nobody's. */
	readonly unowned: number;
}

export async function writeTexts(
	parts: WriteParts,
	texts: readonly InboundText[],
): Promise<Written> {
	const owners = await ownersOf(parts, texts);
	const tenants = [...new Set(owners.values())];
	if (tenants.length === 0) return { messages: 0, unowned: texts.length };
	// Between the transactions: fetching keys takes a connection of its own.
	await parts.vault.warm(tenants, briefMs);
	const owned = texts.flatMap((text) => own(parts.vault, owners, text) ?? []);
	const messages = await parts.worker.inTenants(tenants, (tx) => writeOwned(parts, tx, owned));
	return { messages, unowned: texts.length - owned.length };
}

function formKey(environment: string, form: string): string {
	return `${environment}/${form}`;
}

/** Tenants by the form of the sender that is theirs. */
async function ownersOf(
	{ worker, vault }: WriteParts,
	texts: readonly InboundText[],
): Promise<Map<string, string>> {
	const owners = new Map<string, string>();
	const byEnvironment = [...Map.groupBy(texts, (text) => text.environment)];
	await worker.inPlatform((tx) =>
		Promise.all(
			byEnvironment.map(async ([environment, some]) => {
				const forms = [...new Set(some.flatMap((text) => text.forms))];
				const indexes = forms.map((form) =>
					vault.platformIndex(environment, "sms.sender", ownerKey(form)),
				);
				const found = await findOwners(tx, environment, indexes);
				const tenants = new Map(
					found.map((row) => [row.platform_index.toString("base64"), row.tenant_id]),
				);
				for (const [i, form] of forms.entries()) {
					const tenantId = tenants.get((indexes[i] as Buffer).toString("base64"));
					if (tenantId !== undefined) owners.set(formKey(environment, form), tenantId);
				}
			}),
		),
	);
	return owners;
}

function own(
	vault: Vault,
	owners: ReadonlyMap<string, string>,
	text: InboundText,
): OwnedText | undefined {
	const { environment, address } = text;
	const sender = text.forms.find((form) => owners.has(formKey(environment, form)));
	if (sender === undefined) return undefined;
	const tenantId = owners.get(formKey(environment, sender)) as string;
	return {
		...text,
		scope: { tenantId, environment },
		sender,
		addressIndex: vault.index(tenantId, environment, "sms.address", address),
		senderIndex: vault.index(tenantId, environment, "sms.sender", sender),
	};
}

async function writeOwned(parts: WriteParts, tx: Tx, owned: readonly OwnedText[]): Promise<number> {
	const { vault, ids } = parts;
	const nowMs = parts.clock.now();
	const people = owned.map((text) => contactOf(text.scope, text.addressIndex));
	const contacts = await vault.contacts.ensure(tx, people);
	const whole = await joinParts({ vault, contacts }, tx, owned, nowMs);
	const words = wordsOf(
		whole.map(({ scope, address, sender, text }) => ({
			text,
			row: { ...scope, id: ids.next(), address, originator: sender, atMs: nowMs },
		})),
	);
	await heed(parts, tx, words);
	insertAll(parts, contacts, tx, whole, nowMs);
	return whole.length;
}

/** Puts STOP and START into force. What changes by it is in the tenants' ledgers, whatever the number with one statement. */
async function heed({ vault, ledger }: WriteParts, tx: Tx, words: Words): Promise<void> {
	const endedBefore = await recordStarts(tx, vault, words.startsBefore);
	const added = new Set(await recordStops(tx, vault, words.stops));
	const endedAfter = await recordStarts(tx, vault, words.startsAfter);
	const acts = [
		...endedBefore.map((one) => actOf("suppression.ended", one)),
		...words.stops.filter(({ id }) => added.has(id)).map((one) => actOf("suppression.added", one)),
		...endedAfter.map((one) => actOf("suppression.ended", one)),
	];
	if (acts.length > 0) await ledger.record(tx, acts);
}

/** Who it was is in the suppression, sealed under their key: here stands its id. */
function actOf(event: Act["event"], { id, tenantId, environment }: EndedSuppression): Act {
	const actor = { type: "person", id: null } as const;
	return { log: tenantId, event, actor, environment, targets: [showId("sup", id)] };
}

function insertAll(
	{ vault, ids }: WriteParts,
	contacts: ContactKeys,
	tx: Tx,
	whole: readonly OwnedText[],
	nowMs: number,
): void {
	const rows = whole.map((text) => ({
		scope: text.scope,
		row: rowOf(vault, contacts, ids.next(), text, nowMs),
	}));
	const byScope = Map.groupBy(rows, ({ scope }) => `${scope.tenantId}/${scope.environment}`);
	const groups = [...byScope.values()].map((some) => ({
		scope: (some[0] as { scope: Scope }).scope,
		rows: some.map(({ row }) => row),
		digestId: ids.next(),
	}));
	insertInbound(tx, nowMs, groups);
	applyTransitions(
		tx,
		nowMs,
		rows.map(({ scope, row }) => ({
			...scope,
			messageId: row.id,
			rank: states.received.rank,
			atMs: nowMs,
			error: null,
			carrierError: null,
			possibleDuplicate: false,
			eventId: ids.next(),
		})),
	);
}

function rowOf(
	vault: Vault,
	contacts: ContactKeys,
	id: string,
	text: OwnedText,
	nowMs: number,
): NewMessage {
	const contact = keyOf(contacts, contactOf(text.scope, text.addressIndex));
	const contents: Sealed = [text.address, text.sender, text.text, null, null, null, false];
	return {
		id,
		class: 2,
		addressIndex: text.addressIndex,
		senderIndex: text.senderIndex,
		sealed: vault.sealJsonFor(contact, placeOf(text.scope, id), contents),
		encoding: text.encoding === "UCS2" ? 1 : 0,
		segments: text.part?.total ?? 1,
		characters: [...text.text].length,
		country: "ZZ",
		dltTemplateId: null,
		tagIndexes: null,
		apiKeyId: null,
		scheduledAtMs: null,
		expiresAtMs: nowMs,
	};
}
