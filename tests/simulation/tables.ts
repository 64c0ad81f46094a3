/**
 * Tables in memory with what the simulation needs of PostgreSQL's: a transaction sees what is committed and
 * its own changes; a row that another one has changed must be waited for; a commit happens at once, whole.
 */

/** One transaction's changes: by table, by key; undefined is a deletion. */
export interface Writer {
	readonly id: number;
	readonly changes: Map<Table<object>, Map<string, object | undefined>>;
	/** How to take back the statement that is running. */
	undo: (() => void)[];
}

/** Thrown when a row is held by another transaction. */
export class Held extends Error {
	readonly by: Writer;
	constructor(by: Writer) {
		super("a row is held by another transaction");
		this.by = by;
	}
}

export interface Table<R extends object> {
	readonly name: string;
	readonly committed: Map<string, R>;
	readonly holders: Map<string, Writer>;
}

export function createTable<R extends object>(name: string): Table<R> {
	return { name, committed: new Map(), holders: new Map() };
}

export function createWriter(id: number): Writer {
	return { id, changes: new Map(), undo: [] };
}

export function get<R extends object>(table: Table<R>, writer: Writer, key: string): R | undefined {
	const own = writer.changes.get(table as unknown as Table<object>);
	if (own?.has(key) === true) return own.get(key) as R | undefined;
	return table.committed.get(key);
}

/** What the transaction sees, oldest first; not to be written to while it is read. */
export function rows<R extends object>(
	table: Table<R>,
	writer: Writer,
): Iterable<readonly [string, R]> {
	const own = writer.changes.get(table as unknown as Table<object>);
	return own === undefined ? table.committed : overlaid(table, own);
}

function* overlaid<R extends object>(
	table: Table<R>,
	own: ReadonlyMap<string, object | undefined>,
): Iterable<readonly [string, R]> {
	for (const [key, row] of table.committed) if (!own.has(key)) yield [key, row];
	for (const [key, row] of own) if (row !== undefined) yield [key, row as R];
}

/** Whether `for update skip locked` would take the row. */
export function isFree<R extends object>(table: Table<R>, writer: Writer, key: string): boolean {
	const holder = table.holders.get(key);
	return holder === undefined || holder === writer;
}

/** Writes or deletes a row and holds it until the transaction ends. */
export function put<R extends object>(
	table: Table<R>,
	writer: Writer,
	key: string,
	row: R | undefined,
): void {
	const holder = table.holders.get(key);
	if (holder !== undefined && holder !== writer) throw new Held(holder);
	const any = table as unknown as Table<object>;
	const own = writer.changes.get(any) ?? new Map<string, object | undefined>();
	writer.changes.set(any, own);
	const [had, before] = [own.has(key), own.get(key)];
	writer.undo.push(() => {
		if (had) own.set(key, before);
		else {
			own.delete(key);
			table.holders.delete(key);
		}
	});
	table.holders.set(key, writer);
	own.set(key, row);
}

/** What one row was and what it has become. */
export interface Change {
	readonly table: string;
	readonly key: string;
	readonly before: object | undefined;
	readonly after: object | undefined;
}

export function commit(writer: Writer): Change[] {
	const made: Change[] = [];
	for (const [table, own] of writer.changes) {
		for (const [key, after] of own) {
			made.push({ table: table.name, key, before: table.committed.get(key), after });
			if (after === undefined) table.committed.delete(key);
			else table.committed.set(key, after);
		}
	}
	release(writer);
	return made;
}

export function release(writer: Writer): void {
	for (const [table, own] of writer.changes)
		for (const key of own.keys()) table.holders.delete(key);
	writer.changes.clear();
}
