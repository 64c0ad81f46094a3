/**
 * What a URL given by a customer must look like before anything is resolved: parsed once, by the WHATWG
 * URL standard, and used only as parsed. Whatever two parsers could read differently (credentials,
 * backslashes, white space, a missing `//`) is refused rather than repaired. Pure: no names are resolved.
 */
import { judgeAddress, type Range, readAddress } from "./egress-address.ts";

export const urlLengthMax = 2048;
const ports: readonly number[] = [443, 8443];

export type UrlRefusal =
	| "too_long"
	| "unreadable"
	| "scheme"
	| "credentials"
	| "fragment"
	| "host"
	| "address"
	| "port";

export interface JudgedUrl {
	readonly kind: "judged";
	readonly secure: boolean;
	/** ASCII, lower case, no brackets: a name, or the text of an allow-listed address. */
	readonly host: string;
	/** What the Host header says. */
	readonly authority: string;
	readonly port: number;
	/** Path and query. */
	readonly target: string;
	/** True when something about it (plain http, its port, its name) is tolerated only towards allow-listed addresses. */
	readonly onlyAllowed: boolean;
}

export type UrlJudgement = JudgedUrl | { readonly kind: "refused"; readonly reason: UrlRefusal };

const refused = (reason: UrlRefusal): UrlJudgement => ({ kind: "refused", reason });

/** Judges the text of a URL. With an empty `allow`, only https to a public name on 443 or 8443 passes. */
export function judgeUrl(text: string, allow: readonly Range[]): UrlJudgement {
	if (text.length > urlLengthMax) return refused("too_long");
	// Control characters, any white space and backslashes: parsers drop or translate them differently.
	if (text === "" || /[\p{C}\s\\]/u.test(text)) return refused("unreadable");
	const scheme = /^(https?):\/\//i.exec(text);
	if (scheme === null) return refused("scheme");
	const authority = text.slice(scheme[0].length).split(/[/?#]/, 1)[0] as string;
	if (authority.includes("@")) return refused("credentials");
	if (text.includes("#")) return refused("fragment");
	const url = URL.parse(text);
	if (url === null || authority === "") return refused("host");
	if (url.href.length > urlLengthMax) return refused("too_long");
	if (url.username !== "" || url.password !== "") return refused("credentials");
	return judgeParsed(url, allow);
}

function judgeParsed(url: URL, allow: readonly Range[]): UrlJudgement {
	const secure = url.protocol === "https:";
	const port = url.port === "" ? (secure ? 443 : 80) : Number(url.port);
	const host = url.hostname.replace(/^\[|\]$/g, "");
	const literal = readAddress(host);
	if (literal === undefined && !isName(host)) return refused("host");
	if (literal !== undefined && judgeAddress(host, allow) !== "allowed") return refused("address");
	if (port === 0) return refused("port");
	const nothingAllowed = allow.length === 0;
	if (!secure && nothingAllowed) return refused("scheme");
	if (!ports.includes(port) && nothingAllowed) return refused("port");
	if (isLocalName(host) && literal === undefined && nothingAllowed) return refused("host");
	return {
		kind: "judged",
		secure,
		host,
		authority: url.host,
		port,
		target: url.pathname + url.search,
		onlyAllowed: !secure || !ports.includes(port) || (literal === undefined && isLocalName(host)),
	};
}

/** RFC 1123 §2.1 with underscores tolerated, 253 characters, labels of 63; no trailing dot. */
function isName(host: string): boolean {
	if (host.length > 253) return false;
	return host.split(".").every((label) => /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/.test(label));
}

/** Names that mean something only inside: a single label, and RFC 6761, 6762, 8375 and ICANN's `internal`. */
function isLocalName(host: string): boolean {
	if (!host.includes(".")) return true;
	return /\.(localhost|local|localdomain|internal|intranet|lan|home\.arpa|onion)$/.test(host);
}
