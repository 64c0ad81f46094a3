/**
 * The proof that a caller has authenticated. Minted here and nowhere else, from a key that has just been
 * checked; an object that only looks like one is refused by `Actor.is`.
 */
import type { Environment } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import type { Caller } from "#platform/http.ts";
import { effectiveScopes, operatorScope } from "./scopes.ts";

/** The facts of a key whose secret has been proven. */
export interface ProvenKey {
	readonly keyId: string;
	/** Absent for an operator's key. */
	readonly tenant: { readonly tenantId: string; readonly environment: Environment } | undefined;
	readonly scopes: readonly string[];
}

const minting = Symbol("minting");

/** Set by the class's static block: the one way to the constructor. The module's index does not export it. */
export let mintActor!: (key: ProvenKey) => Actor;

export class Actor implements Caller {
	readonly #genuine = true;
	/** Empty for an operator. */
	readonly tenantId: string;
	/** Means nothing for an operator. */
	readonly environment: Environment;
	/** The key's uuid. */
	readonly keyId: string;
	/** Every scope by name; `*` has been spelt out. */
	readonly scopes: readonly string[];
	readonly operator: boolean;

	private constructor(proof: symbol, key: ProvenKey) {
		if (proof !== minting) throw Fault.of("internal", { message: "Only access mints an actor." });
		this.tenantId = key.tenant?.tenantId ?? "";
		this.environment = key.tenant?.environment ?? "test";
		this.keyId = key.keyId;
		this.operator = key.tenant === undefined;
		this.scopes = Object.freeze(this.operator ? [operatorScope] : [...effectiveScopes(key.scopes)]);
		Object.freeze(this);
	}

	static {
		mintActor = (key) => new Actor(minting, key);
	}

	/** Whether `value` was minted here, in this process. */
	static is(value: unknown): value is Actor {
		return typeof value === "object" && value !== null && #genuine in value && value.#genuine;
	}
}

/** The genuine actor behind a caller. Throws `key_invalid` for a look-alike. */
export function requireActor(caller: Caller): Actor {
	if (!Actor.is(caller)) throw Fault.of("key_invalid");
	return caller;
}
