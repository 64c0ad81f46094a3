/**
 * The customers who send far too much, a process of their own: hundreds of connections, each with a request
 * under way, that hardly heed Retry-After. Told what to do, and asked what became of it, over IPC. Never
 * sends authentication: whoever measures that has connections of their own.
 */
import { Agent } from "node:http";
import { pause } from "../../bench/product.ts";
import { monotonicMs } from "../../bench/sink.ts";
import { exchange, type Place } from "./client.ts";
import type { FaultClass, Sent } from "./ledger.ts";

export interface OverloadOrder {
	readonly place: Place;
	/** Six hexadecimal digits that the tokens begin with. */
	readonly run: string;
	readonly connections: number;
}

export interface OverloadReport {
	/** Of every request that was answered with 202, its messages. */
	readonly accepted: readonly Sent[];
	/** Until it was told to stop: messages of all requests, and of those with a 202 by then. */
	readonly offered: number;
	readonly acceptedInTime: number;
	readonly tookMs: number;
	/** Answers by status. */
	readonly answers: Readonly<Record<number, number>>;
	/** What was not 202, and not 429 or 503 with a time to come back; and connections that broke. */
	readonly wrong: readonly string[];
	readonly longestMs: number;
}

/** By connection: mostly batches, as whoever floods sends. */
const kinds: readonly { readonly class: FaultClass; readonly size: number }[] = [
	{ class: "promotional", size: 200 },
	{ class: "transactional", size: 1 },
	{ class: "service", size: 200 },
	{ class: "promotional", size: 200 },
	{ class: "service", size: 1 },
	{ class: "transactional", size: 200 },
	{ class: "promotional", size: 1 },
	{ class: "service", size: 200 },
];
/** A flood's patience after 429: none to speak of. */
const pauseMs = 20;

/** Promotional messages go to a country whose law knows no hours, so that the test may run at any time. */
export function bodyOf(messageClass: FaultClass, token: string, number: number): object {
	const digits = String(number % 100_000_000).padStart(8, "0");
	if (messageClass === "promotional")
		return {
			to: `+447400${digits.slice(-6)}`,
			from: "WAXWNG",
			category: "marketing",
			text: `${token}: 20 percent off all raincoats until Sunday. Reply STOP to 56767 to end. -WAXWNG`,
			consent: { source: "web_form", consented_at: "2026-01-05T09:30:00Z" },
		};
	const authentication = messageClass === "authentication";
	return {
		to: `+9198${digits}`,
		from: "WAXWNG",
		category: messageClass,
		dlt: { template_id: authentication ? "1107161951486743589" : "1107161951486743588" },
		text: authentication
			? `Your OTP is ${token}. Do not share it. -WAXWNG`
			: `Your parcel ${token} is out for delivery today. -WAXWNG`,
	};
}

interface Flood extends OverloadOrder {
	readonly agent: Agent;
	readonly accepted: Sent[];
	readonly answers: Record<number, number>;
	readonly wrong: string[];
	count: number;
	offered: number;
	longestMs: number;
	stopping: boolean;
}

async function drive(flood: Flood, kind: (typeof kinds)[number]): Promise<void> {
	while (!flood.stopping) if (!(await send(flood, kind))) await pause(pauseMs);
}

async function send(flood: Flood, { class: of, size }: (typeof kinds)[number]): Promise<boolean> {
	const first = flood.count;
	flood.count += size;
	flood.offered += size;
	const tokens = Array.from(
		{ length: size },
		(_, i) => `W${flood.run}${String(first + i).padStart(7, "0")}`,
	);
	const messages = tokens.map((token, i) => bodyOf(of, token, first + i));
	const began = monotonicMs();
	try {
		const { status, headers, body } = await exchange(
			flood.agent,
			flood.place,
			"POST",
			`/v1/sms/${size === 1 ? "messages" : "batches"}`,
			size === 1 ? messages[0] : { messages },
			undefined,
		);
		flood.answers[status] = (flood.answers[status] ?? 0) + 1;
		flood.longestMs = Math.max(flood.longestMs, monotonicMs() - began);
		if (status === 202) {
			const shown = (body["data"] as { id: string }[] | undefined) ?? [body as { id: string }];
			for (const [i, token] of tokens.entries())
				flood.accepted.push({ token, class: of, id: shown[i]?.id });
			return true;
		}
		const comesBack = headers["retry-after"] !== undefined;
		if ((status !== 429 && status !== 503) || !comesBack)
			flood.wrong.push(`${status}, Retry-After ${comesBack}: ${JSON.stringify(body)}`);
	} catch (error) {
		flood.wrong.push(`after ${Math.round(monotonicMs() - began)} ms: ${String(error)}`);
	}
	return false;
}

async function serveParent(): Promise<void> {
	let flood: Flood | undefined;
	let running: Promise<void>[] = [];
	let began = 0;
	process.on("message", (asked: OverloadOrder | "stop") => {
		if (asked !== "stop") {
			const agent = new Agent({ keepAlive: true });
			const made: Flood = {
				...asked,
				agent,
				accepted: [],
				answers: {},
				wrong: [],
				count: 0,
				offered: 0,
				longestMs: 0,
				stopping: false,
			};
			flood = made;
			began = monotonicMs();
			running = Array.from({ length: asked.connections }, (_, i) =>
				drive(made, kinds[i % kinds.length] as (typeof kinds)[number]),
			);
			return;
		}
		if (flood === undefined) return;
		flood.stopping = true;
		const tookMs = monotonicMs() - began;
		const { accepted, offered, answers, wrong, agent } = flood;
		const acceptedInTime = accepted.length;
		void Promise.all(running).then(() => {
			agent.destroy();
			process.send?.({
				accepted,
				offered,
				acceptedInTime,
				tookMs,
				answers,
				wrong: wrong.slice(0, 20),
				longestMs: flood?.longestMs ?? 0,
			} satisfies OverloadReport);
		});
	});
	process.once("disconnect", () => process.exit());
	process.send?.({ ready: true });
}

if (import.meta.main) await serveParent();
