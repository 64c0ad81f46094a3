/**
 * Reads a list's query into a filter.
 */
import { readNumber } from "#channels/index.ts";
import type { Scope } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import { firstIdAt } from "#platform/ids.ts";
import type { PageInput, PageQuery } from "#platform/page.ts";
import { classNumber, messageClasses } from "#policy/index.ts";
import type { Vault } from "#vault/index.ts";
import { tagIndexOf } from "./prepare.ts";
import { messageErrors, ranksOf } from "./state.ts";
import type { ListFilter } from "./read-store.ts";

export interface ListQuery extends PageInput {
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

export function readFilter(
	vault: Vault,
	scope: Scope,
	query: ListQuery,
	page: PageQuery,
	nowMs: number,
): ListFilter {
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
		before: smaller(page.after, moment("created_before", query.created_before)),
		after: larger(page.before, moment("created_after", query.created_after)),
		backwards: page.before !== undefined,
		limit: page.limit,
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
