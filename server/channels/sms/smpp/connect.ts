/**
 * Opens the socket to an SMSC, plain or TLS. TLS always verifies the peer: by the machine's roots, or
 * by the route's own. With a `Reach` (the platform's egress guard) only permitted networks are spoken
 * to: the name is resolved through it and the address looked at again before the first octet. A
 * failure is a value that names its kind and holds no address.
 */
import { connect as connectPlain, isIP, type LookupFunction, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

export interface Target {
	readonly host: string;
	readonly port: number;
	readonly tls: TlsSettings | undefined;
}

export interface TlsSettings {
	/** PEM of the authorities to trust instead of the machine's. */
	readonly ca?: string;
	/** The name the certificate must carry, when it is not `host`. */
	readonly serverName?: string;
}

/** The part of the platform's `Egress` that is needed here. */
export interface Reach {
	readonly checkedLookup: LookupFunction;
	permits(address: string | undefined): boolean;
}

export type Connected =
	| { readonly ok: true; readonly socket: Socket }
	| { readonly ok: false; readonly reason: string };

export interface OpenOptions {
	readonly timeoutMs: number;
	/** Gives the attempt up. */
	readonly signal: AbortSignal;
	readonly reach: Reach | undefined;
}

export function openSocket(target: Target, options: OpenOptions): Promise<Connected> {
	const { host, port, tls } = target;
	const { signal, reach } = options;
	if (isIP(host) !== 0 && reach?.permits(host) === false)
		return Promise.resolve({ ok: false, reason: "refused_address" });
	return new Promise((resolve) => {
		const to = { host, port, ...(reach !== undefined && { lookup: reach.checkedLookup }) };
		const socket =
			tls === undefined ? connectPlain(to) : connectTls({ ...to, ...tlsOptions(host, tls) });
		const settle = (result: Connected): void => {
			clearTimeout(timer);
			signal.removeEventListener("abort", giveUp);
			if (!result.ok) socket.destroy();
			resolve(result);
		};
		const fail = (reason: string): void => settle({ ok: false, reason });
		const giveUp = (): void => fail("stopped");
		const timer = setTimeout(() => fail("timeout"), options.timeoutMs);
		signal.addEventListener("abort", giveUp);
		socket.once("connect", () => {
			if (reach?.permits(socket.remoteAddress) === false) fail("refused_address");
			else if (tls === undefined) settle({ ok: true, socket });
		});
		socket.once("secureConnect", () => settle({ ok: true, socket }));
		socket.on("error", (error: NodeJS.ErrnoException) => fail(error.code ?? "socket_error"));
	});
}

function tlsOptions(host: string, tls: TlsSettings): object {
	const name = tls.serverName ?? host;
	return {
		minVersion: "TLSv1.2",
		...(isIP(name) === 0 && { servername: name }),
		...(tls.ca !== undefined && { ca: tls.ca }),
	};
}
