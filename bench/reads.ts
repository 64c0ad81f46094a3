/** Reads messages over the API at a steady pace and times the answers: lists of several kinds, and single ones. */
import { Agent, get } from "node:http";
import { showId, timeOfId } from "../server/platform/ids.ts";
import type { Filled } from "./fill.ts";
import type { Product } from "./product.ts";
import { print } from "./journal.ts";
import { pause } from "./product.ts";
import { type Quantiles, quantilesOf } from "./run.ts";
import { monotonicMs } from "./sink.ts";

/** Milliseconds by kind; an answer that was not 200 counts as `failedMs`. */
export type ReadTimes = Record<string, number[]>;

/** Reads a second, all kinds together. */
export const readsPerSecond = 80;
/** A kind that has taken so long altogether is not asked again: the others have their turn. */
const kindMs = 10_000;
export const failedMs = 99_999;

/** What is asked for, by name; `at` is the id of a message that waits. */
function kindsOf({ address }: Pick<Filled, "address">): Record<string, (at: string) => string> {
	const list = (query: string): string => `/v1/sms/messages?${query}`;
	return {
		"one by id": (at) => `/v1/sms/messages/${showId("msg", at)}`,
		"its timeline": (at) => `/v1/sms/messages/${showId("msg", at)}/events`,
		"first page": () => list("limit=20"),
		"a page deep in": (at) => list(`limit=20&starting_after=${showId("msg", at)}`),
		"a page backwards": (at) => list(`limit=20&ending_before=${showId("msg", at)}`),
		"by number": () => list(`to=${encodeURIComponent(address)}`),
		"before a moment": (at) => list(`created_before=${new Date(timeOfId(at)).toISOString()}`),
		"status failed": () => list("status=failed"),
		"status scheduled, deep": (at) => list(`status=scheduled&starting_after=${showId("msg", at)}`),
		"status delivered": () => list("status=delivered"),
		"status delivered, deep": (at) =>
			list(`limit=20&status=delivered&starting_after=${showId("msg", at)}`),
		"category, deep": (at) =>
			list(`limit=20&category=marketing&starting_after=${showId("msg", at)}`),
		"category nobody sent": () => list("category=service"),
		"direction inbound": () => list("direction=inbound"),
		"from another sender": () => list("from=56767"),
		"a tag": () => list("tag=campaign"),
	};
}

export const kindsCount = Object.keys(kindsOf({ address: "" })).length;

/** Each kind `each` times, kinds in turn. */
export async function read(product: Product, filled: Filled, each: number): Promise<ReadTimes> {
	const agent = new Agent({ keepAlive: true, maxSockets: 2 });
	const kinds = Object.entries(kindsOf(filled));
	const times: ReadTimes = {};
	const spentMs = new Map<string, number>();
	const beganMs = monotonicMs();
	try {
		for (let n = 0; n < each * kinds.length; n++) {
			const waitMs = beganMs + (n / readsPerSecond) * 1_000 - monotonicMs();
			if (waitMs > 0) await pause(waitMs);
			const [name, pathOf] = kinds[n % kinds.length] as (typeof kinds)[number];
			const at = filled.shown[(n * 7) % filled.shown.length] as string;
			const spent = spentMs.get(name) ?? 0;
			if (spent > kindMs) continue;
			const startedMs = monotonicMs();
			const failure = await ask(product, agent, pathOf(at));
			const tookMs = monotonicMs() - startedMs;
			spentMs.set(name, spent + tookMs);
			(times[name] ??= []).push(failure === undefined ? tookMs : failedMs);
			if (failure !== undefined) print(`${name}: ${failure}`);
		}
	} finally {
		agent.destroy();
	}
	return times;
}

/** What went wrong, if anything. */
function ask({ dev, port }: Product, agent: Agent, path: string): Promise<string | undefined> {
	return new Promise((resolve, reject) => {
		const headers = { authorization: `Bearer ${dev.apiKey}` };
		get({ port, path, agent, headers, host: "127.0.0.1" }, (response) => {
			let body = "";
			response.setEncoding("utf8").on("data", (text: string) => void (body += text));
			response.on("end", () =>
				resolve(
					response.statusCode === 200 ? undefined : `${response.statusCode} ${body.slice(0, 300)}`,
				),
			);
		}).on("error", reject);
	});
}

export function mergeTimes(all: readonly ReadTimes[]): Record<string, Quantiles> {
	const names = [...new Set(all.flatMap((one) => Object.keys(one)))];
	return Object.fromEntries(
		names.map((name) => [
			name,
			quantilesOf(Float64Array.from(all.flatMap((one) => one[name] ?? []))),
		]),
	);
}
