/** kill -9 of the whole tree (node and PostgreSQL) at random moments under load; the carrier keeps running. */
import { openWorld } from "./world.ts";

export interface KillResult {
	readonly kills: number;
	readonly messages: number;
	readonly acknowledged: number;
	readonly submittedTwice: number;
}

export async function killManyTimes({
	kills,
	seed,
}: {
	kills: number;
	seed: number;
}): Promise<KillResult> {
	const world = await openWorld({ seed });
	try {
		world.client.start(8, 1);
		for (let i = 0; i < kills; i++) {
			await world.someLoad(150);
			await world.killTree();
			await world.restart();
		}
		await world.acceptMore(100);
		await world.client.stop();
		const acknowledged = world.client.accepted();
		await world.client.retryUnanswered();
		const { sent, submits } = await world.settle(60_000);
		return {
			kills,
			messages: sent.length,
			acknowledged,
			submittedTwice: [...submits.values()].filter((times) => times > 1).length,
		};
	} finally {
		await world.close();
	}
}
