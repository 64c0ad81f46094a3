/** Follows a list's cursors to its end. */
import assert from "node:assert/strict";
import { readId } from "#platform/ids.ts";
import { type Listed, type PageQuery, showPage } from "#platform/page.ts";

const pagesMost = 100;

/** The ids of each page; `before`: towards newer ones, from there. */
export async function pagesOf<R extends { readonly id: string }>(
	list: (page: PageQuery) => Promise<Listed<R>>,
	size: number,
	before?: string,
): Promise<string[][]> {
	const found: string[][] = [];
	let cursor = before;
	do {
		const asked =
			before === undefined
				? { after: cursor, before: undefined }
				: { after: undefined, before: cursor };
		const query = { ...asked, size, limit: size + 1 };
		const page = showPage("x", query, await list(query), (row) => row.id);
		found.push([...page.data]);
		const shown = before === undefined ? page.next_cursor : page.prev_cursor;
		cursor = shown === null ? undefined : readId("x", shown);
		assert.ok(found.length < pagesMost, "the list has no end");
	} while (cursor !== undefined);
	return found;
}
