/**
 * Consent and suppression over HTTP, in the shapes of the public API: thin handlers over consent.ts
 * and suppression.ts. A number is read and checked here, and is never part of an error's sentence.
 */
import { Type } from "typebox";
import type { Clock } from "#platform/clock.ts";
import type { Database, Scope, Tx } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import { type Route, route } from "#platform/http.ts";
import { type Ids, readId, showId } from "#platform/ids.ts";
import { describeLook, pageAnswer, pageSchema, readPage, showPage } from "#platform/page.ts";
import type { ContactKeys, Vault } from "#vault/index.ts";
import { addressIndex, addressKey, type ReadNumber, requireNumber } from "./address.ts";
import { recordStatement, showPreference } from "./consent.ts";
import { listCurrent, type StatementRow } from "./consent-store.ts";
import { findSuppression, listSuppressions, type SuppressionRow } from "./store.ts";
import { liftManually, reasonNamed, showSuppression, suppressManually } from "./suppression.ts";

export interface ContactParts {
	readonly db: Pick<Database, "inTenant">;
	readonly vault: Vault;
	readonly clock: Clock;
	readonly ids: Ids;
	readonly readNumber: ReadNumber;
}

export function contactRoutes(parts: ContactParts): Route[] {
	return [
		listPreferences(parts),
		recordPreference(parts),
		listSuppressed(parts),
		suppress(parts),
		readSuppression(parts),
		lift(parts),
	];
}

const number = Type.String({ minLength: 8, maxLength: 16 });
const moment = Type.String({ format: "date-time", maxLength: 40 });
const nullable = (schema: ReturnType<typeof Type.String>) => Type.Union([schema, Type.Null()]);
const coverage = Type.Union([Type.Literal("all"), Type.Literal("non_transactional")]);

const preference = Type.Object({
	id: Type.String(),
	channel: Type.Literal("sms"),
	handle: Type.String(),
	sender_scope: Type.Null(),
	topic_id: Type.Null(),
	status: Type.Union([Type.Literal("granted"), Type.Literal("revoked")]),
	coverage,
	effective_at: moment,
	origin: Type.String(),
	source: nullable(Type.String()),
	consented_at: nullable(moment),
	contact_id: Type.Null(),
	created_at: moment,
	updated_at: moment,
});

function listPreferences({ db, vault, readNumber }: ContactParts): Route {
	return route({
		method: "GET",
		path: "/v1/preferences",
		operationId: "listPreferences",
		tag: "Consent",
		summary: "List what people have said they want",
		description: `The statement that holds for each person, most recently recorded first. ${describeLook("statements", "When people have said something else since, or in the other environment,")}`,
		permission: "preferences:read",
		idempotency: "none",
		audited: false,
		query: Type.Object(
			{ ...pageSchema, channel: Type.Optional(Type.Literal("sms")), handle: Type.Optional(number) },
			{ additionalProperties: false },
		),
		answers: { 200: { description: "A page of statements.", schema: pageAnswer(preference) } },
		async handle({ scope, query }) {
			await vault.warm([scope.tenantId]);
			const page = readPage("cns", query);
			const index = indexOf(vault, scope, readNumber, "query.handle", query.handle);
			const { listed, contacts } = await db.inTenant(scope, async (tx) => {
				const listed = await listCurrent(tx, scope, index, page);
				return { listed, ...(await withContacts(vault, tx, scope, listed.rows)) };
			});
			const show = (row: StatementRow) => showPreference(vault, contacts, scope, row);
			const body = showPage("cns", page, listed, show);
			return { status: 200, body };
		},
	});
}

const stated = Type.Object(
	{
		handle: number,
		channel: Type.Literal("sms"),
		status: Type.Union([Type.Literal("granted"), Type.Literal("revoked")]),
		coverage: Type.Optional(coverage),
		source: Type.Optional(Type.String({ minLength: 1, maxLength: 500 })),
		consented_at: Type.Optional(moment),
	},
	{ additionalProperties: false },
);

function recordPreference({ db, vault, clock, ids, readNumber }: ContactParts): Route {
	const schema = Type.Object({
		applied: Type.Boolean(),
		transition_id: nullable(Type.String()),
		preference,
	});
	return route({
		method: "POST",
		path: "/v1/preferences",
		operationId: "recordPreference",
		tag: "Consent",
		summary: "Record that a person consents or opts out",
		description:
			"Statements are kept for good and ordered by when they were made: one that is older than the statement that holds is not applied (`applied: false`). A `granted` statement, of either coverage, allows promotional messages. `revoked` with coverage `all` stops every message.",
		permission: "preferences:write",
		idempotency: "stored",
		audited: "consent.recorded",
		body: stated,
		answers: {
			200: { description: "The person had stated something before.", schema },
			201: { description: "The person's first statement.", schema },
		},
		async handle({ scope, body, audit }) {
			await vault.warm([scope.tenantId]);
			const statement = {
				id: ids.next(),
				address: requireNumber(readNumber, body.handle, "handle"),
				granted: body.status === "granted",
				coverage: body.coverage ?? "non_transactional",
				source: body.source ?? null,
				consentedAtMs: readMoment("consented_at", body.consented_at),
			} as const;
			const { recorded, contacts } = await db.inTenant(scope, async (tx) => {
				const recorded = await recordStatement(tx, vault, scope, statement, clock.now());
				// The number is in the statement's own row; here its id is enough.
				const targets = [showId("cns", recorded.written ?? recorded.holds.id)];
				const detail = { status: body.status, coverage: statement.coverage };
				await audit.record(tx, { targets, detail });
				return { recorded, ...(await withContacts(vault, tx, scope, [recorded.holds])) };
			});
			const { applied, written, isFirst, holds } = recorded;
			return {
				status: isFirst ? 201 : 200,
				about: holds.addressIndex,
				body: {
					applied,
					transition_id: written === undefined ? null : showId("cns", written),
					preference: showPreference(vault, contacts, scope, holds),
				},
			};
		},
	});
}

function readMoment(param: string, text: string | undefined): number | undefined {
	if (text === undefined) return undefined;
	const ms = Date.parse(text);
	// Before 1990 nobody consented to a text message; what says so is a unit mistaken.
	if (ms >= Date.UTC(1990, 0)) return ms;
	throw Fault.parameter(param, `${param} must be an RFC 3339 time`);
}

const suppression = Type.Object({
	id: Type.String(),
	destination: Type.String(),
	originator: nullable(Type.String()),
	reason: Type.String(),
	origin: Type.String(),
	applies_to: Type.Literal("all"),
	blocking: Type.Boolean(),
	effective_at: moment,
	ended_at: nullable(moment),
	ended_reason: nullable(Type.String()),
	ended_effective_at: nullable(moment),
	created_at: moment,
	last_asserted_at: moment,
});

function listSuppressed({ db, vault, readNumber }: ContactParts): Route {
	return route({
		method: "GET",
		path: "/v1/sms/suppressions",
		operationId: "listSmsSuppressions",
		tag: "Consent",
		summary: "List who gets no messages",
		description: `The suppressions in force, newest first. ${describeLook("suppressions", "When many have ended, or are for another reason or in the other environment,")}`,
		permission: "suppressions:read",
		idempotency: "none",
		audited: false,
		query: Type.Object(
			{
				...pageSchema,
				destination: Type.Optional(number),
				reason: Type.Optional(
					Type.Union([
						Type.Literal("keyword_stop"),
						Type.Literal("manual"),
						Type.Literal("complaint"),
					]),
				),
			},
			{ additionalProperties: false },
		),
		answers: { 200: { description: "A page of suppressions.", schema: pageAnswer(suppression) } },
		async handle({ scope, query }) {
			await vault.warm([scope.tenantId]);
			const page = readPage("sup", query);
			const { destination } = query;
			const address =
				destination === undefined
					? undefined
					: addressKey(vault, scope, requireNumber(readNumber, destination, "query.destination"));
			const reason = query.reason === undefined ? undefined : reasonNamed(query.reason);
			const { listed, contacts } = await db.inTenant(scope, async (tx) => {
				const listed = await listSuppressions(tx, scope, { address, reason }, page);
				return { listed, ...(await withContacts(vault, tx, scope, listed.rows)) };
			});
			const show = (row: SuppressionRow) => showSuppression(vault, contacts, scope, row);
			const body = showPage("sup", page, listed, show);
			return { status: 200, body };
		},
	});
}

function suppress({ db, vault, clock, ids, readNumber }: ContactParts): Route {
	return route({
		method: "POST",
		path: "/v1/sms/suppressions",
		operationId: "createSmsSuppression",
		tag: "Consent",
		summary: "Stop all messages to a person",
		description:
			"Stops every sender of the tenant and every category, from the very next dispatch. `originator` is kept as a note of where the request came from.",
		permission: "suppressions:write",
		idempotency: "stored",
		audited: "suppression.added",
		body: Type.Object(
			{
				destination: number,
				originator: Type.Optional(Type.String({ minLength: 1, maxLength: 16 })),
			},
			{ additionalProperties: false },
		),
		answers: {
			200: { description: "The person was suppressed already.", schema: suppression },
			201: { description: "The new suppression.", schema: suppression },
		},
		async handle({ scope, body, audit }) {
			await vault.warm([scope.tenantId]);
			const address = requireNumber(readNumber, body.destination, "destination");
			const { originator = null } = body;
			const request = { ...scope, id: ids.next(), address, originator, atMs: clock.now() };
			const filter = { address: addressKey(vault, scope, address), reason: "manual" } as const;
			const { isNew, rows, contacts } = await db.inTenant(scope, async (tx) => {
				const { isNew } = await suppressManually(tx, vault, request);
				const page = { after: undefined, before: undefined, limit: 1 };
				const { rows } = await listSuppressions(tx, scope, filter, page);
				await audit.record(tx, { targets: rows.map((row) => showId("sup", row.id)) });
				return { isNew, ...(await withContacts(vault, tx, scope, rows)) };
			});
			const [row] = rows;
			// Ended by somebody else between our two statements: what the caller wanted did not last.
			if (row === undefined) throw Fault.of("conflict");
			return {
				status: isNew ? 201 : 200,
				about: filter.address.index,
				body: showSuppression(vault, contacts, scope, row),
			};
		},
	});
}

const idParam = Type.Object(
	{ id: Type.String({ minLength: 30, maxLength: 30 }) },
	{ additionalProperties: false },
);

function readSuppression({ db, vault }: ContactParts): Route {
	return route({
		method: "GET",
		path: "/v1/sms/suppressions/:id",
		operationId: "getSmsSuppression",
		tag: "Consent",
		summary: "Read one suppression, also one that has ended",
		permission: "suppressions:read",
		idempotency: "none",
		audited: false,
		params: idParam,
		answers: { 200: { description: "The suppression.", schema: suppression } },
		async handle({ scope, params }) {
			await vault.warm([scope.tenantId]);
			const id = requireId(params.id);
			const { rows, contacts } = await db.inTenant(scope, async (tx) => {
				const row = await findSuppression(tx, scope, id);
				return withContacts(vault, tx, scope, row === undefined ? [] : [row]);
			});
			const [row] = rows;
			if (row === undefined) throw Fault.of("not_found");
			return { status: 200, body: showSuppression(vault, contacts, scope, row) };
		},
	});
}

function lift({ db, clock }: ContactParts): Route {
	return route({
		method: "DELETE",
		path: "/v1/sms/suppressions/:id",
		operationId: "deleteSmsSuppression",
		tag: "Consent",
		summary: "End a suppression that the tenant made",
		description: "The record stays, with its end. A person's own STOP ends only by their START.",
		permission: "suppressions:write",
		idempotency: "none",
		audited: "suppression.ended",
		params: idParam,
		answers: { 204: { description: "The suppression has ended." } },
		async handle({ scope, params, audit }) {
			const id = requireId(params.id);
			await db.inTenant(scope, async (tx) => {
				await liftManually(tx, scope, id, clock.now());
				await audit.record(tx, { targets: [params.id] });
			});
			return { status: 204 };
		},
	});
}

/** Rows with the keys of the people they are about. */
async function withContacts<R extends { readonly addressIndex: Buffer | null }>(
	vault: Vault,
	tx: Tx,
	scope: Scope,
	rows: readonly R[],
): Promise<{ readonly rows: readonly R[]; readonly contacts: ContactKeys }> {
	const people = rows.flatMap(({ addressIndex: index }) =>
		index === null ? [] : [{ ...scope, index }],
	);
	return { rows, contacts: await vault.contacts.load(tx, people) };
}

function requireId(shown: string): string {
	const id = readId("sup", shown);
	if (id === undefined) throw Fault.of("not_found");
	return id;
}

function indexOf(
	vault: Vault,
	{ tenantId, environment }: Scope,
	readNumber: ReadNumber,
	param: string,
	text: string | undefined,
): Buffer | undefined {
	if (text === undefined) return undefined;
	const address = requireNumber(readNumber, text, param);
	return addressIndex(vault, tenantId, environment, address);
}
