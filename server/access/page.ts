/** Pages of lists: cursors are ids as they are shown, newest first. */
import { type TSchema, Type } from "typebox";
import { Fault } from "#platform/errors.ts";
import { readId } from "#platform/ids.ts";

const limitDefault = 20;
const limitMax = 100;

export interface Page {
	readonly limit: number;
	/** Ids: what is older than `after`, or what is newer than `before`; never both. */
	readonly after: string | undefined;
	readonly before: string | undefined;
}

/** An id as it is shown outside. */
export function shownIdSchema(prefix: string) {
	const pattern = `^${prefix}_[0-9a-hjkmnp-tv-z]{26}$`;
	return Type.String({ pattern, "x-rule": `must be an id that begins with ${prefix}_` });
}

export function pageQuery(prefix: string) {
	return {
		limit: Type.Optional(Type.Integer({ minimum: 1, maximum: limitMax, default: limitDefault })),
		starting_after: Type.Optional(shownIdSchema(prefix)),
		ending_before: Type.Optional(shownIdSchema(prefix)),
	};
}

export function pageSchema<T extends TSchema>(item: T) {
	const cursor = Type.Union([Type.String(), Type.Null()]);
	return Type.Object(
		{
			data: Type.Array(item, { maxItems: limitMax }),
			next_cursor: cursor,
			prev_cursor: cursor,
			refresh_cursor: cursor,
		},
		{ additionalProperties: false },
	);
}

export function readPage(
	prefix: string,
	query: { limit?: number; starting_after?: string; ending_before?: string },
): Page {
	const { limit = limitDefault, starting_after, ending_before } = query;
	if (starting_after !== undefined && ending_before !== undefined)
		throw Fault.parameter(
			"query.ending_before",
			"query.ending_before cannot be combined with query.starting_after",
		);
	const after = readCursor("query.starting_after", prefix, starting_after);
	const before = readCursor("query.ending_before", prefix, ending_before);
	return { limit, after, before };
}

function readCursor(param: string, prefix: string, shown: string | undefined): string | undefined {
	if (shown === undefined) return undefined;
	const id = readId(prefix, shown);
	if (id === undefined) throw Fault.parameter(param, `${param} is not the id of such an object`);
	return id;
}

/** The answer's body; `more` says whether there is something beyond the page in the direction asked. */
export function showPage<T extends { readonly id: string }>(
	page: Page,
	data: readonly T[],
	more: boolean,
): object {
	const backwards = page.before !== undefined;
	const older = backwards ? data.length > 0 : more;
	const newer = backwards ? more : page.after !== undefined && data.length > 0;
	return {
		data,
		next_cursor: older ? (data.at(-1)?.id ?? null) : null,
		prev_cursor: newer ? (data[0]?.id ?? null) : null,
		refresh_cursor: page.after === undefined ? (data[0]?.id ?? null) : null,
	};
}
