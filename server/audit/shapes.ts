/** How the ledger's things look in the API, as schemas and as the functions that make them. */
import { Type } from "typebox";
import { Fault } from "#platform/errors.ts";
import type { Vault } from "#vault/index.ts";
import { originOf, verifierKey } from "./checkpoint.ts";
import { readEntry } from "./entry.ts";
import { detailPlace, shownLog } from "./ledger.ts";
import { platformLog, type StoredCheckpoint, type StoredEntry } from "./store.ts";

const text = Type.String();
const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(type: T) =>
	Type.Union([type, Type.Null()]);
const moment = Type.String({ format: "date-time" });

export const entry = Type.Object({
	id: text,
	time: moment,
	type: text,
	actor: Type.Object({ type: text, id: nullable(text) }),
	environment: nullable(text),
	targets: Type.Array(text),
	outcome: Type.Union(["ok", "intent", "failed", "refused"].map((one) => Type.Literal(one))),
	request_id: nullable(text),
	data: Type.Record(Type.String(), Type.Union([Type.String(), Type.Integer()])),
	detail: Type.Unknown({
		description: "What was done, as it was asked; null when nothing was kept.",
	}),
	index: nullable(Type.Integer({ description: "Its place in the log; null until it has one." })),
	epoch: nullable(Type.Integer()),
});

/** From the stored bytes themselves: what is shown is what is hashed. */
export function showEntry(
	vault: Pick<Vault, "openJson" | "openPlatform">,
	log: string,
	row: StoredEntry,
) {
	const read = readEntry(row.entry);
	if (read === undefined) throw new Error("a stored entry of the ledger cannot be read");
	return {
		id: read["id"],
		time: read["time"],
		type: read.action,
		actor: { type: read.actor.type, id: read.actor.id },
		environment: read["environment"],
		targets: read["targets"],
		outcome: read["outcome"],
		request_id: read["request_id"],
		data: read["data"],
		detail: row.detail_sealed === null ? null : openDetail(vault, log, row.id, row.detail_sealed),
		index: row.leaf_index,
		epoch: row.epoch,
	};
}

function openDetail(
	vault: Pick<Vault, "openJson" | "openPlatform">,
	log: string,
	id: string,
	sealed: Buffer,
): unknown {
	const place = detailPlace(id);
	if (log !== platformLog) return vault.openJson({ ...place, tenantId: log }, sealed);
	return JSON.parse(vault.openPlatform(place, sealed).toString("utf8"));
}

export const checkpoint = Type.Object({
	origin: text,
	epoch: Type.Integer(),
	size: Type.Integer(),
	root: Type.String({ description: "Base64 of the root hash." }),
	checkpoint: Type.String({ description: "The signed note: origin, size, root, signature." }),
	verifier_key: text,
	signed_at: moment,
});

export function originOfLog(name: string, log: string, epoch: number): string {
	return originOf(name, shownLog(log), epoch);
}

export function showCheckpoint(name: string, log: string, row: StoredCheckpoint) {
	const origin = originOfLog(name, log, row.epoch);
	return {
		origin,
		epoch: row.epoch,
		size: row.size,
		root: row.root.toString("base64"),
		checkpoint: row.checkpoint,
		verifier_key: verifierKey(origin, row.public_key),
		signed_at: row.signed_at.toISOString(),
	};
}

export const checkpointCursor = Type.String({ pattern: "^[0-9]{1,7}-[0-9]{1,16}$", maxLength: 24 });

export function cursorOf(row: StoredCheckpoint | undefined): string | null {
	return row === undefined ? null : `${row.epoch}-${row.size}`;
}

export function readCursor(cursor: string | undefined) {
	if (cursor === undefined) return undefined;
	const [epoch, size] = cursor.split("-").map(Number);
	if (epoch === undefined || size === undefined || !Number.isSafeInteger(size))
		throw Fault.parameter(
			"query.starting_after",
			"query.starting_after must be a cursor of this list",
		);
	return { epoch, size };
}

export const proof = Type.Object({ entry_id: text, origin: text, verifier_key: text, proof: text });

export const consistency = Type.Object({
	origin: text,
	verifier_key: text,
	old_checkpoint: text,
	new_checkpoint: text,
	proof: Type.Array(Type.String({ description: "Base64 of a hash." })),
});

export const exportPage = Type.Object({
	origin: text,
	from: Type.Integer(),
	entries: Type.Array(
		Type.Object({
			index: Type.Integer(),
			entry: Type.String({ description: "Base64 of the entry's bytes, as hashed." }),
			detail_sealed: nullable(
				Type.String({ description: "Base64 of the sealed detail, whose SHA-256 is in the entry." }),
			),
		}),
	),
	checkpoints: Type.Array(text),
	next: nullable(Type.Integer({ description: "Ask for the next page with `from` this number." })),
});

export function showExported(row: StoredEntry) {
	return {
		index: row.leaf_index,
		entry: row.entry.toString("base64"),
		detail_sealed: row.detail_sealed?.toString("base64") ?? null,
	};
}
