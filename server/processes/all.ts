/** The default process: every role in one. */
import { begin } from "./begin.ts";
import { run } from "./run.ts";

await run(async (config) => {
	const begun = begin(config, "all");
	await begun.atWork;
	// Loaded now, while the database comes up.
	const { startPlatform } = await import("./platform.ts");
	return startPlatform(config, begun);
});
