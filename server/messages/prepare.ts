/**
 * Turns drafts into rows: ids, blind indexes, sealed contents. Synchronous; the tenants' keys must be warm.
 */
import type { Scope } from "#platform/db.ts";
import type { Ids } from "#platform/ids.ts";
import { classNumber } from "#policy/index.ts";
import type { ContactRef, Vault } from "#vault/index.ts";
import type { Draft } from "./draft.ts";
import type { Dlt, Sealed, Subject, Tag } from "./parcel.ts";
import type { NewMessage } from "./store.ts";

export interface Prepared {
	readonly draft: Draft;
	/** But what is sealed: that needs the recipient's key. */
	readonly row: Omit<NewMessage, "sealed">;
	readonly contents: Sealed;
	readonly subject: Subject;
}

export interface PrepareParts {
	readonly vault: Vault;
	readonly ids: Ids;
	readonly senderIndexes: SenderIndexes;
}

/** A tenant's few senders stand in most of its messages: their indexes are kept. */
export type SenderIndexes = (scope: Scope, from: string) => Buffer;

const sendersKept = 10_000;

export function createSenderIndexes(vault: Vault): SenderIndexes {
	const kept = new Map<string, Buffer>();
	return ({ tenantId, environment }, from) => {
		const name = `${tenantId}/${environment}/${from}`;
		const known = kept.get(name);
		if (known !== undefined) return known;
		if (kept.size >= sendersKept) kept.clear();
		const made = vault.index(tenantId, environment, "sms.sender", from);
		kept.set(name, made);
		return made;
	};
}

export function prepare(
	parts: PrepareParts,
	scope: Scope,
	apiKeyId: string | null,
	draft: Draft,
	nowMs: number,
): Prepared {
	const { vault, ids } = parts;
	const { tenantId, environment } = scope;
	const id = ids.next();
	const recipient = vault.index(tenantId, environment, "sms.address", draft.to);
	const senderIndex = parts.senderIndexes(scope, draft.from);
	const contents: Sealed = [
		draft.to,
		draft.from,
		draft.text,
		draft.tags ?? null,
		draft.metadata ?? null,
		draft.dlt?.entityId ?? null,
		draft.smartEncoding,
	];
	const row: Prepared["row"] = {
		id,
		class: classNumber(draft.class),
		addressIndex: recipient,
		senderIndex,
		encoding: draft.segmented.encoding === "GSM_7BIT" ? 0 : 1,
		segments: draft.segmented.parts.length,
		characters: draft.characters,
		country: draft.country,
		dltTemplateId: draft.dlt?.templateId ?? null,
		tagIndexes:
			draft.tags === undefined || draft.tags.length === 0
				? null
				: Buffer.concat(draft.tags.flatMap((tag) => tagIndexesOf(vault, scope, tag))),
		apiKeyId,
		scheduledAtMs: draft.scheduledAtMs ?? null,
		expiresAtMs: draft.expiresAtMs,
	};
	const subject: Subject = {
		tenantId,
		environment,
		messageId: id,
		recipient,
		suppressionIndex: vault.suppressionIndex(tenantId, environment, draft.to),
		senderIndex,
		bodyDigest: bodyDigestOf(vault, draft.from, draft.text, draft.dlt),
		class: draft.class,
		country: draft.country,
		dlt: draft.dlt,
		at: draft.scheduledAtMs ?? nowMs,
	};
	return { draft, row, contents, subject };
}

/** Whose key a message's contents are sealed under: the person's, whichever way it goes. */
export function contactOf({ tenantId, environment }: Scope, addressIndex: Buffer): ContactRef {
	return { tenantId, environment, index: addressIndex };
}

/** Where a message's contents are sealed to. */
export function placeOf(scope: Scope, messageId: string): Parameters<Vault["seal"]>[0] {
	return { ...scope, table: "messages", column: "sealed", row: messageId };
}

/** What a clearance vouches for, besides the recipient. */
export function bodyDigestOf(
	vault: Vault,
	from: string,
	text: string,
	dlt: Dlt | undefined,
): Buffer {
	return vault.digest(from, text, dlt?.entityId ?? "", dlt?.templateId ?? "");
}

/** A tag is found by its name and by its name and value. 16 bytes each: enough to filter, never shown. */
function tagIndexesOf(vault: Vault, scope: Scope, tag: Tag): Buffer[] {
	return [tag.name, `${tag.name}:${tag.value}`].map((text) => tagIndexOf(vault, scope, text));
}

export function tagIndexOf(vault: Vault, { tenantId, environment }: Scope, text: string): Buffer {
	return vault.index(tenantId, environment, "tag", text).subarray(0, 16);
}
