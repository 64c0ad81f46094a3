/**
 * What keeps the root key: wraps and unwraps the keys of the platform and of tenants, and never gives the root
 * key itself away where it can be helped. Every provider passes one suite, `providers.test.ts`.
 */
import { bindPlace } from "../place.ts";

export const providerKinds = ["file", "env", "pkcs11", "transit", "aws-kms"] as const;
export type ProviderKind = (typeof providerKinds)[number];

/** What a wrapped key is for. It is bound in: a wrapped key does not open under another label. */
export interface KeyLabel {
	/** Empty for what is no tenant's. */
	readonly tenantId: string;
	readonly table: string;
	readonly row: string;
}

export interface Wrapped {
	/** Which root key wrapped it, as the provider names it: at most 200 bytes, in the clear. */
	readonly version: string;
	readonly bytes: Buffer;
}

export interface KeyProvider {
	readonly kind: ProviderKind;
	/** A sentence the operator should see at start. */
	readonly warning: string | undefined;
	/** Under the newest root key. Throws KeyProviderError. */
	wrap(key: Buffer, label: KeyLabel): Promise<Wrapped>;
	/** Throws KeyProviderError: `refused` when it is not authentic, `away` when nobody can say now. */
	unwrap(wrapped: Wrapped, label: KeyLabel): Promise<Buffer>;
	/** Makes a new root key that wraps from now on; older ones still unwrap. Throws `unsupported` with what to do instead. */
	rotate(): Promise<void>;
	/** What this version wrapped can never be unwrapped again. The newest cannot be destroyed. */
	destroy(version: string): Promise<void>;
	/** Undefined when a key can be wrapped and unwrapped now; else a sentence for the operator. */
	health(): Promise<string | undefined>;
	close(): void;
}

/**
 * `away`: the same may work later. `refused`: it will not. `unsupported`: the operator does this elsewhere.
 * Messages are for the operator; they never hold a key, a PIN or a token.
 */
export type KeyTrouble = "away" | "refused" | "unsupported";

export class KeyProviderError extends Error {
	override readonly name = "KeyProviderError";
	readonly trouble: KeyTrouble;

	constructor(trouble: KeyTrouble, message: string, options?: ErrorOptions) {
		super(message, options);
		this.trouble = trouble;
	}
}

/** The label as bytes for additional data; valid until the next call. */
export function labelBytes({ tenantId, table, row }: KeyLabel): Buffer {
	return bindPlace(1, tenantId, { environment: "", table, column: "wrapped", row });
}

const probe: KeyLabel = { tenantId: "", table: "health", row: "" };

/** Wraps and unwraps a key that means nothing. */
export async function probeHealth(
	provider: Pick<KeyProvider, "wrap" | "unwrap">,
): Promise<string | undefined> {
	const bytes = Buffer.alloc(32, 1);
	try {
		const back = await provider.unwrap(await provider.wrap(bytes, probe), probe);
		return back.equals(bytes)
			? undefined
			: "The key service gave back another key than it was given.";
	} catch (error) {
		if (error instanceof KeyProviderError) return error.message;
		throw error;
	}
}
