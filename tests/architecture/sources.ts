/**
 * The repository's own sources, as the architecture tests see them: each file with its comments and
 * texts told apart from its code, and the modules it imports. Reads files, changes nothing.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));

const unseen = new Set(["node_modules", ".git", ".waxwing", "tmp", "coverage"]);

/** Paths from the repository's root, with `/`, of all files we write. */
export function filesUnder(folder = ""): string[] {
	return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
		.filter((entry) => entry.isFile())
		.map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll("\\", "/"))
		.filter((path) => !path.split("/").some((part) => unseen.has(part)))
		.toSorted();
}

export function read(path: string): string {
	return readFileSync(join(root, path), "utf8");
}

export interface Source {
	/** From the repository's root: `server/policy/screen.ts`. */
	readonly path: string;
	readonly text: string;
	/** The text with comments and the insides of strings and patterns blanked, lines kept. */
	readonly code: string;
	readonly imports: readonly Import[];
}

export interface Import {
	readonly from: string;
	/** `import type …`: nothing of it is left at run time. */
	readonly typeOnly: boolean;
	readonly dynamic: boolean;
}

export function sourceOf(path: string, text: string): Source {
	const { code, bare } = mask(text);
	return { path, text, code, imports: importsOf(code, bare) };
}

/** Every TypeScript and JavaScript file under the folders. */
export function sources(...folders: readonly string[]): readonly Source[] {
	return folders
		.flatMap((folder) => filesUnder(folder))
		.filter((path) => /\.(ts|mjs|js)$/.test(path))
		.map((path) => sourceOf(path, read(path)));
}

/** A test, or a file that only tests may use (`test-world.ts`). */
export function isTest(path: string): boolean {
	return path.endsWith(".test.ts") || isTestSupport(path);
}

export function isTestSupport(path: string): boolean {
	return /(^|\/)test-[^/]+\.ts$/.test(path);
}

/** `server/channels/sms/segment.ts` → `channels`; undefined outside server/. */
export function moduleOf(path: string): string | undefined {
	return /^server\/([^/]+)\//.exec(path)?.[1];
}

// Found in `code`, where a keyword inside a text cannot be taken for one; read from `bare`.
const importPattern =
	/\b(?:import|export)\s+(type\s+)?(?:[^"';()=]*?\bfrom\s*)?["']|\bimport\s*\(\s*(["'`])?/g;

function importsOf(code: string, bare: string): Import[] {
	const found: Import[] = [];
	for (const match of code.matchAll(importPattern)) {
		const dynamic = match[0].includes("(");
		const at = match.index + match[0].length;
		const quoted = !dynamic || match[2] !== undefined;
		const from = quoted ? (/^[^"'`]*/.exec(bare.slice(at))?.[0] ?? "") : "";
		found.push({ from, typeOnly: match[1] !== undefined, dynamic });
	}
	return found;
}

interface Masked {
	/** Comments, strings and patterns blanked. */
	readonly code: string;
	/** Only comments blanked. */
	readonly bare: string;
}

const blankOut = (text: string): string => text.replace(/[^\n]/g, " ");

/** One token of what may hide code: comment, text, template piece, pattern, brace, or one character. */
const tokens =
	/\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`|[{}]|\/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*|[\s\S]/y;

/** A slash after one of these begins a pattern, not a division. */
const beforePattern = /(?:^|[=(,:;!&|?{}[+~<>]|\breturn|\btypeof|\bcase)\s*$/;

export function mask(text: string): Masked {
	let code = "";
	let bare = "";
	const templates: number[] = [];
	let at = 0;
	const put = (token: string, shown: string, told = token): void => {
		code += shown;
		bare += told;
		at += token.length;
	};
	while (at < text.length) {
		tokens.lastIndex = at;
		const token = tokens.exec(text)?.[0] ?? text.charAt(at);
		const depth = templates.length - 1;
		if (token.startsWith("//") || token.startsWith("/*"))
			put(token, blankOut(token), blankOut(token));
		else if (token === "`" || (token === "}" && templates[depth] === 0)) {
			if (token === "}") templates.pop();
			const piece = templatePiece(text, at);
			if (piece.endsWith("${")) templates.push(0);
			put(piece, token + hollow(piece.slice(1)));
		} else if (token === "{" || token === "}") {
			if (depth >= 0) templates[depth] = (templates[depth] ?? 0) + (token === "{" ? 1 : -1);
			put(token, token);
		} else if (/^["']./.test(token))
			put(token, token[0] + blankOut(token.slice(1, -1)) + token.at(-1));
		else if (token.length > 1 && beforePattern.test(code.slice(-20))) put(token, blankOut(token));
		else put(token.charAt(0), token.charAt(0));
	}
	return { code, bare };
}

/** A template's piece without its text: only the backquote that ends it is kept. */
function hollow(piece: string): string {
	return piece.endsWith("`") ? `${blankOut(piece.slice(0, -1))}\`` : blankOut(piece);
}

/** From a backquote or a closing brace to the template's end or its next `${`. */
function templatePiece(text: string, at: number): string {
	const piece = /(?:\\[\s\S]|\$(?!\{)|[^\\`$])*(?:`|\$\{|$)/y;
	piece.lastIndex = at + 1;
	return text[at] + (piece.exec(text)?.[0] ?? "");
}
