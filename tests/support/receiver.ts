/** A customer's webhook receiver on loopback: keeps what it is sent, as it came, and answers as told. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after } from "node:test";
import { type Json, until } from "./http.ts";

export interface Received {
	readonly headers: Readonly<Record<string, string>>;
	readonly raw: string;
	readonly body: Json;
}

export interface Receiver {
	readonly url: string;
	readonly received: readonly Received[];
	/** The first delivery that fits, waited for. */
	find(what: string, fits: (delivery: Received) => boolean, withinMs?: number): Promise<Received>;
}

/** `status` answers every delivery; by default 204. It stops when the file's tests are done. */
export async function startReceiver(status = (): number => 204): Promise<Receiver> {
	const received: Received[] = [];
	const server = createServer((request, response) => {
		const chunks: Buffer[] = [];
		request.on("data", (chunk: Buffer) => void chunks.push(chunk));
		request.on("end", () => {
			const raw = Buffer.concat(chunks).toString("utf8");
			const headers = request.headers as Record<string, string>;
			received.push({ headers, raw, body: JSON.parse(raw) as Json });
			response.writeHead(status()).end();
		});
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	after(() => {
		server.close();
		server.closeAllConnections();
	});
	const { port } = server.address() as AddressInfo;
	return {
		url: `http://127.0.0.1:${port}/hook`,
		received,
		async find(what, fits, withinMs) {
			const found = await until(
				what,
				() => received.find(fits),
				(one) => one !== undefined,
				withinMs,
			);
			return found as Received;
		},
	};
}
