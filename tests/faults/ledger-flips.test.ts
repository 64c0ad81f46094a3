/**
 * The ledger against single bits: each bit of some stored bytes is flipped by a superuser, one at a time, and found by the
 * signer; what an export shows is found by waxwing-verify too. The long form does it with a thousand bytes.
 */
import assert from "node:assert/strict";
import { isUtf8 } from "node:buffer";
import { test } from "node:test";
import { besiege, times } from "./ledger-siege.ts";

const bytesToFlip = times(24);
const { world, tenantId, admin, below, verifies } = await besiege();

/** Where bytes are stored, what finds the row again, and whether waxwing-verify sees it in an export. */
const columns = [
	["ledger_entries", "entry", "id", true],
	["ledger_entries", "detail_sealed", "id", true],
	["ledger_nodes", "hash", "level || '/' || position", false],
	["ledger_checkpoints", "checkpoint", "size", true],
	["ledger_checkpoints", "root", "size", false],
	["ledger_checkpoints", "public_key", "size", false],
	["ledger_entries", "action", "id", false],
	["ledger_entries", "actor", "id", false],
	["ledger_logs", "root", "epoch", false],
] as const;
const textual: readonly string[] = ["checkpoint", "action", "actor"];

interface Cell {
	readonly table: string;
	readonly column: string;
	/** An expression over the row, and its value. */
	readonly key: string;
	readonly is: string;
}

/** One stored value of the log, by chance. */
async function anyCell(table: string, column: string, key: string): Promise<Cell> {
	const rows = await admin.run<{ is: string }>(
		`select (${key})::text as is from ${table} where tenant_id = $1 and ${column} is not null order by 1`,
		[tenantId],
	);
	const row = rows[below(rows.length)];
	return { table, column, key, is: row?.is ?? assert.fail(`${table} is empty`) };
}

async function bytesOf({ table, column, key, is }: Cell): Promise<Buffer> {
	const value = textual.includes(column) ? `convert_to(${column}, 'UTF8')` : column;
	const rows = await admin.run<{ value: Buffer }>(
		`select ${value} as value from ${table} where tenant_id = $1 and (${key})::text = $2`,
		[tenantId, is],
	);
	return rows[0]?.value ?? assert.fail(`${table}.${column} ${is} is gone`);
}

async function setBytes({ table, column, key, is }: Cell, value: Buffer): Promise<void> {
	const given = textual.includes(column) ? "convert_from($3::bytea, 'UTF8')" : "$3::bytea";
	await world.asSuperuser((run) =>
		run(`update ${table} set ${column} = ${given} where tenant_id = $1 and (${key})::text = $2`, [
			tenantId,
			is,
			value,
		]),
	);
}

function flipBit(bytes: Buffer, at: number, bit: number): Buffer {
	const copy = Buffer.from(bytes);
	copy[at] = (copy[at] as number) ^ (1 << bit);
	return copy;
}

/** Bytes that PostgreSQL can keep in a text. */
function isText(bytes: Buffer): boolean {
	return isUtf8(bytes) && !bytes.includes(0);
}

/** A page or more: the log's dead rows would make every look slower than the one before. */
const vacuumEvery = 50;

test(`each bit of ${bytesToFlip} stored bytes, flipped: all found`, {
	timeout: 3_000_000,
}, async (context) => {
	// Checks of the tables must not stand between us and the bytes.
	await admin.run(
		"alter table ledger_entries drop constraint ledger_entries_action_check, drop constraint ledger_entries_actor_check",
	);
	const done = { flips: 0, impossible: 0, verifier: 0 };
	for (let n = 0; n < bytesToFlip; n++) {
		if (n % vacuumEvery === vacuumEvery - 1)
			for (const table of new Set(columns.map(([one]) => one))) await admin.run(`vacuum ${table}`);
		const [table, column, key, exported] = columns[n % columns.length] as (typeof columns)[number];
		const cell = await anyCell(table, column, key);
		const before = await bytesOf(cell);
		const at = below(before.length);
		for (let bit = 0; bit < 8; bit++) {
			const changed = flipBit(before, at, bit);
			if (textual.includes(column) && !isText(changed)) {
				// The database itself refuses such a text.
				await assert.rejects(setBytes(cell, changed));
				done.impossible++;
				continue;
			}
			await setBytes(cell, changed);
			const where = `${table}.${column} ${cell.is} byte ${at} bit ${bit}`;
			assert.ok((await world.inspect()).length > 0, `${where} was not found`);
			if (exported) {
				assert.equal(await verifies(), false, `${where}: waxwing-verify`);
				done.verifier++;
			}
			await setBytes(cell, before);
			done.flips++;
		}
	}
	assert.equal(done.flips + done.impossible, 8 * bytesToFlip);
	context.diagnostic(
		`${bytesToFlip} bytes: ${done.flips} flips, all found by the signer; ${done.verifier} of them shown to waxwing-verify, all found; ${done.impossible} more cannot be stored`,
	);
	assert.deepEqual(await world.inspect(), []);
	assert.ok(await verifies());
});
