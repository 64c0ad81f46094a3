/**
 * Documents as tests see them: their links, the files they name, and the blocks that are marked to be
 * run. A block "```sh run" is run; "```js file=NAME" is written to NAME first; the comments
 * "<!-- prints: PATTERN -->" behind a block say what its output must match.
 */
import { spawn } from "node:child_process";
import { cpSync, existsSync, globSync, mkdirSync, mkdtempSync, readFileSync } from "node:fs";
import { rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../", import.meta.url));

/** Every document of the repository, as paths from its root. */
export function documents(): string[] {
	const found = ["*.md", "docs/**/*.md", "bench/**/*.md"].flatMap((pattern) =>
		globSync(pattern, { cwd: root }),
	);
	return found.map((path) => path.replaceAll("\\", "/")).sort();
}

export function read(path: string): string {
	return readFileSync(join(root, path), "utf8");
}

/** Links to files that are not there, and paths in backticks that name nothing. */
export function brokenReferences(path: string, text: string): string[] {
	const prose = text.replaceAll(/^```[\s\S]*?^```/gm, "");
	const links = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] as string);
	const files = links
		.filter((link) => !/^([a-z]+:|#)/.test(link))
		.map((link) => posix.join(posix.dirname(path), link.split("#")[0] as string));
	const places = /`((?:server|db|tests|tools|docs|bench|sdk|console|\.ci)\/[\w./*-]*)`/g;
	const named = [...prose.matchAll(places)].map((match) => match[1] as string);
	const missing = [...files, ...named].filter((file) => !isThere(file));
	return missing.map((file) => `${path} names ${file}, which is not there`);
}

/** A part in capitals (NAME, SOURCE, NNNN) stands for the reader's own. */
function isThere(file: string): boolean {
	if (/\b[A-Z]{4,}\b/.test(file) && !file.endsWith(".md")) return true;
	if (file.includes("*")) return globSync(file, { cwd: root }).length > 0;
	return existsSync(join(root, file));
}

export interface Block {
	/** Where to write it; undefined: run it. */
	readonly file: string | undefined;
	readonly code: string;
	readonly prints: readonly RegExp[];
}

const fence = /^```(\w+) (run|file=([\w.-]+))\n([\s\S]*?)^```\n((?:<!-- prints: .* -->\n)*)/gm;

/** The blocks of a document that are to be run or written, in order. */
export function blocksOf(text: string): Block[] {
	return [...text.matchAll(fence)].map(([, , , file, code = "", comments = ""]) => ({
		file,
		code,
		prints: [...comments.matchAll(/<!-- prints: (.*) -->/g)].map(
			(match) => new RegExp(match[1] as string),
		),
	}));
}

export interface Reader {
	readonly devFile: string;
	/** Replaces the port that pages use for the reader's own server. */
	readonly port: number;
}

export interface Ran {
	readonly block: Block;
	readonly output: string;
}

/**
 * Does what a reader does: writes the files, pastes the commands one block after the other into one
 * shell, in a folder with `.waxwing/dev.json`. Fails when a command fails.
 */
export async function follow(text: string, { devFile, port }: Reader): Promise<Ran[]> {
	const folder = mkdtempSync(join(tmpdir(), "waxwing-reader-"));
	try {
		mkdirSync(join(folder, ".waxwing"));
		cpSync(devFile, join(folder, ".waxwing/dev.json"));
		symlinkSync(join(dirname(devFile), "ledger"), join(folder, ".waxwing/ledger"));
		for (const name of ["node_modules", "verify"])
			symlinkSync(join(root, name), join(folder, name));
		cpSync(join(root, "package.json"), join(folder, "package.json"));
		const blocks = blocksOf(text.replaceAll("8099", String(port)));
		for (const { file, code } of blocks)
			if (file !== undefined) writeFileSync(join(folder, file), code);
		const runs = blocks.filter(({ file }) => file === undefined);
		const script = runs.map(({ code }) => `${code}\necho "${mark}"\n`).join("");
		const outputs = (await shell(script, folder)).split(`${mark}\n`);
		return runs.map((block, i) => ({ block, output: outputs[i] ?? "" }));
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}

const mark = "--- end of block ---";

function shell(script: string, cwd: string): Promise<string> {
	const PATH = `${dirname(process.execPath)}:${process.env["PATH"]}`;
	const child = spawn("bash", ["-euo", "pipefail", "-c", script], {
		cwd,
		env: { PATH, HOME: cwd },
		stdio: ["ignore", "pipe", "pipe"],
	});
	let output = "";
	for (const stream of [child.stdout, child.stderr])
		stream.setEncoding("utf8").on("data", (text: string) => void (output += text));
	return new Promise((resolve, reject) => {
		child.once("error", reject);
		child.once("close", (code) => {
			if (code === 0) resolve(output);
			else reject(new Error(`the commands ended with ${code}:\n${output}`));
		});
	});
}
