/**
 * The SQL of carrier routes. A route belongs to the platform, not to a tenant; its configuration comes and
 * goes sealed. Rows are never deleted: messages and receipts refer to them.
 */
import { type Environment, sql, type Tx } from "#platform/db.ts";

export interface RouteRow {
	readonly id: string;
	readonly environment: Environment;
	readonly countries: readonly string[];
	readonly priority: number;
	readonly config_sealed: Buffer;
	readonly created_at: Date;
}

export interface NewRoute {
	readonly id: string;
	readonly environment: Environment;
	readonly countries: readonly string[];
	readonly priority: number;
	readonly configSealed: Buffer;
	readonly atMs: number;
}

const enabledStatement = sql(
	"channels.enabled_routes",
	`select id, environment, countries, priority, config_sealed, created_at from routes
	where enabled order by id limit $1`,
);

/** Oldest first. */
export function enabledRoutes(tx: Tx, most: number): Promise<RouteRow[]> {
	return tx.query<RouteRow>(enabledStatement, [most]);
}

const saveStatement = sql(
	"channels.save_route",
	"select wx.save_route($1, $2, $3::text[], $4, $5, to_timestamp($6::float8 / 1000))",
);

/** Makes the route, or replaces what an earlier start said of it; it is enabled either way. */
export function saveRoute(tx: Tx, route: NewRoute): void {
	const { id, environment, countries, priority, configSealed, atMs } = route;
	tx.post(saveStatement, [id, environment, countries, priority, configSealed, atMs]);
}

const disableStatement = sql("channels.disable_route", "select wx.disable_route($1) as changed");

/** False when there is no such enabled route. */
export async function disableRoute(tx: Tx, id: string): Promise<boolean> {
	const [row] = await tx.query<{ changed: number }>(disableStatement, [id]);
	return row !== undefined && row.changed > 0;
}
