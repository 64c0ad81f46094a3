/** What went wrong in the vault. Messages name tables, columns and key epochs, never values, rows or keys. */
import { Fault } from "#platform/errors.ts";

export type VaultReason =
	| "not_warm"
	| "unknown_key"
	| "not_authentic"
	| "malformed"
	/** The key service cannot be reached, and what was in memory has run out. */
	| "keys_away"
	/** The contact's key was destroyed: what it sealed cannot be read again. */
	| "erased";

export class VaultError extends Error {
	override readonly name = "VaultError";
	readonly reason: VaultReason;

	private constructor(reason: VaultReason, message: string) {
		// Whoever answers a caller finds the fault there: the same may work later.
		super(
			message,
			reason === "keys_away"
				? { cause: Fault.of("keys_unavailable", { retryAfterSeconds: 5 }) }
				: undefined,
		);
		this.reason = reason;
	}

	static of(reason: VaultReason, message: string): VaultError {
		return new VaultError(reason, message);
	}
}
