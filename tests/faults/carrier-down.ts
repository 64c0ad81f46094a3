/** The carrier goes away: while it is gone messages wait; when it drops a bind, the class's policy decides. */
import assert from "node:assert/strict";
import { pause } from "../../bench/product.ts";
import { openWorld, type World } from "./world.ts";

export interface CarrierResult {
	readonly messages: number;
	readonly waited: number;
	readonly submittedTwice: number;
	/** Submits that the carrier took without an answer. */
	readonly unanswered: number;
}

/** `outages` times: down under load, up again; everything arrives. */
export async function loseCarrier({
	outages,
	seed,
}: {
	outages: number;
	seed: number;
}): Promise<CarrierResult> {
	const world = await openWorld({ seed });
	let waited = 0;
	try {
		for (let i = 0; i < outages; i++) {
			world.client.start(4, 1);
			await world.someLoad(100);
			await world.sink.down();
			const [before, submits] = [world.client.accepted(), world.sink.submits()];
			await pause(800);
			await world.acceptMore(20);
			waited += world.client.accepted() - before;
			assert.equal(world.sink.submits(), submits, "the sink is down");
			await world.client.stop();
			await world.sink.up();
		}
		await world.client.retryUnanswered();
		const { sent, submits } = await world.settle(60_000);
		assert.deepEqual(
			[...world.client.refusals.keys()],
			[],
			"no refusals: the carrier is not the customer's trouble",
		);
		return {
			messages: sent.length,
			waited,
			unanswered: 0,
			submittedTwice: [...submits.values()].filter((times) => times > 1).length,
		};
	} finally {
		await world.close();
	}
}

function isSentAgain({ client }: World, token: string): boolean {
	const sent = client.sent().find((one) => one.token === token);
	return sent !== undefined && ["authentication", "transactional"].includes(sent.class);
}

/** Every so often the carrier takes a message and resets the connection instead of answering. */
export async function dropBinds({
	drops,
	seed,
}: {
	drops: number;
	seed: number;
}): Promise<CarrierResult> {
	const world = await openWorld({ seed });
	const dropped: string[] = [];
	let next = 20;
	try {
		world.judge((token) => {
			if (dropped.length >= drops || --next > 0) return "accept";
			// The first is of a class that is sent again: there must be something to see.
			if (dropped.length === 0 && !isSentAgain(world, token)) return "accept";
			next = 20 + Math.floor(world.random.fraction() * 40);
			dropped.push(token);
			return "drop";
		});
		world.client.start(4, 1);
		for (
			const until = performance.now() + 30_000;
			dropped.length < drops && performance.now() < until;
		)
			await pause(50);
		await world.client.stop();
		await world.client.retryUnanswered();
		const { sent, submits } = await world.settle(60_000);
		const twice = [...submits].filter(([, times]) => times > 1).length;
		return { messages: sent.length, waited: 0, submittedTwice: twice, unanswered: dropped.length };
	} finally {
		await world.close();
	}
}
