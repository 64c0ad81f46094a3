/**
 * All routes of the API, in the order of the reference page. The declarations need no running parts, so the
 * same list gives OpenAPI, the tests' route sweep, and the server.
 */
import {
	accessRoutes,
	type AccessRouteParts,
	type RootKeyRouteParts,
	rootKeyRoutes,
} from "#access/index.ts";
import { ledgerRoutes, type MessageProofParts } from "#audit/index.ts";
import { channelRoutes, readNumber } from "#channels/index.ts";
import { contactRoutes, erasureRoutes, type ErasureRouteParts } from "#contacts/index.ts";
import {
	eventTypes,
	messageReader,
	messageRoutes,
	type MessageRouteParts,
} from "#messages/index.ts";
import type { Egress } from "#platform/egress.ts";
import type { Route } from "#platform/http.ts";
import type { Log } from "#platform/log.ts";
import { templateRoutes } from "#templates/index.ts";
import { webhookRoutes } from "#webhooks/index.ts";

export interface RouteParts
	extends AccessRouteParts,
		MessageRouteParts,
		Omit<MessageProofParts, "messages">,
		RootKeyRouteParts,
		Pick<ErasureRouteParts, "erasures" | "erasureWindowDays"> {
	readonly egress: Egress;
	readonly log: Log;
}

export function routesOf(parts: RouteParts): Route[] {
	return [
		...messageRoutes(parts),
		...webhookRoutes({ ...parts, eventTypes }),
		...contactRoutes({ ...parts, readNumber }),
		...erasureRoutes({ ...parts, readNumber }),
		...templateRoutes({ ...parts, readNumber }),
		...accessRoutes(parts),
		...rootKeyRoutes(parts),
		...channelRoutes(parts),
		...ledgerRoutes({ ...parts, messages: messageReader }),
	];
}

/** The declarations alone: for documents and tests. Their handlers must not be called. */
export function declaredRoutes(): Route[] {
	return routesOf({} as RouteParts);
}

export const openApiInfo = {
	title: "Waxwing",
	version: "1",
	description:
		"Send and receive SMS. Nothing leaves without a clearance that every rule in force has passed; what the rules decided can be read for each message.",
} as const;
