/**
 * The sequencer as a process of its own, so that a test can kill it alone: the real one, turn after turn without a pause.
 * Its task comes over the channel to its parent; it ends when the channel does.
 */
import { createLedger } from "#audit/index.ts";
import { systemClock } from "#platform/clock.ts";
import { type DatabaseOptions, openDatabase } from "#platform/db.ts";
import { createIds, systemRandom } from "#platform/ids.ts";
import { silentLog } from "#platform/log.ts";
import { createVault } from "#vault/index.ts";
import { sequence } from "../../server/audit/sequencer.ts";

export interface SequencerTask {
	readonly database: DatabaseOptions;
	readonly rootKey: Buffer;
	readonly name: string;
}

async function run({ database, rootKey, name }: SequencerTask): Promise<void> {
	const db = openDatabase(database);
	const [clock, random] = [systemClock, systemRandom()];
	const ids = createIds(clock, random);
	const vault = createVault({ db, rootKey, random, clock });
	const ledger = createLedger({ vault, clock, ids });
	for (let told = false; ; ) {
		await sequence({ db, ledger, clock, log: silentLog, name });
		if (!told) process.send?.({ kind: "ready" });
		told = true;
		await new Promise((resolve) => void setTimeout(resolve, 5));
	}
}

process.on("disconnect", () => process.exit(1));
process.once("message", (task: SequencerTask) => {
	run(task).catch((error: Error) => {
		process.send?.({ kind: "failed", why: error.message });
		process.exit(1);
	});
});
