/**
 * Looks for distinctive strings in whole folders, byte by byte, in every form in which one may have been written: as it is,
 * in UTF-16, in hexadecimal, in base64. What finds nothing means something only if it would: plant one and hunt again.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export type Needles = ReadonlyMap<string, Buffer>;

/** Every form of the text, by what it is. */
export function needlesOf(what: string, text: string): Needles {
	const bytes = Buffer.from(text, "utf8");
	const utf16 = Buffer.from(text, "utf16le");
	const found = new Map<string, Buffer>();
	found.set(`${what} as it is`, bytes);
	found.set(`${what} in UTF-16LE`, utf16);
	found.set(`${what} in UTF-16BE`, Buffer.from(utf16).swap16());
	found.set(`${what} in hexadecimal`, Buffer.from(bytes.toString("hex")));
	// Wherever it begins in a longer text, two characters at each end depend on the neighbours.
	for (const before of [0, 1, 2]) {
		const encoded = Buffer.concat([Buffer.alloc(before), bytes])
			.toString("base64")
			.replaceAll("=", "");
		const inside = Buffer.from(encoded.slice(before + 1, -2));
		found.set(`${what} in base64, shifted by ${before}`, inside);
	}
	return found;
}

export interface Hunt {
	/** `WHAT in FILE`. */
	readonly found: readonly string[];
	readonly files: number;
	readonly bytes: number;
}

/** Searches every file under the folders, but those named in `leave`. */
export function hunt(folders: readonly string[], needles: Needles, leave: readonly string[]): Hunt {
	const found: string[] = [];
	let files = 0;
	let bytes = 0;
	for (const folder of folders)
		for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
			if (!entry.isFile() || leave.includes(entry.name)) continue;
			const path = join(entry.parentPath, entry.name);
			// PostgreSQL takes files away while we look.
			if (!existsSync(path)) continue;
			const content = readFileSync(path);
			files++;
			bytes += content.length;
			for (const [what, needle] of needles)
				if (content.includes(needle)) found.push(`${what} in ${path}`);
		}
	return { found, files, bytes };
}
