/**
 * What a tenant does with its endpoints: create, change, rotate the secret, send a trial event, look at
 * attempts. URLs are judged here and again before every connection.
 */
import type { Clock } from "#platform/clock.ts";
import type { Database, Scope, Tx } from "#platform/db.ts";
import type { Egress, EgressFailure, PostOutcome } from "#platform/egress.ts";
import { Fault } from "#platform/errors.ts";
import type { Audit } from "#platform/http.ts";
import { type Ids, type Random, readId, showId } from "#platform/ids.ts";
import type { Vault } from "#vault/index.ts";
import {
	currentUrl,
	type EndpointContent,
	endpointPlace,
	newContent,
	newSecret,
	rotated,
	showSecret,
	signingKeys,
	urlAt,
	withUrl,
} from "./endpoint.ts";
import { signedHeaders } from "./event.ts";
import { responsePlace } from "./record.ts";
import {
	type AttemptRow,
	addEndpoint,
	deleteEndpoint,
	type EndpointRow,
	findEndpoint,
	listAttempts,
	listEndpoints,
	saveEndpoint,
} from "./store.ts";

export interface ManageParts {
	readonly db: Pick<Database, "inTenant">;
	readonly vault: Vault;
	readonly egress: Pick<Egress, "check" | "post">;
	readonly clock: Clock;
	readonly random: Random;
	readonly ids: Ids;
	/** Every type of event that exists. */
	readonly eventTypes: readonly string[];
}

export const endpointsMax = 20;

/** An endpoint as its tenant sees it. */
export function showEndpoint(vault: Vault, row: EndpointRow): Record<string, unknown> {
	const content = open(vault, row);
	return {
		id: showId("whe", row.id),
		url: currentUrl(content),
		...(content.description === undefined ? {} : { description: content.description }),
		events: row.events,
		status: row.status,
		created_at: row.created_at.toISOString(),
		updated_at: row.updated_at.toISOString(),
	};
}

export interface EndpointInput {
	readonly url?: string;
	readonly description?: string;
	readonly events?: readonly string[];
	readonly status?: "active" | "paused";
}

/** @throws Fault `validation_failed` for a URL that may not be called or an unknown event; `limit_reached`. */
export async function createEndpoint(
	parts: ManageParts,
	scope: Scope,
	input: EndpointInput & { readonly url: string; readonly events: readonly string[] },
	audit: Audit,
): Promise<Record<string, unknown>> {
	const { db, vault, clock, ids, random } = parts;
	await checkInput(parts, input);
	await vault.warm([scope.tenantId]);
	const id = ids.next();
	const nowMs = clock.now();
	const secret = newSecret(random);
	const sealed = seal(vault, scope, id, newContent(input.url, input.description, secret, nowMs));
	const endpoint = { id, sealed, events: input.events, at: new Date(nowMs) };
	const row = await db.inTenant(scope, async (tx) => {
		const added = await addEndpoint(tx, scope, endpoint, endpointsMax);
		if (added === undefined) {
			const message = `There are already ${endpointsMax} webhook endpoints.`;
			throw Fault.of("limit_reached", { message });
		}
		await audit.record(tx, { targets: [showId("whe", id)], detail: recorded(input) });
		return added;
	});
	return { ...showEndpoint(vault, row), secret: showSecret(secret) };
}

/** Newest first. */
export async function allEndpoints(
	{ db, vault }: ManageParts,
	scope: Scope,
): Promise<Record<string, unknown>[]> {
	await vault.warm([scope.tenantId]);
	const rows = await db.inTenant(scope, (tx) => listEndpoints(tx, scope));
	return rows.map((row) => showEndpoint(vault, row));
}

export async function oneEndpoint(
	{ db, vault }: ManageParts,
	scope: Scope,
	shownId: string,
): Promise<EndpointRow> {
	const id = idOf(shownId);
	await vault.warm([scope.tenantId]);
	const row = await db.inTenant(scope, (tx) => findEndpoint(tx, scope, id, false));
	if (row === undefined) throw Fault.of("not_found");
	return row;
}

/** Changes what is given. `active` wakes a paused endpoint and forgives its past; a degraded one heals by itself. */
export async function changeEndpoint(
	parts: ManageParts,
	scope: Scope,
	shownId: string,
	input: EndpointInput,
	audit: Audit,
): Promise<Record<string, unknown>> {
	await checkInput(parts, input);
	const record = (tx: Tx): Promise<void> =>
		audit.record(tx, { targets: [shownId], detail: recorded(input) });
	return changed(parts, scope, shownId, record, (row, content) => {
		const moved =
			input.url === undefined ? content : withUrl(content, input.url, parts.clock.now());
		const { description } = input;
		const forgiven = input.status === "active" && row.status === "paused";
		return {
			content: description === undefined ? moved : { ...moved, description },
			events: input.events ?? row.events,
			status: input.status === "paused" ? "paused" : forgiven ? "active" : row.status,
			forgiven,
		};
	}).then((row) => showEndpoint(parts.vault, row));
}

/** Returns the new secret's text; the one it replaces signs for another day. */
export async function rotateSecret(
	parts: ManageParts,
	scope: Scope,
	shownId: string,
	audit: Audit,
): Promise<string> {
	const secret = newSecret(parts.random);
	const record = (tx: Tx): Promise<void> => audit.record(tx, { targets: [shownId] });
	await changed(parts, scope, shownId, record, ({ events, status }, content) => ({
		content: rotated(content, secret, parts.clock.now()),
		events,
		status,
		forgiven: false,
	}));
	return showSecret(secret);
}

export async function removeEndpoint(
	{ db }: ManageParts,
	scope: Scope,
	shownId: string,
	audit: Audit,
): Promise<void> {
	const id = idOf(shownId);
	await db.inTenant(scope, async (tx) => {
		if (!(await deleteEndpoint(tx, scope, id))) throw Fault.of("not_found");
		await audit.record(tx, { targets: [shownId] });
	});
}

/** What the ledger keeps of a request: a URL's host only, for what follows it may be a secret. */
function recorded({ url, events, status, description }: EndpointInput) {
	return {
		...(url === undefined ? {} : { host: new URL(url).host }),
		...(events === undefined ? {} : { events }),
		...(status === undefined ? {} : { status }),
		...(description === undefined ? {} : { description }),
	};
}

/** Reads, changes and writes an endpoint while nobody else can. */
async function changed(
	{ db, vault, clock }: ManageParts,
	scope: Scope,
	shownId: string,
	record: (tx: Tx) => Promise<void>,
	change: (
		row: EndpointRow,
		content: EndpointContent,
	) => Pick<EndpointRow, "events" | "status"> & { content: EndpointContent; forgiven: boolean },
): Promise<EndpointRow> {
	const id = idOf(shownId);
	await vault.warm([scope.tenantId]);
	return db.inTenant(scope, async (tx) => {
		const row = await findEndpoint(tx, scope, id, true);
		if (row === undefined) throw Fault.of("not_found");
		const { content, ...rest } = change(row, open(vault, row));
		const sealed = seal(vault, scope, id, content);
		const saved = await saveEndpoint(tx, scope, { ...rest, id, sealed, at: new Date(clock.now()) });
		if (saved === undefined) throw Fault.of("not_found");
		await record(tx);
		return saved;
	});
}

/** Sends a made-up event at once, once, whatever the endpoint's state; it is not kept among the attempts. */
export async function sendTrial(
	parts: ManageParts,
	scope: Scope,
	shownId: string,
	eventType: string | undefined,
	audit: Audit,
): Promise<Record<string, unknown>> {
	const { db, vault, egress, clock, ids } = parts;
	if (eventType !== undefined) checkEvents(parts, "event_type", [eventType]);
	const row = await oneEndpoint(parts, scope, shownId);
	const content = open(vault, row);
	const nowMs = clock.now();
	const payload = {
		type: eventType ?? row.events[0],
		timestamp: new Date(nowMs).toISOString(),
		data: { test: true },
	};
	const body = JSON.stringify(payload);
	const headers = signedHeaders(signingKeys(content, nowMs), ids.next(), nowMs, body);
	// First: a request that has left cannot be taken back.
	const event_type = payload.type;
	await db.inTenant(scope, (tx) =>
		audit.record(tx, { targets: [shownId], detail: { event_type } }),
	);
	const outcome = await egress.post(currentUrl(content), headers, body);
	return { ...showOutcome(outcome), event_payload: payload };
}

const failures: Readonly<Record<EgressFailure, string>> = {
	refused_url: "The URL may not be called.",
	refused_address: "The host resolves to an address that may not be called.",
	dns: "The host cannot be resolved.",
	connect: "No connection could be made.",
	tls: "No secure connection could be made; check the certificate.",
	timeout: "There was no complete answer in time.",
	reset: "The connection was closed before a complete answer.",
	too_large: "The answer's headers are too large.",
	protocol: "The answer is not HTTP.",
};

function showOutcome(outcome: PostOutcome): Record<string, unknown> {
	const duration = { response_duration_ms: outcome.durationMs };
	if (outcome.kind === "failed")
		return {
			status: "failed",
			response_status_code: null,
			...duration,
			error: failures[outcome.reason],
		};
	return {
		status: outcome.status >= 200 && outcome.status < 300 ? "delivered" : "failed",
		response_status_code: outcome.status,
		...(outcome.bodyStart === "" ? {} : { response_body: outcome.bodyStart }),
		...duration,
	};
}

export async function attemptsOf(
	parts: ManageParts,
	scope: Scope,
	shownId: string,
	page: { readonly before: Date | null; readonly after: Date | null; readonly limit: number },
): Promise<Record<string, unknown>[]> {
	const endpoint = await oneEndpoint(parts, scope, shownId);
	const content = open(parts.vault, endpoint);
	const rows = await parts.db.inTenant(scope, (tx) => listAttempts(tx, scope, endpoint.id, page));
	return rows.map((row) => showAttempt(parts.vault, scope, content, row));
}

function showAttempt(
	vault: Vault,
	scope: Scope,
	content: EndpointContent,
	row: AttemptRow,
): Record<string, unknown> {
	const answer =
		row.response_sealed === null
			? undefined
			: vault.open(responsePlace(scope, row.id), row.response_sealed).toString("utf8");
	return {
		id: showId("whd", row.id),
		event_id: showId("evt", row.event_id),
		event_type: row.event_type,
		status: row.delivered ? "delivered" : "failed",
		url: urlAt(content, row.attempted_at.getTime()),
		response_status_code: row.response_status,
		...(answer === undefined ? {} : { response_body: answer }),
		response_duration_ms: row.duration_ms,
		attempted_at: row.attempted_at.toISOString(),
	};
}

async function checkInput(parts: ManageParts, input: EndpointInput): Promise<void> {
	if (input.events !== undefined) checkEvents(parts, "events", input.events);
	if (input.url === undefined) return;
	const checked = await parts.egress.check(input.url);
	if (checked.kind === "refused") throw Fault.parameter("url", refusals[checked.reason]);
}

type Refusal = Extract<Awaited<ReturnType<Egress["check"]>>, { kind: "refused" }>["reason"];

const refusals: Readonly<Record<Refusal, string>> = {
	too_long: "url is longer than 2048 characters.",
	unreadable: "url holds white space, a backslash or a control character.",
	scheme: "url must begin with https://.",
	credentials: "url must not hold a user name or password.",
	fragment: "url must not hold a fragment (#…).",
	host: "url must name a public host.",
	address: "url must name a host, not an address.",
	port: "url must use port 443 or 8443.",
	refused_address: "url names a host at a private or local address.",
};

function checkEvents({ eventTypes }: ManageParts, param: string, events: readonly string[]): void {
	const unknown = events.findIndex((event) => !eventTypes.includes(event));
	if (unknown < 0) return;
	const where = param === "events" ? `events[${unknown}]` : param;
	throw Fault.parameter(where, `${where} must be one of ${eventTypes.join(", ")}.`);
}

function idOf(shownId: string): string {
	const id = readId("whe", shownId);
	if (id === undefined) throw Fault.of("not_found");
	return id;
}

function open(vault: Vault, row: EndpointRow): EndpointContent {
	const place = endpointPlace(row.tenant_id, row.environment, row.id);
	return vault.openJson<EndpointContent>(place, row.sealed);
}

function seal(vault: Vault, scope: Scope, id: string, content: EndpointContent): Buffer {
	return vault.sealJson(endpointPlace(scope.tenantId, scope.environment, id), content);
}
