/**
 * The keys that a tenant's contact keys are wrapped under, one per epoch. They stand wrapped under the root key in a file
 * of the tenant's own, not in the database: when an epoch's key is destroyed, what a backup of the database holds
 * under it can never be opened again.
 */
import type { Random } from "#platform/ids.ts";
import { keyBytes } from "./derive.ts";
import type { KeyFiles } from "./key-files.ts";
import type { KeyLabel } from "./providers/provider.ts";
import { type EpochKey, epochKey } from "./stored-key.ts";
import { VaultError } from "./vault-error.ts";
import type { Wrapping } from "./wrapping.ts";

export interface EpochRecord {
	readonly epoch: number;
	/** Milliseconds since the epoch of time. */
	readonly createdAtMs: number;
	readonly wrapped: Buffer;
}

export interface ContactEpochs {
	/** New contact keys are made under it. */
	readonly newest: number;
	/** Every epoch before it is destroyed. */
	readonly oldest: number;
	/** Undefined for an epoch that is destroyed, or not yet known to this process. */
	keyOf(epoch: number): EpochKey | undefined;
	/** Which state of the file they were read from; undefined when they are in none. */
	readonly mark: string | undefined;
}

export interface EpochParts {
	readonly wrapping: Wrapping;
	readonly files: KeyFiles;
	readonly random: Random;
	/** Keeps in the database that the tenant has a first epoch. */
	readonly began: (tenantId: string) => Promise<void>;
}

export function epochFile(tenantId: string): string {
	return `${tenantId}.epochs`;
}

export function epochLabel(tenantId: string, epoch: number): KeyLabel {
	return { tenantId, table: "contact_epochs", row: String(epoch) };
}

/** The epochs of a tenant, the oldest first; none when there is no file. */
export function readEpochs(files: KeyFiles, tenantId: string): EpochRecord[] {
	const text = files.read(epochFile(tenantId));
	if (text === undefined) return [];
	const { epochs } = JSON.parse(text.toString("utf8")) as {
		epochs: { epoch: number; created_at: string; wrapped: string }[];
	};
	return epochs.map(({ epoch, created_at, wrapped }) => ({
		epoch,
		createdAtMs: Date.parse(created_at),
		wrapped: Buffer.from(wrapped, "base64"),
	}));
}

export function showEpochs(epochs: readonly EpochRecord[]): string {
	const shown = epochs.map(({ epoch, createdAtMs, wrapped }) => ({
		epoch,
		created_at: new Date(createdAtMs).toISOString(),
		wrapped: wrapped.toString("base64"),
	}));
	return `${JSON.stringify({ epochs: shown }, undefined, "\t")}\n`;
}

/** A new key for an epoch, wrapped. */
export async function makeEpoch(
	{ wrapping, random }: Pick<EpochParts, "wrapping" | "random">,
	tenantId: string,
	epoch: number,
	nowMs: number,
): Promise<EpochRecord> {
	const key = random.bytes(keyBytes);
	const wrapped = await wrapping.wrap(key, epochLabel(tenantId, epoch));
	key.fill(0);
	return { epoch, createdAtMs: nowMs, wrapped };
}

/**
 * Loads a tenant's epochs; begins the first when there never was one. Throws a VaultError when the file is gone
 * (`stored` is what the database knows) or does not open. What was destroyed while it was being opened is left out.
 */
export async function loadEpochs(
	parts: EpochParts,
	tenantId: string,
	stored: number | null,
	nowMs: number,
): Promise<ContactEpochs> {
	for (let reads = 1; ; reads++) {
		const mark = markOf(parts, tenantId);
		const records = await readOrBegin(parts, tenantId, stored, nowMs);
		const keys = await openEpochs(parts, tenantId, records);
		// The key service may be slow. A turn that went on meanwhile may have destroyed one of these.
		if (markOf(parts, tenantId) !== mark && mark !== undefined && reads < readsMax) continue;
		const left = new Set(readEpochs(parts.files, tenantId).map(({ epoch }) => epoch));
		for (const epoch of keys.keys()) if (!left.has(epoch)) keys.delete(epoch);
		return epochsOf(keys, mark);
	}
}

/** Changes whenever the tenant's file does. */
export function markOf({ files }: Pick<EpochParts, "files">, tenantId: string): string | undefined {
	return files.mark(epochFile(tenantId));
}

/** A file changes twice in twenty minutes at most. */
const readsMax = 3;

async function readOrBegin(
	parts: EpochParts,
	tenantId: string,
	stored: number | null,
	nowMs: number,
): Promise<EpochRecord[]> {
	const { files } = parts;
	const records = readEpochs(files, tenantId);
	if (records.length > 0) return records;
	if (stored !== null)
		throw VaultError.of(
			"unknown_key",
			`the key file ${files.pathOf(epochFile(tenantId))} is missing: put the folder back from its backup`,
		);
	const first = await makeEpoch(parts, tenantId, 1, nowMs);
	files.create(epochFile(tenantId), showEpochs([first]));
	await parts.began(tenantId);
	return readEpochs(files, tenantId);
}

async function openEpochs(
	{ wrapping }: EpochParts,
	tenantId: string,
	records: readonly EpochRecord[],
): Promise<Map<number, EpochKey>> {
	const keys = new Map<number, EpochKey>();
	for (const { epoch, wrapped } of records) {
		const key = await wrapping.unwrap(wrapped, epochLabel(tenantId, epoch));
		keys.set(epoch, epochKey(key));
		key.fill(0);
	}
	return keys;
}

/** Without a file: an epoch that follows from the tenant's key, and cannot be destroyed apart from it. */
export function epochsOf(
	keys: ReadonlyMap<number, EpochKey>,
	mark: string | undefined,
): ContactEpochs {
	const epochs = [...keys.keys()];
	return {
		newest: Math.max(...epochs),
		oldest: Math.min(...epochs),
		keyOf: (epoch) => keys.get(epoch),
		mark,
	};
}
