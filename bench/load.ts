/**
 * The load generator, a process of its own: keep-alive HTTP/1.1 connections over bare sockets, each with one
 * request under way, made beforehand; only the number in it changes. Told what to do, and asked for its
 * times, over IPC.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { indexDigits, placeholder } from "./requests.ts";
import { monotonicMs } from "./sink.ts";

export interface LoadOrder {
	readonly port: number;
	/** Of other processes that accept: connections go to each of them in turn. */
	readonly otherPorts?: readonly number[];
	/** A whole HTTP request, see requests.ts; where `placeholder` stands, a count of eight digits is written. */
	readonly request: string;
	/** Of other tenants: connections send each of them in turn. */
	readonly otherRequests?: readonly string[];
	readonly connections: number;
	/** Messages per request. */
	readonly perRequest: number;
	/** Stops after so many milliseconds, or so many messages, whichever is first. */
	readonly durationMs: number;
	readonly messagesMax: number;
	/** The first count written; 0 unless given. */
	readonly firstIndex?: number;
	/** Requests a second, all connections together; as many as are answered unless given. */
	readonly perSecond?: number;
}

export interface LoadReport {
	readonly accepted: number;
	readonly startedMs: number;
	/** The last answer. */
	readonly endedMs: number;
	/** By the number's index, for accepted messages: request written, and answered. */
	readonly sentAtMs: Float64Array;
	readonly answeredAtMs: Float64Array;
	/** Answers other than 202, by status. */
	readonly others: Readonly<Record<number, number>>;
	readonly firstAnswer: string;
}

const headerEnd = Buffer.from("\r\n\r\n");

interface Template {
	readonly octets: Buffer;
	/** Where each message's digits begin. */
	readonly places: readonly number[];
}

function makeTemplate(request: string): Template {
	const octets = Buffer.from(request);
	const places: number[] = [];
	for (let at = octets.indexOf(placeholder); at >= 0; at = octets.indexOf(placeholder, at + 1))
		places.push(at);
	return { octets, places };
}

function writeIndex(octets: Buffer, at: number, index: number): void {
	let rest = index;
	for (let i = at + indexDigits - 1; i >= at; i--) {
		octets[i] = 48 + (rest % 10);
		rest = Math.floor(rest / 10);
	}
}

export async function runLoad(order: LoadOrder): Promise<LoadReport> {
	const templates = [order.request, ...(order.otherRequests ?? [])].map(makeTemplate);
	const sentAtMs = new Float64Array(order.messagesMax);
	const answeredAtMs = new Float64Array(order.messagesMax);
	const others: Record<number, number> = {};
	const startedMs = monotonicMs();
	let [next, accepted, endedMs, firstAnswer] = [0, 0, startedMs, ""];
	const take = (): number | undefined => {
		if (next + order.perRequest > order.messagesMax || monotonicMs() - startedMs > order.durationMs)
			return undefined;
		const first = next;
		next += order.perRequest;
		return first;
	};
	/** Keeps the agreed rate, if there is one, by the number of requests begun. */
	const pace = async (first: number): Promise<void> => {
		if (order.perSecond === undefined) return;
		const dueMs = startedMs + (first / order.perRequest / order.perSecond) * 1_000;
		const waitMs = dueMs - monotonicMs();
		if (waitMs > 0) await new Promise((resolve) => void setTimeout(resolve, waitMs));
	};
	const ports = [order.port, ...(order.otherPorts ?? [])];
	const drive = async (_: unknown, connection: number): Promise<void> => {
		const port = ports[connection % ports.length] as number;
		const socket = connect(port, "127.0.0.1").setNoDelay(true);
		await once(socket, "connect");
		const template = templates[connection % templates.length] as Template;
		const octets = Buffer.from(template.octets);
		for (let first = take(); first !== undefined; first = take()) {
			await pace(first);
			for (const [i, place] of template.places.entries())
				writeIndex(octets, place, (order.firstIndex ?? 0) + first + i);
			for (;;) {
				const sent = monotonicMs();
				socket.write(octets);
				const answer = await readAnswer(socket);
				endedMs = monotonicMs();
				if (answer.status === 202) {
					sentAtMs.fill(sent, first, first + order.perRequest);
					answeredAtMs.fill(endedMs, first, first + order.perRequest);
					accepted += order.perRequest;
					if (firstAnswer === "") firstAnswer = answer.body().slice(0, 600);
					break;
				}
				others[answer.status] = (others[answer.status] ?? 0) + 1;
				if (answer.status !== 429 && answer.status !== 503)
					throw new Error(`${answer.status}: ${answer.body().slice(0, 300)}`);
				await new Promise((resolve) => void setTimeout(resolve, 20));
			}
		}
		socket.destroy();
	};
	await Promise.all(Array.from({ length: order.connections }, drive));
	return {
		accepted,
		startedMs,
		endedMs,
		sentAtMs: sentAtMs.subarray(0, next),
		answeredAtMs: answeredAtMs.subarray(0, next),
		others,
		firstAnswer,
	};
}

interface HttpAnswer {
	readonly status: number;
	readonly body: () => string;
}

function readAnswer(socket: Socket): Promise<HttpAnswer> {
	return new Promise((resolve, reject) => {
		let chunks: Buffer[] = [];
		let [length, wanted] = [0, -1];
		const done = (settle: () => void): void => {
			socket.off("data", onData).off("close", onClose);
			settle();
		};
		const onClose = (): void => done(() => reject(new Error("the server closed the connection")));
		const onData = (chunk: Buffer): void => {
			chunks.push(chunk);
			length += chunk.length;
			if (wanted < 0) {
				if (chunks.length > 1) chunks = [Buffer.concat(chunks)];
				const head = chunks[0] as Buffer;
				const end = head.indexOf(headerEnd);
				if (end < 0) return;
				const found = /content-length: (\d+)/i.exec(head.toString("latin1", 0, end));
				if (found === null)
					return done(() => reject(new Error("an answer without content-length")));
				wanted = end + 4 + Number(found[1]);
			}
			if (length < wanted) return;
			const status = Number((chunks[0] as Buffer).toString("latin1", 9, 12));
			done(() =>
				resolve({
					status,
					body: () => Buffer.concat(chunks).toString("utf8").split("\r\n\r\n", 2)[1] ?? "",
				}),
			);
		};
		socket.on("data", onData).on("close", onClose);
	});
}

if (import.meta.main) {
	process.on("message", (order: LoadOrder) => {
		runLoad(order).then(
			(report) => process.send?.({ report }),
			(error: unknown) => process.send?.({ error: String(error) }),
		);
	});
	process.once("disconnect", () => process.exit());
}
