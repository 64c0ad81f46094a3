/** Tenants over HTTP, for operator keys only. A new tenant's admin keys are shown in the answer that makes it. */
import { Type } from "typebox";
import { Fault } from "#platform/errors.ts";
import { type Route, route } from "#platform/http.ts";
import { readId, showId } from "#platform/ids.ts";
import { requireActor } from "./actor.ts";
import { type AccessRouteParts, issuedKeySchema, showIssuedKey, showTime } from "./key-routes.ts";
import { pageQuery, pageSchema, readPage, showPage, shownIdSchema } from "./page.ts";
import { operatorScope } from "./scopes.ts";
import { createTenant, readTenants, suspendTenant, type Tenant, tenantPrefix } from "./tenants.ts";

const closed = { additionalProperties: false };
const time = Type.String({ format: "date-time" });
const tenantFields = {
	id: shownIdSchema(tenantPrefix),
	name: Type.String(),
	status: Type.Union([Type.Literal("active"), Type.Literal("suspended")]),
	created_at: time,
	suspended_at: Type.Union([time, Type.Null()]),
};
const tenantSchema = Type.Object(tenantFields, closed);
const newTenantSchema = Type.Object(
	{
		...tenantFields,
		admin_keys: Type.Object({ live: issuedKeySchema, test: issuedKeySchema }, closed),
	},
	closed,
);

export function tenantRoutes(parts: AccessRouteParts): Route[] {
	return [
		createRoute(parts),
		listRoute(parts),
		suspensionRoute(parts, true),
		suspensionRoute(parts, false),
	];
}

function createRoute(parts: AccessRouteParts): Route {
	return route({
		method: "POST",
		path: "/v1/operator/tenants",
		operationId: "tenant.create",
		tag: "Operator",
		summary: "Create a tenant",
		description: "Answers with an admin key for each environment. Their texts are not shown again.",
		permission: operatorScope,
		idempotency: "none",
		audited: "tenant.created",
		body: Type.Object({ name: Type.String({ minLength: 1, maxLength: 100 }) }, closed),
		answers: { 201: { description: "The tenant and its admin keys.", schema: newTenantSchema } },
		handle: async ({ caller, body, audit }) => {
			requireActor(caller);
			const { tenant, adminKeys } = await createTenant(parts, { name: body.name }, audit);
			const { live, test } = adminKeys;
			const keys = { live: showIssuedKey(live), test: showIssuedKey(test) };
			return { status: 201, body: { ...showTenant(tenant), admin_keys: keys } };
		},
	});
}

function listRoute(parts: AccessRouteParts): Route {
	const { limit, starting_after } = pageQuery(tenantPrefix);
	return route({
		method: "GET",
		path: "/v1/operator/tenants",
		operationId: "tenant.list",
		tag: "Operator",
		summary: "List tenants",
		description: "Newest first. This list goes one way: it has no ending_before.",
		permission: operatorScope,
		idempotency: "none",
		audited: "tenants.read",
		query: Type.Object({ limit, starting_after }, closed),
		answers: { 200: { description: "A page of tenants.", schema: pageSchema(tenantSchema) } },
		handle: async ({ caller, query }) => {
			requireActor(caller);
			const page = readPage(tenantPrefix, query);
			const { tenants, more } = await readTenants(parts, page);
			const body = showPage(page, tenants.map(showTenant), more);
			return { status: 200, body: { ...body, prev_cursor: null, refresh_cursor: null } };
		},
	});
}

function suspensionRoute(parts: AccessRouteParts, suspend: boolean): Route {
	const verb = suspend ? "suspend" : "resume";
	return route({
		method: "POST",
		path: `/v1/operator/tenants/:id/${verb}`,
		operationId: `tenant.${verb}`,
		tag: "Operator",
		summary: suspend ? "Suspend a tenant" : "Resume a tenant",
		description: suspend
			? "Every key of the tenant is refused from now on. Its data stays."
			: "The tenant's keys work again.",
		permission: operatorScope,
		idempotency: "none",
		audited: suspend ? "tenant.suspended" : "tenant.resumed",
		params: Type.Object({ id: shownIdSchema(tenantPrefix) }, closed),
		answers: { 200: { description: "The tenant as it is now.", schema: tenantSchema } },
		handle: async ({ caller, params, audit }) => {
			requireActor(caller);
			const id = readId(tenantPrefix, params.id);
			if (id === undefined) throw Fault.of("not_found");
			return { status: 200, body: showTenant(await suspendTenant(parts, id, suspend, audit)) };
		},
	});
}

function showTenant(tenant: Tenant) {
	return {
		id: showId(tenantPrefix, tenant.id),
		name: tenant.name,
		status: tenant.suspendedAtMs === undefined ? "active" : "suspended",
		created_at: showTime(tenant.createdAtMs),
		suspended_at: showTime(tenant.suspendedAtMs),
	};
}
