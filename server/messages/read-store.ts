/**
 * SQL of reading messages: by id, in lists, their timelines and decisions. Lists start at the index that
 * serves them and look at a bounded number of messages, however many there are and however few fit.
 */
import { type Scope, sql, type Tx } from "#platform/db.ts";
import { type Bounds, boundsOf, lastId, type Listed, lookMax, zeroId } from "#platform/page.ts";

/** A message with its present state, as stored. */
export interface StoredMessage {
	readonly id: string;
	readonly environment: string;
	readonly inbound: boolean;
	readonly class: number;
	readonly sealed: Buffer;
	readonly address_index: Buffer;
	readonly encoding: number;
	readonly segments: number;
	readonly characters: number;
	readonly scheduled_at: Date | null;
	readonly expires_at: Date;
	readonly created_at: Date;
	readonly status: number | null;
	readonly changed_at: Date | null;
	readonly sent_at: Date | null;
	readonly error: number | null;
	readonly carrier_error: string | null;
	readonly possible_duplicate: boolean | null;
	/** When it is to leave, while it waits for its time or for a window. */
	readonly due_at: Date | null;
}

/** Whether a lane entry waits for its time or for a window, and not for a retry. */
const isScheduled = `(l.due_at is not null and (m.scheduled_at >= l.due_at
	or m.deferred_until >= l.due_at
	or exists (select from decisions d where d.tenant_id = m.tenant_id and d.message_id = m.id and d.until >= l.due_at)))`;
const columns = `m.id, m.environment::text as environment, m.inbound, m.class, m.sealed, m.address_index, m.encoding, m.segments, m.characters, m.scheduled_at, m.expires_at,
	m.created_at, s.status, s.changed_at, s.sent_at, s.error, s.carrier_error, s.possible_duplicate,
	case when ${isScheduled} then l.due_at end as due_at`;
/**
 * One look into an index for each message. `offset 0` keeps PostgreSQL from walking over all of a tenant's states or entries
 * instead, as it plans while they are few.
 */
const joins = `left join lateral (select * from message_states o where o.tenant_id = m.tenant_id and o.message_id = m.id offset 0) s on true
	left join lateral (select o.due_at from lane_entries o where o.tenant_id = m.tenant_id and o.message_id = m.id offset 0) l on true`;
/** Messages by the ids of an array: one look into one partition for each. */
const byId = (ids: string): string => `unnest(${ids}::uuid[]) as k (id)
	cross join lateral (select * from messages o where o.tenant_id = $1 and o.id = k.id offset 0) m`;

/** The rows that another table has of messages, in the same way. */
const ofEach = (table: string, ids: string): string => `unnest(${ids}) as k (id)
	cross join lateral (select * from ${table} o where o.tenant_id = $1 and o.message_id = k.id offset 0) m`;

const byIdsStatement = sql(
	"messages.by_ids",
	`select ${columns} from ${byId("$3")} ${joins} where m.environment = $2`,
);

export function messagesByIds(
	tx: Tx,
	scope: Scope,
	ids: readonly string[],
): Promise<StoredMessage[]> {
	return tx.query<StoredMessage>(byIdsStatement, [
		scope.tenantId,
		scope.environment,
		[...new Set(ids)],
	]);
}

/** What a list may ask for. Undefined means all. `before`/`after` are ids, exclusive. */
export interface ListFilter {
	readonly before: string | undefined;
	readonly after: string | undefined;
	/** The page nearest to `after`, instead of the newest one. */
	readonly backwards: boolean;
	readonly limit: number;
	readonly inbound: boolean | undefined;
	readonly class: number | undefined;
	readonly ranks: readonly number[] | undefined;
	readonly errors: readonly number[] | undefined;
	readonly addressIndex: Buffer | undefined;
	readonly senderIndex: Buffer | undefined;
	readonly tags: readonly Buffer[];
	readonly nowMs: number;
}

/** $1 tenant, $2 environment, $3 newest id (exclusive), $4 oldest id (exclusive), $5… filters. */
const filters = `m.tenant_id = $1 and m.environment = $2 and m.id < $3 and m.id > $4
	and ($5::boolean is null or m.inbound = $5) and ($6::smallint is null or m.class = $6)
	and ($7::smallint[] is null or coalesce(s.status, case when l.due_at > to_timestamp($12::float8 / 1000) and ${isScheduled} then 5 else 10 end) = any ($7))
	and ($8::smallint[] is null or s.error = any ($8)) and ($9::bytea is null or m.sender_index = $9)
	and not exists (select from unnest($10::bytea[]) as t (tag) where coalesce(position(t.tag in m.tag_indexes), 0) = 0)`;

const list = (name: string, first: string, order: "asc" | "desc") =>
	sql(
		`messages.list_${name}`,
		`select ${columns} from messages m ${joins} where ${first}${filters} order by m.id ${order} limit $11`,
	);
/** By which index a list is walked, and in which direction. */
const walks = {
	all: { newest: list("newest", "", "desc"), oldest: list("oldest", "", "asc") },
	inbound: {
		newest: list("inbound", "m.inbound and ", "desc"),
		oldest: list("inbound_oldest", "m.inbound and ", "asc"),
	},
	address: {
		newest: list("by_address", "m.address_index = $13::bytea and ", "desc"),
		oldest: list("by_address_oldest", "m.address_index = $13::bytea and ", "asc"),
	},
} as const;
/**
 * What went wrong is found by its events (see message_events_of_note), without reading the many that went
 * well. A message may have had the state and left it, so the present state is asked too. $13: the oldest id to look at.
 */
const ofNote = (after: string) => `select e.message_id, e.status from message_events e
	where e.tenant_id = $1 and e.environment = $2 and e.status = asked.rank and e.status not in (20, 40) and e.message_id < $3 and ${after}
	order by e.message_id desc`;
const byStateStatement = sql(
	"messages.list_by_state",
	`select ${columns} from unnest($7::smallint[]) as asked (rank)
	cross join lateral (${ofNote("e.message_id >= $13::uuid")} limit ${lookMax}) e
	cross join lateral (select * from messages o where o.tenant_id = $1 and o.id = e.message_id offset 0) m ${joins}
	where e.status = s.status and ${filters}
	order by m.id desc limit $11`,
);
/** Where the look at one of several states ends first, when it ends before the list does. */
const stateEdgeStatement = sql(
	"messages.list_by_state_edge",
	`select e.message_id as id from unnest($5::smallint[]) as asked (rank)
	cross join lateral (${ofNote("e.message_id > $4")} offset ${lookMax - 1} limit 1) e
	order by e.message_id desc limit 1`,
);
/** Ranks without an entry in that index: sent and delivered, and what has no events yet. */
const commonRanks = new Set([5, 10, 20, 40]);

const edgeStatement = sql(
	"messages.list_edge",
	"select id from wx.list_edge($1, $2, $3, $4, $5) as id",
);

type Walk = keyof typeof walks | "events";

function walkOf({ addressIndex, inbound, ranks, backwards }: ListFilter): Walk {
	if (addressIndex !== undefined) return "address";
	if (inbound === true) return "inbound";
	const isRare = ranks?.every((rank) => !commonRanks.has(rank)) === true;
	return isRare && !backwards ? "events" : "all";
}

/** What went to one number is few: it is not walked past others. */
async function lookAt(tx: Tx, scope: Scope, filter: ListFilter, walk: Walk): Promise<Bounds> {
	const { before = lastId, after = zeroId, backwards } = filter;
	if (walk === "address") return { before, after, lookedTo: undefined };
	if (walk === "events") {
		const values = [scope.tenantId, scope.environment, before, after, filter.ranks];
		const [edge] = await tx.query<{ id: string }>(stateEdgeStatement, values);
		return { before, after, lookedTo: edge?.id };
	}
	const values = [before, after, lookMax, backwards, walk === "inbound"];
	return boundsOf(filter, backwards, await tx.query<{ id: string }>(edgeStatement, values));
}

/**
 * The messages of a page, newest first or, backwards, oldest first, among the next `lookMax`: of the tenant, of both its
 * environments; or of those from people when only they are asked for; or of those of each state that is rare. All of those
 * of a number.
 */
export async function listMessages(
	tx: Tx,
	scope: Scope,
	filter: ListFilter,
): Promise<Listed<StoredMessage>> {
	const walk = walkOf(filter);
	const { before, after, lookedTo } = await lookAt(tx, scope, filter, walk);
	const values: unknown[] = [
		scope.tenantId,
		scope.environment,
		before,
		after,
		filter.inbound ?? null,
		filter.class ?? null,
		filter.ranks ?? null,
		filter.errors ?? null,
		filter.senderIndex ?? null,
		filter.tags,
		filter.limit,
		filter.nowMs,
	];
	if (walk === "address") values.push(filter.addressIndex);
	if (walk === "events") values.push(lookedTo ?? zeroId);
	const order = filter.backwards ? "oldest" : "newest";
	const statement = walk === "events" ? byStateStatement : walks[walk][order];
	const rows = await tx.query<StoredMessage>(statement, values);
	return { rows, lookedTo };
}

/**
 * A message's changes of state: those with a row of their own, and the usual ones, sent and delivered, which its
 * present state tells. $1 tenant, $2 environment, and an array of messages' ids.
 */
const timeline = (ids: string): string => `
	select message_id, m.id, status, occurred_at, error, carrier_error from ${ofEach("message_events", ids)} where m.environment = $2
	union
	select message_id, sent_event, 20::smallint, sent_at, null, null from ${ofEach("message_states", ids)}
	where m.environment = $2 and sent_event is not null
	union
	select message_id, event_id, status, changed_at, error, carrier_error from ${ofEach("message_states", ids)}
	where m.environment = $2 and status = 40`;

const eventsStatement = sql(
	"messages.events",
	`select id, status, occurred_at, error, carrier_error from (${timeline("array[$3::uuid]")}) e order by occurred_at, status, id limit 200`,
);

export interface StoredEvent {
	readonly id: string;
	readonly status: number;
	readonly occurred_at: Date;
	readonly error: number | null;
	readonly carrier_error: string | null;
}

export function eventsOf(tx: Tx, scope: Scope, messageId: string): Promise<StoredEvent[]> {
	return tx.query<StoredEvent>(eventsStatement, [scope.tenantId, scope.environment, messageId]);
}

const eventsByIdsStatement = sql(
	"messages.events_by_ids",
	`select message_id, id, status, occurred_at, error, carrier_error from (${timeline("$3::uuid[]")}) e where id = any ($4::uuid[])`,
);

export function eventsByIds(
	tx: Tx,
	scope: Scope,
	messageIds: readonly string[],
	ids: readonly string[],
): Promise<(StoredEvent & { message_id: string })[]> {
	return tx.query(eventsByIdsStatement, [scope.tenantId, scope.environment, messageIds, ids]);
}

const decisionsStatement = sql(
	"messages.decisions_of",
	`select * from (
		select m.id as message_id, ruleset, verdicts,
			case when deferred_until is not null then 'deferred' when seal is null then 'refused' else 'cleared' end as outcome,
			deferred_until as until, created_at as judged_at
		from ${byId("$3")} where m.environment = $2 and m.ruleset is not null
		union all
		select message_id, ruleset, verdicts, outcome, until, judged_at
		from ${ofEach("decisions", "$3::uuid[]")} where m.environment = $2
	) d order by judged_at limit 2000`,
);

export interface StoredDecision {
	readonly message_id: string;
	readonly ruleset: string;
	readonly verdicts: string;
	readonly outcome: "cleared" | "refused" | "deferred";
	readonly until: Date | null;
	readonly judged_at: Date;
}

export function decisionsOf(
	tx: Tx,
	scope: Scope,
	messageIds: readonly string[],
): Promise<StoredDecision[]> {
	return tx.query<StoredDecision>(decisionsStatement, [
		scope.tenantId,
		scope.environment,
		[...new Set(messageIds)],
	]);
}
