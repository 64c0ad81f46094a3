/** The real ledger for tests that call verbs and handlers of modules themselves, below the HTTP server. */
import {
	auditOf,
	createAuditing,
	createLedger,
	type EventName,
	eventTypes,
	type Ledger,
	systemAudit,
} from "#audit/index.ts";
import type { Clock } from "#platform/clock.ts";
import type { Database, Scope } from "#platform/db.ts";
import type { Audit, Caller, Route } from "#platform/http.ts";
import { type Auditing, notAudited } from "#platform/http-audit.ts";
import type { Ids } from "#platform/ids.ts";
import type { Vault } from "#vault/index.ts";

export interface TestLedger {
	readonly ledger: Ledger;
	readonly auditing: Auditing;
	/** As a key of this scope does it; without a scope, as the system does it. */
	audit(event: EventName, scope?: Scope): Audit;
	/** What a handler of this route gets, called by this caller. */
	auditOf(route: Route, caller: Partial<Caller> & Scope): Audit;
}

export function testLedger(parts: {
	readonly db: Database;
	readonly vault: Vault;
	readonly clock: Clock;
	readonly ids: Ids;
}): TestLedger {
	const { db, vault, ids } = parts;
	const ledger = createLedger(parts);
	// Nobody signs here.
	const untilSigned = async (): Promise<void> => undefined;
	const keyId = ids.next();
	const requestId = `req_${"0".repeat(26)}`;
	const callerOf = (given: Partial<Caller> & Scope): Caller => ({
		keyId,
		scopes: [],
		operator: false,
		...given,
	});
	return {
		ledger,
		auditing: createAuditing({ ledger, db, vault, refused: () => undefined, untilSigned }),
		audit: (event, scope) =>
			scope === undefined
				? systemAudit(ledger, event)
				: auditOf({ ledger, db, untilSigned }, event, callerOf(scope), requestId),
		auditOf(route, caller) {
			if (route.audited === false) return notAudited;
			const event = Object.keys(eventTypes).find((name) => name === route.audited) as EventName;
			return auditOf({ ledger, db, untilSigned }, event, callerOf(caller), requestId);
		},
	};
}
