import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { Worker } from "node:worker_threads";
import Fastify, { type FastifyInstance } from "fastify";
import { listenHttp } from "./http-listen.ts";

const host = "127.0.0.1";
const skip = process.platform === "linux" ? false : "the system does not share ports";

function appOf(connections = 4_096): FastifyInstance {
	const app = Fastify({ logger: false });
	app.server.maxConnections = connections;
	// As the product's own: a connection whose answer has been sent does not linger.
	app.addHook("preClose", (done) => {
		app.server.keepAliveTimeout = 1;
		done();
	});
	return app;
}

/** Closes the app at the end, when `before` has ended its clients. */
async function listening(
	context: TestContext,
	app: FastifyInstance,
	before: () => unknown = () => undefined,
): Promise<number> {
	const url = new URL(await listenHttp(app, { host, port: 0 }));
	context.after(async () => {
		await before();
		await app.close();
	});
	return Number(url.port);
}

/** Opens connections from another thread, so that this one may be busy meanwhile. */
const opener = `
	const { connect } = require("node:net");
	const { parentPort, workerData } = require("node:worker_threads");
	parentPort.once("message", () => {
		for (let i = 0; i < workerData.count; i++) connect(workerData.port, "127.0.0.1").on("error", () => 0);
	});
	parentPort.postMessage("ready");
`;

test("many new connections are accepted in few turns", { skip }, async (context) => {
	const app = appOf();
	const workers: Worker[] = [];
	const port = await listening(context, app, () => workers[0]?.terminate());
	const count = 64;
	const worker = new Worker(opener, { eval: true, workerData: { port, count } });
	workers.push(worker);
	await once(worker, "message");
	let accepted = 0;
	app.server.on("connection", () => void accepted++);
	worker.postMessage("go", []);
	const until = performance.now() + 200;
	while (performance.now() < until);
	let turns = 0;
	for (; accepted < count && turns < count; turns++)
		await new Promise<void>((resolve) => void setImmediate(resolve));
	assert.equal(accepted, count);
	// One a turn would be 64; the kernel spreads them over eight sockets by chance.
	assert.ok(turns < count / 2, `${turns} turns`);
});

test("a port that somebody else has is refused, also when they would share it", {
	skip,
}, async (context) => {
	const others = [{}, { reusePort: true }];
	for (const options of others) {
		const other = createServer();
		other.listen({ host, port: 0, ...options });
		await once(other, "listening");
		context.after(() => void other.close());
		const { port } = other.address() as { port: number };
		await assert.rejects(listenHttp(appOf(), { host, port }), { code: "EADDRINUSE" });
	}
	const first = appOf();
	const port = await listening(context, first);
	await assert.rejects(listenHttp(appOf(), { host, port }), { code: "EADDRINUSE" });
});

test("connections are counted over all sockets", { skip }, async (context) => {
	const sockets: Socket[] = [];
	const port = await listening(context, appOf(10), () => {
		for (const socket of sockets) socket.destroy();
	});
	let open = 0;
	for (let i = 0; i < 30; i++) {
		const socket = connect(port, host);
		socket.on("error", () => undefined).on("close", () => void open--);
		await once(socket, "connect");
		open++;
		sockets.push(socket);
	}
	await new Promise((resolve) => setTimeout(resolve, 200));
	assert.equal(open, 10);
	sockets.find((socket) => !socket.destroyed)?.destroy();
	await new Promise((resolve) => setTimeout(resolve, 100));
	const another = connect(port, host);
	sockets.push(another);
	await once(another, "connect");
	await new Promise((resolve) => setTimeout(resolve, 100));
	assert.equal(another.destroyed || another.readableEnded, false);
});

test("closing waits for answers under way on any socket, and frees the port", {
	skip,
}, async (context) => {
	const app = appOf();
	const held: (() => void)[] = [];
	app.get("/", async () => {
		await new Promise<void>((resolve) => void held.push(resolve));
		return "done";
	});
	const port = await listening(context, app);
	const answers = Array.from({ length: 24 }, () =>
		fetch(`http://${host}:${port}/`).then((answer) => answer.text()),
	);
	while (held.length < answers.length) await new Promise((resolve) => setTimeout(resolve, 10));
	let isClosed = false;
	const closing = app.close().then(() => void (isClosed = true));
	await new Promise((resolve) => setTimeout(resolve, 100));
	assert.equal(isClosed, false);
	await assert.rejects(fetch(`http://${host}:${port}/`), "nothing new is accepted");
	for (const answer of held) answer();
	assert.deepEqual(
		await Promise.all(answers),
		answers.map(() => "done"),
	);
	await closing;
	const next = createServer();
	next.listen({ host, port });
	await once(next, "listening");
	next.close();
});

test("closing does not wait for connections without a request, or with a part of one", async () => {
	const app = appOf();
	app.get("/", async () => "done");
	const port = Number(new URL(await listenHttp(app, { host, port: 0 })).port);
	const sockets = await Promise.all(
		Array.from({ length: 20 }, async (_, i) => {
			const socket = connect(port, host);
			socket.on("error", () => undefined);
			await once(socket, "connect");
			if (i % 2 === 1) socket.write("GET / HTTP/1.1\r\nHo");
			return socket;
		}),
	);
	const used = await fetch(`http://${host}:${port}/`);
	assert.equal(await used.text(), "done");
	await new Promise((resolve) => setTimeout(resolve, 100));
	const beganMs = performance.now();
	await app.close();
	assert.ok(performance.now() - beganMs < 5_000, "it closes soon");
	for (const socket of sockets) socket.destroy();
});
