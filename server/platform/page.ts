/**
 * One page of a list, newest first, as the API shows it: cursors are ids as shown outside. Asking for
 * one row more than the page holds tells whether there is another page.
 */
import { Type } from "typebox";
import { Fault } from "./errors.ts";
import { readId, showId } from "./ids.ts";

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

/** Makes the page of the rows that were read with `limit` one larger than `size`. */
export function showPage<R extends { readonly id: string }, T>(
	prefix: string,
	query: PageQuery & { readonly size: number },
	rows: readonly R[],
	show: (row: R) => T,
): Page<T> {
	const backwards = query.before !== undefined;
	const more = rows.length > query.size;
	const kept = rows.slice(0, query.size);
	if (backwards) kept.reverse();
	const first = kept[0];
	const last = kept.at(-1);
	const older = backwards ? last !== undefined : more;
	const newer = backwards ? more : query.after !== undefined;
	return {
		data: kept.map(show),
		next_cursor: older && last !== undefined ? showId(prefix, last.id) : null,
		prev_cursor: newer && first !== undefined ? showId(prefix, first.id) : null,
		refresh_cursor: first === undefined ? null : showId(prefix, first.id),
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
