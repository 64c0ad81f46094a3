/**
 * The keys that a tenant's contact keys are wrapped under, one per epoch. They stand wrapped under the root key in a file
 * of the tenant's own, not in the database: when an epoch's key is destroyed, what a backup of the database holds
 * under it can never be opened again.
 */
import type { KeyObject } from "node:crypto";
import type { Random } from "#platform/ids.ts";
import { deriveKey, keyBytes } from "./derive.ts";
import type { KeyFiles } from "./key-files.ts";
import type { KeyLabel } from "./providers/provider.ts";
import { VaultError } from "./vault-error.ts";
import type { Wrapping } from "./wrapping.ts";

export interface EpochRecord {
	readonly epoch: number;
	/** Milliseconds since the epoch of time. */
	readonly createdAtMs: number;
	readonly wrapped: Buffer;
}

export interface ContactEpochs {
	/** New contact keys are wrapped under it. */
	readonly newest: number;
	/** Undefined for an epoch that is destroyed, or not yet known to this process. */
	wrappingKey(epoch: number): KeyObject | undefined;
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
 * (`stored` is what the database knows) or does not open.
 */
export async function loadEpochs(
	parts: EpochParts,
	tenantId: string,
	stored: number | null,
	nowMs: number,
): Promise<ContactEpochs> {
	const { files, wrapping } = parts;
	let records = readEpochs(files, tenantId);
	if (records.length === 0) {
		if (stored !== null)
			throw VaultError.of(
				"unknown_key",
				`the key file ${files.pathOf(epochFile(tenantId))} is missing: put the folder back from its backup`,
			);
		const first = await makeEpoch(parts, tenantId, 1, nowMs);
		files.create(epochFile(tenantId), showEpochs([first]));
		await parts.began(tenantId);
		records = readEpochs(files, tenantId);
	}
	const keys = new Map<number, KeyObject>();
	for (const { epoch, wrapped } of records) {
		const key = await wrapping.unwrap(wrapped, epochLabel(tenantId, epoch));
		keys.set(epoch, deriveKey(key, "contact/wrap"));
		key.fill(0);
	}
	return { newest: Math.max(...keys.keys()), wrappingKey: (epoch) => keys.get(epoch) };
}
