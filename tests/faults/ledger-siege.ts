/**
 * A ledger under siege: sixty entries under six checkpoints, two judges (a signer that knows what it has signed, and
 * waxwing-verify with a checkpoint that was kept), and the superuser's hand. Numbers come from the long form.
 */
import assert from "node:assert/strict";
import { after } from "node:test";
import { seededRandom } from "#platform/ids.ts";
import { openVerifier } from "../support/ledger-texts.ts";
import { ledgerWorld } from "../support/ledger-world.ts";

/** How often, from the long form; else the short form's own number. */
export function times(short: number): number {
	return Number(process.env["WAXWING_TEST_LEDGER_TIMES"] ?? short);
}

export const sizes = { entries: 60, checkpoints: 6 } as const;

export async function besiege() {
	const random = seededRandom(Number(process.env["WAXWING_TEST_LEDGER_SEED"] ?? 34));
	const world = await ledgerWorld();
	const verifier = await openVerifier();
	after(() => verifier.close());
	assert.deepEqual(await world.grow(sizes.entries, sizes.checkpoints), []);
	const kept = await world.newestCheckpoint();
	return {
		...world,
		world,
		kept,
		/** A whole number below n. */
		below: (n: number): number => Math.floor(random.fraction() * n),
		/** The verifier's word on an export made now: true when all is well. */
		async verifies(newest = kept): Promise<boolean> {
			const text = await world.exported().catch(() => undefined);
			if (text === undefined) return false;
			const args = ["full", "@0", ...world.pinned, "--newest", "@1"];
			return (await verifier.run(args, text, newest)).status === 0;
		},
	};
}

export type Siege = Awaited<ReturnType<typeof besiege>>;
