/**
 * One page of a list, newest first, as the API shows it: cursors are ids as shown outside. Asking for
 * one row more than the page holds tells whether there is another page.
 */
import { Type } from "typebox";
import { Fault } from "./errors.ts";
import { readId, showId } from "./ids.ts";

/** Below and above every id: a list without a cursor begins there, so that one plan serves both, and reads from where the page begins. */
export const zeroId = "00000000-0000-0000-0000-000000000000";
export const lastId = "ffffffff-ffff-ffff-ffff-ffffffffffff";

/** Rows that one page looks at, at most, where few of them may fit. The next page goes on. */
export const lookMax = 1_000;

/** For the description of such a list. `what` it looks at, and when few of them may fit. */
export function describeLook(what: string, when: string): string {
	return `A page looks at ${lookMax.toLocaleString("en")} ${what} at most. ${when} it may hold fewer than \`limit\`, or none, while \`next_cursor\` is not null: go on from there.`;
}

/** Which page a store is asked for. */
export interface PageQuery {
	/** Id of the row after (older than) or before (newer than) which to read; at most one is given. */
	readonly after: string | undefined;
	readonly before: string | undefined;
	readonly limit: number;
}

export const pageSchema = {
	limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 })),
	starting_after: Type.Optional(Type.String({ maxLength: 64 })),
	ending_before: Type.Optional(Type.String({ maxLength: 64 })),
};

export interface PageInput {
	readonly limit?: number;
	readonly starting_after?: string;
	readonly ending_before?: string;
}

/** Reads the page's query; throws `validation_failed` for a cursor that is not an id of this list. */
export function readPage(prefix: string, input: PageInput): PageQuery & { readonly size: number } {
	const { starting_after: after, ending_before: before, limit: size = 20 } = input;
	if (after !== undefined && before !== undefined)
		throw Fault.parameter("query.ending_before", "query.ending_before excludes starting_after");
	const id = (name: string, shown: string | undefined): string | undefined => {
		if (shown === undefined) return undefined;
		const read = readId(prefix, shown);
		if (read !== undefined) return read;
		throw Fault.parameter(`query.${name}`, `query.${name} must be a cursor of this list`);
	};
	const cursors = { after: id("starting_after", after), before: id("ending_before", before) };
	return { ...cursors, size, limit: size + 1 };
}

export interface Page<T> {
	readonly data: readonly T[];
	readonly next_cursor: string | null;
	readonly prev_cursor: string | null;
	readonly refresh_cursor: string | null;
}

/** Between which ids a page's rows are, and where its look ended, if it ended before the list did. */
export interface Bounds {
	readonly before: string;
	readonly after: string;
	readonly lookedTo: string | undefined;
}

/** Narrows a page to its look. `edge`: the last row of the look and the one behind it, if there are so many. */
export function boundsOf(
	{
		before = lastId,
		after = zeroId,
	}: { readonly before?: string | undefined; readonly after?: string | undefined },
	backwards: boolean,
	edge: readonly { readonly id: string }[],
): Bounds {
	const [last, beyond] = edge;
	if (last === undefined || beyond === undefined) return { before, after, lookedTo: undefined };
	const lookedTo = last.id;
	return backwards
		? { before: beyond.id, after, lookedTo }
		: { before, after: beyond.id, lookedTo };
}

/** What a store has found, nearest to the cursor first. */
export interface Listed<R> {
	readonly rows: readonly R[];
	/** The id of the last row looked at, when the look ended before the list did; undefined when the list is at its end. */
	readonly lookedTo: string | undefined;
}

/**
 * Makes the page of the rows that were read with `limit` one larger than `size`. A look that ended before the list did goes
 * on from there, whatever the page holds.
 */
export function showPage<R extends { readonly id: string }, T>(
	prefix: string,
	query: PageQuery & { readonly size: number },
	{ rows, lookedTo }: Listed<R>,
	show: (row: R) => T,
): Page<T> {
	const backwards = query.before !== undefined;
	const more = rows.length > query.size;
	const kept = rows.slice(0, query.size);
	if (backwards) kept.reverse();
	const [first, last] = [kept[0]?.id, kept.at(-1)?.id];
	const older = backwards ? (last ?? lookedTo) : more ? last : lookedTo;
	const newerThan = more ? first : lookedTo;
	const newer = backwards ? newerThan : query.after === undefined ? undefined : (first ?? lookedTo);
	const cursor = (id: string | undefined): string | null =>
		id === undefined ? null : showId(prefix, id);
	return {
		data: kept.map(show),
		next_cursor: cursor(older),
		prev_cursor: cursor(newer),
		refresh_cursor: cursor(first),
	};
}

/** The schema of a page of `item`s. */
export function pageAnswer<T extends Parameters<typeof Type.Array>[0]>(item: T) {
	const cursor = Type.Union([Type.String(), Type.Null()]);
	return Type.Object({
		data: Type.Array(item),
		next_cursor: cursor,
		prev_cursor: cursor,
		refresh_cursor: cursor,
	});
}
