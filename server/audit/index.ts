export { auditOf, createAuditing, systemAudit } from "./auditing.ts";
export {
	type BatchDigest,
	batchDigest,
	type BatchedMessage,
	type MessageDigest,
	messageDigest,
} from "./batch.ts";
export { readWitness, type Witness } from "./cosignature.ts";
export { type Cover, createCover } from "./cover.ts";
export { type EventName, eventTypes, isEventName } from "./events.ts";
export { type Fork, forkLog, logsToFork } from "./fork.ts";
export { type Act, createLedger, type Ledger, signerAwayMs, system } from "./ledger.ts";
export { createRefusals, type Refusals } from "./refusals.ts";
export { type LedgerRouteParts, ledgerRoutes } from "./routes.ts";
export { createScrubber, type Scrubber } from "./scrubber.ts";
export { createSigner, type Signer, type SignerParts } from "./signer.ts";
export { hasCheckpoints } from "./signer-store.ts";
export { readState, SignerStateError } from "./signer-state.ts";
export { type LedgerChores, startLedger } from "./start.ts";
export { platformLog } from "./store.ts";
export { createWitnessing, type Witnessing } from "./witnessing.ts";
