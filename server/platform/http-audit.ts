/**
 * What a route's `audited` means, enforced: what changes something records it in the transaction of the act and
 * did so when it answers; what reads leaves an intent before anything is read and an outcome after. What is critical
 * leaves an intent too, and begins when that is signed. Who could not prove itself, or may not, is told of as well.
 * The ledger itself is handed in.
 */
import { Fault } from "./errors.ts";
import type { Answer, Audit, Caller, Route } from "./http.ts";

/** A call's own way into the ledger. */
export interface CallAudit extends Audit {
	/** Whether the act's entry has been written (its transaction may still fail). */
	readonly recorded: boolean;
	/** Whether the act may begin only when its intent is signed. */
	readonly critical: boolean;
	/**
	 * Commits an entry of its own, for what reads or is critical; the intent of a critical act is signed when this
	 * resolves. @throws Fault `audit_unavailable`
	 */
	note(outcome: "intent" | "ok" | "failed"): Promise<void>;
}

/** A caller who was refused. */
export interface Refusal {
	/** The fault's name. */
	readonly why: string;
	/** The address that the connection came from. */
	readonly source: string;
	/** Method and path as declared. */
	readonly route: string;
	/** Present when the caller had proven who it is. */
	readonly caller: Caller | undefined;
	readonly requestId: string;
}

export interface Auditing {
	/** @throws Fault `audit_unavailable`, `database_unavailable` */
	begin(route: Route, caller: Caller, requestId: string): Promise<CallAudit>;
	/** Never waits and never throws. */
	refused(refusal: Refusal): void;
}

/** What a route that is not audited gets; using it is a mistake in the route's declaration. */
export const notAudited: CallAudit = {
	recorded: true,
	critical: false,
	record: async () => {
		throw new Error("a route that is not declared as audited records an act");
	},
	note: async () => undefined,
};

export async function beginAudit(
	auditing: Auditing | undefined,
	route: Route,
	caller: Caller,
	requestId: string,
): Promise<CallAudit> {
	if (route.audited === false) return notAudited;
	if (auditing === undefined) throw Fault.of("audit_unavailable", { retryAfterSeconds: 5 });
	return auditing.begin(route, caller, requestId);
}

/** Runs the handler of any route; of an audited one, as its declaration promises. */
export async function audited(
	route: Route,
	audit: CallAudit,
	execute: () => Promise<Answer>,
): Promise<Answer> {
	if (route.audited === false) return execute();
	if (route.method === "GET") return reading(audit, execute);
	const answer = audit.critical ? await announced(audit, execute) : await execute();
	if (!audit.recorded) throw new Error(`${route.operationId} is audited, and recorded nothing`);
	return answer;
}

async function announced(audit: CallAudit, execute: () => Promise<Answer>): Promise<Answer> {
	await audit.note("intent");
	try {
		return await execute();
	} catch (error) {
		await audit.note("failed");
		throw error;
	}
}

async function reading(audit: CallAudit, execute: () => Promise<Answer>): Promise<Answer> {
	const answer = await announced(audit, execute);
	// What was read is not given away before its entry is there.
	await audit.note("ok");
	return answer;
}
