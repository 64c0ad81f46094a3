import assert from "node:assert/strict";
import http from "node:http";
import net, { type AddressInfo } from "node:net";
import { after, describe, it } from "node:test";
import { manualClock, systemClock } from "./clock.ts";
import { createEgress, type Egress, type EgressParts } from "./egress.ts";

const loopback = ["127.0.0.0/8", "::1/128"];
const publicAddress = "93.184.215.14";
const closers: (() => unknown)[] = [];
after(() => Promise.all(closers.map((close) => close())));

function egressWith(parts: Partial<EgressParts>): Egress {
	const egress = createEgress({ allow: [], clock: systemClock, ownAddresses: () => [], ...parts });
	closers.push(() => egress.close());
	return egress;
}

interface Receiver {
	readonly port: number;
	readonly requests: { url: string; headers: http.IncomingHttpHeaders; body: string }[];
	connections(): number;
}

async function receiver(
	answer: (request: http.IncomingMessage, response: http.ServerResponse) => void,
): Promise<Receiver> {
	const requests: Receiver["requests"] = [];
	let connections = 0;
	const server = http.createServer((request, response) => {
		let body = "";
		request.on("data", (chunk) => {
			body += chunk;
		});
		request.on("end", () => {
			requests.push({ url: request.url ?? "", headers: request.headers, body });
			answer(request, response);
		});
	});
	server.on("connection", () => connections++);
	return { port: await listen(server), requests, connections: () => connections };
}

/** Counts connections and bytes: what must never be reached. */
async function canary(): Promise<{ port: number; bytes(): number; connections(): number }> {
	let bytes = 0;
	let connections = 0;
	const server = net.createServer((socket) => {
		connections++;
		socket.on("data", (chunk) => {
			bytes += chunk.length;
		});
		socket.on("error", () => undefined);
	});
	return { port: await listen(server), bytes: () => bytes, connections: () => connections };
}

async function listen(server: net.Server): Promise<number> {
	const open = new Set<net.Socket>();
	server.on("connection", (socket: net.Socket) => {
		open.add(socket);
		socket.on("close", () => open.delete(socket));
	});
	await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
	closers.push(() => {
		for (const socket of open) socket.destroy();
		return new Promise((done) => server.close(done));
	});
	return (server.address() as AddressInfo).port;
}

const ok = (_: http.IncomingMessage, response: http.ServerResponse): void => {
	response.end("fine");
};

describe("the guard", () => {
	it("looks at every address at the moment of sending, not when the endpoint was made", async () => {
		const trap = await canary();
		const answers = [[publicAddress], ["127.0.0.1"]];
		const dialled: string[] = [];
		const egress = egressWith({
			resolve: async () => answers.shift() ?? [],
			dial: (address) => {
				dialled.push(address);
				return net.connect(trap.port, "127.0.0.1");
			},
		});
		const url = "https://rebinding.test/";
		assert.deepEqual(await egress.check(url), { kind: "passed" });
		const outcome = await egress.post(url, {}, "{}");
		assert.partialDeepStrictEqual(outcome, { kind: "failed", reason: "refused_address" });
		assert.deepEqual(dialled, []);
		assert.equal(trap.connections(), 0);
	});

	it("asks the resolver once and dials what it said, so a second answer is never used", async () => {
		const dialled: string[] = [];
		let asked = 0;
		const egress = egressWith({
			resolve: async () => (asked++ === 0 ? [publicAddress] : ["127.0.0.1"]),
			dial: (address) => {
				dialled.push(address);
				const socket = new net.Socket();
				process.nextTick(() => socket.destroy(new Error("unreachable")));
				return socket;
			},
		});
		const outcome = await egress.post("https://rebinding.test/", {}, "{}");
		assert.partialDeepStrictEqual(outcome, { kind: "failed", reason: "connect" });
		assert.deepEqual([asked, dialled], [1, [publicAddress]]);
	});

	for (const url of ["https://hijacked.test/", "https://hijacked.test:8443/"])
		it(`says nothing to a socket that ended elsewhere than it was sent: ${url}`, async () => {
			const trap = await canary();
			const egress = egressWith({
				resolve: async () => [publicAddress],
				dial: () => net.connect(trap.port, "127.0.0.1"),
			});
			const outcome = await egress.post(url, { secret: "x" }, "canary");
			assert.partialDeepStrictEqual(outcome, { kind: "failed", reason: "refused_address" });
			assert.deepEqual([trap.connections(), trap.bytes()], [1, 0]);
		});

	const mixed: [addresses: string[], reason: string][] = [
		[[publicAddress, "::1"], "refused_address"],
		[["2606:2800:21f:cb07:6820:80da:af6b:8b2c", "10.0.0.1"], "refused_address"],
		[[publicAddress, "fe80::1%eth0"], "refused_address"],
		[["::ffff:127.0.0.1"], "refused_address"],
		[["8.8.4.4"], "refused_address"],
		[[], "dns"],
	];
	for (const [addresses, reason] of mixed)
		it(`a name with ${addresses.join(" and ") || "no address"} fails: ${reason}`, async () => {
			const dialled: string[] = [];
			const egress = egressWith({
				resolve: async () => addresses,
				ownAddresses: () => ["8.8.4.4"],
				dial: (address) => {
					dialled.push(address);
					return new net.Socket();
				},
			});
			const outcome = await egress.post("https://mixed.test/", {}, "{}");
			assert.partialDeepStrictEqual(outcome, { kind: "failed", reason });
			assert.deepEqual(dialled, []);
		});

	it("allows plain http only where every address is allow-listed", async () => {
		const target = await receiver(ok);
		const names: Record<string, string[]> = {
			"inside.test": ["127.0.0.1"],
			"outside.test": [publicAddress],
			"both.test": ["127.0.0.1", publicAddress],
		};
		const egress = egressWith({
			allow: loopback,
			resolve: async (host) => names[host] ?? [],
		});
		const reasonOf = async (host: string): Promise<string> => {
			const outcome = await egress.post(`http://${host}:${target.port}/`, {}, "{}");
			return outcome.kind === "answered" ? String(outcome.status) : outcome.reason;
		};
		assert.equal(await reasonOf("127.0.0.1"), "200");
		assert.equal(await reasonOf("inside.test"), "200");
		assert.equal(await reasonOf("outside.test"), "refused_address");
		assert.equal(await reasonOf("both.test"), "refused_address");
		assert.equal(target.requests[1]?.headers.host, `inside.test:${target.port}`);
		const closed = egressWith({});
		assert.partialDeepStrictEqual(await closed.post(`http://127.0.0.1:${target.port}/`, {}, ""), {
			kind: "failed",
			reason: "refused_url",
		});
	});

	it("gives other protocols checked addresses only", async () => {
		const names: Record<string, string[]> = {
			"smsc.test": [publicAddress],
			"in.test": ["10.0.0.1"],
		};
		const egress = egressWith({ resolve: async (host) => names[host] ?? [] });
		assert.deepEqual(await egress.checkedAddresses("smsc.test"), {
			kind: "checked",
			addresses: [publicAddress],
		});
		assert.deepEqual(await egress.checkedAddresses("10.0.0.1"), {
			kind: "refused",
			reason: "refused_address",
		});
		const found = (host: string, all: boolean): Promise<unknown> =>
			new Promise((done) =>
				egress.checkedLookup(host, { all }, (error, address) => done(error?.message ?? address)),
			);
		assert.equal(await found("smsc.test", false), publicAddress);
		assert.deepEqual(await found("smsc.test", true), [{ address: publicAddress, family: 4 }]);
		assert.equal(await found("in.test", false), "refused_address");
		assert.equal(await found("none.test", true), "dns");
		assert.deepEqual(
			[publicAddress, "10.0.0.1", undefined].map((address) => egress.permits(address)),
			[true, false, false],
		);
	});

	it("refuses an allow-list it cannot read", () => {
		assert.throws(() => egressWith({ allow: ["localhost"] }), /CIDR/);
	});
});

describe("the exchange", () => {
	const bounded = { allow: loopback, totalTimeoutMs: 400, connectTimeoutMs: 200 };

	it("posts the bytes given and tells what was answered", async () => {
		const target = await receiver((_, response) => {
			response.writeHead(503, { "retry-after": "120" }).end("é".repeat(2000));
		});
		const egress = egressWith({ allow: loopback });
		const url = `http://127.0.0.1:${target.port}/hook?a=1`;
		const outcome = await egress.post(url, { "webhook-id": "evt_1" }, '{"é":1}');
		assert.partialDeepStrictEqual(outcome, {
			kind: "answered",
			status: 503,
			retryAfterSeconds: 120,
			bodyStart: "é".repeat(512),
		});
		assert.partialDeepStrictEqual(target.requests, [
			{
				url: "/hook?a=1",
				body: '{"é":1}',
				headers: { "webhook-id": "evt_1", "content-length": "8" },
			},
		]);
	});

	it("reads Retry-After as a date, by the clock it was given", async () => {
		const clock = manualClock(Date.parse("2026-01-05T10:00:00Z"));
		const target = await receiver((_, response) => {
			response.writeHead(429, { "retry-after": "Mon, 05 Jan 2026 10:01:30 GMT" }).end();
		});
		const outcome = await egressWith({ allow: loopback, clock }).post(
			`http://127.0.0.1:${target.port}/`,
			{},
			"",
		);
		assert.partialDeepStrictEqual(outcome, { status: 429, retryAfterSeconds: 90 });
	});

	for (const status of [301, 302, 303, 307, 308])
		it(`does not follow a ${status} to loopback`, async () => {
			const trap = await canary();
			const target = await receiver((_, response) => {
				response.writeHead(status, { location: `http://127.0.0.1:${trap.port}/` }).end();
			});
			const outcome = await egressWith({ allow: loopback }).post(
				`http://127.0.0.1:${target.port}/`,
				{},
				"",
			);
			assert.partialDeepStrictEqual(outcome, { kind: "answered", status });
			assert.equal(trap.connections(), 0);
		});

	it("keeps a connection for the same name and address, and for nothing else", async () => {
		const target = await receiver(ok);
		const egress = egressWith({ allow: loopback, resolve: async () => ["127.0.0.1"] });
		const post = (host: string): Promise<unknown> =>
			egress.post(`http://${host}:${target.port}/`, {}, "");
		for (const host of ["a.test", "a.test", "a.test"]) await post(host);
		assert.equal(target.connections(), 1);
		await post("b.test");
		assert.equal(target.connections(), 2);
	});

	it("forgets a kept connection when its name moves to a forbidden address", async () => {
		const target = await receiver(ok);
		const answers = [["127.0.0.1"], ["10.0.0.1"]];
		const egress = egressWith({ allow: loopback, resolve: async () => answers.shift() ?? [] });
		const url = `http://a.test:${target.port}/`;
		assert.equal((await egress.post(url, {}, "")).kind, "answered");
		assert.partialDeepStrictEqual(await egress.post(url, {}, ""), { reason: "refused_address" });
		assert.equal(target.requests.length, 1);
	});

	it("sends again when a kept connection was closed under it", async () => {
		const target = await receiver((request, response) => {
			if (target.requests.length === 2) request.socket.destroy();
			else response.end();
		});
		const egress = egressWith({ allow: loopback });
		const url = `http://127.0.0.1:${target.port}/`;
		assert.partialDeepStrictEqual(await egress.post(url, {}, ""), { status: 200 });
		assert.partialDeepStrictEqual(await egress.post(url, {}, ""), { status: 200 });
		assert.equal(target.requests.length, 3);
	});

	it("gives up on a body that drips", async () => {
		const target = await receiver((_, response) => {
			const timer = setInterval(() => response.write("x"), 20);
			response.on("close", () => clearInterval(timer));
		});
		const outcome = await egressWith(bounded).post(`http://127.0.0.1:${target.port}/`, {}, "");
		assert.partialDeepStrictEqual(outcome, { kind: "failed", reason: "timeout" });
		assert.ok(outcome.durationMs >= 390 && outcome.durationMs < 2000, String(outcome.durationMs));
	});

	it("reads no more than its cap of an endless body", async () => {
		let written = 0;
		const target = await receiver((_, response) => {
			const chunk = Buffer.alloc(16_384, "x");
			const more = (): void => {
				while (!response.destroyed && written < 1e9) {
					written += chunk.length;
					if (!response.write(chunk)) break;
				}
			};
			response.on("drain", more);
			more();
		});
		const outcome = await egressWith({ allow: loopback }).post(
			`http://127.0.0.1:${target.port}/`,
			{},
			"",
		);
		assert.partialDeepStrictEqual(outcome, { kind: "answered", bodyStart: "x".repeat(1024) });
		// What is written beyond the cap sits in socket buffers; it does not grow.
		assert.ok(written < 32e6, String(written));
	});

	const raw: [what: string, answer: string | undefined, reason: string][] = [
		["silence", undefined, "timeout"],
		["no HTTP", "SSH-2.0-OpenSSH_9.2\r\n", "protocol"],
		["headers without end", `HTTP/1.1 200 OK\r\nx: ${"y".repeat(20_000)}`, "too_large"],
		["a flood of interim answers", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(50), "protocol"],
		[
			"an ambiguous length",
			"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
			"protocol",
		],
		["an end in the middle", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nab<end>", "reset"],
		["an end before the answer", "<end>", "reset"],
	];
	for (const [what, answer, reason] of raw)
		it(`${what} is a failure: ${reason}`, async () => {
			const server = net.createServer((socket) => {
				socket.on("error", () => undefined);
				socket.once("data", () => {
					if (answer === undefined) return;
					const text = answer.replace("<end>", "");
					if (text !== answer) socket.end(text);
					else socket.write(text);
				});
			});
			const port = await listen(server);
			const outcome = await egressWith(bounded).post(`http://127.0.0.1:${port}/`, {}, "{}");
			assert.partialDeepStrictEqual(outcome, { kind: "failed", reason });
		});

	it("reports a closed port, a slow resolver and an abort", async () => {
		const closed = await listen(net.createServer());
		await closers.pop()?.();
		const egress = egressWith(bounded);
		assert.partialDeepStrictEqual(await egress.post(`http://127.0.0.1:${closed}/`, {}, ""), {
			reason: "connect",
		});
		const stuck = egressWith({ ...bounded, resolve: () => new Promise(() => undefined) });
		assert.partialDeepStrictEqual(await stuck.post("https://slow.test/", {}, ""), {
			reason: "timeout",
		});
		const target = await receiver(() => undefined);
		const abort = new AbortController();
		setTimeout(() => abort.abort(), 50);
		const aborted = egress.post(`http://127.0.0.1:${target.port}/`, {}, "", {
			signal: abort.signal,
		});
		assert.partialDeepStrictEqual(await aborted, { reason: "reset" });
	});
});
