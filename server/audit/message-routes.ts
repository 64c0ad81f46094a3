/**
 * That a message is stored as it was accepted, proven to anybody: its bytes as hashed, the hashes from there to the
 * root in an entry of the tenant's log, and the entry's own proof. A message that was changed gets no proof, but is
 * told of.
 */
import { Type } from "typebox";
import type { Scope, Tx } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import { type Route, route } from "#platform/http.ts";
import { firstIdAt, readId, showId, timeOfId } from "#platform/ids.ts";
import { digestOfMessage, digestsOfEntry, type StoredDigest } from "./digest-store.ts";
import { digestsMax } from "./fold.ts";
import type { MessageReader } from "./message-check.ts";
import { isLeafOf, messageBytes } from "./message-leaf.ts";
import { proveEntry } from "./proofs.ts";
import type { LedgerRouteParts } from "./routes.ts";
import * as shapes from "./shapes.ts";
import { findEntry } from "./store.ts";
import { hashBytes } from "./tree.ts";
import { widePath, type WideStep } from "./wide-tree.ts";

export interface MessageProofParts extends LedgerRouteParts {
	readonly messages: Pick<MessageReader, "facts">;
}

/** A message's hash is committed with it; its id is made before, at most so much, or its commit has failed. */
const commitMs = 60_000;
/** Commits of a tenant that are looked through. */
const commitsMax = 2_000;

const proof = Type.Object({
	message_id: Type.String(),
	entry_id: Type.String(),
	origin: Type.String(),
	verifier_key: Type.String(),
	leaf: Type.String({ description: "SHA-256 of `message`, in hexadecimal." }),
	message: Type.String({ description: "Base64 of the bytes that are hashed: see the guide." }),
	path: Type.Array(
		Type.Object({
			position: Type.Integer(),
			hashes: Type.Array(Type.String({ description: "Base64 of a hash." })),
		}),
	),
	proof: Type.String({ description: "Of the entry: c2sp.org/tlog-proof@v1." }),
});

export function messageProofRoute(parts: MessageProofParts): Route {
	return route({
		idempotency: "none",
		audited: false,
		method: "GET",
		path: "/v1/audit/messages/:id/proof",
		operationId: "audit_message.proof",
		permission: "audit:read",
		tag: "Ledger",
		summary: "Prove that a message is stored as it was accepted",
		description:
			"Of a message of the key's environment. The proof holds what is stored of the message (contents sealed, verdicts, times) and is checked offline with `waxwing-verify message`.",
		params: Type.Object(
			{ id: Type.String({ minLength: 30, maxLength: 30 }) },
			{ additionalProperties: false },
		),
		answers: {
			200: { description: "The proof.", schema: proof },
			404: { description: "No such message entered the ledger." },
			409: {
				description:
					"`proof_pending`: no checkpoint covers it yet. `message_altered`: what is stored is not what was accepted.",
			},
		},
		async handle({ scope, params }) {
			const id = readId("msg", params.id);
			if (id === undefined) throw Fault.of("not_found");
			const body = await parts.db.inTenant(scope, (tx) => prove(parts, tx, scope, id));
			return { status: 200, body };
		},
	});
}

async function prove(parts: MessageProofParts, tx: Tx, scope: Scope, id: string) {
	const { tenantId } = scope;
	const until = firstIdAt(timeOfId(id) + commitMs);
	const [digest, stored] = await Promise.all([
		digestOfMessage(tx, scope, id, until, commitsMax),
		parts.messages.facts(tx, tenantId, [id]),
	]);
	const facts = stored.find((one) => one.environment === scope.environment);
	if (digest === undefined) throw noDigest(facts !== undefined);
	const at = digest.messageIds.indexOf(id);
	const leaf = digest.leaves.subarray(at * hashBytes, (at + 1) * hashBytes);
	if (facts === undefined || !isLeafOf(facts, leaf)) throw Fault.of("message_altered");
	const { entryId } = digest;
	if (entryId === null) throw Fault.of("proof_pending", { retryAfterSeconds: 2 });
	const entry = await findEntry(tx, tenantId, entryId);
	if (entry === undefined) throw Fault.of("message_altered");
	const { proof, checkpoint } = await proveEntry(tx, tenantId, entry);
	const path = [...widePath(digest.leaves, at), ...(await pathInEntry(tx, tenantId, digest))];
	const { origin, verifier_key } = shapes.showCheckpoint(parts.ledgerName, tenantId, checkpoint);
	return {
		message_id: showId("msg", id),
		entry_id: showId("aud", entryId),
		origin,
		verifier_key,
		leaf: leaf.toString("hex"),
		message: messageBytes(facts).toString("base64"),
		path: path.map(showStep),
		proof,
	};
}

function noDigest(isThere: boolean): Fault {
	if (!isThere) return Fault.of("not_found");
	return Fault.of("not_found", {
		message: "The ledger holds no hash of this message: it was stored before messages entered it.",
	});
}

async function pathInEntry(tx: Tx, tenantId: string, digest: StoredDigest): Promise<WideStep[]> {
	const all = await digestsOfEntry(tx, tenantId, digest.entryId ?? "", digestsMax);
	const index = all.findIndex((one) => one.id === digest.id);
	return widePath(Buffer.concat(all.map((one) => one.root)), index);
}

function showStep({ position, hashes }: WideStep) {
	const count = hashes.length / hashBytes;
	const each = Array.from({ length: count }, (_, i) =>
		hashes.subarray(i * hashBytes, (i + 1) * hashBytes).toString("base64"),
	);
	return { position, hashes: each };
}
