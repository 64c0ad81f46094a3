/**
 * Which carriers this process binds to: the sandbox for test keys always and for live keys in development,
 * the SMSC of WAXWING_DEV_SMSC instead if given, and the routes that the operator has set up.
 */
import {
	createSmppPool,
	disableRoute,
	keepRoute,
	readRouteUrl,
	readRoutes,
	type SandboxAccount,
	type SmppRoute,
} from "#channels/index.ts";
import type { RouteRuntime } from "#messages/index.ts";
import type { Clock } from "#platform/clock.ts";
import { type Config, ConfigError } from "#platform/config.ts";
import type { Database, Environment } from "#platform/db.ts";
import type { Egress } from "#platform/egress.ts";
import { Secret } from "#platform/hidden.ts";
import type { Ids, Random } from "#platform/ids.ts";
import type { Log } from "#platform/log.ts";
import type { Vault } from "#vault/index.ts";

export interface RouteOpening {
	readonly config: Config;
	readonly db: Database;
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

/** A route of the operator with a smaller number is tried before what is built in. */
const builtInPriority = 100;

/** The sandbox takes only us: one account per environment, with a password of this start. */
export function sandboxAccounts(random: Random): SandboxAccount[] {
	return ["test", "live"].map((systemId) => ({
		systemId,
		password: random.bytes(6).toString("base64url"),
	}));
}

export async function openRoutes(parts: RouteOpening): Promise<RouteRuntime[]> {
	const { config } = parts;
	const routes: { id: string; environment: Environment; route: SmppRoute }[] = [
		{ id: builtIn.test, environment: "test", route: toSandbox(parts, "test") },
	];
	const devSmsc = config.devSmsc === undefined ? undefined : readSmsc(config.devSmsc);
	if (devSmsc !== undefined)
		routes.push({ id: builtIn.devSmsc, environment: "live", route: devSmsc });
	else if (config.mode === "development")
		routes.push({ id: builtIn.live, environment: "live", route: toSandbox(parts, "live") });
	for (const { id, environment } of routes) await saveRoute(parts, id, environment);
	// One that an earlier start had and this one has not: what waits there moves to a route that serves.
	const unused = Object.values(builtIn).filter((id) => routes.every((route) => route.id !== id));
	for (const id of unused) await parts.db.inPlatform((tx) => disableRoute(tx, id));
	const builtInRoutes = routes.map(({ id, environment, route }) =>
		runtime(parts, { id, environment, countries: ["*"], priority: builtInPriority }, route),
	);
	return [...builtInRoutes, ...(await openStored(parts))];
}

/** `reach` guards routes that came over the API; what is built in or in the environment needs no guard. */
function runtime(
	parts: RouteOpening,
	entry: Pick<RouteRuntime, "id" | "environment" | "countries" | "priority">,
	route: SmppRoute,
	reach?: Egress,
): RouteRuntime {
	const { clock, random, log } = parts;
	const { id } = entry;
	return {
		...entry,
		dialect: route.dialect,
		open: (handlers) =>
			createSmppPool({
				routeId: id,
				route,
				clock,
				random,
				...handlers,
				...(reach !== undefined && { reach }),
				onBind: (event) =>
					log.info(
						{
							event: "smpp.bind",
							route_id: id,
							bind: event.bind,
							mode: event.mode,
							state: event.state,
							reason: event.reason,
						},
						"bind changed",
					),
			}),
	};
}

function toSandbox({ sandbox }: RouteOpening, environment: Environment): SmppRoute {
	const account = sandbox.accounts.find((one) => one.systemId === environment) as SandboxAccount;
	const read = readRouteUrl(
		`smpp://${account.systemId}:pending@127.0.0.1:${sandbox.port}?window=200&binds=1`,
	);
	if (!read.ok) throw new ConfigError(read.reason);
	return { ...read.route, password: new Secret(account.password) };
}

function readSmsc(secret: Secret): SmppRoute {
	const read = readRouteUrl(secret.reveal());
	if (!read.ok) throw new ConfigError(`WAXWING_DEV_SMSC: ${read.reason}`);
	return read.route;
}

/** The row that messages and receipts refer to. What is built in has no configuration to keep. */
async function saveRoute(parts: RouteOpening, id: string, environment: Environment): Promise<void> {
	const { db, vault, clock } = parts;
	const shared = { countries: ["*"], priority: builtInPriority, url: undefined };
	await db.inPlatform(async (tx) =>
		keepRoute(tx, vault, { ...shared, id, environment, atMs: clock.now() }),
	);
}

/** What the operator has set up. A route that this version cannot read is left out, loudly. */
async function openStored(parts: RouteOpening): Promise<RouteRuntime[]> {
	const { db, vault, log, egress } = parts;
	const stored = await db.inPlatform((tx) => readRoutes(tx, vault));
	return stored.flatMap(({ id, environment, countries, priority, read }) => {
		if (read.ok)
			return [runtime(parts, { id, environment, countries, priority }, read.route, egress)];
		log.error(
			{ event: "routes.unreadable", route_id: id, why: read.reason },
			"a route is left out",
		);
		return [];
	});
}
