/**
 * `npm run faults [-- kill=20 poison=10 worker=20 postgres=20 embedded=10 database=20 freeze=5 carrier=10 drops=40
 * network=5 overload=1 clock=10 simulation=10000 stop=20 disk=5 wal=5 temp=5 power=20 ledger=1000 ledgerkill=60
 * ledgerparts=60 ledgerdisk=1000 seed=N]`: the long form of the fault tests. What is named is run as often as it says;
 * without names, all. `ledger` has parts that can be named alone: ledgerflips, ledgerattacks, ledgerclean, ledgerproofs.
 * Ends with 1 at the first failure.
 */
import { simulate } from "../simulation/many.ts";
import { type BadCarriersResult, sendThroughBadCarriers } from "./bad-carriers.ts";
import { jumpClock } from "./clock.ts";
import { type CarrierResult, dropBinds, loseCarrier } from "./carrier-down.ts";
import { loseDatabase } from "./database-away.ts";
import { fillDisk } from "./disk-full.ts";
import { findLibfaketime } from "./faketime.ts";
import { killManyTimes } from "./kill.ts";
import { killEmbedded, killPostgres } from "./kill-postgres.ts";
import { whyNoLoopDisk } from "./loop-disk.ts";
import { flood, type OverloadResult } from "./overload.ts";
import {
	attackLedger,
	flipLedger,
	killParts,
	leaveLedger,
	mutateProofs,
	rewriteLedger,
} from "./ledger-long.ts";
import { killBesidePoison } from "./poison.ts";
import { killLedger } from "./ledger-kill.ts";
import { fillLedgerDisk } from "./ledger-disk.ts";
import { cutPower } from "./power-cut.ts";
import { stopUnderLoad } from "./stop.ts";
import { loseWorkers } from "./workers.ts";

const libfaketime = findLibfaketime();

const forms: Readonly<
	Record<
		string,
		{ readonly times: number; readonly run: (times: number, seed: number) => Promise<object> }
	>
> = {
	kill: { times: 20, run: (kills, seed) => killManyTimes({ kills, seed }) },
	worker: { times: 20, run: (kills, seed) => loseWorkers({ kills, seed }) },
	poison: { times: 10, run: (rounds, seed) => killBesidePoison({ rounds, seed }) },
	postgres: { times: 20, run: (kills, seed) => killPostgres({ kills, seed }) },
	embedded: { times: 10, run: (kills, seed) => killEmbedded({ kills, seed }) },
	database: {
		times: 20,
		run: (rounds, seed) =>
			loseDatabase({ ways: Array.from({ length: rounds }, () => "kill" as const), seed }),
	},
	freeze: {
		times: 5,
		run: (rounds, seed) =>
			loseDatabase({ ways: Array.from({ length: rounds }, () => "freeze" as const), seed }),
	},
	carrier: { times: 10, run: (outages, seed) => loseCarrier({ outages, seed }) },
	drops: { times: 40, run: dropManyBinds },
	network: { times: 5, run: manyBadNetworks },
	overload: { times: 1, run: floodManyTimes },
	clock: {
		times: 10,
		run: (rounds, seed) => jumpClock({ rounds, seed, library: libfaketime ?? "" }),
	},
	simulation: { times: 10_000, run: simulate },
	stop: { times: 20, run: (stops, seed) => stopUnderLoad({ stops, seed }) },
	disk: { times: 5, run: (rounds, seed) => fillDisk({ rounds, seed, what: "data" }) },
	ledger: { times: 1_000, run: attackLedger },
	ledgerflips: { times: 0, run: flipLedger },
	ledgerattacks: { times: 0, run: rewriteLedger },
	ledgerclean: { times: 0, run: leaveLedger },
	ledgerproofs: { times: 0, run: mutateProofs },
	ledgerparts: { times: 60, run: killParts },
	ledgerkill: { times: 60, run: (seconds, seed) => killLedger({ ms: seconds * 1_000, seed }) },
	ledgerdisk: { times: 1_000, run: (acts, seed) => fillLedgerDisk({ acts, seed }) },
	power: { times: 20, run: (cuts, seed) => cutPower({ cuts, seed }) },
	temp: { times: 5, run: (rounds, seed) => fillDisk({ rounds, seed, what: "temp" }) },
	wal: { times: 5, run: (rounds, seed) => fillDisk({ rounds, seed, what: "data and WAL" }) },
};

/** A few per start: a bind that drops again and again is tried ever more seldom, as it should be. */
async function dropManyBinds(drops: number, seed: number): Promise<object> {
	const results: CarrierResult[] = [];
	for (let done = 0; done < drops; done += 4)
		results.push(await dropBinds({ drops: Math.min(4, drops - done), seed: seed + done }));
	const sum = (pick: (one: (typeof results)[number]) => number): number =>
		results.reduce((total, one) => total + pick(one), 0);
	return {
		starts: results.length,
		messages: sum((one) => one.messages),
		unanswered: sum((one) => one.unanswered),
		submittedTwice: sum((one) => one.submittedTwice),
	};
}

/** Half a minute each, with faults that last longer than answers may take. */
async function manyBadNetworks(rounds: number, seed: number): Promise<object> {
	const results: BadCarriersResult[] = [];
	for (let i = 0; i < rounds; i++) {
		const times = { quietMs: 5_000, ragingMs: 30_000, goodMs: 1_000, lastsMs: 6_000 };
		results.push(await sendThroughBadCarriers({ seed: seed + i, ...times }));
	}
	return { rounds: results };
}

/** A minute each. */
async function floodManyTimes(rounds: number, seed: number): Promise<object> {
	const results: OverloadResult[] = [];
	const times = { quietMs: 10_000, floodMs: 60_000, recoverWithinMs: 10_000 };
	for (let i = 0; i < rounds; i++) results.push(await flood({ seed: seed + i, ...times }));
	return { rounds: results };
}

const asked = new Map(
	process.argv.slice(2).map((argument) => {
		const [name = "", count = ""] = argument.split("=");
		if ((name !== "seed" && forms[name] === undefined) || !/^\d+$/.test(count)) {
			process.stderr.write(
				`"${argument}" is not one of ${[...Object.keys(forms), "seed"].map((one) => `${one}=N`).join(" ")}\n`,
			);
			process.exit(2);
		}
		return [name, Number(count)] as const;
	}),
);
const seed = asked.get("seed") ?? Math.floor(Math.random() * 2 ** 31);
asked.delete("seed");
const isRoot = process.getuid?.() === 0 && process.platform === "linux";

for (const [name, { times, run }] of Object.entries(forms)) {
	const count = asked.size === 0 ? times : asked.get(name);
	if (count === undefined || count === 0) continue;
	const noDisk = name === "power" ? await whyNoLoopDisk() : false;
	if (noDisk !== false) {
		process.stdout.write(`power: skipped, ${noDisk}\n`);
		continue;
	}
	if (["disk", "wal", "temp", "ledgerdisk"].includes(name) && !isRoot) {
		process.stdout.write(`${name}: skipped, needs root on Linux to mount a small tmpfs\n`);
		continue;
	}
	if (name === "clock" && libfaketime === undefined) {
		process.stdout.write("clock: skipped, libfaketime is not installed\n");
		continue;
	}
	const began = performance.now();
	process.stdout.write(`${name}=${count} seed=${seed} … `);
	const result = await run(count, seed);
	process.stdout.write(
		`${Math.round((performance.now() - began) / 1_000)} s ${JSON.stringify(result)}\n`,
	);
}
