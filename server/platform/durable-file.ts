/**
 * Small files that must outlive a power cut: written and synced under another name, then renamed. Without it a file
 * that was just written may be there and empty.
 */
import { closeSync, fsyncSync, openSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";

/** Writes the file, mode 0600: whole, or as it was before. When this returns it is on the disk. */
export function writeDurably(path: string, text: string): void {
	const draft = `${path}.new`;
	const file = openSync(draft, "w", 0o600);
	try {
		writeSync(file, text);
		fsyncSync(file);
	} finally {
		closeSync(file);
	}
	renameDurably(draft, path);
}

/** When this returns, the name is on the disk; what it names was synced before. */
export function renameDurably(from: string, to: string): void {
	renameSync(from, to);
	const directory = openSync(dirname(to), "r");
	try {
		fsyncSync(directory);
	} finally {
		closeSync(directory);
	}
}
