/**
 * The ledger against a superuser: every way to change what is stored is found by the signer, which knows what it
 * has signed, or by waxwing-verify; and nothing is found where nothing was done. The long form
 * (`npm run faults -- ledger=1000`) flips each bit of a thousand bytes; here it is a few of each kind.
 */
import assert from "node:assert/strict";
import { isUtf8 } from "node:buffer";
import { test } from "node:test";
import { seededRandom, showId } from "#platform/ids.ts";
import { signCheckpoint } from "../../server/audit/checkpoint.ts";
import { append, emptyEdge, leafHash, type Node, rootOf } from "../../server/audit/tree.ts";
import { runVerifier } from "../support/ledger-texts.ts";
import { type LedgerWorld, ledgerWorld } from "../support/ledger-world.ts";

const bytesToFlip = Number(process.env["WAXWING_TEST_LEDGER_BYTES"] ?? 24);
const cleanRuns = Number(process.env["WAXWING_TEST_LEDGER_BYTES"] ?? 20);
const random = seededRandom(Number(process.env["WAXWING_TEST_LEDGER_SEED"] ?? 34));
const below = (n: number): number => Math.floor(random.fraction() * n);

const world = await ledgerWorld();
assert.deepEqual(await world.grow(60, 6), []);
const { tenantId, admin } = world;
const kept = await world.newestCheckpoint();

/** The verifier's word on an export made now: true when all is well. */
async function verifies(newest = kept): Promise<boolean> {
	const text = await world.exported().catch(() => undefined);
	if (text === undefined) return false;
	return runVerifier(["full", "@0", ...world.pinned, "--newest", "@1"], text, newest).status === 0;
}

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
	const [row] = await admin.run<{ is: string }>(
		`select (${key})::text as is from ${table} where tenant_id = $1 and ${column} is not null order by random() limit 1`,
		[tenantId],
	);
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

test(`each bit of ${bytesToFlip} stored bytes, flipped: all found`, {
	timeout: 3_000_000,
}, async (context) => {
	// Checks of the tables must not stand between us and the bytes.
	await admin.run(
		"alter table ledger_entries drop constraint ledger_entries_action_check, drop constraint ledger_entries_actor_check",
	);
	let flips = 0;
	let seenByVerifier = 0;
	for (let n = 0; n < bytesToFlip; n++) {
		const [table, column, key, exported] = columns[n % columns.length] as (typeof columns)[number];
		const cell = await anyCell(table, column, key);
		const before = await bytesOf(cell);
		const at = below(before.length);
		for (let bit = 0; bit < 8; bit++) {
			const changed = flipBit(before, at, bit);
			if (textual.includes(column) && !isText(changed)) continue;
			await setBytes(cell, changed);
			const troubles = await world.inspect();
			assert.ok(troubles.length > 0, `${table}.${column} byte ${at} bit ${bit} was not found`);
			if (exported && flips % 20 === 0) {
				assert.equal(await verifies(), false, `${table}.${column} byte ${at} bit ${bit}`);
				seenByVerifier++;
			}
			await setBytes(cell, before);
			flips++;
		}
	}
	context.diagnostic(
		`${flips} flips found by the signer; ${seenByVerifier} shown to waxwing-verify, found`,
	);
	assert.deepEqual(await world.inspect(), []);
	assert.ok(await verifies());
});

type Run = LedgerWorld["admin"]["run"];

/** Makes nodes, head and, with the signing key, checkpoints anew from the entries as they are now: a perfect forger. */
async function rebuild(run: Run, withKey: boolean): Promise<void> {
	const rows = await run<{ entry: Buffer }>(
		"select entry from ledger_entries where tenant_id = $1 and leaf_index is not null order by leaf_index",
		[tenantId],
	);
	const made: Node[] = [];
	const leaves = rows.map(({ entry }) => leafHash(entry));
	const edge = append(emptyEdge, leaves, made);
	await run("delete from ledger_nodes where tenant_id = $1", [tenantId]);
	for (const { level, position, hash } of made)
		await run("insert into ledger_nodes values ($1, 1, $2, $3, $4)", [
			tenantId,
			level,
			position,
			hash,
		]);
	await run("update ledger_logs set size = $2, signed_size = $2, root = $3 where tenant_id = $1", [
		tenantId,
		edge.size,
		rootOf(edge),
	]);
	if (!withKey) return;
	const old = await run<{ size: number }>(
		"select size::int from ledger_checkpoints where tenant_id = $1",
		[tenantId],
	);
	await run("delete from ledger_checkpoints where tenant_id = $1", [tenantId]);
	for (const size of new Set([...old.map((one) => Math.min(one.size, edge.size)), edge.size])) {
		const head = {
			origin: world.origin,
			size,
			root: rootOf(append(emptyEdge, leaves.slice(0, size))),
		};
		await run("insert into ledger_checkpoints values ($1, 1, $2, $3, $4, $5, now(), true)", [
			tenantId,
			size,
			head.root,
			signCheckpoint(head, world.key),
			world.key.publicKey,
		]);
	}
}

const where = "tenant_id = $1 and leaf_index";
const shift =
	(from: number, by: number) =>
	async (run: Run): Promise<void> => {
		// Out of the way first: places are unique.
		await run(
			`update ledger_entries set leaf_index = leaf_index + 1000 where ${where} >= ${from}`,
			[tenantId],
		);
		await run(
			`update ledger_entries set leaf_index = leaf_index - 1000 + ${by} where ${where} >= 1000`,
			[tenantId],
		);
	};
const swap = async (run: Run): Promise<void> => {
	await run(`update ledger_entries set leaf_index = 1000 where ${where} = 10`, [tenantId]);
	await run(`update ledger_entries set leaf_index = 10 where ${where} = 11`, [tenantId]);
	await run(`update ledger_entries set leaf_index = 11 where ${where} = 1000`, [tenantId]);
};
const insert = async (run: Run): Promise<void> => {
	await shift(20, 1)(run);
	const id = world.ids.next();
	await run(
		`insert into ledger_entries select tenant_id, $2, action, actor, convert_to(replace(convert_from(entry, 'UTF8'), '"aud_' || substr(convert_from(entry, 'UTF8'), position('"aud_' in convert_from(entry, 'UTF8')) + 5, 26), '"' || $3), 'UTF8'), detail_sealed, 1, 20
		from ledger_entries where ${where} = 19`,
		[tenantId, id, showId("aud", id)],
	);
};
const remove = async (run: Run): Promise<void> => {
	await run(`delete from ledger_entries where ${where} = 30`, [tenantId]);
	await shift(31, -1)(run);
};
const rewrite = (run: Run): Promise<unknown> =>
	run(
		`update ledger_entries set entry = convert_to(replace(convert_from(entry, 'UTF8'), '"outcome":"ok"', '"outcome":"failed"'), 'UTF8') where ${where} = 40`,
		[tenantId],
	);
const cut = (run: Run): Promise<unknown> =>
	run(`delete from ledger_entries where ${where} >= 50`, [tenantId]);
const cutAndCheckpoints = async (run: Run): Promise<void> => {
	await cut(run);
	await run("delete from ledger_checkpoints where tenant_id = $1 and size > 50", [tenantId]);
};

const attacks: Readonly<Record<string, (run: Run) => Promise<unknown>>> = {
	"an entry deleted": (run) => run(`delete from ledger_entries where ${where} = 30`, [tenantId]),
	"an entry deleted, the rest moved up": remove,
	"two entries swapped": swap,
	"the bytes of two entries swapped": async (run) => {
		const rows = await run<{ id: string; entry: Buffer }>(
			`select id, entry from ledger_entries where ${where} in (10, 11) order by leaf_index`,
			[tenantId],
		);
		for (const [i, { id }] of rows.entries())
			await run("update ledger_entries set entry = $2 where id = $1", [id, rows[1 - i]?.entry]);
	},
	"an entry inserted": insert,
	"an entry of another log put in": async (run) => {
		const [own] = await run<{ entry: Buffer }>(
			"select entry from ledger_entries where tenant_id <> $1 limit 1",
			[tenantId],
		);
		await run(`update ledger_entries set entry = $2 where ${where} = 12`, [tenantId, own?.entry]);
	},
	"an entry rewritten": rewrite,
	"a detail exchanged for another": (run) =>
		run(
			`update ledger_entries set detail_sealed = (select detail_sealed from ledger_entries where ${where} = 1) where ${where} = 2`,
			[tenantId],
		),
	"a detail removed": (run) =>
		run(`update ledger_entries set detail_sealed = null where ${where} = 2`, [tenantId]),
	"the tail cut": cut,
	"the tail cut, with its checkpoints": cutAndCheckpoints,
	"everything of the log deleted": async (run) => {
		for (const table of ["ledger_entries", "ledger_nodes", "ledger_checkpoints"])
			await run(`delete from ${table} where tenant_id = $1`, [tenantId]);
	},
	"a checkpoint deleted": (run) =>
		run("delete from ledger_checkpoints where tenant_id = $1 and size = 20", [tenantId]),
	"a checkpoint of something else": (run) =>
		run(
			"update ledger_checkpoints set checkpoint = (select checkpoint from ledger_checkpoints where tenant_id = $1 and size = 10) where tenant_id = $1 and size = 20",
			[tenantId],
		),
};
for (const [name, act] of Object.entries({
	deleted: remove,
	swapped: swap,
	inserted: insert,
	rewritten: rewrite,
	"cut off": cutAndCheckpoints,
}))
	for (const withKey of [false, true])
		Object.assign(attacks, {
			[`history rebuilt after an entry was ${name}, ${withKey ? "with" : "without"} the key`]:
				async (run: Run) => {
					await act(run);
					await rebuild(run, withKey);
				},
		});

/** An export is whole without an old checkpoint, or with another genuine one, and a detail may be gone: erased. */
const unseen = ["a checkpoint deleted", "a checkpoint of something else", "a detail removed"];

for (const [what, attack] of Object.entries(attacks))
	test(`${what}: found`, async () => {
		for (const table of ["entries", "nodes", "logs", "checkpoints"])
			await admin.run(`create table kept_${table} as select * from ledger_${table}`);
		try {
			await world.asSuperuser(attack);
			const troubles = await world.inspect();
			const own = troubles.filter((one) => one.log === showId("ten", tenantId));
			assert.equal(own.length, 1, `signer: ${JSON.stringify(troubles)}`);
			assert.equal(await verifies(), unseen.includes(what), "waxwing-verify");
		} finally {
			await world.asSuperuser(async (run) => {
				for (const table of ["entries", "nodes", "logs", "checkpoints"]) {
					await run(`delete from ledger_${table}`);
					await run(`insert into ledger_${table} select * from kept_${table}`);
				}
			});
			for (const table of ["entries", "nodes", "logs", "checkpoints"])
				await admin.run(`drop table kept_${table}`);
		}
	});

test(`${cleanRuns} clean runs: no false alarm`, { timeout: 3_000_000 }, async () => {
	let verified = 0;
	for (let n = 0; n < cleanRuns; n++) {
		await world.record();
		await world.place();
		const { sign, scrub, troubles } = world.openSigner();
		await sign();
		await scrub(1 + below(100));
		assert.deepEqual(troubles, [], `run ${n}`);
		if (n % 10 !== 0) continue;
		assert.ok(await verifies(), `run ${n}`);
		verified++;
	}
	assert.ok(verified > 0);
});
