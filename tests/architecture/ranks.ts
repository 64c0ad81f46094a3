/**
 * Who may import whom: a folder of server/ imports only from folders of lower rank, other modules only
 * by their index.ts, and platform's files one by one. An index.ts re-exports and does nothing else.
 */
import { posix } from "node:path";
import { type Import, isTest, isTestSupport, moduleOf, type Source } from "./sources.ts";

export const ranks: Readonly<Record<string, number>> = {
	platform: 0,
	vault: 1,
	audit: 2,
	policy: 2,
	access: 3,
	contacts: 4,
	templates: 4,
	channels: 4,
	webhooks: 4,
	messages: 5,
	campaigns: 6,
	privacy: 7,
	trust: 8,
	processes: 9,
};

export function rankViolations(source: Source): string[] {
	const own = moduleOf(source.path);
	const found = source.imports.flatMap((one) => {
		const wrong =
			own === undefined ? wrongOutside(source, one) : wrongInside(source.path, own, one);
		return wrong === undefined ? [] : [`${source.path} imports "${one.from}": ${wrong}`];
	});
	if (own !== undefined && ranks[own] === undefined)
		found.push(`${source.path}: ${own} has no rank; see tests/architecture/ranks.ts`);
	if (own !== undefined && source.path.endsWith("/index.ts") && hasCode(source))
		found.push(`${source.path}: an index.ts only re-exports; move the code to a file of its own`);
	return found;
}

function wrongInside(path: string, own: string, { from, dynamic }: Import): string | undefined {
	if (dynamic && from === "") return "a computed import hides what is needed; name the module";
	if (from.startsWith(".")) return wrongRelative(path, own, from);
	if (!from.startsWith("#")) return undefined;
	const [other = "", ...rest] = from.slice(1).split("/");
	if (other === own) return "a module imports its own files by relative path";
	const [mine, theirs] = [ranks[own], ranks[other]];
	if (theirs === undefined) return `${other} is not a module`;
	if (mine !== undefined && theirs === mine)
		return `${own} and ${other} have the same rank and are strangers; talk through the outbox`;
	if (mine !== undefined && theirs > mine)
		return `${other} ranks above ${own}; pass what is needed as an argument`;
	return wrongDoor(other, rest);
}

function wrongRelative(path: string, own: string, from: string): string | undefined {
	const target = posix.join(posix.dirname(path), from);
	if (isTest(path) && target.startsWith("tests/support/")) return undefined;
	if (!target.startsWith(`server/${own}/`))
		return "a relative path leaves the module; use #module/index.ts";
	if (isTestSupport(target) && !isTest(path)) return "only tests may use what is made for tests";
	return /\.(ts|json)$/.test(target) ? undefined : "a relative import ends in .ts or .json";
}

function wrongDoor(other: string, rest: readonly string[]): string | undefined {
	if (other === "platform" || rest.join("/") === "index.ts") return undefined;
	return `${other} is imported through #${other}/index.ts only`;
}

/** Tools use modules as other modules do. Tests may look inside, and benchmarks, which play a carrier. */
function wrongOutside({ path }: Source, { from }: Import): string | undefined {
	if (path.startsWith("tests/") || path.startsWith("bench/") || isTest(path)) return undefined;
	if (/^(\.\.\/)+server\/(?!platform\/)/.test(from)) return "use #module/index.ts";
	if (!from.startsWith("#") || from.startsWith("#processes/")) return undefined;
	const [other = "", ...rest] = from.slice(1).split("/");
	return wrongDoor(other, rest);
}

const reExport = /export\s+(?:type\s+)?(?:\*(?:\s+as\s+\w+)?|\{[^}]*\})\s+from\s+"[^"]*";?/g;

function hasCode({ code }: Source): boolean {
	return code.replace(reExport, "").trim() !== "";
}
