/** The customer of a fault test: sends under load, keeps what it was answered, retries under the same key. */
import { Agent, request } from "node:http";
import { pause } from "../../bench/product.ts";
import { monotonicMs } from "../../bench/sink.ts";
import type { Random } from "../../server/platform/ids.ts";
import type { FaultClass, Sent } from "./ledger.ts";

export interface Place {
	readonly port: number;
	readonly apiKey: string;
}

export interface HttpAnswer {
	readonly status: number;
	readonly headers: Readonly<Record<string, string | string[] | undefined>>;
	readonly body: Record<string, unknown>;
}

export interface ClientOptions {
	/** Between a sender's answer and its next request. */
	readonly pauseMs?: number;
	/** Messages of a batch; 20 otherwise. */
	readonly batchSize?: number;
	/** The recipient of a message, by the order's number and its own; India otherwise. */
	readonly to?: (order: number, message: number) => string;
}

/** A message as its sender knows it, with where to and when (monotonic) its 202 came. */
export interface SentTo extends Sent {
	readonly to: string;
	readonly acceptedAtMs: number | undefined;
}

interface Order {
	readonly key: string;
	readonly path: string;
	readonly body: object;
	readonly tokens: readonly string[];
	readonly to: readonly string[];
	readonly class: FaultClass;
	acceptedAtMs: number | undefined;
	ids: readonly string[] | undefined;
}

export interface Client {
	/** Sends until `stop`: this many single senders, and this many of batches. */
	start(singles: number, batches: number): void;
	/** Resolves when every sender has its last answer. */
	stop(): Promise<void>;
	/** Asks again, under the same Idempotency-Key, for what was never answered. */
	retryUnanswered(): Promise<void>;
	sent(): SentTo[];
	/** Answers that were neither 202 nor a broken connection: status and, of 503, whether Retry-After was there. */
	readonly refusals: Map<string, number>;
	/** 202s so far. */
	accepted(): number;
	call(method: string, path: string, body?: object, key?: string): Promise<HttpAnswer>;
	/** Drops its connections: nothing of it is left. */
	end(): void;
}

const template = "1107161951486743588";

/** `place` is asked before every request: the product moves to another port when it is restarted. */
export function createClient(
	place: () => Place,
	random: Random,
	options: ClientOptions = {},
): Client {
	const { pauseMs = 2, batchSize = 20, to = inIndia } = options;
	const agent = new Agent({ keepAlive: true });
	const orders: Order[] = [];
	const refusals = new Map<string, number>();
	const run = random.bytes(3).toString("hex").toUpperCase();
	let running: Promise<void>[] = [];
	let stopping = false;
	let count = 0;
	let accepted = 0;

	const call = (method: string, path: string, body?: object, key?: string): Promise<HttpAnswer> =>
		exchange(agent, place(), method, path, body, key);
	const makeOrder = (size: number): Order => {
		const messageClass: FaultClass = random.fraction() < 0.5 ? "transactional" : "service";
		const tokens = Array.from({ length: size }, () => `W${run}${String(++count).padStart(7, "0")}`);
		const first = count - size;
		const recipients = tokens.map((_, i) => to(orders.length, first + i));
		const messages = tokens.map((token, i) => ({
			to: recipients[i],
			from: "WAXWNG",
			category: messageClass,
			dlt: { template_id: template },
			text: `Your parcel ${token} is out for delivery today. -WAXWNG`,
		}));
		const single = size === 1;
		const order: Order = {
			key: `order-${run}-${count}`,
			path: `/v1/sms/${single ? "messages" : "batches"}`,
			body: single ? (messages[0] as object) : { messages },
			tokens,
			to: recipients,
			class: messageClass,
			acceptedAtMs: undefined,
			ids: undefined,
		};
		orders.push(order);
		return order;
	};
	const send = async (order: Order): Promise<number> => {
		const { status, headers, body } = await call("POST", order.path, order.body, order.key);
		if (status === 202) {
			const messages = (body["data"] as { id: string }[] | undefined) ?? [
				body as unknown as { id: string },
			];
			order.ids = messages.map((message) => message.id);
			order.acceptedAtMs = monotonicMs();
			accepted += order.tokens.length;
		} else {
			const name = `${status}${status === 503 && headers["retry-after"] !== undefined ? " with Retry-After" : ""} ${String((body["error"] as Record<string, unknown> | undefined)?.["name"])}`;
			refusals.set(name, (refusals.get(name) ?? 0) + 1);
		}
		return status;
	};
	const insist = async (order: Order): Promise<void> => {
		for (let tries = 0; tries < 100; tries++) {
			const status = await send(order);
			if (status === 202) return;
			if (status !== 503 && status !== 409 && status !== 429)
				throw new Error(`a retry was answered with ${status}`);
			await pause(100);
		}
		throw new Error("a retry was refused a hundred times");
	};
	const drive = async (size: number): Promise<void> => {
		while (!stopping) {
			try {
				if ((await send(makeOrder(size))) !== 202) await pause(200);
			} catch {
				await pause(250);
			}
			await pause(pauseMs);
		}
	};
	return {
		refusals,
		end() {
			stopping = true;
			agent.destroy();
		},
		call,
		accepted: () => accepted,
		start(singles, batches) {
			stopping = false;
			running = [
				...Array.from({ length: singles }, () => drive(1)),
				...Array.from({ length: batches }, () => drive(batchSize)),
			];
		},
		async stop() {
			stopping = true;
			await Promise.all(running);
		},
		async retryUnanswered() {
			const open = orders.filter((order) => order.ids === undefined);
			await Promise.all(
				Array.from({ length: 8 }, async () => {
					for (let order = open.pop(); order !== undefined; order = open.pop()) await insist(order);
				}),
			);
		},
		sent: () =>
			orders.flatMap((order) =>
				order.tokens.map((token, i) => ({
					token,
					class: order.class,
					id: order.ids?.[i],
					to: order.to[i] as string,
					acceptedAtMs: order.acceptedAtMs,
				})),
			),
	};
}

function inIndia(_order: number, message: number): string {
	return `+9198${String(10_000_000 + message).slice(-8)}`;
}

export function exchange(
	agent: Agent,
	{ port, apiKey }: Place,
	method: string,
	path: string,
	body: object | undefined,
	key: string | undefined,
): Promise<HttpAnswer> {
	const text = body === undefined ? undefined : JSON.stringify(body);
	return new Promise((resolve, reject) => {
		const sending = request(
			{
				agent,
				host: "127.0.0.1",
				port,
				method,
				path,
				timeout: 30_000,
				headers: {
					authorization: `Bearer ${apiKey}`,
					...(text === undefined
						? {}
						: { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
					...(key === undefined ? {} : { "idempotency-key": key }),
				},
			},
			(answer) => {
				const chunks: Buffer[] = [];
				answer.on("data", (chunk: Buffer) => void chunks.push(chunk)).on("error", reject);
				answer.on("end", () => {
					const whole = Buffer.concat(chunks).toString();
					resolve({
						status: answer.statusCode ?? 0,
						headers: answer.headers,
						body: whole.startsWith("{") ? (JSON.parse(whole) as Record<string, unknown>) : {},
					});
				});
				answer.on("aborted", () => reject(new Error("the answer broke off")));
			},
		);
		sending
			.on("error", reject)
			.on("timeout", () => sending.destroy(new Error("no answer in 30 s")));
		sending.end(text);
	});
}
