/**
 * Reads a list's query into a filter, and makes cursors. A cursor is the id of a message, as shown.
 */
import { readNumber } from "#channels/index.ts";
import type { Scope } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import { firstIdAt, readId, showId } from "#platform/ids.ts";
import { classNumber, messageClasses } from "#policy/index.ts";
import type { Vault } from "#vault/index.ts";
import { tagIndexOf } from "./prepare.ts";
import { messagePrefix } from "./render.ts";
import { messageErrors, ranksOf } from "./state.ts";
import type { Listed, ListFilter, StoredMessage } from "./read-store.ts";

export interface ListQuery {
	readonly limit?: number;
	readonly starting_after?: string;
	readonly ending_before?: string;
	readonly created_after?: string;
	readonly created_before?: string;
	readonly direction?: "outbound" | "inbound";
	readonly status?: readonly string[];
	readonly error_code?: readonly string[];
	readonly tag?: readonly string[];
	readonly category?: string;
	readonly to?: string;
	readonly from?: string;
}

/** Undefined when nothing can match. */
export function readFilter(
	vault: Vault,
	scope: Scope,
	query: ListQuery,
	nowMs: number,
): ListFilter | undefined {
	if (query.starting_after !== undefined && query.ending_before !== undefined)
		throw Fault.parameter(
			"query.ending_before",
			"ending_before cannot be given together with starting_after.",
		);
	const category = query.category === "marketing" ? "promotional" : query.category;
	const messageClass = messageClasses.find((one) => one === category);
	if (category !== undefined && messageClass === undefined)
		throw Fault.parameter(
			"query.category",
			"The category must be authentication, transactional, service or marketing.",
		);
	const inbound = query.direction === undefined ? undefined : query.direction === "inbound";
	const index = (field: string, value: string | undefined): Buffer | undefined =>
		value === undefined ? undefined : vault.index(scope.tenantId, scope.environment, field, value);
	// An inbound message comes from a person, an outbound one goes to a person.
	const [person, own] = inbound === true ? [query.from, query.to] : [query.to, query.from];
	return {
		before: smaller(
			cursor("starting_after", query.starting_after),
			moment("created_before", query.created_before),
		),
		after: larger(
			cursor("ending_before", query.ending_before),
			moment("created_after", query.created_after),
		),
		backwards: query.ending_before !== undefined,
		limit: query.limit ?? 20,
		inbound,
		class: messageClass === undefined ? undefined : classNumber(messageClass),
		ranks: query.status?.flatMap((status) => ranks(status)),
		errors: query.error_code?.map(
			(code) => messageErrors.find((error) => error.code === code)?.number ?? 0,
		),
		addressIndex: index("sms.address", person === undefined ? undefined : canonical(person)),
		senderIndex: index("sms.sender", own),
		tags: (query.tag ?? []).map((tag) => tagIndexOf(vault, scope, tag)),
		nowMs,
	};
}

function canonical(text: string): string {
	const number = readNumber(text);
	return number.ok ? number.e164 : text;
}

function ranks(status: string): number[] {
	const found = ranksOf(status);
	if (found.length === 0)
		throw Fault.parameter("query.status", "That is not a status of a message.");
	return found;
}

function cursor(name: string, shown: string | undefined): string | undefined {
	if (shown === undefined) return undefined;
	const id = readId(messagePrefix, shown);
	if (id === undefined)
		throw Fault.parameter(`query.${name}`, "That is not a cursor of a list of messages.");
	return id;
}

function moment(name: string, text: string | undefined): string | undefined {
	if (text === undefined) return undefined;
	const ms = Date.parse(text);
	if (Number.isNaN(ms) || !/(Z|[+-]\d\d:\d\d)$/i.test(text))
		throw Fault.parameter(`query.${name}`, "The time must be in RFC 3339 with an offset.");
	return firstIdAt(ms);
}

function smaller(a: string | undefined, b: string | undefined): string | undefined {
	return a === undefined ? b : b === undefined ? a : a < b ? a : b;
}

function larger(a: string | undefined, b: string | undefined): string | undefined {
	return a === undefined ? b : b === undefined ? a : a > b ? a : b;
}

/**
 * `rows` has one more than the page when there is more; that one is cut off where it was found. A look that ended before
 * the list did (`lookedTo`) goes on from there, whatever the page holds.
 */
export function cursorsOf(
	{ rows, lookedTo }: Listed,
	query: ListQuery,
	limit: number,
): { rows: StoredMessage[]; cursors: Record<string, string | null> } {
	const backwards = query.ending_before !== undefined;
	const more = rows.length > limit;
	const page = backwards ? rows.slice(more ? 1 : 0) : rows.slice(0, limit);
	const show = (id: string | undefined): string | null =>
		id === undefined ? null : showId(messagePrefix, id);
	const first = page[0]?.id;
	const last = page.at(-1)?.id;
	const cameFrom = query.starting_after !== undefined;
	return {
		rows: page,
		cursors: {
			next_cursor: show(backwards ? (last ?? lookedTo) : more ? last : lookedTo),
			prev_cursor: show(
				backwards ? (more ? first : lookedTo) : cameFrom ? (first ?? lookedTo) : undefined,
			),
			refresh_cursor: show(first),
		},
	};
}
