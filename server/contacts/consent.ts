/**
 * What people have said they want, as statements with evidence: appended and ordered by when they
 * were made. A statement older than the one that holds is refused, so that an old form cannot undo a
 * newer opt-out (GDPR art. 7(1) and (3); TCCCPR 2018 as amended: consent is recorded and verifiable).
 */
import type { Scope, Tx } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import { showId } from "#platform/ids.ts";
import type { ContactKeys, Place, Vault } from "#vault/index.ts";
import { addressIndex, requireKey } from "./address.ts";
import {
	insertStatements,
	lockAddress,
	newestStatement,
	type StatementRow,
} from "./consent-store.ts";

/** How far a caller's clock may be ahead of ours, milliseconds. */
const clockSkewMs = 60_000;

export interface Statement {
	/** A fresh id for the row, unprefixed. */
	readonly id: string;
	/** E.164 with its plus. */
	readonly address: string;
	readonly granted: boolean;
	readonly coverage: "all" | "non_transactional";
	/** Where the statement came from, in the tenant's words. */
	readonly source: string | null;
	/** When the person made it, milliseconds since the epoch; undefined is now. */
	readonly consentedAtMs: number | undefined;
}

interface Evidence {
	readonly address: string;
	readonly source: string | null;
	/** Whether the moment was given as evidence, or is only that of the recording. */
	readonly dated: boolean;
}

export interface Recorded {
	/** False when it is older than the statement that holds, which then goes on holding. */
	readonly applied: boolean;
	/** The id of the row written; undefined when nothing was. */
	readonly written: string | undefined;
	/** Whether this is the address's first statement. */
	readonly isFirst: boolean;
	/** The statement that holds now. */
	readonly holds: StatementRow;
}

/**
 * Records one statement. Throws `validation_failed` when `consentedAtMs` lies in the future. Keys
 * must be warm; other statements about the same address wait for this transaction.
 */
export async function recordStatement(
	tx: Tx,
	vault: Vault,
	scope: Scope,
	statement: Statement,
	nowMs: number,
): Promise<Recorded> {
	const index = addressIndex(vault, scope.tenantId, scope.environment, statement.address);
	lockAddress(tx, scope, index);
	const current = await newestStatement(tx, scope, index);
	const effective = effectiveAt(statement, current, nowMs);
	if (current !== undefined && !outranks(statement, effective, current))
		return { applied: false, written: undefined, isFirst: false, holds: current };
	if (current !== undefined && repeats(statement, effective, current))
		return { applied: true, written: undefined, isFirst: false, holds: current };
	const evidence: Evidence = {
		address: statement.address,
		source: statement.source,
		dated: statement.consentedAtMs !== undefined,
	};
	const contact = { ...scope, index };
	const keys = await vault.contacts.ensure(tx, [contact]);
	const place = placeOf(scope, statement.id);
	const row = {
		id: statement.id,
		addressIndex: index,
		coverage: statement.coverage,
		granted: statement.granted,
		consentedAt: effective,
		sealed: vault.sealJsonFor(requireKey(keys, contact), place, evidence),
	};
	insertStatements(tx, scope, [{ ...row, recordedAtMs: nowMs }]);
	const holds = { ...row, recordedAt: nowMs };
	return { applied: true, written: row.id, isFirst: current === undefined, holds };
}

/**
 * When the statement counts from. An opt-out without a date is made now, and never counts as older
 * than what it revokes, whatever this machine's clock says.
 */
function effectiveAt(
	{ granted, consentedAtMs }: Statement,
	current: StatementRow | undefined,
	nowMs: number,
): number {
	if (consentedAtMs === undefined)
		return granted ? nowMs : Math.max(nowMs, current?.consentedAt ?? nowMs);
	if (consentedAtMs > nowMs + clockSkewMs)
		throw Fault.parameter("consented_at", "consented_at must not lie in the future");
	return Math.min(consentedAtMs, nowMs);
}

/** At the same moment an opt-out beats a grant. */
function outranks(statement: Statement, effective: number, current: StatementRow): boolean {
	if (effective !== current.consentedAt) return effective > current.consentedAt;
	return !statement.granted || current.granted;
}

function repeats(statement: Statement, effective: number, current: StatementRow): boolean {
	const same = statement.granted === current.granted && statement.coverage === current.coverage;
	return same && (statement.consentedAtMs === undefined || effective === current.consentedAt);
}

function placeOf(scope: Scope, row: string): Place {
	return { ...scope, table: "consent_statements", column: "sealed", row };
}

/** A statement as the API shows it. */
export function showPreference(
	vault: Vault,
	contacts: ContactKeys,
	scope: Scope,
	row: StatementRow,
) {
	const contact = contacts.of({ ...scope, index: row.addressIndex });
	const place = placeOf(scope, row.id);
	const { address, source, dated } = vault.openJsonFor<Evidence>(contact, place, row.sealed);
	const effectiveAt = new Date(row.consentedAt).toISOString();
	const recordedAt = new Date(row.recordedAt).toISOString();
	return {
		id: showId("cns", row.id),
		channel: "sms",
		handle: address,
		sender_scope: null,
		topic_id: null,
		status: row.granted ? "granted" : "revoked",
		coverage: row.coverage,
		effective_at: effectiveAt,
		origin: "api_key",
		source,
		consented_at: dated ? effectiveAt : null,
		contact_id: null,
		created_at: recordedAt,
		updated_at: recordedAt,
	};
}
