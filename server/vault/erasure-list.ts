/**
 * The list of erasures beside the database, by which a restored one is erased again: one file a month, only ever added to.
 * A month is removed as a whole, and not before no backup that may be restored can lack anything in it. What was
 * removed last is noted, so that a database from before that is recognised and refused.
 */
import type { Clock } from "#platform/clock.ts";
import type { Database, Environment } from "#platform/db.ts";
import type { Log } from "#platform/log.ts";
import type { KeyFiles } from "./key-files.ts";
import { erasuresMissing, erasuresOpen } from "./rotation-store.ts";

export interface Listed {
	readonly id: string;
	readonly tenantId: string;
	readonly environment: Environment;
	readonly index: Buffer;
	/** Undefined in what was listed before suppressions had an index of their own. */
	readonly suppressionIndex: Buffer | undefined;
	readonly epoch: number;
	readonly atMs: number;
}

/** The database is older than the list reaches: its sentence is for who starts us. */
export class RestoreError extends Error {}

const oldFile = "erasures.log";
const removedFile = "erasures.removed";
const pageLines = 1_000;
const dayMs = 86_400_000;

function fileOf(atMs: number): string {
	return `erasures-${new Date(atMs).toISOString().slice(0, 7).replace("-", "")}.log`;
}

/** Synced before it returns. */
export function addToList(files: KeyFiles, listed: Listed): void {
	files.append(fileOf(listed.atMs), show(listed));
}

/** It did not happen: it was rolled back for certain. Stands in the same file. */
export function withdrawFromList(files: KeyFiles, { id, atMs }: Listed): void {
	files.append(fileOf(atMs), JSON.stringify({ withdrawn: id }));
}

export interface ListPage {
	/** But those that were withdrawn. */
	readonly listed: readonly Listed[];
	/** Lines of erasures that a crash cut off before anybody was told. */
	readonly unreadable: number;
}

/** The whole list, the oldest file first, a page at a time. */
export async function* readList(files: KeyFiles): AsyncGenerator<ListPage> {
	for (const name of filesOf(files)) yield* readFile(files, name);
}

function filesOf(files: KeyFiles): string[] {
	const months = files.names().filter((name) => /^erasures-\d{6}\.log$/.test(name));
	return files.read(oldFile) === undefined ? months : [oldFile, ...months];
}

async function* readFile(files: KeyFiles, name: string): AsyncGenerator<ListPage> {
	const withdrawn = new Set<string>();
	for await (const lines of files.readLines(name, pageLines))
		for (const line of lines) withdrawn.add(readWithdrawn(line) ?? "");
	for await (const lines of files.readLines(name, pageLines)) {
		const said = lines.filter((line) => readWithdrawn(line) === undefined);
		const readable = said.flatMap((line) => read(line) ?? []);
		const listed = readable.filter(({ id }) => !withdrawn.has(id));
		yield { listed, unreadable: said.length - readable.length };
	}
}

// Bounding it -----------------------------------------------------------------------------------------------------

export interface ListParts {
	readonly worker: Pick<Database, "inPlatform">;
	readonly files: KeyFiles;
	readonly clock: Clock;
	readonly log: Log;
	/** No older backup of the database will ever be restored. */
	readonly backupDays: number;
}

interface Removed {
	readonly id: string;
	readonly tenantId: string;
	readonly atMs: number;
}

/**
 * Removes the months that no restore needs: everything in them is older than any backup, known to the database, and
 * complete. A line that cannot be read keeps its file. Returns how many files went.
 */
export async function removeOldMonths(parts: ListParts): Promise<number> {
	const { files, log } = parts;
	let count = 0;
	for (const name of filesOf(files)) {
		const newest = await newestIfAllOld(parts, name);
		if (newest === undefined) continue;
		noteRemoved(files, newest);
		files.remove(name);
		log.info({ event: "keys.erasures_removed", file: name }, "old erasures left the list");
		count++;
	}
	return count;
}

async function newestIfAllOld(parts: ListParts, name: string): Promise<Removed | undefined> {
	const { worker, files, clock, backupDays } = parts;
	const beforeMs = clock.now() - backupDays * dayMs;
	let newest: Listed | undefined;
	for await (const { listed, unreadable } of readFile(files, name)) {
		if (unreadable > 0 || listed.some(({ atMs }) => !(atMs < beforeMs))) return undefined;
		const open = await worker.inPlatform((tx) => erasuresOpen(tx, listed));
		if (open.size > 0) return undefined;
		for (const one of listed) if (newest === undefined || one.atMs >= newest.atMs) newest = one;
	}
	return newest;
}

/** Before the file goes: what is not noted cannot be missed. */
function noteRemoved(files: KeyFiles, { id, tenantId, atMs }: Removed): void {
	const before = readRemoved(files);
	if (before !== undefined && before.atMs > atMs) return;
	files.write(removedFile, `${JSON.stringify({ id, tenant: tenantId, at: atMs })}\n`);
}

function readRemoved(files: KeyFiles): Removed | undefined {
	const text = files.read(removedFile)?.toString("utf8");
	if (text === undefined) return undefined;
	const { id, tenant, at } = JSON.parse(text) as { id: string; tenant: string; at: number };
	return { id, tenantId: tenant, atMs: at };
}

/** Throws a RestoreError when the database does not know the last erasure that left the list: it is older than that. */
export async function demandYoungEnough({
	worker,
	files,
}: Pick<ListParts, "worker" | "files">): Promise<void> {
	const removed = readRemoved(files);
	if (removed === undefined) return;
	const missing = await worker.inPlatform((tx) => erasuresMissing(tx, [removed]));
	if (missing.size === 0) return;
	const day = new Date(removed.atMs).toISOString().slice(0, 10);
	throw new RestoreError(
		`This database is from before ${day}, and the list of erasures does not reach back that far any more: people erased since would come back. Restore a younger backup. WAXWING_BACKUP_DAYS says how far the list reaches; the note is ${files.pathOf(removedFile)}.`,
	);
}

// Lines -----------------------------------------------------------------------------------------------------------

function show(listed: Listed): string {
	const { id, tenantId, environment, index, suppressionIndex, epoch, atMs } = listed;
	const contact = index.toString("base64");
	const suppression = suppressionIndex?.toString("base64");
	return JSON.stringify({
		id,
		tenant: tenantId,
		environment,
		contact,
		suppression,
		epoch,
		at: atMs,
	});
}

/** The erasure that a line withdraws; undefined when it is not such a line. */
function readWithdrawn(line: string): string | undefined {
	return /^\{"withdrawn":"([0-9a-f-]{36})"\}$/.exec(line)?.[1];
}

function read(line: string): Listed | undefined {
	let said: Record<string, unknown>;
	try {
		said = JSON.parse(line) as Record<string, unknown>;
	} catch {
		return undefined;
	}
	const { id, tenant, environment, contact, suppression, epoch, at } = said as {
		id: string;
		tenant: string;
		environment: Environment;
		contact: string;
		suppression?: string;
		epoch: number;
		at: number;
	};
	return {
		id,
		tenantId: tenant,
		environment,
		index: Buffer.from(contact, "base64"),
		suppressionIndex: suppression === undefined ? undefined : Buffer.from(suppression, "base64"),
		epoch,
		atMs: at,
	};
}
