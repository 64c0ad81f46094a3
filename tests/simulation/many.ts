/** Many seeds, one after the other: what they did, and the first that shows a violation, told so that it can be repeated. */
import assert from "node:assert/strict";
import { describe, runSeed } from "./run.ts";

export interface ManyResult {
	readonly seeds: number;
	readonly steps: number;
	readonly messages: number;
	readonly submits: number;
	readonly kills: number;
}

/** Fails at the first seed that violates anything. */
export async function simulate(seeds: number, firstSeed: number): Promise<ManyResult> {
	const total = { seeds: 0, steps: 0, messages: 0, submits: 0, kills: 0 };
	for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
		const result = await runSeed({ seed });
		assert.equal(result.violation, undefined, describe(result));
		total.seeds++;
		for (const name of ["steps", "messages", "submits", "kills"] as const)
			total[name] += result[name];
	}
	return total;
}
