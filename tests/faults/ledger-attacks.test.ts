/**
 * The ledger against a superuser who deletes, swaps, inserts, cuts and rewrites, with the signing key and without: all is
 * found by the signer, which knows what it has signed, and by waxwing-verify, but for what an export may lack. Each
 * attack is made at places of chance, as often as the long form says.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { showId } from "#platform/ids.ts";
import { signCheckpoint } from "../../server/audit/checkpoint.ts";
import { append, emptyEdge, leafHash, type Node, rootOf } from "../../server/audit/tree.ts";
import type { LedgerWorld } from "../support/ledger-world.ts";
import { besiege, sizes, times } from "./ledger-siege.ts";

const rounds = times(1);
const { world, tenantId, admin, below, verifies } = await besiege();

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

/** Where an attack strikes: two entries that differ, and two older checkpoints that differ. */
interface Place {
	readonly at: number;
	readonly other: number;
	readonly checkpoint: number;
	readonly otherCheckpoint: number;
}

function anyPlace(): Place {
	const at = 1 + below(sizes.entries - 3);
	const other = (at + 1 + below(sizes.entries - 1)) % sizes.entries;
	const step = sizes.entries / sizes.checkpoints;
	const nth = 1 + below(sizes.checkpoints - 1);
	const others = [1, 2, 3, 4, 5].filter((one) => one !== nth);
	const otherNth = others[below(others.length)] ?? assert.fail();
	return { at, other, checkpoint: step * nth, otherCheckpoint: step * otherNth };
}

type Attack = (run: Run, place: Place) => Promise<unknown>;

async function shift(run: Run, from: number, by: number): Promise<void> {
	// Out of the way first: places are unique.
	await run(`update ledger_entries set leaf_index = leaf_index + 1000 where ${where} >= ${from}`, [
		tenantId,
	]);
	await run(
		`update ledger_entries set leaf_index = leaf_index - 1000 + ${by} where ${where} >= 1000`,
		[tenantId],
	);
}
const swap: Attack = async (run, { at, other }) => {
	await run(`update ledger_entries set leaf_index = 1000 where ${where} = ${at}`, [tenantId]);
	await run(`update ledger_entries set leaf_index = ${at} where ${where} = ${other}`, [tenantId]);
	await run(`update ledger_entries set leaf_index = ${other} where ${where} = 1000`, [tenantId]);
};
const insert: Attack = async (run, { at }) => {
	await shift(run, at, 1);
	const id = world.ids.next();
	await run(
		`insert into ledger_entries select tenant_id, $2, action, actor, convert_to(replace(convert_from(entry, 'UTF8'), '"aud_' || substr(convert_from(entry, 'UTF8'), position('"aud_' in convert_from(entry, 'UTF8')) + 5, 26), '"' || $3), 'UTF8'), detail_sealed, 1, ${at}
		from ledger_entries where ${where} = ${at - 1}`,
		[tenantId, id, showId("aud", id)],
	);
};
const remove: Attack = async (run, { at }) => {
	await run(`delete from ledger_entries where ${where} = ${at}`, [tenantId]);
	await shift(run, at + 1, -1);
};
const rewrite: Attack = (run, { at }) =>
	run(
		`update ledger_entries set entry = convert_to(replace(convert_from(entry, 'UTF8'), '"outcome":"ok"', '"outcome":"failed"'), 'UTF8') where ${where} = ${at}`,
		[tenantId],
	);
const cut: Attack = (run, { at }) =>
	run(`delete from ledger_entries where ${where} >= ${at}`, [tenantId]);
const cutAndCheckpoints: Attack = async (run, place) => {
	await cut(run, place);
	await run(`delete from ledger_checkpoints where tenant_id = $1 and size > ${place.at}`, [
		tenantId,
	]);
};

const attacks: Record<string, Attack> = {
	"an entry deleted": (run, { at }) =>
		run(`delete from ledger_entries where ${where} = ${at}`, [tenantId]),
	"an entry deleted, the rest moved up": remove,
	"two entries swapped": swap,
	"the bytes of two entries swapped": async (run, { at, other }) => {
		const rows = await run<{ id: string; entry: Buffer }>(
			`select id, entry from ledger_entries where ${where} in (${at}, ${other}) order by leaf_index`,
			[tenantId],
		);
		for (const [i, { id }] of rows.entries())
			await run("update ledger_entries set entry = $2 where id = $1", [id, rows[1 - i]?.entry]);
	},
	"an entry inserted": insert,
	"an entry of another log put in": async (run, { at }) => {
		const [own] = await run<{ entry: Buffer }>(
			"select entry from ledger_entries where tenant_id <> $1 limit 1",
			[tenantId],
		);
		await run(`update ledger_entries set entry = $2 where ${where} = ${at}`, [
			tenantId,
			own?.entry,
		]);
	},
	"an entry rewritten": rewrite,
	"a detail exchanged for another": (run, { at, other }) =>
		run(
			`update ledger_entries set detail_sealed = (select detail_sealed from ledger_entries where ${where} = ${other}) where ${where} = ${at}`,
			[tenantId],
		),
	"a detail removed": (run, { at }) =>
		run(`update ledger_entries set detail_sealed = null where ${where} = ${at}`, [tenantId]),
	"the tail cut": cut,
	"the tail cut, with its checkpoints": cutAndCheckpoints,
	"everything of the log deleted": async (run) => {
		for (const table of ["ledger_entries", "ledger_nodes", "ledger_checkpoints"])
			await run(`delete from ${table} where tenant_id = $1`, [tenantId]);
	},
	"a checkpoint deleted": (run, { checkpoint }) =>
		run(`delete from ledger_checkpoints where tenant_id = $1 and size = ${checkpoint}`, [tenantId]),
	"a checkpoint of something else": (run, { checkpoint, otherCheckpoint }) =>
		run(
			`update ledger_checkpoints set checkpoint = (select checkpoint from ledger_checkpoints where tenant_id = $1 and size = ${otherCheckpoint}) where tenant_id = $1 and size = ${checkpoint}`,
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
		attacks[`history rebuilt after an entry was ${name}, ${withKey ? "with" : "without"} the key`] =
			async (run, place) => {
				await act(run, place);
				await rebuild(run, withKey);
			};

/** An export is whole without an old checkpoint, or with another genuine one, and a detail may be gone: erased. */
const unseen = ["a checkpoint deleted", "a checkpoint of something else", "a detail removed"];
const tables = ["entries", "nodes", "logs", "checkpoints"];

for (const table of tables)
	await admin.run(`create table kept_${table} as select * from ledger_${table}`);

async function restore(run: Run): Promise<void> {
	for (const table of tables) {
		await run(`delete from ledger_${table}`);
		await run(`insert into ledger_${table} select * from kept_${table}`);
	}
}

for (const [what, attack] of Object.entries(attacks))
	test(`${what}, ${rounds} times: found`, { timeout: 3_000_000 }, async () => {
		for (let n = 0; n < rounds; n++) {
			const place = anyPlace();
			const where = `round ${n} ${JSON.stringify(place)}`;
			await world.asSuperuser((run) => attack(run, place));
			try {
				const troubles = await world.inspect();
				const own = troubles.filter((one) => one.log === showId("ten", tenantId));
				assert.equal(own.length, 1, `signer, ${where}: ${JSON.stringify(troubles)}`);
				assert.equal(await verifies(), unseen.includes(what), `waxwing-verify, ${where}`);
			} finally {
				await world.asSuperuser(restore);
			}
		}
	});

test("afterwards everything is as it was, and nothing is found", async (context) => {
	assert.deepEqual(await world.inspect(), []);
	assert.ok(await verifies());
	const count = rounds * Object.keys(attacks).length;
	context.diagnostic(`${count} attacks of ${Object.keys(attacks).length} kinds, all found`);
});
