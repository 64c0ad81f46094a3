import assert from "node:assert/strict";
import net, { type AddressInfo } from "node:net";
import { after, describe, it } from "node:test";
import tls from "node:tls";
import { systemClock } from "./clock.ts";
import { createEgress, type EgressParts } from "./egress.ts";
import { certificate, key } from "./egress-test-certificate.ts";

const loopback = ["127.0.0.0/8"];
const closers: (() => unknown)[] = [];
after(() => Promise.all(closers.map((close) => close())));

function egressWith(parts: Partial<EgressParts>): ReturnType<typeof createEgress> {
	const egress = createEgress({ allow: [], clock: systemClock, ownAddresses: () => [], ...parts });
	closers.push(() => egress.close());
	return egress;
}

async function listen(server: net.Server): Promise<number> {
	const open = new Set<net.Socket>();
	server.on("connection", (socket: net.Socket) => {
		open.add(socket);
		socket.on("error", () => undefined);
	});
	await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
	closers.push(() => {
		for (const socket of open) socket.destroy();
		return new Promise((done) => server.close(done));
	});
	return (server.address() as AddressInfo).port;
}

describe("TLS", () => {
	async function secureReceiver(
		options: tls.TlsOptions,
	): Promise<[port: number, names: unknown[]]> {
		const names: unknown[] = [];
		const server = tls.createServer({ key, cert: certificate, ...options }, (socket) => {
			names.push(socket.servername);
			socket.on("error", () => undefined);
			socket.once("data", () => socket.end("HTTP/1.1 204 No Content\r\n\r\n"));
		});
		server.on("tlsClientError", () => undefined);
		return [await listen(server), names];
	}
	const resolve = async (): Promise<string[]> => ["127.0.0.1"];
	const trusting = { allow: loopback, resolve, certificateAuthorities: certificate };

	const cases: [
		what: string,
		server: tls.TlsOptions,
		host: string,
		parts: Partial<EgressParts>,
		expected: string,
	][] = [
		["a certificate that is trusted and names the host", {}, "receiver.test", trusting, "204"],
		["a certificate of another host", {}, "other.test", trusting, "tls"],
		["a certificate nobody vouches for", {}, "receiver.test", { allow: loopback, resolve }, "tls"],
		["TLS 1.2", { maxVersion: "TLSv1.2" }, "receiver.test", trusting, "204"],
		[
			"TLS 1.1",
			{ minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" },
			"receiver.test",
			trusting,
			"tls",
		],
	];
	for (const [what, server, host, parts, expected] of cases)
		it(`${what} → ${expected}`, async () => {
			const [port, names] = await secureReceiver(server);
			const outcome = await egressWith(parts).post(`https://${host}:${port}/`, {}, "{}");
			assert.equal(outcome.kind === "answered" ? String(outcome.status) : outcome.reason, expected);
			if (expected === "204") assert.deepEqual(names, [host]);
		});

	it("a listener that never answers the hello is given up after the connect timeout", async () => {
		const port = await listen(net.createServer());
		const egress = egressWith({ ...trusting, connectTimeoutMs: 150 });
		const outcome = await egress.post(`https://receiver.test:${port}/`, {}, "{}");
		assert.partialDeepStrictEqual(outcome, { kind: "failed", reason: "timeout" });
	});
});
