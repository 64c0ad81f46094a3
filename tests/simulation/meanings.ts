/** Every statement of the message path, by name. A statement that is not here fails the simulation loudly. */
import { acceptMeanings } from "./meanings-accept.ts";
import { factMeanings } from "./meanings-facts.ts";
import { laneMeanings } from "./meanings-lanes.ts";
import { submissionMeanings } from "./meanings-submissions.ts";
import type { Meanings } from "./memory-database.ts";

export const meanings: Meanings = {
	...factMeanings,
	...acceptMeanings,
	...laneMeanings,
	...submissionMeanings,
};
