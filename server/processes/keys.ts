/**
 * What is done with keys beside serving. A restored database is erased again before anybody is served, and only then does
 * the rest begin.
 */
import type { Clock } from "#platform/clock.ts";
import type { Config } from "#platform/config.ts";
import type { Database } from "#platform/db.ts";
import type { Ids, Random } from "#platform/ids.ts";
import type { Log } from "#platform/log.ts";
import type { Metrics } from "#platform/metrics.ts";
import {
	createErasures,
	type Erasures,
	settleMs,
	startKeyWork,
	type KeyWork,
	type OpenKeys,
	type Vault,
} from "#vault/index.ts";

export interface KeyParts {
	readonly config: Config;
	readonly keys: OpenKeys;
	readonly db: Database;
	readonly worker: Database;
	readonly vault: Vault;
	readonly clock: Clock;
	readonly random: Random;
	readonly ids: Ids;
	readonly log: Log;
	readonly metrics: Metrics;
}

export async function openKeyWork(
	parts: KeyParts,
): Promise<{ readonly erasures: Erasures; readonly keyWork: KeyWork }> {
	const { keys, config, log, vault } = parts;
	const shared = { ...parts, ...keys, settleMs, forgetTenant: vault.forgetTenant };
	const erasures = createErasures(shared);
	const replayed = await erasures.replay();
	const { erased, broughtBack, unreadable } = replayed;
	if (erased + broughtBack + unreadable > 0)
		log.warn(
			{ event: "keys.replayed", erased, brought_back: broughtBack, unreadable },
			"this database is a restored one: erasures were done again, and survivors' keys brought back",
		);
	const { rotationDays, erasureWindowDays, backupDays } = config.keys;
	const keyWork = startKeyWork({ ...shared, rotationDays, erasureWindowDays, backupDays });
	return { erasures, keyWork };
}
