/**
 * Leases due deliveries and makes them ready to send: endpoints opened, payloads rendered in one call per
 * tenant, environment and topic. Holds no transaction while a payload is rendered.
 */
import type { Clock } from "#platform/clock.ts";
import type { Database, Environment } from "#platform/db.ts";
import type { Log } from "#platform/log.ts";
import type { Vault } from "#vault/index.ts";
import type { Circuits } from "./circuit.ts";
import { currentUrl, type EndpointContent, endpointPlace, signingKeys } from "./endpoint.ts";
import type { EventSource, RenderedEvent } from "./event.ts";
import {
	endpointsOf,
	type LeasedRow,
	leaseDeliveries,
	removeDeliveries,
	reschedule,
	sweepDeleted,
} from "./delivery-store.ts";
import type { EndpointRow } from "./store.ts";

export interface PrepareParts {
	readonly db: Database;
	readonly vault: Vault;
	readonly clock: Clock;
	readonly log: Log;
	readonly sources: readonly EventSource[];
}

/** A leased delivery with all that its attempt needs. */
export interface ReadyDelivery {
	readonly tenantId: string;
	readonly id: string;
	readonly environment: Environment;
	readonly endpointId: string;
	readonly eventId: string;
	readonly eventType: string;
	readonly attempt: number;
	readonly leaseUntilMs: number;
	readonly degraded: boolean;
	readonly url: string;
	readonly keys: readonly Buffer[];
	readonly body: string;
}

export interface Turn {
	readonly tenantId: string;
	readonly endpointId: string;
}

export const firstTurn: Turn = {
	tenantId: "00000000-0000-0000-0000-000000000000",
	endpointId: "00000000-0000-0000-0000-000000000000",
};

/** Long enough for what is queued behind slow receivers; what would outlast it is given back unsent. */
export const leaseMs = 120_000;
const renderRetryMs = 5_000;
const sweepMax = 5_000;

export interface Prepared {
	readonly leased: number;
	readonly ready: readonly ReadyDelivery[];
	/** Where the next lease goes on. */
	readonly next: Turn;
}

export async function prepare(
	parts: PrepareParts,
	circuits: Circuits,
	most: number,
	after: Turn,
): Promise<Prepared> {
	const { clock, db } = parts;
	const nowMs = clock.now();
	const until = new Date(nowMs + leaseMs);
	const { listed, quotas } = circuits.quotas(nowMs);
	const { usualQuota } = circuits;
	const request = { at: new Date(nowMs), until, most, usualQuota, listed, quotas, after };
	const leased = await db.inPlatform((tx) => leaseDeliveries(tx, request));
	const last = leased.at(-1);
	const next =
		last === undefined || leased.length < most
			? firstTurn
			: { tenantId: last.tenant_id, endpointId: last.endpoint_id };
	if (leased.length === 0) return { leased: 0, ready: [], next };
	const tenantIds = [...new Set(leased.map((row) => row.tenant_id))];
	await parts.vault.warm(tenantIds);
	const { endpoints, unreadable } = await openEndpoints(parts, tenantIds, leased, until);
	const sendable = leased.filter((row) => endpoints.has(row.endpoint_id));
	const payloads = await renderAll(parts, sendable);
	payloads.later.push(...leased.filter((row) => unreadable.has(row.endpoint_id)));
	const ready: ReadyDelivery[] = [];
	for (const row of sendable) {
		const body = payloads.bodies.get(row);
		const endpoint = endpoints.get(row.endpoint_id);
		if (body !== undefined && endpoint !== undefined)
			ready.push({ ...readyPart(row, until), ...endpoint, body });
	}
	await settleUnsendable(parts, tenantIds, payloads, until);
	return { leased: leased.length, ready, next };
}

function readyPart(row: LeasedRow, until: Date): Omit<ReadyDelivery, keyof OpenEndpoint | "body"> {
	return {
		tenantId: row.tenant_id,
		id: row.id,
		environment: row.environment,
		endpointId: row.endpoint_id,
		eventId: row.event_id,
		eventType: row.event_type,
		attempt: row.attempt,
		leaseUntilMs: until.getTime(),
	};
}

interface OpenEndpoint {
	readonly degraded: boolean;
	readonly url: string;
	readonly keys: readonly Buffer[];
}

/** Opens the endpoints of these deliveries; sweeps away what waits for deleted ones, gives back that of paused ones. */
async function openEndpoints(
	parts: PrepareParts,
	tenantIds: readonly string[],
	leased: readonly LeasedRow[],
	until: Date,
): Promise<{ endpoints: Map<string, OpenEndpoint>; unreadable: Set<string> }> {
	const wanted = new Map(
		leased.map((row) => [row.endpoint_id, { tenantId: row.tenant_id, id: row.endpoint_id }]),
	);
	const rows = await parts.db.inTenants(tenantIds, async (tx) => {
		const found = await endpointsOf(tx, [...wanted.values()]);
		const there = new Set(found.map((row) => row.id));
		const deleted = [...wanted.values()].filter(({ id }) => !there.has(id));
		if (deleted.length > 0) sweepDeleted(tx, deleted, sweepMax);
		const paused = new Set(found.filter((row) => row.status === "paused").map((row) => row.id));
		const held = leased.filter((row) => paused.has(row.endpoint_id));
		if (held.length > 0)
			reschedule(
				tx,
				held.map((row) => givenBack(row, null, until)),
			);
		return found.filter((row) => row.status !== "paused");
	});
	const endpoints = new Map<string, OpenEndpoint>();
	const unreadable = new Set<string>();
	for (const row of rows)
		try {
			endpoints.set(row.id, open(parts, row));
		} catch (err) {
			// One endpoint that cannot be opened must not stop the others.
			parts.log.error(
				{ event: "webhooks.endpoint_unreadable", err, endpoint: row.id },
				"an endpoint cannot be opened",
			);
			unreadable.add(row.id);
		}
	return { endpoints, unreadable };
}

function open({ vault, clock }: PrepareParts, row: EndpointRow): OpenEndpoint {
	const place = endpointPlace(row.tenant_id, row.environment, row.id);
	const content = vault.openJson<EndpointContent>(place, row.sealed);
	return {
		degraded: row.status === "degraded",
		url: currentUrl(content),
		keys: signingKeys(content, clock.now()),
	};
}

function givenBack(
	row: LeasedRow,
	due: Date | null,
	leaseUntil: Date,
): Parameters<typeof reschedule>[1][number] {
	return { tenantId: row.tenant_id, id: row.id, attempt: row.attempt, due, leaseUntil };
}

interface Payloads {
	readonly bodies: Map<LeasedRow, string>;
	/** Nothing left to tell. */
	readonly empty: LeasedRow[];
	/** The owner could not say, or the endpoint cannot be opened; tried again soon, without counting an attempt. */
	readonly later: LeasedRow[];
}

async function renderAll(parts: PrepareParts, rows: readonly LeasedRow[]): Promise<Payloads> {
	const sources = new Map(parts.sources.map((source) => [source.topic, source]));
	const groups = Map.groupBy(rows, (row) => `${row.tenant_id}/${row.environment}/${row.topic}`);
	const payloads: Payloads = { bodies: new Map(), empty: [], later: [] };
	for (const group of groups.values()) {
		const [first] = group as [LeasedRow, ...LeasedRow[]];
		const source = sources.get(first.topic);
		if (source === undefined) payloads.empty.push(...group);
		else await renderGroup(parts, source, group, payloads);
	}
	return payloads;
}

async function renderGroup(
	{ log }: PrepareParts,
	source: EventSource,
	group: readonly LeasedRow[],
	payloads: Payloads,
): Promise<void> {
	const [first] = group as [LeasedRow, ...LeasedRow[]];
	const scope = { tenantId: first.tenant_id, environment: first.environment };
	// Several endpoints may want the same event: it is rendered once.
	const refs = new Map(group.map((row) => [row.event_id, row.ref]));
	let rendered: ReadonlyMap<string, RenderedEvent>;
	try {
		rendered = await source.render([...refs.values()], scope);
	} catch (err) {
		log.error(
			{ event: "webhooks.render_failed", err, topic: source.topic },
			"payloads could not be made",
		);
		payloads.later.push(...group);
		return;
	}
	const bodies = new Map<string, string>();
	for (const [eventId, { type, timestamp, data }] of rendered)
		bodies.set(eventId, JSON.stringify({ type, timestamp, data }));
	for (const row of group) {
		const body = bodies.get(row.event_id);
		if (body === undefined) payloads.empty.push(row);
		else payloads.bodies.set(row, body);
	}
}

async function settleUnsendable(
	{ db, clock, log }: PrepareParts,
	tenantIds: readonly string[],
	{ empty, later }: Payloads,
	until: Date,
): Promise<void> {
	if (empty.length + later.length === 0) return;
	const due = new Date(clock.now() + renderRetryMs);
	await db.inTenants(tenantIds, async (tx) => {
		if (empty.length > 0)
			removeDeliveries(
				tx,
				empty.map((row) => ({ tenantId: row.tenant_id, id: row.id })),
			);
		if (later.length > 0)
			reschedule(
				tx,
				later.map((row) => givenBack(row, due, until)),
			);
	});
	if (empty.length > 0)
		log.warn(
			{ event: "webhooks.nothing_to_tell", count: empty.length },
			"events had nothing left to tell",
		);
}
