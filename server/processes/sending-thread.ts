/** The thread of the half that sends: opens it when told to, and passes on what the halves have to say. */
import { parentPort, workerData } from "node:worker_threads";
import { ConfigError } from "#platform/config.ts";
import { UncleanStop } from "#platform/unclean-stop.ts";
import { openSendingHalf, type SendingHalf } from "./sending.ts";
import { type Order, type Report, unpackConfig } from "./thread.ts";

const port = parentPort;
if (port === null) throw new Error("sending-thread.ts is started by thread.ts");
const post = (report: Report): void => port.postMessage(report, []);
let half: SendingHalf | undefined;

async function open({ place, alone }: Extract<Order, { kind: "open" }>): Promise<void> {
	try {
		const config = unpackConfig(workerData);
		half = await openSendingHalf({ config, place, alone, post, process: false });
		const { owner, smscPort, routes } = half;
		post({ kind: "open", owner, smscPort, routes });
	} catch (error) {
		const { stack, message, code } = error as NodeJS.ErrnoException;
		const isConfig = error instanceof ConfigError || code === "EADDRINUSE";
		post({ kind: "failed", why: isConfig ? message : (stack ?? message), isConfig });
	}
}

async function stop(withinMs: number | undefined): Promise<Report> {
	try {
		await half?.stop(withinMs);
		return { kind: "stop", unclean: undefined };
	} catch (error) {
		if (error instanceof UncleanStop) return { kind: "stop", unclean: error.message };
		const { stack, message } = error as Error;
		return { kind: "failed", why: stack ?? message, isConfig: false };
	}
}

port.on("message", (order: Order) => {
	switch (order.kind) {
		case "open":
			return void open(order);
		case "metrics":
			return void (half?.metrics.text() ?? Promise.resolve("")).then((text) =>
				post({ kind: "metrics", text }),
			);
		case "stop":
			return void stop(order.withinMs).then(post);
		default:
			return half?.hear(order);
	}
});
