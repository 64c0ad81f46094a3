/**
 * India: the hash that names the chain from principal entity to delivering telemarketer, sent with
 * every message (TLV 0x1402). Lower-case hex SHA-256 of `PEID,TMID1,…` in ASCII, comma without space
 * (operators' PE–TM chain specification; TRAI direction of 20 August 2024).
 */
import { hashSecret } from "#vault/index.ts";

/** Chains kept: an entity sends all of its messages by a few. */
const keptMax = 1_000;
const kept = new Map<string, string>();

/** 64 characters. Ids as registered, the delivering telemarketer last; none gives the entity's own hash. */
export function chainHash(entityId: string, telemarketers: readonly string[]): string {
	const chain = [entityId, ...telemarketers].join(",");
	const known = kept.get(chain);
	if (known !== undefined) return known;
	if (kept.size >= keptMax) kept.clear();
	// Nothing here is secret; it is the vault's plain SHA-256 of one text.
	const made = hashSecret(chain).toString("hex");
	kept.set(chain, made);
	return made;
}
