/**
 * The hashes of messages that are stored together, for the ledger: a leaf for each and the root over them. Made from
 * the rows as they are handed to the database, so nothing is read back.
 */
import { messageLeaf, wideRoot } from "#audit/index.ts";
import type { Scope } from "#platform/db.ts";
import type { JudgedMessage, NewMessage } from "./store.ts";

export interface MessageDigest {
	/** 32 bytes for each message, in the order of the rows. */
	readonly leaves: Buffer;
	readonly root: Buffer;
}

/** Of at least one message. What people sent has no judgement. */
export function digestMessages(
	scope: Scope,
	createdAtMs: number,
	rows: readonly (NewMessage | JudgedMessage)[],
): MessageDigest {
	const leaves = Buffer.concat(rows.map((row) => leafOf(scope, createdAtMs, row)));
	return { leaves, root: wideRoot(leaves) };
}

function leafOf(
	{ tenantId, environment }: Scope,
	createdAtMs: number,
	row: NewMessage | JudgedMessage,
): Buffer {
	const judged = "ruleset" in row ? row : undefined;
	return messageLeaf({
		tenantId,
		environment,
		id: row.id,
		inbound: judged === undefined,
		class: row.class,
		encoding: row.encoding,
		segments: row.segments,
		characters: row.characters,
		country: row.country,
		dltTemplateId: row.dltTemplateId,
		apiKeyId: row.apiKeyId,
		createdAtMs,
		scheduledAtMs: row.scheduledAtMs,
		expiresAtMs: row.expiresAtMs,
		ruleset: judged?.ruleset ?? null,
		verdicts: judged?.verdicts ?? null,
		deferredUntilMs: judged?.deferredUntilMs ?? null,
		clearUntilMs: judged?.clearance?.untilMs ?? null,
		addressIndex: row.addressIndex,
		senderIndex: row.senderIndex,
		tagIndexes: row.tagIndexes,
		seal: judged?.clearance?.seal ?? null,
		sealed: row.sealed,
	});
}
