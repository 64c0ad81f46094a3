/**
 * Turns a tenant's contact epoch: a new key is made; when every process has had time to load it, the survivors' contact
 * keys are wrapped under it and copied beside the epochs' file; then the old key is destroyed, and with it whatever only
 * it could open, in backups too. Each call goes one step; where it stopped can be read from the file.
 */
import type { Clock } from "#platform/clock.ts";
import type { Database, Environment, Tx } from "#platform/db.ts";
import type { Random } from "#platform/ids.ts";
import {
	type ContactEpochs,
	epochFile,
	type EpochRecord,
	loadEpochs,
	makeEpoch,
	readEpochs,
	showEpochs,
} from "./contact-epochs.ts";
import { contactNonceBytes } from "./contact-key.ts";
import {
	type ContactKeyRow,
	type ContactRef,
	contactKeysAfter,
	dropContactKeys,
	offerContactKeys,
	rewrapContactKeys,
} from "./contact-store.ts";
import type { KeyFiles } from "./key-files.ts";
import { completeErasures } from "./rotation-store.ts";
import { setContactEpoch } from "./store.ts";
import { openContact, wrapContact } from "./stored-key.ts";
import { VaultError } from "./vault-error.ts";
import type { Wrapping } from "./wrapping.ts";

export interface TurnParts {
	readonly worker: Pick<Database, "inTenants" | "inPlatform">;
	readonly wrapping: Wrapping;
	readonly files: KeyFiles;
	readonly random: Random;
	readonly clock: Clock;
	/** Every process's copy of the tenant's keys is younger than this: see `settleMs`. */
	readonly settleMs: number;
	/** This process must load the tenant's keys anew. */
	readonly forgetTenant: (tenantId: string) => void;
}

/** `waiting`: until every process knows the new epoch. */
export type TurnStep = "begun" | "waiting" | "turned";

const pageRows = 1_000;

export async function turnEpoch(parts: TurnParts, tenantId: string): Promise<TurnStep> {
	const { files, clock } = parts;
	const records = readEpochs(files, tenantId);
	const newest = records.at(-1);
	if (newest === undefined)
		throw VaultError.of("unknown_key", `tenant ${tenantId} has no contact epoch to turn`);
	if (records.length === 1) {
		const next = await makeEpoch(parts, tenantId, newest.epoch + 1, clock.now());
		files.write(epochFile(tenantId), showEpochs([newest, next]));
		parts.forgetTenant(tenantId);
		return "begun";
	}
	if (clock.now() < newest.createdAtMs + parts.settleMs) return "waiting";
	await finish(parts, tenantId, newest);
	return "turned";
}

async function finish(parts: TurnParts, tenantId: string, newest: EpochRecord): Promise<void> {
	const { files, worker, clock } = parts;
	const epochs = await epochsOf(parts, tenantId);
	await files.writeLines(survivorsFile(tenantId), rewrapAll(parts, tenantId, epochs));
	await worker.inPlatform(async (tx) => setContactEpoch(tx, tenantId, newest.epoch, clock.now()));
	// From here on the old epoch's key is nowhere but in memory, and there for minutes only.
	files.write(epochFile(tenantId), showEpochs([newest]));
	parts.forgetTenant(tenantId);
	await worker.inTenants([tenantId], async (tx) =>
		completeErasures(tx, tenantId, newest.epoch, clock.now()),
	);
}

function epochsOf(parts: TurnParts, tenantId: string): Promise<ContactEpochs> {
	// The tenant has epochs, or there would be nothing to turn: none is begun here.
	return loadEpochs({ ...parts, began: async () => undefined }, tenantId, null, parts.clock.now());
}

/** Every contact key of the tenant, wrapped under the newest epoch there and in what is given out. */
async function* rewrapAll(
	{ worker, random }: TurnParts,
	tenantId: string,
	epochs: ContactEpochs,
): AsyncGenerator<string[]> {
	for await (const moved of pagesOf(worker, tenantId, (tx, rows) => {
		const pairs = rows.map((row) => rewrap(row, epochs, random));
		rewrapContactKeys(
			tx,
			pairs.filter((row) => row.was !== row.stored),
		);
		return pairs;
	}))
		yield moved.map(showSurvivor);
}

/** What `act` makes of all contact keys of a tenant, a page and a transaction at a time: there may be millions. */
async function* pagesOf<T>(
	worker: TurnParts["worker"],
	tenantId: string,
	act: (tx: Tx, rows: readonly ContactKeyRow[]) => readonly T[],
): AsyncGenerator<readonly T[]> {
	let after: ContactRef | undefined;
	for (;;) {
		const from = after;
		const made = await worker.inTenants([tenantId], async (tx) => {
			const rows = await contactKeysAfter(tx, tenantId, from, pageRows);
			after = rows.at(-1);
			return act(tx, rows);
		});
		yield made;
		if (after === undefined || made.length < pageRows) return;
	}
}

function rewrap(row: ContactKeyRow, epochs: ContactEpochs, random: Random) {
	const { newest } = epochs;
	const [from, to] = [epochs.keyOf(row.epoch), epochs.keyOf(newest)];
	if (row.epoch === newest || from === undefined || to === undefined)
		// One of a destroyed epoch opens for nobody: it stays as it is.
		return { ...row, was: row.stored };
	const material = openContact(from, row.epoch, row, row.stored);
	if (material === undefined) return { ...row, was: row.stored };
	const nonce = random.bytes(contactNonceBytes);
	const stored = wrapContact(to, newest, row, nonce, material);
	material.fill(0);
	return { ...row, epoch: newest, stored, was: row.stored };
}

// Survivors, for a restored database -------------------------------------------------------------------------------

export function survivorsFile(tenantId: string): string {
	return `${tenantId}.contacts`;
}

function showSurvivor({ environment, index, epoch, stored, createdAtMs }: ContactKeyRow): string {
	return [
		environment,
		index.toString("base64"),
		epoch,
		stored.toString("base64"),
		createdAtMs,
	].join(" ");
}

function readSurvivor(tenantId: string, line: string): ContactKeyRow {
	const [environment, index = "", epoch, stored = "", createdAtMs] = line.split(" ");
	return {
		tenantId,
		environment: environment as Environment,
		index: Buffer.from(index, "base64"),
		epoch: Number(epoch),
		stored: Buffer.from(stored, "base64"),
		createdAtMs: Number(createdAtMs),
	};
}

/**
 * A database restored from before the last turn: its contact keys open for nobody any more. Those of the survivors take
 * their place; the erased have none. Returns how many contacts were brought back.
 */
export async function bringBackSurvivors(parts: TurnParts, tenantId: string): Promise<number> {
	const { files, worker, clock } = parts;
	const oldest = readEpochs(files, tenantId)[0]?.epoch ?? 1;
	const dropping = pagesOf(worker, tenantId, (tx, rows) => {
		const dead = rows.filter((row) => row.epoch < oldest);
		dropContactKeys(tx, dead);
		return rows;
	});
	for await (const _ of dropping);
	let count = 0;
	for await (const lines of files.readLines(survivorsFile(tenantId), pageRows)) {
		const rows = lines.map((line) => readSurvivor(tenantId, line));
		await worker.inTenants([tenantId], (tx) => offerContactKeys(tx, rows));
		count += rows.length;
	}
	await worker.inPlatform(async (tx) => setContactEpoch(tx, tenantId, oldest, clock.now()));
	return count;
}
