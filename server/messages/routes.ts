/** The message routes, in the order of the reference page. */
import type { Route } from "#platform/http.ts";
import {
	cancelRoute,
	decisionRoute,
	eventsRoute,
	listRoute,
	type ReadRouteParts,
	readRoute,
} from "./read-routes.ts";
import { batchRoute, type SendRouteParts, sendRoute } from "./send-routes.ts";

export type MessageRouteParts = ReadRouteParts & SendRouteParts;

export function messageRoutes(parts: MessageRouteParts): Route[] {
	return [
		sendRoute(parts),
		batchRoute(parts),
		listRoute(parts),
		readRoute(parts),
		eventsRoute(parts),
		decisionRoute(parts),
		cancelRoute(parts),
	];
}
