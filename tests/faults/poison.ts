/**
 * kill -9 of the whole tree in the middle of a batch that has a message in it which ends the connection whenever it is
 * submitted. What was under way is unknown after the start, and is tried apart: the others end soon, and leave seldom.
 */
import assert from "node:assert/strict";
import { pause } from "../../bench/product.ts";
import type { Sent } from "./ledger.ts";
import { openWorld } from "./world.ts";

export interface PoisonResult {
	readonly rounds: number;
	readonly messages: number;
	readonly submittedTwice: number;
	/** As often as a message that does nothing bad left, at most. */
	readonly most: number;
	/** From the start after the kill until all of those had ended, at most. */
	readonly endMs: number;
}

const batchSize = 500;
/** With the poisonous one or in the crash, with it in a group, alone. */
const submitsMax = 3;

export async function killBesidePoison({
	rounds,
	seed,
}: {
	rounds: number;
	seed: number;
}): Promise<PoisonResult> {
	const world = await openWorld({ seed });
	const poisonous = new Set<string>();
	world.judge((token) => (poisonous.has(token) ? "drop" : "accept"));
	/** Of earlier rounds: nothing is asked of them any more. */
	const earlier: Sent[] = [];
	const total = { rounds, messages: 0, submittedTwice: 0, most: 0, endMs: 0 };
	try {
		for (let round = 0; round < rounds; round++) {
			const tokens = Array.from(
				{ length: batchSize },
				(_, i) => `WABC${String(100 + round)}${String(i).padStart(7, "0")}`,
			);
			const poison = tokens[Math.floor(world.random.fraction() * batchSize)] as string;
			poisonous.add(poison);
			const before = world.sink.submits();
			const { status, body } = await world.client.call("POST", "/v1/sms/batches", {
				messages: tokens.map((token, i) => messageOf(token, i)),
			});
			assert.equal(status, 202, JSON.stringify(body));
			const ids = (body["data"] as { id: string }[]).map(({ id }) => id);
			const killAt = before + Math.floor(world.random.fraction() * batchSize);
			const untilMs = performance.now() + 3_000;
			while (world.sink.submits() < killAt && performance.now() < untilMs) await pause(2);
			await world.killTree();
			await world.restart();
			const startedMs = performance.now();
			// Of the poisonous one nothing is asked but that it was sent to us.
			const sent = tokens.map(
				(token, i): Sent => ({
					token,
					class: "transactional",
					id: poisonous.has(token) ? undefined : ids[i],
				}),
			);
			const { submits } = await world.settle(60_000, [...earlier, ...sent]);
			total.endMs = Math.max(total.endMs, Math.round(performance.now() - startedMs));
			earlier.push(...sent.map((one) => ({ ...one, id: undefined })));
			const times = tokens
				.filter((token) => token !== poison)
				.map((token) => submits.get(token) ?? 0);
			total.messages += batchSize;
			total.submittedTwice += times.filter((count) => count > 1).length;
			total.most = Math.max(total.most, ...times);
		}
		assert.ok(total.most <= submitsMax, `an innocent message left ${total.most} times`);
		return total;
	} finally {
		await world.close();
	}
}

function messageOf(token: string, i: number): object {
	return {
		to: `+9198${String(10_000_000 + i).slice(1)}1`,
		from: "WAXWNG",
		category: "transactional",
		dlt: { template_id: "1107161951486743588" },
		text: `Your parcel ${token} is out for delivery today. -WAXWNG`,
	};
}
