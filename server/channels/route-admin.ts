/**
 * Carrier routes over HTTP, for operator keys only. The URL of a route is taken and never given back: what
 * is shown is its host, port, systemId and limits. Opens no connection; routes are opened at start.
 */
import { Type } from "typebox";
import { requireActor } from "#access/index.ts";
import type { Clock } from "#platform/clock.ts";
import type { Database } from "#platform/db.ts";
import type { Egress } from "#platform/egress.ts";
import { Fault } from "#platform/errors.ts";
import { type Route, route } from "#platform/http.ts";
import { type Ids, readId, showId } from "#platform/ids.ts";
import type { Vault } from "#vault/index.ts";
import { keepRoute, readRoutes, routesMax, type StoredRoute } from "./route-record.ts";
import { disableRoute } from "./route-store.ts";
import type { SmppRoute } from "./sms/smpp/pool.ts";
import { readRouteUrl } from "./sms/smpp/route-url.ts";

export interface ChannelRouteParts {
	readonly db: Pick<Database, "inPlatform">;
	readonly vault: Pick<Vault, "sealPlatform" | "openPlatform">;
	readonly clock: Clock;
	readonly ids: Ids;
	readonly egress: Pick<Egress, "checkedAddresses">;
}

const prefix = "rte";
const closed = { additionalProperties: false };
const shared = {
	permission: "operator",
	idempotency: "none",
	tag: "Operator",
} as const;
/** Test keys only ever meet the sandbox, so an operator's route is of the live environment. */
const environment = Type.Literal("live");
const countries = Type.Array(
	Type.String({ pattern: "^([A-Z]{2}|\\*)$", "x-rule": "must be an ISO 3166-1 alpha-2 code or *" }),
	{ minItems: 1, maxItems: 250, uniqueItems: true },
);
const priority = Type.Integer({ minimum: 0, maximum: 1_000 });
const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(type: T) =>
	Type.Union([type, Type.Null()]);

const shownRoute = Type.Object({
	id: Type.String(),
	environment,
	countries,
	priority,
	host: nullable(Type.String()),
	port: nullable(Type.Integer()),
	tls: nullable(Type.Boolean()),
	system_id: nullable(Type.String()),
	dialect: nullable(Type.String()),
	binds: nullable(Type.Integer()),
	window: nullable(Type.Integer({ description: "submit_sm without an answer, per bind." })),
	tps: nullable(Type.Integer({ description: "submit_sm a second, per bind; 0: no limit." })),
	trouble: nullable(Type.String({ description: "Why this version cannot open the route." })),
	created_at: Type.String({ format: "date-time" }),
});

export function channelRoutes(parts: ChannelRouteParts): Route[] {
	return [createRoute(parts), listRoutes(parts), removeRoute(parts)];
}

function createRoute(parts: ChannelRouteParts): Route {
	return route({
		...shared,
		audited: "carrier_route.added",
		method: "POST",
		path: "/v1/operator/routes",
		operationId: "route.create",
		summary: "Add a carrier route",
		description: [
			"`url` is `smpp://systemId:password@host:port` (or `smpps://`) with the parameters `window`,",
			"`tps`, `binds`, `receivers`, `mode`, `dialect`. It is sealed and not shown again. The route is",
			"used from the next start on. Private and local addresses must be listed in",
			"WAXWING_DANGEROUS_EGRESS_ALLOW.",
		].join(" "),
		body: Type.Object(
			{
				environment,
				url: Type.String({ minLength: 1, maxLength: 2_048 }),
				countries,
				priority: Type.Optional(Type.Integer({ ...priority, default: 100 })),
			},
			closed,
		),
		answers: {
			201: { description: "The route.", schema: shownRoute },
			409: { description: `There are already ${routesMax}.` },
			422: { description: "The URL cannot be used, or its host may not be reached." },
		},
		handle: async ({ caller, body, audit }) => {
			requireActor(caller);
			const { url } = body;
			const read = readRouteUrl(url);
			if (!read.ok) throw Fault.parameter("url", read.reason);
			if (body.countries.includes("*") && body.countries.length > 1)
				throw Fault.parameter("countries", "* stands alone: it means every country.");
			await checkHost(parts, read.route);
			const { clock, ids, vault } = parts;
			const declared = {
				id: ids.next(),
				environment: body.environment,
				countries: body.countries,
				priority: body.priority ?? 100,
				atMs: clock.now(),
			};
			const shown = show({ ...declared, createdAtMs: declared.atMs, read });
			await parts.db.inPlatform(async (tx) => {
				if ((await readRoutes(tx, vault)).length >= routesMax - builtInMax)
					throw Fault.of("limit_reached", {
						message: "The platform has as many routes as it may.",
					});
				keepRoute(tx, vault, { ...declared, url });
				await audit.record(tx, { targets: [shown.id], detail: shown });
			});
			return { status: 201, body: shown };
		},
	});
}

/** Rows that are not the operator's own count towards what is read at start. */
const builtInMax = 3;

/** A name that cannot be resolved now passes: every connection looks again. */
async function checkHost({ egress }: ChannelRouteParts, { host }: SmppRoute): Promise<void> {
	const found = await egress.checkedAddresses(host);
	if (found.kind === "refused" && found.reason === "refused_address")
		throw Fault.parameter(
			"url",
			"The route's host has a private or local address that WAXWING_DANGEROUS_EGRESS_ALLOW does not list.",
		);
}

function listRoutes({ db, vault }: ChannelRouteParts): Route {
	return route({
		...shared,
		audited: "carrier_routes.read",
		method: "GET",
		path: "/v1/operator/routes",
		operationId: "route.list",
		summary: "List carrier routes",
		description: `All enabled routes, newest first; there are at most ${routesMax}, so one page holds them. Passwords are never shown.`,
		answers: {
			200: {
				description: "The routes.",
				schema: Type.Object({
					data: Type.Array(shownRoute, { maxItems: routesMax }),
					next_cursor: Type.Null(),
					prev_cursor: Type.Null(),
					refresh_cursor: Type.Null(),
				}),
			},
		},
		handle: async ({ caller }) => {
			requireActor(caller);
			const routes = await db.inPlatform((tx) => readRoutes(tx, vault));
			const cursors = { next_cursor: null, prev_cursor: null, refresh_cursor: null };
			return { status: 200, body: { data: routes.reverse().map(show), ...cursors } };
		},
	});
}

function removeRoute({ db, vault }: ChannelRouteParts): Route {
	return route({
		...shared,
		audited: "carrier_route.disabled",
		method: "DELETE",
		path: "/v1/operator/routes/:id",
		operationId: "route.disable",
		summary: "Disable a carrier route",
		description:
			"It is not opened at the next start; until then it goes on sending. Receipts that it still owes are understood.",
		params: Type.Object({ id: Type.String({ minLength: 1, maxLength: 64 }) }, closed),
		answers: { 204: { description: "It is disabled." }, 404: { description: "No such route." } },
		handle: async ({ caller, params, audit }) => {
			requireActor(caller);
			const id = readId(prefix, params.id);
			if (id === undefined) throw Fault.of("not_found");
			await db.inPlatform(async (tx) => {
				// What is built in is not the operator's to disable: the next start would only make it again.
				const own = (await readRoutes(tx, vault)).some((stored) => stored.id === id);
				if (!own || !(await disableRoute(tx, id))) throw Fault.of("not_found");
				await audit.record(tx, { targets: [params.id] });
			});
			return { status: 204 };
		},
	});
}

function show({ id, environment, countries, priority, createdAtMs, read }: StoredRoute) {
	const at = read.ok ? read.route : undefined;
	const binds = at === undefined ? null : Object.values(at.binds).reduce((sum, n) => sum + n, 0);
	return {
		id: showId(prefix, id),
		environment,
		countries,
		priority,
		host: at?.host ?? null,
		port: at?.port ?? null,
		tls: at === undefined ? null : at.tls !== undefined,
		system_id: at?.systemId ?? null,
		dialect: at?.dialect.id ?? null,
		binds,
		window: at?.window ?? null,
		tps: at?.tps ?? null,
		trouble: read.ok ? null : read.reason,
		created_at: new Date(createdAtMs).toISOString(),
	};
}
