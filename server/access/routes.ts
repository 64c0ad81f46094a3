/** The routes of access, in one list for the composition roots. */
import type { Route } from "#platform/http.ts";
import { type AccessRouteParts, keyRoutes } from "./key-routes.ts";
import { tenantRoutes } from "./tenant-routes.ts";

export function accessRoutes(parts: AccessRouteParts): Route[] {
	return [...keyRoutes(parts), ...tenantRoutes(parts)];
}
