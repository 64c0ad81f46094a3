/**
 * What keeps files readable: their length, their names, a header that says what each is for, and no
 * notes to do later. How long a function may be is the linter's to say (.oxlintrc.json).
 */
import { isTest, type Source } from "./sources.ts";

const linesMax = 400;
const testLinesMax = 600;
/** The formatter keeps code within 100; this is for what it cannot break: comments, and texts. */
const columnsMax = 150;
const textColumnsMax = 320;
const headerLinesMax = 14;

const bannedNames =
	/^(utils?|helpers?|commons?|services?|managers?|types|constants?|misc|shared|lib|base|core)(\.test)?(\.ts)?$/;

/** Built from pieces, so that this file does not mention what it forbids. */
const notes = new RegExp(
	`\\b(${["TO" + "DO", "FIX" + "ME", "HA" + "CK", "X" + "XX"].join("|")})\\b`,
);
const silencers = new RegExp(`@ts-(${["ign" + "ore", "noch" + "eck"].join("|")})`);
const anything = /\bas\s+any\b|:\s*any\b|<\s*any\s*[,>]|,\s*any\s*[,>]|\bany\[\]/;

/** Where `any` is right, and why. */
const anyAllowed: Readonly<Record<string, string>> = {
	"server/platform/http.ts": "a list of routes holds handlers of every input type",
};

export function tidyViolations(source: Source): string[] {
	const { path, text, code } = source;
	const found: string[] = [];
	const say = (what: string): void => void found.push(`${path}: ${what}`);
	const lines = text.split("\n");
	const most = isTest(path) ? testLinesMax : linesMax;
	if (lines.length - 1 > most) say(`${lines.length - 1} lines; ${most} is the limit, so split it`);
	for (const part of path.split("/"))
		if (bannedNames.test(part)) say(`"${part}" says nothing; name it after what it holds`);
	if (notes.test(text)) say("a note to do later: do it, or open an issue");
	if (silencers.test(text)) say("the type checker is silenced: fix the type");
	if (anything.test(code) && !Object.hasOwn(anyAllowed, path))
		say("`any`: use `unknown` and narrow it");
	const silenced = lines.find((line) => /lint-disable/.test(line) && !/ -- \S/.test(line));
	if (silenced !== undefined) say("a lint rule is switched off without a reason after ` -- `");
	const wide = lines.findIndex(tooWide) + 1;
	if (wide > 0) say(`line ${wide} is wider than ${columnsMax} columns`);
	const wrongHeader = headerViolation(source);
	if (wrongHeader !== undefined) say(wrongHeader);
	return found;
}

function tooWide(line: string): boolean {
	const columns = line.replaceAll("\t", "  ").length;
	return columns > textColumnsMax || (columns > columnsMax && !/["'`/]/.test(line));
}

function headerViolation({ path, text }: Source): string | undefined {
	if (!path.startsWith("server/") || isTest(path) || path.endsWith("/index.ts")) return undefined;
	const header = /^\/\*\*[\s\S]*?\*\//.exec(text)?.[0];
	if (header === undefined) return "no header comment that says what the file is for";
	if (header.split("\n").length > headerLinesMax)
		return "the header is an essay; six lines will do";
	return undefined;
}

const outside = new RegExp(["\\.\\./" + "shared", "(?<![\\w.])/" + "work/"].join("|"));

/** For every file of the repository: it stands alone, so it mentions no place beside it. */
export function placeViolations(path: string, text: string): string[] {
	return outside.test(text) ? [`${path}: mentions a place outside the repository`] : [];
}
