/**
 * Listens over several sockets on one port (SO_REUSEPORT, socket(7)): libuv accepts one connection from each in a turn of
 * the event loop, so that with one alone a few hundred new connections keep everybody else's waiting for as many turns.
 * Where the system cannot share a port there is one.
 */
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import type { FastifyInstance } from "fastify";

/** Connections accepted in a turn. */
const acceptors = 8;

/** At the close, milliseconds: for a request that has begun to arrive, and for any that is under way. */
const silentMs = 1_000;
const closeMs = 15_000;

export interface ListenAt {
	readonly host: string;
	/** 0: any that is free. */
	readonly port: number;
}

/**
 * The base URL. Closing the app closes them all, in a bounded time. Throws EADDRINUSE also when whoever has the port would
 * share it.
 */
export async function listenHttp(app: FastifyInstance, { host, port }: ListenAt): Promise<string> {
	watchConnections(app);
	if (process.platform !== "linux") return app.listen({ host, port });
	if (port !== 0) await demandFree({ host, port });
	const others: Server[] = [];
	const closed: Promise<unknown>[] = [];
	app.addHook("preClose", (done) => {
		for (const server of others) closed.push(new Promise((resolve) => server.close(resolve)));
		done();
	});
	app.addHook("onClose", async () => void (await Promise.all(closed)));
	const baseUrl = await app.listen({ host, port, reusePort: true } as ListenAt);
	const at = { host, port: Number(new URL(baseUrl).port), reusePort: true };
	for (let i = 1; i < acceptors; i++) {
		// As node's own HTTP server is made.
		const server = createServer({ allowHalfOpen: true, noDelay: true });
		server.on("connection", (socket) => void app.server.emit("connection", socket));
		server.listen(at);
		await once(server, "listening");
		others.push(server);
	}
	return baseUrl;
}

/**
 * Counts connections over all sockets, of which each knows its own only. At the close node waits for every connection that
 * is not idle, and takes one that has not sent a request yet for busy: a browser's spare connection would keep the process
 * for ever. Such ones are ended, and after a time all are.
 */
function watchConnections(app: FastifyInstance): void {
	const { server } = app;
	const most = server.maxConnections;
	const open = new Set<Socket>();
	/** Without a request so far. */
	const silent = new Set<Socket>();
	const timers: NodeJS.Timeout[] = [];
	const end = (sockets: ReadonlySet<Socket>): void => {
		for (const socket of sockets) socket.destroy();
	};
	server.on("connection", (socket: Socket) => {
		if (open.size >= most) return void socket.destroy();
		open.add(socket);
		silent.add(socket);
		socket.once("close", () => {
			open.delete(socket);
			silent.delete(socket);
		});
	});
	server.on("request", ({ socket }: { readonly socket: Socket }) => void silent.delete(socket));
	app.addHook("preClose", (done) => {
		end(new Set([...silent].filter((socket) => socket.bytesRead === 0)));
		timers.push(
			setTimeout(() => end(silent), silentMs),
			setTimeout(() => end(open), closeMs),
		);
		done();
	});
	app.addHook("onClose", async () => {
		for (const timer of timers) clearTimeout(timer);
	});
}

/** A port that is shared is shared with any process of this user: not with one that was there before. */
async function demandFree(at: ListenAt): Promise<void> {
	const probe = createServer();
	probe.listen(at);
	await once(probe, "listening");
	probe.close();
	await once(probe, "close");
}
