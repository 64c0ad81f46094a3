/**
 * `node server/processes/ledger-fork.ts [--approve LOG …]`, with the platform stopped and its settings in the
 * environment: shows which logs of the ledger the signer refuses, and begins those that are approved anew. See
 * docs/operations/ledger.md.
 */
import { createLedger, forkLog, logsToFork, readState } from "#audit/index.ts";
import { systemClock } from "#platform/clock.ts";
import { readConfig } from "#platform/config.ts";
import { createIds, systemRandom } from "#platform/ids.ts";
import { takeInstanceLock } from "#platform/instance-lock.ts";
import { tell } from "#platform/log.ts";
import { createVault } from "#vault/index.ts";
import { openDatabases } from "./database.ts";
import { signerPaths } from "./signer-process.ts";

async function main(given: readonly string[]): Promise<number> {
	const [option, ...approved] = given;
	if (option !== undefined && (option !== "--approve" || approved.length === 0)) {
		tell("usage: node server/processes/ledger-fork.ts [--approve LOG …]");
		return 2;
	}
	const config = readConfig();
	const lock = takeInstanceLock(config.dataDir);
	const [clock, random] = [systemClock, systemRandom()];
	const databases = await openDatabases(config, random);
	try {
		const state = readState(signerPaths(config.dataDir).statePath);
		const forks = await databases.worker.inPlatform((tx) => logsToFork(tx, state));
		if (forks.length === 0) tell("Every log continues what was signed. There is nothing to fork.");
		for (const { log, why, signed } of forks) tell(`${log} (${signed.origin}): ${why}`);
		const unknown = approved.find((log) => forks.every((fork) => fork.log !== log));
		if (unknown !== undefined) {
			tell(`${unknown} is not among them, so nothing was done.`);
			return 1;
		}
		const { app: db, keys } = databases;
		const vault = createVault({ db, ...keys, random, clock });
		const ledger = createLedger({ vault, clock, ids: createIds(clock, random) });
		const at = new Date(clock.now());
		for (const fork of forks.filter(({ log }) => approved.includes(log))) {
			await databases.worker.inPlatform((tx) => forkLog(tx, ledger, fork, at));
			tell(`${fork.log} goes on as epoch ${fork.signed.epoch + 1}.`);
		}
		return forks.length > approved.length ? 1 : 0;
	} finally {
		await databases.stop();
		lock.release();
	}
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
