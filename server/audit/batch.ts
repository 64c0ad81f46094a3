/**
 * Messages enter the ledger as one entry per accepted batch (`messages.accepted`): how many, the first and last
 * id, and the Merkle root over a digest of each, in order of id. Whoever holds the batch's rows can compute the
 * root again, so one edited message or verdict is visible. Pure.
 */
import { sha256 } from "#vault/index.ts";
import { append, emptyEdge, leafHash, rootOf } from "./tree.ts";

/** One message of a batch, as it is stored. */
export interface BatchedMessage {
	/** The UUID, as PostgreSQL writes it. */
	readonly id: string;
	/** The row's immutable parts, in an order that never changes: sealed contents, verdicts, rule set, seal. */
	readonly parts: readonly Buffer[];
}

/** SHA-256 over the id's 16 bytes and each part behind its length (4 bytes, big-endian). 32 bytes. */
export function messageDigest({ id, parts }: BatchedMessage): Buffer {
	const lengths = parts.map((part) => {
		const length = Buffer.allocUnsafe(4);
		length.writeUInt32BE(part.length);
		return length;
	});
	const joined = parts.flatMap((part, i) => [lengths[i] as Buffer, part]);
	return sha256(Buffer.concat([Buffer.from(id.replaceAll("-", ""), "hex"), ...joined]));
}

export interface MessageDigest {
	readonly id: string;
	readonly digest: Buffer;
}

export interface BatchDigest {
	readonly count: number;
	/** UUIDs, the smallest and the largest. */
	readonly first: string;
	readonly last: string;
	/** RFC 6962 root; each leaf is the digest of one message. 32 bytes. */
	readonly root: Buffer;
}

/** Undefined for no messages. The order in which they are given does not matter; an id given twice throws. */
export function batchDigest(messages: readonly MessageDigest[]): BatchDigest | undefined {
	const sorted = messages.toSorted((a, b) => (a.id < b.id ? -1 : 1));
	const [first, last] = [sorted[0], sorted.at(-1)];
	if (first === undefined || last === undefined) return undefined;
	if (sorted.some(({ id }, i) => id === sorted[i + 1]?.id))
		throw new RangeError("a message is in the batch twice");
	const edge = append(
		emptyEdge,
		sorted.map(({ digest }) => leafHash(digest)),
	);
	return { count: sorted.length, first: first.id, last: last.id, root: rootOf(edge) };
}
