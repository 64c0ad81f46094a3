/**
 * The ledger as the HTTP server sees it: each audited call gets a recorder that knows the caller, the request
 * and the route's event type. An operator's act on a tenant is told in the tenant's own log too, without detail.
 */
import type { Database, Tx } from "#platform/db.ts";
import type { AuditedAct, Caller } from "#platform/http.ts";
import type { Auditing, CallAudit } from "#platform/http-audit.ts";
import { showId } from "#platform/ids.ts";
import type { Vault } from "#vault/index.ts";
import type { Actor, Outcome } from "./entry.ts";
import { type EventName, type EventType, eventTypes, isEventName } from "./events.ts";
import { type Act, type Ledger, system } from "./ledger.ts";
import { platformLog } from "./store.ts";

export interface AuditingParts {
	readonly ledger: Ledger;
	readonly db: Pick<Database, "inPlatform">;
	readonly vault: Pick<Vault, "warm">;
	readonly refused: Auditing["refused"];
	/** Resolves when a signed checkpoint covers this entry. @throws Fault `audit_unavailable` when none does soon. */
	readonly untilSigned: (log: string, entryId: string) => Promise<void>;
}

export function createAuditing(parts: AuditingParts): Auditing {
	const { vault, refused } = parts;
	return {
		refused,
		async begin({ audited, operationId }, caller, requestId) {
			if (audited === false || !isEventName(audited))
				throw new Error(`${operationId} is audited as ${audited}, which is no event type`);
			if (caller.tenantId !== "") await vault.warm([caller.tenantId]);
			return auditOf(parts, audited, caller, requestId);
		},
	};
}

/** A recorder for one call. The caller's keys must be warm. */
export function auditOf(
	{ ledger, db, untilSigned }: Pick<AuditingParts, "ledger" | "db" | "untilSigned">,
	event: EventName,
	caller: Caller,
	requestId: string,
): CallAudit {
	const act = (outcome: Outcome, { targets, detail }: AuditedAct): Act => ({
		log: logOf(event, caller),
		event,
		actor: actorOf(caller),
		environment: caller.operator ? undefined : caller.environment,
		outcome,
		requestId,
		...(targets === undefined ? {} : { targets }),
		...(detail === undefined ? {} : { detail }),
	});
	const critical = (eventTypes[event] as EventType).critical === true;
	let recorded = false;
	return {
		critical,
		get recorded() {
			return recorded;
		},
		async record(tx: Tx, done = {}) {
			const own = act("ok", done);
			const { detail: _, ...told } = own;
			const { tenantId = own.log } = done;
			await ledger.record(tx, tenantId === own.log ? [own] : [own, { ...told, log: tenantId }]);
			recorded = true;
		},
		async note(outcome) {
			const noted = act(outcome, {});
			const id = await db.inPlatform((tx) => noteAlone(tx, ledger, noted));
			if (critical && outcome === "intent") await untilSigned(noted.log, id);
		},
	};
}

/** A transaction for one entry, in the scope of its log. */
async function noteAlone(tx: Tx, ledger: Ledger, act: Act): Promise<string> {
	if (act.log !== platformLog) tx.enter({ tenantId: act.log, environment: "live" });
	const [id = ""] = await ledger.record(tx, [act]);
	return id;
}

function logOf(event: EventName, caller: Caller): string {
	const { log } = eventTypes[event] as EventType;
	return log === "platform" || caller.tenantId === "" ? platformLog : caller.tenantId;
}

export function actorOf(caller: Caller): Actor {
	if (caller.keyId === "") return { type: "unknown", id: null };
	const type = caller.operator ? "operator_key" : "api_key";
	return { type, id: showId("key", caller.keyId) };
}

/** A recorder for what the program itself does: seeds, first keys. `tenantId` empty: the platform's log. */
export function systemAudit(ledger: Ledger, event: EventName, tenantId = ""): CallAudit {
	let recorded = false;
	return {
		critical: false,
		get recorded() {
			return recorded;
		},
		async record(tx, { targets, detail, tenantId: about } = {}) {
			const { log: kind } = eventTypes[event] as EventType;
			const log = kind === "platform" || tenantId === "" ? platformLog : tenantId;
			const own: Act = { log, event, actor: system, ...(targets === undefined ? {} : { targets }) };
			const acts = [detail === undefined ? own : { ...own, detail }];
			if (about !== undefined && about !== log) acts.push({ ...own, log: about });
			await ledger.record(tx, acts);
			recorded = true;
		},
		note: async () => undefined,
	};
}
