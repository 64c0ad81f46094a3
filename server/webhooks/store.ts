/** SQL of endpoints and of reading their attempts, for one tenant's environment. */
import { type Environment, type Scope, sql, type Tx } from "#platform/db.ts";
import type { EndpointStatus } from "./endpoint.ts";

export interface EndpointRow {
	readonly tenant_id: string;
	readonly id: string;
	readonly environment: Environment;
	readonly sealed: Buffer;
	readonly events: readonly string[];
	readonly status: EndpointStatus;
	readonly created_at: Date;
	readonly updated_at: Date;
}

export const endpointColumns =
	"tenant_id, id, environment, sealed, events, status, created_at, updated_at";

const lockEndpoints = sql(
	"webhooks.lock_endpoints",
	"select pg_advisory_xact_lock(hashtextextended('webhook_endpoints/' || $1::text || '/' || $2::text, 0))",
);
const addEndpointStatement = sql(
	"webhooks.add_endpoint",
	`insert into webhook_endpoints (tenant_id, id, environment, sealed, events, created_at, updated_at)
	 select $1::uuid, $2::uuid, $3::text, $4::bytea, $5::text[], $6::timestamptz, $6::timestamptz
	 where (select count(*) from webhook_endpoints where tenant_id = $1::uuid and environment = $3::text) < $7::integer
	 returning ${endpointColumns}`,
);
const listEndpointsStatement = sql(
	"webhooks.list_endpoints",
	`select ${endpointColumns} from webhook_endpoints where tenant_id = $1 and environment = $2 order by id desc`,
);
const findEndpointStatement = sql(
	"webhooks.find_endpoint",
	`select ${endpointColumns} from webhook_endpoints where tenant_id = $1 and environment = $2 and id = $3`,
);
const holdEndpointStatement = sql(
	"webhooks.hold_endpoint",
	`select ${endpointColumns} from webhook_endpoints where tenant_id = $1 and environment = $2 and id = $3 for update`,
);
const saveEndpointStatement = sql(
	"webhooks.save_endpoint",
	`update webhook_endpoints set sealed = $4, events = $5::text[], status = $6, updated_at = $7,
		failing_since = case when $8 then null else failing_since end
	 where tenant_id = $1 and environment = $2 and id = $3 returning ${endpointColumns}`,
);
const deleteEndpointStatement = sql(
	"webhooks.delete_endpoint",
	"delete from webhook_endpoints where tenant_id = $1 and environment = $2 and id = $3 returning id",
);

export interface NewEndpoint {
	readonly id: string;
	readonly sealed: Buffer;
	readonly events: readonly string[];
	readonly at: Date;
}

/** Undefined when the tenant's environment already has `most`; requests at the same time are counted too. */
export async function addEndpoint(
	tx: Tx,
	{ tenantId, environment }: Scope,
	{ id, sealed, events, at }: NewEndpoint,
	most: number,
): Promise<EndpointRow | undefined> {
	tx.post(lockEndpoints, [tenantId, environment]);
	const values = [tenantId, id, environment, sealed, events, at, most];
	return (await tx.query<EndpointRow>(addEndpointStatement, values))[0];
}

/** Newest first; there are never many. */
export function listEndpoints(tx: Tx, scope: Scope): Promise<EndpointRow[]> {
	return tx.query<EndpointRow>(listEndpointsStatement, [scope.tenantId, scope.environment]);
}

/** `hold` keeps others from changing it until the transaction ends. */
export async function findEndpoint(
	tx: Tx,
	scope: Scope,
	id: string,
	hold: boolean,
): Promise<EndpointRow | undefined> {
	const statement = hold ? holdEndpointStatement : findEndpointStatement;
	return (await tx.query<EndpointRow>(statement, [scope.tenantId, scope.environment, id]))[0];
}

export interface EndpointChange {
	readonly id: string;
	readonly sealed: Buffer;
	readonly events: readonly string[];
	readonly status: EndpointStatus;
	readonly at: Date;
	/** The count of failing days starts anew. */
	readonly forgiven: boolean;
}

export async function saveEndpoint(
	tx: Tx,
	scope: Scope,
	{ id, sealed, events, status, at, forgiven }: EndpointChange,
): Promise<EndpointRow | undefined> {
	const values = [scope.tenantId, scope.environment, id, sealed, events, status, at, forgiven];
	return (await tx.query<EndpointRow>(saveEndpointStatement, values))[0];
}

export async function deleteEndpoint(tx: Tx, scope: Scope, id: string): Promise<boolean> {
	const gone = await tx.query(deleteEndpointStatement, [scope.tenantId, scope.environment, id]);
	return gone.length > 0;
}

export interface AttemptRow {
	readonly id: string;
	readonly event_id: string;
	readonly event_type: string;
	readonly delivered: boolean;
	readonly response_status: number | null;
	readonly response_sealed: Buffer | null;
	readonly duration_ms: number;
	readonly attempted_at: Date;
}

const listAttemptsStatement = sql(
	"webhooks.list_attempts",
	`select id, event_id, event_type, delivered, response_status, response_sealed, duration_ms, attempted_at
	 from webhook_attempts where tenant_id = $1 and environment = $2 and endpoint_id = $3
		and attempted_at < coalesce($4::timestamptz, 'infinity') and attempted_at > coalesce($5::timestamptz, '-infinity')
	 order by attempted_at desc, id desc limit $6`,
);

/** Attempts on an endpoint, newest first, strictly between the two moments. */
export function listAttempts(
	tx: Tx,
	scope: Scope,
	endpointId: string,
	page: { readonly before: Date | null; readonly after: Date | null; readonly limit: number },
): Promise<AttemptRow[]> {
	const { before, after, limit } = page;
	const values = [scope.tenantId, scope.environment, endpointId, before, after, limit];
	return tx.query<AttemptRow>(listAttemptsStatement, values);
}
