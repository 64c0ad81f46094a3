/**
 * Which carriers this process binds to: the sandbox for test keys always and for live keys in development,
 * the SMSC of WAXWING_DEV_SMSC instead if given, and the routes that the operator has set up.
 */
import { createSmppPool, readRouteUrl, type SandboxAccount, type SmppRoute } from "#channels/index.ts";
import type { RouteRuntime } from "#messages/index.ts";
import type { Clock } from "#platform/clock.ts";
import { type Config, ConfigError } from "#platform/config.ts";
import type { Database, Environment } from "#platform/db.ts";
import { sql } from "#platform/db.ts";
import type { Egress } from "#platform/egress.ts";
import { Secret } from "#platform/hidden.ts";
import type { Ids, Random } from "#platform/ids.ts";
import type { Log } from "#platform/log.ts";
import type { Vault } from "#vault/index.ts";

export interface RouteOpening {
	readonly config: Config;
	readonly db: Database;
	readonly worker: Database;
	readonly vault: Vault;
	readonly clock: Clock;
	readonly random: Random;
	readonly log: Log;
	readonly ids: Ids;
	readonly egress: Egress;
	readonly sandbox: { readonly port: number; readonly accounts: readonly SandboxAccount[] };
}

/** Routes that are always the same have ids of their own: messages of an earlier start still name them. */
const builtIn = {
	test: "01900000-0000-7000-8000-0000000000a1",
	live: "01900000-0000-7000-8000-0000000000a2",
	devSmsc: "01900000-0000-7000-8000-0000000000a3",
} as const;

/** The sandbox takes only us: one account per environment, with a password of this start. */
export function sandboxAccounts(random: Random): SandboxAccount[] {
	return ["test", "live"].map((systemId) => ({ systemId, password: random.bytes(6).toString("base64url") }));
}

export async function openRoutes(parts: RouteOpening): Promise<RouteRuntime[]> {
	const { config } = parts;
	const routes: { id: string; environment: Environment; route: SmppRoute }[] = [{ id: builtIn.test, environment: "test", route: toSandbox(parts, "test") }];
	const devSmsc = config.devSmsc === undefined ? undefined : readSmsc(config.devSmsc);
	if (devSmsc !== undefined) routes.push({ id: builtIn.devSmsc, environment: "live", route: devSmsc });
	else if (config.mode === "development") routes.push({ id: builtIn.live, environment: "live", route: toSandbox(parts, "live") });
	for (const { id, environment } of routes) await saveRoute(parts, id, environment);
	return routes.map(({ id, environment, route }) => runtime(parts, id, environment, ["*"], 100, route));
}

function runtime(parts: RouteOpening, id: string, environment: Environment, countries: readonly string[], priority: number, route: SmppRoute): RouteRuntime {
	const { clock, random, log } = parts;
	return {
		id, environment, countries, priority, dialect: route.dialect,
		open: (onDeliver) => createSmppPool({
			routeId: id, route, clock, random, onDeliver,
			onBind: (event) => log.info({ event: "smpp.bind", route_id: id, bind: event.bind, mode: event.mode, state: event.state, reason: event.reason }, "bind changed"),
		}),
	};
}

function toSandbox({ sandbox }: RouteOpening, environment: Environment): SmppRoute {
	const account = sandbox.accounts.find((one) => one.systemId === environment) as SandboxAccount;
	const read = readRouteUrl(`smpp://${account.systemId}:pending@127.0.0.1:${sandbox.port}?window=200&binds=1`);
	if (!read.ok) throw new ConfigError(read.reason);
	return { ...read.route, password: new Secret(account.password) };
}

function readSmsc(secret: Secret): SmppRoute {
	const read = readRouteUrl(secret.reveal());
	if (!read.ok) throw new ConfigError(`WAXWING_DEV_SMSC: ${read.reason}`);
	return read.route;
}

const saveStatement = sql("routes.save", "select wx.save_route($1, $2, $3::text[], $4, $5, to_timestamp($6::float8 / 1000))");

/** The row that messages and receipts refer to. What is built in has no configuration to keep. */
async function saveRoute(parts: RouteOpening, id: string, environment: Environment): Promise<void> {
	const config = parts.vault.sealPlatform({ environment, table: "routes", column: "config_sealed", row: id }, Buffer.from("{}"));
	await parts.db.inPlatform(async (tx) => tx.post(saveStatement, [id, environment, ["*"], 100, config, parts.clock.now()]));
}
