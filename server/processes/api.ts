/** A process that serves the API and accepts; what it accepts is sent by workers (worker.ts). Needs DATABASE_URL. */
import { begin } from "./begin.ts";
import { startPlatform } from "./platform.ts";
import { run } from "./run.ts";

await run((config) => startPlatform(config, begin(config, "api")));
