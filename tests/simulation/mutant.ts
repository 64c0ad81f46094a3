/** What a planted bug is: for mutants.ts and mutants-apart.ts. */
import type { Meaning, Meanings } from "./memory-database.ts";
import type { Change } from "./mutant-loader.ts";
import type { Invariant } from "./oracle-state.ts";

export interface Mutant {
	readonly name: string;
	readonly noticedBy: readonly Invariant[];
	/** One that finds it. */
	readonly seed: number;
	readonly change?: Change;
	readonly mutate?: (meanings: Meanings) => Meanings;
}

/** Changes what one statement means; `usual` is what it should mean. */
export function meaning(name: string, make: (usual: Meaning) => Meaning): Pick<Mutant, "mutate"> {
	return {
		mutate: (meanings) => ({ ...meanings, [name]: make(meanings[name] as Meaning) }),
	};
}

export function text(file: string, from: string, to: string): Pick<Mutant, "change"> {
	return { change: { file: `messages/${file}`, from, to } };
}
