/** The negative controls of the simulation: each planted bug is found, by an invariant that it breaks. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { loadMutant } from "./mutant-loader.ts";
import type { Mutant } from "./mutant.ts";
import { mutants } from "./mutants.ts";
import { describe, type RunResult, runSeed } from "./run.ts";

const seedsMax = 200;

/** The seed that is known to find it is tried first; if the product draws otherwise since, the others follow. */
async function find({ change, mutate, name, seed }: Mutant): Promise<RunResult> {
	const run = change === undefined ? runSeed : await loadMutant(name, change);
	const seeds = [seed, ...Array.from({ length: seedsMax }, (_, i) => i + 1)];
	for (const tried of seeds) {
		const result = await run({ seed: tried, ...(mutate === undefined ? {} : { mutate }) });
		if (result.violation !== undefined) return result;
	}
	assert.fail(`not found by any of ${seedsMax} seeds`);
}

for (const mutant of mutants)
	test(`found: ${mutant.name}`, { timeout: 240_000 }, async (context) => {
		const result = await find(mutant);
		const invariant = result.violation?.invariant;
		assert.ok(invariant !== undefined && mutant.noticedBy.includes(invariant), describe(result));
		context.diagnostic(`seed ${result.seed}: ${invariant}`);
	});

test("a mutant whose text is not in the product says so", async () => {
	const change = { file: "messages/lanes.ts", from: "there is no such text", to: "" };
	await assert.rejects(loadMutant("none", change), /no longer fits/);
});
