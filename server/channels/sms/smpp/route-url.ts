/**
 * A route written as one line:
 * `smpp://systemId:password@host:port?window=200&tps=0&binds=1&mode=transceiver&dialect=standard`
 * (`smpps://` or `tls=1` for TLS). Unknown parameters are refused, so that a misspelt limit is not
 * silently without effect. Error sentences never repeat what was given: it holds a password.
 */
import { Secret } from "#platform/hidden.ts";
import { dialects } from "./dialect.ts";
import { limits } from "./pdu.ts";
import type { SmppRoute } from "./pool.ts";

export type RouteRead =
	| { readonly ok: true; readonly route: SmppRoute }
	| { readonly ok: false; readonly reason: string };

const modes = ["transceiver", "transmitter"] as const;
const parameters = [
	"window",
	"tps",
	"binds",
	"receivers",
	"mode",
	"tls",
	"dialect",
	"response_ms",
] as const;
type Parameter = (typeof parameters)[number];

/**
 * Reads a route URL. `receivers` adds so many receiver binds, for `mode=transmitter`; `response_ms` is
 * how long an answer may take before a submit's outcome is unknown, the session's own time unless given.
 */
export function readRouteUrl(text: string): RouteRead {
	const url = text.length <= 2_048 && URL.canParse(text) ? new URL(text) : undefined;
	if (url === undefined) return no("is not a URL of the form smpp://systemId:password@host:port");
	if (url.protocol !== "smpp:" && url.protocol !== "smpps:")
		return no("must begin with smpp:// or smpps://");
	const unknown = [...url.searchParams.keys()].filter(
		(key) => !parameters.includes(key as Parameter),
	);
	if (unknown.length > 0) return no(`has parameters other than ${parameters.join(", ")}`);
	if (new Set(url.searchParams.keys()).size !== url.searchParams.size)
		return no("gives a parameter twice");
	if ((url.pathname !== "" && url.pathname !== "/") || url.hash !== "")
		return no("has a path or a fragment");
	return readParts(url, (name) => url.searchParams.get(name) ?? undefined);
}

function no(what: string): RouteRead {
	return { ok: false, reason: `The SMPP route ${what}.` };
}

function readParts(url: URL, given: (name: Parameter) => string | undefined): RouteRead {
	const systemId = credential(url.username, limits.systemId);
	const password = credential(url.password, limits.password);
	if (systemId === undefined || systemId === "")
		return no("needs a systemId of 1 to 63 Latin-1 characters");
	if (password === undefined) return no("has a password that is not 0 to 63 Latin-1 characters");
	const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
	if (host === "") return no("needs a host");
	const tls = flag(given("tls"), url.protocol === "smpps:");
	if (tls === undefined) return no("has a tls that is neither 0 nor 1");
	if (!tls && url.protocol === "smpps:") return no("says both smpps:// and tls=0");
	const numbers = readNumbers(given);
	if (typeof numbers === "string") return no(numbers);
	const mode = modes.find((one) => one === (given("mode") ?? "transceiver"));
	if (mode === undefined) return no(`has a mode other than ${modes.join(" and ")}`);
	const dialect = dialects.get(given("dialect") ?? "standard");
	if (dialect === undefined)
		return no(`has a dialect other than ${[...dialects.keys()].join(", ")}`);
	const port = url.port === "" ? (tls ? 3550 : 2775) : Number(url.port);
	if (port === 0) return no("has port 0");
	return {
		ok: true,
		route: {
			host,
			port,
			tls: tls ? {} : undefined,
			systemId,
			password: new Secret(password),
			dialect,
			binds: { transceiver: 0, transmitter: 0, receiver: numbers.receivers, [mode]: numbers.binds },
			window: numbers.window,
			tps: numbers.tps,
			...(numbers.response_ms > 0 && { timers: { responseTimeoutMs: numbers.response_ms } }),
		},
	};
}

/** Percent-decoded; undefined when it cannot go into a bind. */
function credential(encoded: string, most: number): string | undefined {
	try {
		const text = decodeURIComponent(encoded);
		return text.length <= most && /^[\x01-\xff]*$/.test(text) ? text : undefined;
	} catch {
		return undefined;
	}
}

/** Least, most, and what holds when it is not given. */
const ranges = {
	window: { least: 1, most: 10_000, fallback: 10, says: "1 to 10000" },
	tps: { least: 0, most: 100_000, fallback: 0, says: "0 (no limit) to 100000" },
	binds: { least: 1, most: 64, fallback: 1, says: "1 to 64" },
	receivers: { least: 0, most: 64, fallback: 0, says: "0 to 64" },
	response_ms: { least: 100, most: 300_000, fallback: 0, says: "100 to 300000" },
} as const;

type Numbers = Record<keyof typeof ranges, number>;

/** All of them, or what is wrong with the first that is out of its range. */
function readNumbers(given: (name: Parameter) => string | undefined): Numbers | string {
	const numbers: Numbers = { window: 0, tps: 0, binds: 0, receivers: 0, response_ms: 0 };
	for (const name of Object.keys(ranges) as (keyof Numbers)[]) {
		const { least, most, fallback, says } = ranges[name];
		const text = given(name);
		const number = text === undefined ? fallback : Number(text);
		const fits =
			text === undefined || (/^\d{1,6}$/.test(text) && number >= least && number <= most);
		if (!fits) return `has a ${name} that is not a whole number from ${says}`;
		numbers[name] = number;
	}
	return numbers;
}

function flag(text: string | undefined, fallback: boolean): boolean | undefined {
	if (text === undefined) return fallback;
	return text === "1" ? true : text === "0" ? false : undefined;
}
