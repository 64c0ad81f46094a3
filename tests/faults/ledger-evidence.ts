/**
 * What must be so at the end of a fault test of the ledger: every acknowledged act has its entry, every effect has
 * one, and the whole log verifies with the program that anybody has.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { runVerifier } from "../support/ledger-texts.ts";
import { client, type Client, type Json, until } from "../support/http.ts";

export interface Act {
	readonly requestId: string;
	/** The id of what was made. */
	readonly id: string;
}

/** Suppresses made-up people, one after the other; what was answered with 201 is remembered. */
export function createActor(where: () => { readonly baseUrl: string; readonly key: string }) {
	const done: Act[] = [];
	const refused = new Map<string, number>();
	let n = 0;
	return {
		done,
		refused,
		async act(): Promise<void> {
			const { baseUrl, key } = where();
			const body = { destination: `+9197${String(10_000_000 + ++n)}` };
			try {
				const reply = await client(baseUrl, key).post("/v1/sms/suppressions", body);
				const requestId = reply.headers.get("x-request-id") ?? "";
				if (reply.status === 201) done.push({ requestId, id: String(reply.body["id"]) });
				else count(refused, String(reply.error["name"]));
			} catch (error) {
				if (error instanceof assert.AssertionError) throw error;
				count(refused, "no answer");
			}
		},
	};
}

function count(counts: Map<string, number>, name: string): void {
	counts.set(name, (counts.get(name) ?? 0) + 1);
}

async function exportAll(admin: Client): Promise<string> {
	const lines: string[] = [];
	for (let from: unknown = 0; typeof from === "number"; ) {
		const reply = await admin.get(`/v1/audit/export?from=${from}`);
		assert.equal(reply.status, 200, reply.text);
		lines.push(reply.text);
		from = reply.body["next"];
	}
	return `${lines.join("\n")}\n`;
}

/** All suppressions that are there. */
async function effects(admin: Client): Promise<string[]> {
	const found: string[] = [];
	for (let next: unknown = ""; next !== null; ) {
		const page = next === "" ? "" : `&starting_after=${next}`;
		const reply = await admin.get(`/v1/sms/suppressions?limit=100${page}`);
		found.push(...reply.data.map((one) => String(one["id"])));
		next = reply.body["next_cursor"];
	}
	return found;
}

/** Returns how many entries were verified. */
export async function checkLedger(
	dataDir: string,
	place: { readonly baseUrl: string; readonly key: string; readonly tenantId: string },
	done: readonly Act[],
): Promise<{ readonly entries: number; readonly effects: number }> {
	const admin = client(place.baseUrl, place.key);
	const newest = (await admin.get("/v1/audit/entries?limit=1")).data[0];
	const signed = await until(
		"a signature over the newest entry",
		() => admin.get(`/v1/audit/entries/${newest?.["id"]}/proof`),
		({ status }) => status === 200,
		60_000,
	);
	const publicKey = readFileSync(join(dataDir, "ledger", "signer.pub"), "utf8").trim();
	const origin = String(signed.body["origin"]);
	const text = await exportAll(admin);
	const { status, answer } = runVerifier(["full", "--origin", origin, "--key", publicKey], text);
	assert.equal(status, 0, JSON.stringify(answer));
	const entries = text
		.trim()
		.split("\n")
		.flatMap((line) => (JSON.parse(line) as { entries: { entry: string }[] }).entries)
		.map(({ entry }) => JSON.parse(Buffer.from(entry, "base64").toString()) as Json);
	const added = entries.filter((one) => one["action"] === "suppression.added");
	const byRequest = new Set(added.map((one) => one["request_id"]));
	const targets = new Set(added.flatMap((one) => one["targets"] as string[]));
	const unrecorded = done.filter(
		({ requestId, id }) => !byRequest.has(requestId) || !targets.has(id),
	);
	assert.deepEqual(
		unrecorded.slice(0, 5),
		[],
		`${unrecorded.length} acknowledged acts have no entry`,
	);
	const there = await effects(admin);
	const silent = there.filter((id) => !targets.has(id));
	assert.deepEqual(silent.slice(0, 5), [], `${silent.length} effects have no entry`);
	const state = readFileSync(join(dataDir, "ledger", "signer.state"), "utf8");
	assert.doesNotMatch(state, /"trouble"/);
	return { entries: entries.length, effects: there.length };
}
