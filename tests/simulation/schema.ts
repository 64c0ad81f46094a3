/** The tables of the simulation's database: those columns of the real ones that the message path reads or writes. */
import type { Environment } from "#platform/db.ts";
import { createTable, type Table } from "./tables.ts";

export interface MessageRow {
	readonly tenantId: string;
	readonly id: string;
	readonly environment: Environment;
	readonly class: number;
	readonly addressIndex: Buffer;
	readonly senderIndex: Buffer;
	readonly sealed: Buffer;
	readonly country: string;
	readonly dltTemplateId: string | null;
	readonly expiresAtMs: number;
	readonly createdAtMs: number;
	readonly ruleset: string | null;
	/** Null, as the seal, for what was never cleared. */
	readonly clearUntilMs: number | null;
	readonly seal: Buffer | null;
}
export interface LaneEntryRow {
	readonly tenantId: string;
	readonly messageId: string;
	readonly environment: Environment;
	readonly routeId: string;
	readonly class: number;
	readonly dueAtMs: number;
	readonly expiresAtMs: number;
	readonly attempt: number;
	readonly batchId: string | null;
	readonly possibleDuplicate: boolean;
	readonly abandoned: boolean;
	readonly apart: boolean;
}
export interface BatchRow {
	readonly id: string;
	readonly owner: string;
	readonly leaseUntilMs: number;
	readonly startedAtMs: number | null;
	/** What was handed over in memory; null when its entries name the batch. */
	readonly handedOver: {
		readonly tenantId: string;
		readonly routeId: string;
		readonly messageIds: readonly string[];
	} | null;
}
export interface StateRow {
	readonly tenantId: string;
	readonly messageId: string;
	readonly environment: string;
	readonly status: number;
	readonly error: number | null;
	readonly possibleDuplicate: boolean;
	readonly eventId: string;
}
export interface EventRow {
	readonly tenantId: string;
	readonly messageId: string;
	readonly id: string;
	readonly status: number;
}
export interface OutboxRow {
	readonly tenantId: string;
	/** [message id, event id, state rank]. */
	readonly refs: readonly (readonly [string, string, number])[];
}
/** The hashes of what one commit stored of a scope. */
export interface DigestRow {
	readonly tenantId: string;
	readonly environment: string;
	readonly messageIds: readonly string[];
	readonly leaves: Buffer;
	readonly root: Buffer;
}
export interface IdempotencyRow {
	readonly tenantId: string;
	readonly keyHash: Buffer;
	readonly fingerprint: Buffer;
	readonly messageIds: readonly string[];
	readonly createdAtMs: number;
}
export interface SubmissionRow {
	readonly tenantId: string;
	readonly messageId: string;
	readonly segment: number;
	readonly segments: number;
	readonly routeId: string;
	readonly carrierId: string;
	readonly state: number;
	readonly submittedAtMs: number;
}
export interface ParkedRow {
	readonly id: string;
	readonly routeId: string;
	readonly carrierId: string;
	readonly state: number;
	readonly errorCode: string | null;
	readonly receivedAtMs: number;
}
export interface SuppressionRow {
	readonly tenantId: string;
	readonly environment: string;
	readonly addressIndex: Buffer;
	readonly suppressionIndex: Buffer;
	readonly reason: string;
	readonly id: string;
	readonly endedAtMs: number | null;
}
export interface StatementRow {
	readonly tenantId: string;
	readonly environment: string;
	readonly id: string;
	readonly addressIndex: Buffer;
	readonly coverage: string;
	readonly granted: boolean;
	readonly consentedAtMs: number;
}
export interface SettingsRow {
	readonly tenantId: string;
	readonly environment: string;
	readonly countries: readonly string[];
	readonly dltEntityId: string;
}
export interface SenderRow {
	readonly tenantId: string;
	readonly environment: string;
	readonly addressIndex: Buffer;
	readonly active: boolean;
}
export interface ContactKeyRow {
	readonly tenantId: string;
	readonly environment: string;
	readonly index: Buffer;
	readonly epoch: number;
	readonly wrapped: Buffer;
}
export interface RouteRow {
	readonly id: string;
	readonly environment: Environment;
}

export interface Tables {
	readonly messages: Table<MessageRow>;
	readonly laneEntries: Table<LaneEntryRow>;
	readonly batches: Table<BatchRow>;
	/** By name: up to where a chore has come. */
	readonly chorePlaces: Table<{ readonly doneMs: number }>;
	/** By owner: until when it counts as there. */
	readonly sendingProcesses: Table<{ readonly presentUntilMs: number }>;
	readonly states: Table<StateRow>;
	readonly events: Table<EventRow>;
	readonly outbox: Table<OutboxRow>;
	readonly digests: Table<DigestRow>;
	readonly idempotencyKeys: Table<IdempotencyRow>;
	readonly submissions: Table<SubmissionRow>;
	readonly parked: Table<ParkedRow>;
	readonly suppressions: Table<SuppressionRow>;
	readonly statements: Table<StatementRow>;
	readonly settings: Table<SettingsRow>;
	readonly senders: Table<SenderRow>;
	readonly routes: Table<RouteRow>;
	/** A tenant has one for both environments. */
	readonly apiKeys: Table<{ readonly id: string; readonly tenantId: string }>;
	readonly contactKeys: Table<ContactKeyRow>;
	readonly tenantKeys: Table<{ readonly tenantId: string; readonly wrapped: Buffer }>;
}

export function createTables(): Tables {
	return {
		messages: createTable("messages"),
		laneEntries: createTable("lane_entries"),
		batches: createTable("dispatch_batches"),
		chorePlaces: createTable("chore_places"),
		sendingProcesses: createTable("sending_processes"),
		states: createTable("message_states"),
		events: createTable("message_events"),
		outbox: createTable("outbox"),
		digests: createTable("message_digests"),
		idempotencyKeys: createTable("idempotency_keys"),
		submissions: createTable("submissions"),
		parked: createTable("parked_receipts"),
		suppressions: createTable("suppressions"),
		statements: createTable("consent_statements"),
		settings: createTable("tenant_settings"),
		senders: createTable("senders"),
		routes: createTable("routes"),
		apiKeys: createTable("api_keys"),
		contactKeys: createTable("contact_keys"),
		tenantKeys: createTable("tenant_keys"),
	};
}
