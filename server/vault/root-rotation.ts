/**
 * Rotation of the root key: every key that stands wrapped is wrapped anew under the newest root key; nothing that they
 * sealed is touched. What is done can be read from the wrapped keys themselves, so it may stop at any moment and go on
 * later. Also the rotation of one tenant's own key.
 */
import type { Clock } from "#platform/clock.ts";
import type { Database } from "#platform/db.ts";
import type { Random } from "#platform/ids.ts";
import {
	epochFile,
	epochLabel,
	type EpochRecord,
	readEpochs,
	showEpochs,
} from "./contact-epochs.ts";
import { keyBytes } from "./derive.ts";
import type { KeyFiles } from "./key-files.ts";
import { tenantKeyLabel } from "./keys.ts";
import { platformFile, platformLabel } from "./open-keys.ts";
import type { KeyLabel } from "./providers/provider.ts";
import {
	addTenantKey,
	rewrapSuppressionKey,
	rewrapTenantKey,
	suppressionKeysAfter,
	type TenantKeyRow,
	tenantKeysAfter,
} from "./rotation-store.ts";
import { findWrappedKeys } from "./store.ts";
import { suppressionKeyLabel } from "./suppression-key.ts";
import { VaultError } from "./vault-error.ts";
import { wrappedBy, type Wrapping } from "./wrapping.ts";

export interface RotationParts {
	readonly worker: Pick<Database, "inPlatform">;
	readonly wrapping: Wrapping;
	readonly files: KeyFiles;
	readonly random: Random;
	readonly clock: Clock;
}

const pageRows = 200;

/** `provider:version` of the root key that wraps now. */
export async function newestRoot({ wrapping, random }: RotationParts): Promise<string> {
	const label: KeyLabel = { tenantId: "", table: "health", row: "" };
	return wrappedBy(await wrapping.wrap(random.bytes(keyBytes), label));
}

export interface RootCount {
	/** Keys by the root key that wraps them. */
	readonly byRoot: ReadonlyMap<string, number>;
}

/** Which root keys are in use, and for how many keys. */
export async function countRoots(parts: RotationParts): Promise<RootCount> {
	const byRoot = new Map<string, number>();
	await walk(parts, async (stored) => {
		const root = wrappedBy(stored);
		byRoot.set(root, (byRoot.get(root) ?? 0) + 1);
		return undefined;
	});
	return { byRoot };
}

/** Wraps under the newest root key what is wrapped under another. Returns how many keys were wrapped anew. */
export async function rewrapAll(parts: RotationParts): Promise<number> {
	const { wrapping } = parts;
	const newest = await newestRoot(parts);
	let count = 0;
	// Again while something is found: a tenant may have been made under the old root key meanwhile.
	for (let found = -1; found !== count; ) {
		found = count;
		await walk(parts, async (stored, label) => {
			if (wrappedBy(stored) === newest) return undefined;
			const key = await wrapping.unwrap(stored, label);
			const wrapped = await wrapping.wrap(key, label);
			key.fill(0);
			count++;
			return wrapped;
		});
	}
	return count;
}

/** Destroys a root key that wraps nothing any more. Throws a VaultError when it is still needed. */
export async function destroyRoot(parts: RotationParts, root: string): Promise<void> {
	const used = (await countRoots(parts)).byRoot.get(root) ?? 0;
	if (used > 0)
		throw VaultError.of(
			"malformed",
			`${used} keys are still wrapped by ${root}: rotate the root key first`,
		);
	await parts.wrapping.current.destroy(root.slice(root.indexOf(":") + 1));
}

/** A new key for the tenant's records, besides those of its contacts. It seals when every process has loaded it. */
export async function rotateTenantKey(parts: RotationParts, tenantId: string): Promise<number> {
	const { worker, wrapping, random, clock } = parts;
	const rows = await worker.inPlatform((tx) => findWrappedKeys(tx, [tenantId]));
	if (rows.length === 0) throw VaultError.of("unknown_key", "there is no such tenant");
	const epoch = Math.max(...rows.map((row) => row.epoch)) + 1;
	const key = random.bytes(keyBytes);
	const wrapped = await wrapping.wrap(key, tenantKeyLabel(tenantId, epoch));
	key.fill(0);
	const row: TenantKeyRow = { tenantId, epoch, wrapped, createdAtMs: clock.now() };
	await worker.inPlatform(async (tx) => addTenantKey(tx, row));
	return epoch;
}

/** What to keep in a wrapped key's place; undefined leaves it. */
type Visit = (stored: Buffer, label: KeyLabel) => Promise<Buffer | undefined>;

/** Where wrapped keys stand in the database. */
interface KeyTable {
	readonly after: typeof tenantKeysAfter;
	readonly rewrap: typeof rewrapTenantKey;
	readonly label: typeof tenantKeyLabel;
}

const keyTables: readonly KeyTable[] = [
	{ after: tenantKeysAfter, rewrap: rewrapTenantKey, label: tenantKeyLabel },
	{ after: suppressionKeysAfter, rewrap: rewrapSuppressionKey, label: suppressionKeyLabel },
];

async function walk(parts: RotationParts, visit: Visit): Promise<void> {
	await walkFiles(parts, visit);
	for (const table of keyTables) await walkTable(parts, table, visit);
}

async function walkTable(parts: RotationParts, table: KeyTable, visit: Visit): Promise<void> {
	let after: TenantKeyRow | undefined;
	for (;;) {
		const from = after;
		const rows = await parts.worker.inPlatform((tx) => table.after(tx, from, pageRows));
		const changed: (readonly [TenantKeyRow, Buffer])[] = [];
		for (const row of rows) {
			const wrapped = await visit(row.wrapped, table.label(row.tenantId, row.epoch));
			if (wrapped !== undefined) changed.push([row, wrapped]);
		}
		// The key service may be slow: no connection is held while it is asked.
		if (changed.length > 0)
			await parts.worker.inPlatform(async (tx) => {
				for (const [row, wrapped] of changed) table.rewrap(tx, row, wrapped);
			});
		after = rows.at(-1);
		if (after === undefined || rows.length < pageRows) return;
	}
}

async function walkFiles({ files }: RotationParts, visit: Visit): Promise<void> {
	const platform = files.read(platformFile);
	if (platform !== undefined) {
		const wrapped = await visit(platform, platformLabel);
		if (wrapped !== undefined) files.write(platformFile, wrapped);
	}
	for (const tenantId of files.tenants()) {
		const records = readEpochs(files, tenantId);
		const kept: EpochRecord[] = [];
		let changed = false;
		for (const record of records) {
			const wrapped = await visit(record.wrapped, epochLabel(tenantId, record.epoch));
			changed ||= wrapped !== undefined;
			kept.push(wrapped === undefined ? record : { ...record, wrapped });
		}
		// A turn may have gone on while the key service was asked: then it is left for the next round.
		const now = readEpochs(files, tenantId).map(({ epoch }) => epoch);
		const isSame = now.join() === records.map(({ epoch }) => epoch).join();
		if (changed && isSame) files.write(epochFile(tenantId), showEpochs(kept));
	}
}
