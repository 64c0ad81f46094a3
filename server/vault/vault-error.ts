/** What went wrong in the vault. Messages name tables, columns and key epochs, never values, rows or keys. */
export type VaultReason = "not_warm" | "unknown_key" | "not_authentic" | "malformed";

export class VaultError extends Error {
	override readonly name = "VaultError";
	readonly reason: VaultReason;

	private constructor(reason: VaultReason, message: string) {
		super(message);
		this.reason = reason;
	}

	static of(reason: VaultReason, message: string): VaultError {
		return new VaultError(reason, message);
	}
}
