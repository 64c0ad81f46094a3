/** The default process: every role in one. */
import { startPlatform } from "./platform.ts";
import { run } from "./run.ts";

await run((config) => startPlatform(config, "all"));
