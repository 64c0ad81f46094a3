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

export interface ListenAt {
	readonly host: string;
	/** 0: any that is free. */
	readonly port: number;
}

/** The base URL. Closing the app closes them all. Throws EADDRINUSE also when whoever has the port would share it. */
export async function listenHttp(app: FastifyInstance, { host, port }: ListenAt): Promise<string> {
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
	const limit = limiter(app);
	app.server.on("connection", limit);
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

/** `maxConnections` counts those of one socket: here all of them are counted. */
function limiter({ server }: FastifyInstance): (socket: Socket) => void {
	const most = server.maxConnections;
	let open = 0;
	return (socket) => {
		open++;
		socket.once("close", () => void open--);
		if (open > most) socket.destroy();
	};
}

/** A port that is shared is shared with any process of this user: not with one that was there before. */
async function demandFree(at: ListenAt): Promise<void> {
	const probe = createServer();
	probe.listen(at);
	await once(probe, "listening");
	probe.close();
	await once(probe, "close");
}
