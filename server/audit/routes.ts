/**
 * The ledger over HTTP: entries with filters and pages, an entry's proof, checkpoints, consistency, and the export
 * that a verifier reads. Twice: a tenant reads its own log, the operator the platform's.
 */
import { Type } from "typebox";
import type { Database, Tx } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import { type Call, type Route, route } from "#platform/http.ts";
import { readId } from "#platform/ids.ts";
import { describeLook, pageAnswer, pageSchema, readPage, showPage } from "#platform/page.ts";
import type { Vault } from "#vault/index.ts";
import { eventTypes } from "./events.ts";
import { type MessageProofParts, messageProofRoute } from "./message-routes.ts";
import { proveConsistency, proveEntry } from "./proofs.ts";
import * as shapes from "./shapes.ts";
import {
	checkpointsOf,
	entriesInOrder,
	type EntryFilter,
	findCheckpoint,
	findEntry,
	firstIdOf,
	listCheckpoints,
	listEntries,
	platformLog,
} from "./store.ts";
import { withCosignatures } from "./witness-store.ts";

export interface LedgerRouteParts {
	readonly db: Database;
	readonly vault: Vault;
	/** First part of every origin. */
	readonly ledgerName: string;
}

interface Door extends LedgerRouteParts {
	readonly path: string;
	readonly permission: string;
	readonly tag: string;
	/** In front of operation ids. */
	readonly prefix: string;
	readonly whose: string;
	readonly logOf: (call: Call) => string;
	readonly exported: string;
}

const prefix = "aud";
const common = { idempotency: "none", audited: false } as const;

export function ledgerRoutes(parts: MessageProofParts): Route[] {
	const tenant: Door = {
		...parts,
		path: "/v1/audit",
		permission: "audit:read",
		tag: "Ledger",
		prefix: "",
		whose: "the tenant's log",
		logOf: tenantOf,
		exported: "ledger.exported",
	};
	const operator: Door = {
		...parts,
		path: "/v1/operator/audit",
		permission: "operator",
		tag: "Operator",
		prefix: "platform_",
		whose: "the platform's log",
		logOf: () => platformLog,
		exported: "platform_ledger.exported",
	};
	const doors = [tenant, operator].flatMap((door) => [
		entries(door),
		entryProof(door),
		checkpoints(door),
		consistency(door),
		exporting(door),
	]);
	return [...doors, messageProofRoute(parts)];
}

/** The log holds the acts of both environments, so a test key, which may be anywhere, does not open it. */
function tenantOf({ caller }: Call): string {
	if (caller.environment === "live") return caller.tenantId;
	throw Fault.of("permission_denied", {
		message: "The ledger holds the acts of both environments; read it with a live key.",
	});
}

/** A transaction that sees one log. */
function inLog<T>({ db }: Door, log: string, work: (tx: Tx) => Promise<T>): Promise<T> {
	return db.inTenant({ tenantId: log, environment: "live" }, work);
}

async function warm({ vault }: Door, log: string): Promise<void> {
	if (log !== platformLog) await vault.warm([log]);
}

function entries(door: Door): Route {
	const { permission, tag, path, whose } = door;
	const types = Object.keys(eventTypes).map((name) => Type.Literal(name));
	return route({
		...common,
		method: "GET",
		path: `${path}/entries`,
		operationId: `${door.prefix}audit_entry.list`,
		permission,
		tag,
		summary: `List entries of ${whose}`,
		description: `What was done, newest first. An entry is there as soon as its act is. ${describeLook("entries", "With a type and an actor")}`,
		query: Type.Object(
			{
				...pageSchema,
				type: Type.Optional(Type.Union(types)),
				actor: Type.Optional(
					Type.String({
						pattern: "^(key_[0-9a-hjkmnp-tv-z]{26}|person|system|unknown)$",
						maxLength: 30,
					}),
				),
				from: Type.Optional(Type.String({ format: "date-time", maxLength: 40 })),
				until: Type.Optional(Type.String({ format: "date-time", maxLength: 40 })),
			},
			{ additionalProperties: false },
		),
		answers: { 200: { description: "A page of entries.", schema: pageAnswer(shapes.entry) } },
		handle: async (call) => {
			const { query } = call;
			const log = door.logOf(call);
			const page = readPage(prefix, query);
			await warm(door, log);
			const listed = await inLog(door, log, async (tx) => {
				const moment = (text: string | undefined): Promise<string> | undefined =>
					text === undefined ? undefined : firstIdOf(tx, new Date(text));
				const [from, until] = await Promise.all([moment(query.from), moment(query.until)]);
				const filter: EntryFilter = { action: query.type, actor: query.actor, from, until };
				return listEntries(tx, log, filter, page);
			});
			const body = showPage(prefix, page, listed, (row) => shapes.showEntry(door.vault, log, row));
			return { status: 200, body };
		},
	});
}

const idParam = Type.Object(
	{ id: Type.String({ minLength: 30, maxLength: 30 }) },
	{ additionalProperties: false },
);

function entryProof(door: Door): Route {
	const { permission, tag, path, whose, ledgerName } = door;
	return route({
		...common,
		method: "GET",
		path: `${path}/entries/:id/proof`,
		operationId: `${door.prefix}audit_entry.proof`,
		permission,
		tag,
		summary: `Prove that an entry is in ${whose}`,
		description:
			"`proof` is a c2sp.org/tlog-proof@v1 that holds the entry itself: it is checked offline with `waxwing-verify entry`.",
		params: idParam,
		answers: {
			200: { description: "The proof.", schema: shapes.proof },
			404: { description: "There is no such entry." },
			409: { description: "No checkpoint covers it yet; a second or two later one does." },
		},
		handle: async (call) => {
			const log = door.logOf(call);
			const id = readId(prefix, call.params.id);
			if (id === undefined) throw Fault.of("not_found");
			const { proof, checkpoint } = await inLog(door, log, async (tx) => {
				const row = await findEntry(tx, log, id);
				if (row === undefined) throw Fault.of("not_found");
				return proveEntry(tx, log, row);
			});
			const { origin, verifier_key } = shapes.showCheckpoint(ledgerName, log, checkpoint);
			return { status: 200, body: { entry_id: call.params.id, origin, verifier_key, proof } };
		},
	});
}

function checkpoints(door: Door): Route {
	const { permission, tag, path, whose, ledgerName } = door;
	return route({
		...common,
		method: "GET",
		path: `${path}/checkpoints`,
		operationId: `${door.prefix}audit_checkpoint.list`,
		permission,
		tag,
		summary: `List checkpoints of ${whose}`,
		description:
			"The log's signed heads, newest first. Keep one: whatever comes later has to continue it. `verifier_key` is here for convenience; pin it from another source.",
		query: Type.Object(
			{ limit: pageSchema.limit, starting_after: Type.Optional(shapes.checkpointCursor) },
			{ additionalProperties: false },
		),
		answers: {
			200: { description: "A page of checkpoints.", schema: pageAnswer(shapes.checkpoint) },
		},
		handle: async (call) => {
			const log = door.logOf(call);
			const { limit = 20, starting_after } = call.query;
			const before = shapes.readCursor(starting_after);
			const rows = await inLog(door, log, async (tx) =>
				withCosignatures(tx, log, await listCheckpoints(tx, log, before, limit + 1)),
			);
			const shown = rows.slice(0, limit);
			const data = shown.map((row) => shapes.showCheckpoint(ledgerName, log, row));
			const cursors = {
				next_cursor: rows.length > limit ? shapes.cursorOf(shown.at(-1)) : null,
				prev_cursor: null,
				refresh_cursor: null,
			};
			return { status: 200, body: { data, ...cursors } };
		},
	});
}

const count = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const epochQuery = Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000, default: 1 }));

function consistency(door: Door): Route {
	const { permission, tag, path, whose, ledgerName } = door;
	return route({
		...common,
		method: "GET",
		path: `${path}/consistency`,
		operationId: `${door.prefix}audit_consistency.get`,
		permission,
		tag,
		summary: `Prove that one checkpoint of ${whose} continues another`,
		description:
			"`from` and `to` are sizes of checkpoints. Check it with `waxwing-verify consistency`.",
		query: Type.Object(
			{ from: count, to: count, epoch: epochQuery },
			{ additionalProperties: false },
		),
		answers: {
			200: { description: "Both checkpoints and the proof.", schema: shapes.consistency },
			404: { description: "There is no checkpoint of one of these sizes." },
		},
		handle: async (call) => {
			const log = door.logOf(call);
			const { from, to, epoch = 1 } = call.query;
			if (from > to)
				throw Fault.parameter("query.from", "query.from must not be greater than query.to");
			const [notes, now, proof] = await inLog(door, log, async (tx) => {
				const ends = [
					await findCheckpoint(tx, log, epoch, from),
					await findCheckpoint(tx, log, epoch, to),
				] as const;
				if (ends[0] === undefined || ends[1] === undefined) throw Fault.of("not_found");
				const shown = await withCosignatures(tx, log, [ends[0], ends[1]]);
				const notes = shown.map((one) => one.checkpoint);
				return [notes, ends[1], await proveConsistency(tx, log, epoch, from, to)] as const;
			});
			const { origin, verifier_key } = shapes.showCheckpoint(ledgerName, log, now);
			const checkpoints = { old_checkpoint: notes[0] ?? "", new_checkpoint: notes[1] ?? "" };
			const hashes = proof.map((hash) => hash.toString("base64"));
			return { status: 200, body: { origin, verifier_key, ...checkpoints, proof: hashes } };
		},
	});
}

const exportMax = 1_000;

function exporting(door: Door): Route {
	const { permission, tag, path, whose, ledgerName } = door;
	return route({
		...common,
		audited: door.exported,
		method: "GET",
		path: `${path}/export`,
		operationId: `${door.prefix}audit_export.get`,
		permission,
		tag,
		summary: `Export ${whose}, to be verified in full`,
		description: `Up to ${exportMax} entries as stored, in the tree's order, and the checkpoints that fall on them. Append the pages to a file, a line each, until \`next\` is null: \`waxwing-verify full\` reads it.`,
		query: Type.Object(
			{
				from: Type.Optional(
					Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, default: 0 }),
				),
				limit: Type.Optional(Type.Integer({ minimum: 1, maximum: exportMax, default: exportMax })),
				epoch: epochQuery,
			},
			{ additionalProperties: false },
		),
		answers: { 200: { description: "A page of the export.", schema: shapes.exportPage } },
		handle: async (call) => {
			const log = door.logOf(call);
			const { from = 0, limit = exportMax, epoch = 1 } = call.query;
			const body = await inLog(door, log, async (tx) => {
				const newest = await findCheckpoint(tx, log, epoch);
				const end = Math.min(from + limit, newest?.size ?? 0);
				const [rows, bare] = await Promise.all([
					entriesInOrder(tx, log, epoch, from, end),
					checkpointsOf(tx, log, epoch, from, end, exportMax),
				]);
				const signed = await withCosignatures(tx, log, bare);
				return {
					origin: shapes.originOfLog(ledgerName, log, epoch),
					from,
					entries: rows.map(shapes.showExported),
					checkpoints: signed.map((one) => one.checkpoint),
					next: newest !== undefined && end < newest.size ? end : null,
				};
			});
			return { status: 200, body };
		},
	});
}
