/**
 * Erasing a person over HTTP: the key that everything about them is sealed under is destroyed (GDPR art. 17; DPDP Act 2023
 * s. 12). The answer is a certificate, which says `pending` until backups cannot be read for this person either.
 */
import { Type } from "typebox";
import { type ActProof, actProof, proveAct } from "#audit/index.ts";
import type { Database, Scope } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import { type Route, route } from "#platform/http.ts";
import { readId, showId } from "#platform/ids.ts";
import type { ErasureRow, Erasures, Vault } from "#vault/index.ts";
import { addressKey, type ReadNumber, requireNumber } from "./address.ts";

export interface ErasureRouteParts {
	readonly db: Pick<Database, "inTenant">;
	readonly vault: Vault;
	/** First part of the origins of logs. */
	readonly ledgerName: string;
	readonly readNumber: ReadNumber;
	readonly erasures: Pick<Erasures, "erase" | "find">;
	/** Days within which backups become unreadable too. */
	readonly erasureWindowDays: number;
}

const moment = Type.String({ format: "date-time", maxLength: 40 });
const count = Type.Integer({ minimum: 0 });
const certificate = Type.Object({
	id: Type.String(),
	status: Type.Union([Type.Literal("pending"), Type.Literal("complete")], {
		description: "`complete` when no backup of the database can be read for this person either.",
	}),
	erased_at: moment,
	complete_by: moment,
	completed_at: Type.Union([moment, Type.Null()]),
	key: Type.Object({
		epoch: Type.Integer({ minimum: 1 }),
		sha256: Type.Union([Type.String(), Type.Null()], {
			description: "Digest of the wrapped key that was deleted; null when the person had none.",
		}),
	}),
	removed: Type.Object({
		consent_statements: count,
		message_parts: count,
		suppression_addresses: count,
	}),
	suppressed: Type.Boolean({ description: "Whether the person's suppression stays in force." }),
	ledger_proof: Type.Union([actProof, Type.Null()], {
		description:
			"Once complete: that the erasure stands in the tenant's ledger. Check the certificate offline with `waxwing-verify certificate`. Null also when the entry was lost with a database that was restored.",
	}),
});

export function erasureRoutes(parts: ErasureRouteParts): Route[] {
	return [eraseRoute(parts), certificateRoute(parts)];
}

function eraseRoute(parts: ErasureRouteParts): Route {
	return route({
		method: "POST",
		path: "/v1/contacts/erasures",
		operationId: "contact.erase",
		tag: "Consent",
		summary: "Erase a person",
		description:
			"Destroys the key that texts, numbers and evidence about this person are sealed under, at once and for good. Their messages stay as facts (times, states, segments) without contents; a suppression stays in force without a readable number. What was sealed before people had keys of their own stays readable.",
		permission: "contacts:erase",
		idempotency: "stored",
		audited: "contact.erased",
		body: Type.Object(
			{ destination: Type.String({ minLength: 8, maxLength: 16 }) },
			{ additionalProperties: false },
		),
		answers: { 201: { description: "The certificate, pending.", schema: certificate } },
		async handle({ scope, body, audit }) {
			const { vault, readNumber, erasures } = parts;
			await vault.warm([scope.tenantId]);
			const address = requireNumber(readNumber, body.destination, "destination");
			const row = await erasures.erase(scope, addressKey(vault, scope, address), (tx, id) =>
				audit.record(tx, { targets: [showId("era", id)] }),
			);
			return { status: 201, body: show(parts, row) };
		},
	});
}

function certificateRoute(parts: ErasureRouteParts): Route {
	return route({
		method: "GET",
		path: "/v1/contacts/erasures/:id",
		operationId: "contact.erasure",
		tag: "Consent",
		summary: "Read the certificate of an erasure",
		permission: "contacts:erase",
		idempotency: "none",
		audited: false,
		params: Type.Object({ id: Type.String({ minLength: 1, maxLength: 40 }) }),
		answers: { 200: { description: "The certificate.", schema: certificate } },
		async handle({ scope, params }) {
			const id = readId("era", params.id);
			if (id === undefined) throw Fault.of("not_found");
			const row = await parts.erasures.find(scope, id);
			const proof = row.completedAt === null ? undefined : await prove(parts, scope, row);
			return { status: 200, body: show(parts, row, proof) };
		},
	});
}

function prove({ db, ledgerName }: ErasureRouteParts, scope: Scope, row: ErasureRow) {
	const target = showId("era", row.id);
	const act = { event: "contact.erased", target, atMs: row.erasedAt.getTime() } as const;
	return db.inTenant(scope, (tx) => proveAct(tx, ledgerName, scope.tenantId, act));
}

const dayMs = 86_400_000;

function show({ erasureWindowDays }: ErasureRouteParts, row: ErasureRow, proof?: ActProof) {
	const completeBy = new Date(row.erasedAt.getTime() + erasureWindowDays * dayMs);
	return {
		id: showId("era", row.id),
		status: row.completedAt === null ? ("pending" as const) : ("complete" as const),
		erased_at: row.erasedAt.toISOString(),
		complete_by: completeBy.toISOString(),
		completed_at: row.completedAt?.toISOString() ?? null,
		key: { epoch: row.epoch, sha256: row.keyDigest?.toString("hex") ?? null },
		removed: {
			consent_statements: row.statements,
			message_parts: row.parts,
			suppression_addresses: row.suppressions,
		},
		suppressed: row.suppressions > 0,
		ledger_proof: proof ?? null,
	};
}
