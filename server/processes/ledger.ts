/** The ledger in the serving process: recorder, chores, signer, and the platform's own start and stop in it. */
import {
	type Act,
	createAuditing,
	createCover,
	createLedger,
	createRefusals,
	createWitnessing,
	platformLog,
	readWitness,
	startLedger,
	system,
	type Witness,
} from "#audit/index.ts";
import { messageReader } from "#messages/index.ts";
import type { Clock } from "#platform/clock.ts";
import { type Config, ConfigError } from "#platform/config.ts";
import { createEgress } from "#platform/egress.ts";
import type { Ids } from "#platform/ids.ts";
import type { Log } from "#platform/log.ts";
import { startLoop } from "#platform/loop.ts";
import type { Metrics } from "#platform/metrics.ts";
import type { Vault } from "#vault/index.ts";
import type { Databases } from "./database.ts";
import { startSigner } from "./signer-process.ts";

export interface LedgerOpening {
	readonly config: Config;
	readonly databases: Databases;
	readonly vault: Vault;
	readonly clock: Clock;
	readonly ids: Ids;
	readonly log: Log;
	readonly metrics: Metrics;
}

/** The signer comes once everything else serves. */
const signerAfterMs = 1_000;

export async function openLedger(parts: LedgerOpening) {
	const { config, databases, vault, clock, log, metrics } = parts;
	const { app: db, worker, signer: database } = databases;
	const name = config.ledgerName;
	const witnesses = readWitnesses(config);
	const ledger = createLedger(parts);
	const refusals = createRefusals({ ledger, db, vault, clock });
	const tell = async (acts: readonly Act[]): Promise<void> => {
		try {
			await db.inPlatform((tx) => ledger.record(tx, acts));
		} catch (err) {
			log.error({ event: "ledger.unrecorded", err }, "the ledger cannot record");
		}
	};
	await tell(
		databases.migrated.map((migration) => ({
			log: platformLog,
			event: "database.migrated",
			actor: system,
			data: { migration },
		})),
	);
	const { dataDir } = config;
	const signer = config.ledgerSigner
		? startSigner({ dataDir, database, name, log, metrics, afterMs: signerAfterMs })
		: undefined;
	const onPlaced = (): void => signer?.nudge();
	const keeping = { worker, ledger, refusals, messages: messageReader, onPlaced };
	const chores = startLedger({ ...keeping, clock, log, metrics, name });
	const { untilSigned } = createCover({ db, clock, hurry: chores.hurry });
	const auditing = createAuditing({ ledger, db, vault, refused: refusals.add, untilSigned });
	const witnessing = startWitnesses(parts, witnesses);
	return {
		ledger,
		auditing,
		signer,
		started: () => tell([{ log: platformLog, event: "platform.started", actor: system }]),
		async stop(): Promise<void> {
			await witnessing.stop();
			await chores.stop(() =>
				tell([{ log: platformLog, event: "platform.stopped", actor: system }]),
			);
			await signer?.stop();
		},
	};
}

const witnessEveryMs = 1_000;
const witnessTimeoutMs = 5_000;

function readWitnesses(config: Config): readonly Witness[] {
	return config.ledgerWitnesses.map((text) => {
		const witness = readWitness(text);
		if (witness !== undefined) return witness;
		throw new ConfigError(
			`WAXWING_LEDGER_WITNESSES holds "${text}"; a witness is URL=NAME+ID+BASE64, the key as the witness shows it.`,
		);
	});
}

/** Checkpoints go to the witnesses from the process that has the signer. */
function startWitnesses(
	{ config, databases, clock, log, metrics }: LedgerOpening,
	witnesses: readonly Witness[],
) {
	const egress = createEgress({
		allow: config.ledgerWitnessNetworks,
		clock,
		totalTimeoutMs: witnessTimeoutMs,
	});
	const ending = new AbortController();
	const { step } = createWitnessing({
		signal: ending.signal,
		db: databases.worker,
		egress,
		clock,
		log,
		metrics,
		witnesses,
	});
	const isOurs = witnesses.length > 0 && config.ledgerSigner;
	const every = { log, name: "ledger.witnesses", everyMs: witnessEveryMs, step };
	const loop = isOurs ? startLoop(every) : undefined;
	return {
		async stop(): Promise<void> {
			ending.abort();
			await loop?.stop();
			egress.close();
		},
	};
}
