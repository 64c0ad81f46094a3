/**
 * Carrier routes as they are kept: a URL, sealed under the platform's key because it holds a password. What
 * is read back is a `Secret` inside a parsed route; nothing here gives the URL or the password out.
 */
import type { Environment, Tx } from "#platform/db.ts";
import type { Vault } from "#vault/index.ts";
import { enabledRoutes, type RouteRow, saveRoute } from "./route-store.ts";
import { type RouteRead, readRouteUrl } from "./sms/smpp/route-url.ts";

/** Enabled routes of the platform, those that are built in included. */
export const routesMax = 100;

export interface StoredRoute {
	/** The row's uuid. */
	readonly id: string;
	readonly environment: Environment;
	/** ISO 3166-1 alpha-2, or "*" alone for all. */
	readonly countries: readonly string[];
	/** Smaller is tried first. */
	readonly priority: number;
	readonly createdAtMs: number;
	/** Not ok when this version no longer understands what an earlier one stored. */
	readonly read: RouteRead;
}

interface Config {
	/** Absent for routes that are built in: the process knows where they lead. */
	readonly url?: string;
}

/** The operator's enabled routes, oldest first. Built-in ones are left out. */
export async function readRoutes(
	tx: Tx,
	vault: Pick<Vault, "openPlatform">,
): Promise<StoredRoute[]> {
	const rows = await enabledRoutes(tx, routesMax);
	return rows.flatMap((row) => {
		const { url } = open(vault, row);
		if (url === undefined) return [];
		const { id, environment, countries, priority } = row;
		const createdAtMs = row.created_at.getTime();
		return [{ id, environment, countries, priority, createdAtMs, read: readRouteUrl(url) }];
	});
}

function open(vault: Pick<Vault, "openPlatform">, row: RouteRow): Config {
	const place = placeOf(row.environment, row.id);
	return JSON.parse(vault.openPlatform(place, row.config_sealed).toString("utf8")) as Config;
}

export interface RouteDeclaration {
	readonly id: string;
	readonly environment: Environment;
	readonly countries: readonly string[];
	readonly priority: number;
	/** undefined: built in. */
	readonly url: string | undefined;
	readonly atMs: number;
}

/** Keeps a route, sealed. The URL must have been read with `readRouteUrl` before. */
export function keepRoute(
	tx: Tx,
	vault: Pick<Vault, "sealPlatform">,
	declaration: RouteDeclaration,
): void {
	const { url, ...rest } = declaration;
	const config: Config = url === undefined ? {} : { url };
	const plain = Buffer.from(JSON.stringify(config), "utf8");
	const place = placeOf(rest.environment, rest.id);
	saveRoute(tx, { ...rest, configSealed: vault.sealPlatform(place, plain) });
}

function placeOf(environment: Environment, id: string) {
	return { environment, table: "routes", column: "config_sealed", row: id } as const;
}
