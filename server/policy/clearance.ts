/**
 * The proof that every rule in force has judged a message and none objects. Minted here and nowhere
 * else; dispatch takes it instead of a message. A look-alike fails to compile and is refused by
 * `Clearance.is`; a stored one is believed only after its seal has been verified over the message it
 * is used for. A clearance is short-lived: what has aged is screened again, in full.
 */
import { Fault } from "#platform/errors.ts";
import { type RuleSet, rulesInForce } from "./catalogue.ts";
import type { Facts } from "./facts.ts";
import { type Deferral, judge, type Moment, type Refusal } from "./judge.ts";

/** How long a clearance may be used, milliseconds. */
export const clearanceValidityMs = 10 * 60_000;

/** The part of the vault that seals and verifies; a tenant's key must be warm. */
export interface Sealer {
	mac(tenantId: string, purpose: string, parts: readonly (string | Buffer)[]): Buffer;
	verifyMac(
		tenantId: string,
		purpose: string,
		parts: readonly (string | Buffer)[],
		mac: Buffer,
	): boolean;
}

/** What a clearance is bound to. */
export type Bound = Pick<
	Facts,
	"tenantId" | "environment" | "messageId" | "recipient" | "bodyDigest"
>;

interface Contents extends Bound {
	readonly ruleset: string;
	readonly notBefore: number;
	readonly validUntil: number;
	readonly seal: Buffer;
}

const minting = Symbol("minting");
const purpose = "clearance";

/** Set by the class's static block: the one way to the constructor, and it does not leave this file. */
let mint!: (contents: Contents) => Clearance;

export class Clearance {
	readonly #contents: Contents;

	private constructor(proof: symbol, contents: Contents) {
		if (proof !== minting)
			throw Fault.of("internal", { message: "Only policy mints a clearance." });
		this.#contents = contents;
	}

	static {
		mint = (contents) => new Clearance(minting, contents);
	}

	/** Whether `value` was minted here, in this process. */
	static is(value: unknown): value is Clearance {
		return typeof value === "object" && value !== null && #contents in value;
	}

	get tenantId(): string {
		return this.#contents.tenantId;
	}
	get messageId(): string {
		return this.#contents.messageId;
	}
	get ruleset(): string {
		return this.#contents.ruleset;
	}
	/** Milliseconds since the epoch, not included. */
	get validUntil(): number {
		return this.#contents.validUntil;
	}
	/** Milliseconds since the epoch. */
	get notBefore(): number {
		return this.#contents.notBefore;
	}
	/** For `clearances.seal`: 32 bytes, a copy. */
	get seal(): Buffer {
		return Buffer.from(this.#contents.seal);
	}

	/** Whether a message may leave on it at this moment. Never true for a standing clearance. */
	isUsableAt(atMs: number): boolean {
		return atMs >= this.#contents.notBefore && atMs < this.#contents.validUntil;
	}

	/** Whether it was minted for exactly this message, recipient and text. */
	isFor(bound: Bound): boolean {
		const own = this.#contents;
		return (
			own.messageId === bound.messageId &&
			own.tenantId === bound.tenantId &&
			own.environment === bound.environment &&
			own.recipient.equals(bound.recipient) &&
			own.bodyDigest.equals(bound.bodyDigest)
		);
	}
}

export interface Decision {
	/** One letter per rule of the set: p pass, n not concerned, r refuse, d defer. */
	readonly verdicts: string;
	readonly ruleset: string;
}

export type Outcome =
	| (Decision & { readonly kind: "cleared"; readonly clearance: Clearance })
	| (Decision & { readonly kind: "refused"; readonly refusal: Refusal })
	| (Decision & {
			readonly kind: "deferred";
			readonly deferral: Deferral;
			/** Milliseconds since the epoch: when to screen again. */
			readonly until: number;
			/** To be stored beside the waiting message. Never usable: `renew` when the time has come. */
			readonly standing: Clearance;
	  });

/**
 * Judges a message by every rule in force at `facts.now` and mints its clearance if none objects.
 * When `facts.now` lies after `nowMs` (a scheduled message) or the message is deferred, the clearance
 * is a standing one: it proves that the message was screened, and is expired from the start.
 */
export function screen(facts: Facts, moment: Moment, sealer: Sealer, nowMs: number): Outcome {
	return screenUnder(rulesInForce(facts.now), facts, moment, sealer, nowMs);
}

/** A full screen on the way out, for a stored clearance that has expired or whose rules have changed. */
export function renew(facts: Facts, sealer: Sealer, nowMs: number): Outcome {
	return screen(facts, "dispatch", sealer, nowMs);
}

/** `screen` under a rule set of the caller's making: for policy's own tests. */
export function screenUnder(
	set: RuleSet,
	facts: Facts,
	moment: Moment,
	sealer: Sealer,
	nowMs: number,
): Outcome {
	const { verdicts, ruleset, refusal, deferral } = judge(facts, moment, set);
	if (refusal !== undefined) return { kind: "refused", refusal, verdicts, ruleset };
	if (deferral !== undefined) {
		const standing = issue(facts, ruleset, deferral.until, nowMs, sealer);
		return { kind: "deferred", until: deferral.until, deferral, standing, verdicts, ruleset };
	}
	const scheduled = facts.now > nowMs;
	const clearance = scheduled
		? issue(facts, ruleset, facts.now, nowMs, sealer)
		: issue(facts, ruleset, nowMs, nowMs + clearanceValidityMs, sealer);
	return { kind: "cleared", clearance, verdicts, ruleset };
}

function issue(
	facts: Facts,
	ruleset: string,
	notBefore: number,
	validUntil: number,
	sealer: Sealer,
): Clearance {
	const { tenantId, environment, messageId } = facts;
	const recipient = Buffer.from(facts.recipient);
	const bodyDigest = Buffer.from(facts.bodyDigest);
	const bound = { tenantId, environment, messageId, recipient, bodyDigest };
	const seal = sealer.mac(tenantId, purpose, sealedParts(bound, ruleset, validUntil));
	return mint({ ...bound, ruleset, notBefore, validUntil, seal });
}

/** The tenant is in the sealing key and among the parts. */
function sealedParts(bound: Bound, ruleset: string, validUntil: number): (string | Buffer)[] {
	const { tenantId, environment, messageId, recipient, bodyDigest } = bound;
	return [tenantId, environment, messageId, recipient, bodyDigest, ruleset, String(validUntil)];
}

/** A row of `clearances`, but for its ids. */
export interface StoredClearance {
	readonly ruleset: string;
	/** Milliseconds since the epoch. */
	readonly validUntil: number;
	readonly seal: Buffer;
}

/**
 * Turns a stored row back into a clearance for this very message; undefined when the seal does not
 * match (another message, another text, a changed row). It may have expired: see `isUsableAt`.
 */
export function recall(
	stored: StoredClearance,
	message: Bound,
	sealer: Sealer,
): Clearance | undefined {
	const { ruleset, validUntil, seal } = stored;
	if (!Number.isFinite(validUntil)) return undefined;
	const { tenantId, environment, messageId } = message;
	const recipient = Buffer.from(message.recipient);
	const bodyDigest = Buffer.from(message.bodyDigest);
	const bound = { tenantId, environment, messageId, recipient, bodyDigest };
	if (!sealer.verifyMac(tenantId, purpose, sealedParts(bound, ruleset, validUntil), seal))
		return undefined;
	// No lower bound is stored because none is needed: a standing clearance is stored as expired.
	return mint({ ...bound, ruleset, notBefore: 0, validUntil, seal: Buffer.from(seal) });
}

export type Standing =
	| { readonly kind: "clear" }
	/** Not usable now: expired, standing, minted under other rules or for another message. */
	| {
			readonly kind: "stale";
			readonly why: "forged" | "other_message" | "expired" | "rules_changed";
	  }
	| { readonly kind: "refused"; readonly refusal: Refusal }
	| { readonly kind: "deferred"; readonly deferral: Deferral };

const clear: Standing = Object.freeze({ kind: "clear" });

/**
 * The last look before the bytes leave, with facts gathered for this batch: the clearance must be
 * genuine, for this message and in time, and the rules judged on the way out are judged again.
 * `stale: expired | rules_changed` calls for `renew`; the other two for an alarm.
 */
export function stillClear(clearance: Clearance, fresh: Facts): Standing {
	if (!Clearance.is(clearance)) return { kind: "stale", why: "forged" };
	if (!clearance.isFor(fresh)) return { kind: "stale", why: "other_message" };
	if (!clearance.isUsableAt(fresh.now)) return { kind: "stale", why: "expired" };
	const set = rulesInForce(fresh.now);
	if (set.id !== clearance.ruleset) return { kind: "stale", why: "rules_changed" };
	const { refusal, deferral } = judge(fresh, "dispatch", set, set.onTheWayOut);
	if (refusal !== undefined) return { kind: "refused", refusal };
	return deferral === undefined ? clear : { kind: "deferred", deferral };
}
