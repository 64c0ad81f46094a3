/**
 * The half that accepts: requests in, messages committed, 202 out. What may leave now is handed over to the half that
 * sends, if it lives in the same process; else, and whenever that cannot take it, it waits in the table.
 */
import type { Clock } from "#platform/clock.ts";
import type { Database } from "#platform/db.ts";
import type { Ids } from "#platform/ids.ts";
import type { Metrics } from "#platform/metrics.ts";
import type { Vault } from "#vault/index.ts";
import type { ToAccepting, ToSending } from "./channel.ts";
import { createGate } from "./gate.ts";
import { acceptGroup, type AcceptParts } from "./accept.ts";
import { type Acceptor, createAcceptor } from "./group.ts";
import { createHandover } from "./handover.ts";
import { createSenderIndexes } from "./prepare.ts";
import { createRouter, type RouteEntry } from "./router.ts";

export interface AcceptingParts {
	readonly worker: Database;
	readonly vault: Vault;
	readonly ids: Ids;
	readonly clock: Clock;
	readonly metrics: Metrics;
	readonly routes: readonly RouteEntry[];
	/** The half that sends, in this process: who it is, and how it is told. */
	readonly sending?: { readonly owner: string; readonly post: (message: ToSending) => void };
}

export interface Accepting {
	readonly acceptor: Acceptor;
	/** From the half that sends. */
	hear(message: ToAccepting): void;
}

export function startAccepting(parts: AcceptingParts): Accepting {
	const { sending, vault, routes, metrics } = parts;
	const gate = createGate();
	const acceptParts: AcceptParts = {
		...parts,
		router: createRouter(routes),
		handover: sending === undefined ? undefined : createHandover({ ...parts, ...sending, gate }),
		senderIndexes: createSenderIndexes(vault),
	};
	const acceptor = createAcceptor({
		clock: parts.clock,
		onEvents: () => sending?.post({ kind: "told" }),
		commit: (requests) => acceptGroup(acceptParts, requests),
	});
	metrics.gauge(
		"wx_messages_unaccepted",
		"Messages waiting for the accept commit.",
		acceptor.waiting,
	);
	return { acceptor, hear: gate.hear };
}
