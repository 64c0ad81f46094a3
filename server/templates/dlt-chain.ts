/**
 * India: the hash that names the chain from principal entity to delivering telemarketer, sent with
 * every message (TLV 0x1402). Lower-case hex SHA-256 of `PEID,TMID1,…` in ASCII, comma without space
 * (operators' PE–TM chain specification; TRAI direction of 20 August 2024).
 */
import { hashSecret } from "#vault/index.ts";

/** 64 characters. Ids as registered, the delivering telemarketer last; none gives the entity's own hash. */
export function chainHash(entityId: string, telemarketers: readonly string[]): string {
	// Nothing here is secret; it is the vault's plain SHA-256 of one text.
	return hashSecret([entityId, ...telemarketers].join(",")).toString("hex");
}
