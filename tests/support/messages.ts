/** What journeys do with messages: send one to a number of the sandbox and wait for what becomes of it. */
import assert from "node:assert/strict";
import { type Client, type Json, until } from "./http.ts";
import type { TestPlatform } from "./platform.ts";

let lastLine = 0;

/**
 * An Indian number that ends in these digits, so that the sandbox behaves as its table says; another one
 * at each call, so that what one test does to a person (STOP) is not felt by the next.
 */
export function numberEnding(digits: string): string {
	lastLine++;
	return `+919${String(800 + (lastLine % 200)).padStart(3, "0")}${digits}`;
}

/** Sends the transactional sample to `to`; the answer must be 202. */
export async function send(
	{ dev, live }: Pick<TestPlatform, "dev" | "live">,
	to: string,
	changes: Readonly<Record<string, unknown>> = {},
	as: Client = live,
): Promise<Json> {
	const reply = await as.post("/v1/sms/messages", { ...dev.samples.transactional, to, ...changes });
	assert.equal(reply.status, 202, reply.text);
	return reply.body;
}

const waiting: readonly unknown[] = ["accepted", "scheduled", "sent", "unknown"];

export function isFinal(message: Json): boolean {
	return !waiting.includes(message["status"]);
}

/** The message once it has reached a final state. */
export async function settled(as: Client, id: unknown, withinMs?: number): Promise<Json> {
	const read = async (): Promise<Json> => (await as.get(`/v1/sms/messages/${id}`)).body;
	return until(`message ${id} is final`, read, isFinal, withinMs);
}

/** The types of a message's events, in order. */
export async function eventsOf(as: Client, id: unknown): Promise<string[]> {
	const { data } = await as.get(`/v1/sms/messages/${id}/events`);
	return data.map((event) => String(event["type"]));
}
