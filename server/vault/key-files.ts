/**
 * Small files of wrapped keys beside the data, not in the database: what must be destroyed must not be in a backup of
 * it. A file is there whole or not at all, for its owner only; what it held before is overwritten, as far as the
 * disk does what it is told.
 */
import {
	appendFileSync,
	closeSync,
	createReadStream,
	existsSync,
	fstatSync,
	fsyncSync,
	linkSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	readSync,
	renameSync,
	rmSync,
	unlinkSync,
	writeSync,
} from "node:fs";
import { join } from "node:path";

export interface KeyFiles {
	/** Undefined when there is none. */
	read(name: string): Buffer | undefined;
	/** Another one whenever the file was written, by whomever; undefined when there is none. Reads nothing of it. */
	mark(name: string): string | undefined;
	/** Synced before it returns. */
	write(name: string, content: string | Buffer): void;
	/** Only if there is none; false when somebody else was first. */
	create(name: string, content: string): boolean;
	/** Lines as they come, a page at a time; there whole or not at all. */
	writeLines(name: string, pages: AsyncIterable<readonly string[]>): Promise<void>;
	/** Whole lines, so many at a time; none when there is no file. What a crash cut off at the end is left out. */
	readLines(name: string, most: number): AsyncIterable<string[]>;
	/** Adds a line at the end, synced before it returns. */
	append(name: string, line: string): void;
	/** Gone for good, synced before it returns. */
	remove(name: string): void;
	/** In order. */
	names(): string[];
	/** Tenants that have a file of epochs. */
	tenants(): string[];
	pathOf(name: string): string;
}

export function openKeyFiles(dataDir: string): KeyFiles {
	const folder = join(dataDir, "keyring");
	const pathOf = (name: string): string => {
		if (!/^[a-z0-9-]+\.[a-z]+$/.test(name)) throw new Error("a key file's name is not one of ours");
		return join(folder, name);
	};
	const make = (): void => void mkdirSync(folder, { recursive: true, mode: 0o700 });
	const names = (): string[] => (existsSync(folder) ? readdirSync(folder).sort() : []);
	return {
		pathOf,
		read: (name) => (existsSync(pathOf(name)) ? readFileSync(pathOf(name)) : undefined),
		mark: (name) => markOf(pathOf(name)),
		write(name, content) {
			make();
			replaceFile(folder, pathOf(name), content);
		},
		create(name, content) {
			make();
			return createFile(folder, pathOf(name), content);
		},
		async writeLines(name, pages) {
			make();
			await writePages(folder, pathOf(name), pages);
		},
		readLines: (name, most) => readLines(pathOf(name), most),
		append(name, line) {
			make();
			const path = pathOf(name);
			const isNew = !existsSync(path);
			// A line that a crash cut off is ended first, or ours would be part of it.
			const text = isNew || endsWithLine(path) ? `${line}\n` : `\n${line}\n`;
			withFile(path, "a", (file) => appendFileSync(file, text));
			if (isNew) syncFolder(folder);
		},
		remove(name) {
			rmSync(pathOf(name), { force: true });
			syncFolder(folder);
		},
		names,
		tenants: () =>
			names()
				.filter((name) => /^[0-9a-f]{8}-[0-9a-f-]{27}\.epochs$/.test(name))
				.map((name) => name.slice(0, -".epochs".length)),
	};
}

/** Of the opened file, not of its name: on a network's disk a name's facts may be old ones. */
function markOf(path: string): string | undefined {
	let file: number;
	try {
		file = openSync(path, "r");
	} catch (error) {
		if ((error as { code?: unknown }).code === "ENOENT") return undefined;
		throw error;
	}
	const { ino, size, mtimeNs } = fstatSync(file, { bigint: true });
	closeSync(file);
	return `${ino}/${size}/${mtimeNs}`;
}

function replaceFile(folder: string, path: string, content: string | Buffer): void {
	const draft = `${path}.new`;
	const before = existsSync(path) ? openSync(path, "r+") : undefined;
	withFile(draft, "w", (file) => {
		writeSync(file, typeof content === "string" ? Buffer.from(content) : content);
	});
	renameSync(draft, path);
	syncFolder(folder);
	if (before === undefined) return;
	// The old content has no name any more; its blocks would keep it.
	const { size } = fstatSync(before);
	writeSync(before, Buffer.alloc(size), 0, size, 0);
	fsyncSync(before);
	closeSync(before);
}

function createFile(folder: string, path: string, content: string): boolean {
	const draft = `${path}.new${process.pid}`;
	withFile(draft, "w", (file) => void writeSync(file, content));
	try {
		linkSync(draft, path);
		syncFolder(folder);
		return true;
	} catch (error) {
		if ((error as { code?: unknown }).code !== "EEXIST") throw error;
		return false;
	} finally {
		unlinkSync(draft);
	}
}

async function writePages(
	folder: string,
	path: string,
	pages: AsyncIterable<readonly string[]>,
): Promise<void> {
	const draft = `${path}.new`;
	const file = openSync(draft, "w", 0o600);
	try {
		for await (const lines of pages) if (lines.length > 0) writeSync(file, `${lines.join("\n")}\n`);
		fsyncSync(file);
	} finally {
		closeSync(file);
	}
	renameSync(draft, path);
	syncFolder(folder);
}

function withFile(path: string, flags: string, work: (file: number) => void): void {
	const file = openSync(path, flags, 0o600);
	try {
		work(file);
		fsyncSync(file);
	} finally {
		closeSync(file);
	}
}

function syncFolder(folder: string): void {
	const directory = openSync(folder, "r");
	try {
		fsyncSync(directory);
	} finally {
		closeSync(directory);
	}
}

function endsWithLine(path: string): boolean {
	const file = openSync(path, "r");
	try {
		const { size } = fstatSync(file);
		const last = Buffer.alloc(1);
		if (size > 0) readSync(file, last, 0, 1, size - 1);
		return size === 0 || last[0] === 10;
	} finally {
		closeSync(file);
	}
}

async function* readLines(path: string, most: number): AsyncGenerator<string[]> {
	if (!existsSync(path)) return;
	let rest = "";
	let lines: string[] = [];
	for await (const chunk of createReadStream(path, { encoding: "utf8" })) {
		const parts = (rest + (chunk as string)).split("\n");
		rest = parts.pop() as string;
		for (const line of parts) {
			lines.push(line);
			if (lines.length === most) {
				yield lines;
				lines = [];
			}
		}
	}
	if (lines.length > 0) yield lines;
}
