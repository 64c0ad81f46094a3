/**
 * Who may be spoken to: resolves a name once and permits all of its addresses or none, and judges the
 * far end of an open socket. Opens no connection itself.
 */
import { lookup } from "node:dns/promises";
import net from "node:net";
import os from "node:os";
import { judgeAddress, type Range, readAddress } from "./egress-address.ts";

/** Every address of a name, as text. Rejects when the name has none or cannot be resolved. */
export type Resolver = (host: string) => Promise<readonly string[]>;

export type Resolved =
	| { readonly kind: "checked"; readonly addresses: readonly string[] }
	| { readonly kind: "refused"; readonly reason: "refused_address" | "dns" | "timeout" };

export interface GuardParts {
	readonly resolve?: Resolver;
	/** This machine's own addresses; refused unless allow-listed. */
	readonly ownAddresses?: () => readonly string[];
	readonly connectTimeoutMs?: number;
}

/** getaddrinfo blocks one of libuv's four threads; slow name servers must not take them all. */
const lookupsMax = 2;

const systemResolver: Resolver = async (host) =>
	(await lookup(host, { all: true })).map(({ address }) => address);

/** Asks once for a name that many ask for at the same time, and for at most `most` names at once. */
export function shareLookups(resolve: Resolver, most: number): Resolver {
	const asking = new Map<string, ReturnType<Resolver>>();
	const waiting: (() => void)[] = [];
	let running = 0;
	const ask: Resolver = async (host) => {
		if (running >= most) await new Promise<void>((go) => waiting.push(go));
		else running++;
		try {
			return await resolve(host);
		} finally {
			asking.delete(host);
			const next = waiting.shift();
			if (next === undefined) running--;
			else next();
		}
	};
	return (host) => {
		const asked = asking.get(host) ?? ask(host);
		asking.set(host, asked);
		return asked;
	};
}

/** `onlyAllowed`: the address must be allow-listed, being public is not enough. */
export interface Guard {
	resolve(host: string, onlyAllowed: boolean): Promise<Resolved>;
	permits(address: string | undefined, onlyAllowed: boolean): boolean;
}

export function createGuard(parts: GuardParts, allow: readonly Range[]): Guard {
	const resolve = parts.resolve ?? shareLookups(systemResolver, lookupsMax);
	const own = parts.ownAddresses ?? interfaceAddresses;
	const permits = (address: string | undefined, onlyAllowed: boolean): boolean => {
		const verdict = address === undefined ? "denied" : judgeAddress(address, allow, own);
		return verdict === "allowed" || (verdict === "public" && !onlyAllowed);
	};
	return {
		permits,
		async resolve(host, onlyAllowed) {
			const literal = readAddress(host) !== undefined;
			const found = literal
				? [host]
				: await within(resolve(host), parts.connectTimeoutMs ?? 5_000).catch(() => []);
			if (found === "timeout") return { kind: "refused", reason: "timeout" };
			if (found.length === 0) return { kind: "refused", reason: "dns" };
			// One forbidden address among many spoils them all: which one is used must not be luck.
			if (!found.every((address) => permits(address, onlyAllowed)))
				return { kind: "refused", reason: "refused_address" };
			return { kind: "checked", addresses: [...new Set(found)] };
		},
	};
}

function interfaceAddresses(): readonly string[] {
	return Object.values(os.networkInterfaces()).flatMap((all) =>
		(all ?? []).map(({ address }) => address),
	);
}

async function within<T>(work: Promise<T>, timeoutMs: number): Promise<T | "timeout"> {
	const { promise, resolve } = Promise.withResolvers<"timeout">();
	const timer = setTimeout(() => resolve("timeout"), timeoutMs);
	return Promise.race([work, promise]).finally(() => clearTimeout(timer));
}

/** The guard in the shape `net.connect` takes. */
export function lookupThrough(guard: Guard): net.LookupFunction {
	return (host, options, callback) => {
		void guard.resolve(host, false).then((found) => {
			const wanted = Number(String(options.family ?? 0).replace("IPv", ""));
			const usable = (found.kind === "checked" ? found.addresses : [])
				.map((address) => ({ address, family: net.isIP(address) }))
				.filter(({ family }) => wanted === 0 || family === wanted);
			const first = usable[0];
			if (first === undefined) {
				const reason = found.kind === "refused" ? found.reason : "dns";
				const error = Object.assign(new Error(reason), { code: `E${reason.toUpperCase()}` });
				callback(error, options.all === true ? [] : "", 0);
			} else if (options.all === true) callback(null, usable);
			else callback(null, first.address, first.family);
		});
	};
}
