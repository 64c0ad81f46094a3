import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { runVerifier } from "../../tests/support/ledger-texts.ts";
import { ledgerWorld } from "../../tests/support/ledger-world.ts";
import { signingKey } from "#vault/index.ts";
import { forkLog, logsToFork } from "./fork.ts";
import { readState } from "./signer-state.ts";
import { append, emptyEdge, leafHash } from "./tree.ts";

test("entries get places in order, every log its own, and checkpoints that verify", async () => {
	const world = await ledgerWorld();
	assert.deepEqual(await world.grow(21, 3), []);
	const state = readState(world.statePath);
	assert.equal(state.get(world.tenantId)?.edge.size, 21);
	const notes = state.get(world.platformLog)?.edge.size ?? 0;
	assert.equal(notes, 3, "each of the tenant's checkpoints is an entry of the platform's log");
	const text = await world.exported(4);
	const { status, answer } = runVerifier(["full", ...world.pinned], text);
	assert.equal(status, 0, JSON.stringify(answer));
	assert.deepEqual([answer["entries"], answer["checkpoints"]], [21, 3]);
	assert.deepEqual(await world.inspect(), []);
});

test("every entry is proven under the newest checkpoint", async () => {
	const world = await ledgerWorld();
	await world.grow(11, 2);
	const rows = await world.admin.run<{ id: string }>(
		"select id from ledger_entries where tenant_id = $1",
		[world.tenantId],
	);
	const { showId } = await import("#platform/ids.ts");
	for (const { id } of rows) {
		const body = await world.ask("audit_entry.proof", {}, { id: showId("aud", id) });
		const { status, answer } = runVerifier(["entry", ...world.pinned], String(body["proof"]));
		assert.equal(status, 0, JSON.stringify(answer));
	}
	await world.record();
	const [waiting] = await world.admin.run<{ id: string }>(
		"select id from ledger_entries where leaf_index is null",
	);
	await assert.rejects(
		world.ask("audit_entry.proof", {}, { id: showId("aud", waiting?.id ?? "") }),
		{
			name: "proof_pending",
		},
	);
});

test("what is signed is on disk before the signature is in the database", async () => {
	const world = await ledgerWorld();
	await world.grow(3);
	await world.record();
	await world.place();
	// The database takes no signature now: as if the signer died between the two.
	await world.admin.run("revoke insert on ledger_checkpoints from waxwing_signer");
	const { sign, signer } = world.openSigner();
	await assert.rejects(sign(), /permission denied/);
	assert.equal(readState(world.statePath).get(world.tenantId)?.edge.size, 4);
	assert.equal(signer.isReleased(world.tenantId), false);
	await world.admin.run("grant insert on ledger_checkpoints to waxwing_signer");
	// The next one, which knows only the file, gives the same signature away.
	await world.openSigner().sign();
	assert.match(await world.newestCheckpoint(), /^[^\n]+\n4\n/);
	assert.deepEqual(await world.inspect(), []);
});

test("a checkpoint that a signer persisted and did not give away is given by the next, also when the log has grown since", async () => {
	const world = await ledgerWorld();
	await world.grow(3);
	await world.record();
	await world.place();
	await world.admin.run("revoke insert on ledger_checkpoints from waxwing_signer");
	await assert.rejects(world.openSigner().sign(), /permission denied/);
	await world.admin.run("grant insert on ledger_checkpoints to waxwing_signer");
	await world.record();
	await world.place();
	await world.openSigner().sign();
	const stored = await world.admin.run<{ size: string }>(
		"select size from ledger_checkpoints where tenant_id = $1 and size > 3 order by size",
		[world.tenantId],
	);
	assert.deepEqual(
		stored.map(({ size }) => Number(size)),
		[4, 5],
	);
	assert.deepEqual(await world.inspect(), []);
});

test("a database that is behind what was signed is not signed, and goes on only as an open fork", async () => {
	const world = await ledgerWorld();
	await world.grow(6, 2);
	await world.asSuperuser(async (run) => {
		await run("delete from ledger_entries where leaf_index >= 4 and tenant_id = $1", [
			world.tenantId,
		]);
		await run("delete from ledger_nodes where tenant_id = $1 and (position + 1) << level > 4", [
			world.tenantId,
		]);
		await run("delete from ledger_checkpoints where tenant_id = $1 and size > 4", [world.tenantId]);
		await run(
			"update ledger_logs set size = 4, signed_size = 3, root = (select hash from ledger_nodes where tenant_id = $1 and level = 2) where tenant_id = $1",
			[world.tenantId],
		);
	});
	const { sign, troubles } = world.openSigner();
	await sign();
	assert.deepEqual(
		troubles.map((one) => one.why),
		["6 entries were signed, and 4 are there"],
	);
	for (let i = 0; i < 5; i++) await world.record();
	await world.place();
	const later = world.openSigner();
	await later.sign();
	assert.deepEqual(later.troubles, [], "told once");
	assert.match(await world.newestCheckpoint(), /^[^\n]+\n3\n/);

	const forks = await world.worker.inPlatform((tx) => logsToFork(tx, readState(world.statePath)));
	assert.deepEqual(
		forks.map(({ log, foundSize }) => [log, foundSize]),
		[[world.origin.split("/").at(-2), 9]],
	);
	await world.record();
	const fork = forks[0] ?? assert.fail();
	await world.worker.inPlatform((tx) => forkLog(tx, world.ledger, fork, new Date()));
	await world.place();
	const forked = world.openSigner();
	await forked.sign();
	await forked.scrub();
	assert.deepEqual(forked.troubles, []);
	// What the signer's state held of the first epoch is told by the fork's entry; it is not given away once more.
	const stored = await world.admin.run<{ epoch: number; size: string }>(
		"select epoch, size from ledger_checkpoints where tenant_id = $1 and (epoch > 1 or size > 4)",
		[world.tenantId],
	);
	assert.deepEqual(
		stored.map(({ epoch, size }) => [epoch, Number(size)]),
		[[2, 2]],
	);
	const epoch2 = world.origin.replace(/e1$/, "e2");
	const page = await world.ask("audit_export.get", { from: 0, limit: 100, epoch: 2 });
	const key = world.key.publicKey.toString("hex");
	const { status, answer } = runVerifier(
		["full", "--origin", epoch2, "--key", key],
		JSON.stringify(page),
	);
	assert.deepEqual([status, answer["entries"]], [0, 2], JSON.stringify(answer));
	const [first] = page["entries"] as { entry: string }[];
	const { action, data } = JSON.parse(Buffer.from(first?.entry ?? "", "base64").toString());
	assert.deepEqual(
		[action, data.origin, data.signed_size, data.found_size],
		["ledger.forked", world.origin, 6, 9],
	);
	assert.deepEqual(
		await world.worker.inPlatform((tx) => logsToFork(tx, readState(world.statePath))),
		[],
	);
});

test("an epoch that does not begin with what was signed is not signed", async () => {
	const world = await ledgerWorld();
	await world.grow(4);
	const state = readState(world.statePath);
	const signed = state.get(world.tenantId) ?? assert.fail();
	const lie = { ...signed, edge: append(emptyEdge, [leafHash(Buffer.from("made up"))]) };
	const fork = { tenantId: world.tenantId, log: "", signed: lie, foundSize: 4, why: "" };
	await world.worker.inPlatform((tx) => forkLog(tx, world.ledger, fork, new Date()));
	assert.match((await world.inspect())[0]?.why ?? "", /does not begin with what was signed/);
});

test("a state that is lost is not made up again, and one that is damaged is refused", async () => {
	const world = await ledgerWorld();
	await world.grow(2);
	const text = readFileSync(world.statePath, "utf8");
	rmSync(world.statePath);
	assert.match((await world.inspect())[0]?.why ?? "", /state knows nothing of them/);
	for (const damaged of ["", "{}", text.slice(0, -3), text.replace(/"size":(\d)/, '"size":7')]) {
		writeFileSync(world.statePath, damaged);
		assert.throws(() => world.openSigner(), /cannot be understood/, damaged.slice(0, 30));
	}
	writeFileSync(world.statePath, text);
	assert.deepEqual(await world.inspect(), []);
});

test("a new key goes on where the old one stopped; the old one's checkpoints stay", async () => {
	const world = await ledgerWorld();
	await world.grow(4, 2);
	await world.record();
	await world.place();
	const next = world.openSigner(world.statePath, signingKey(Buffer.alloc(32, 18)));
	await next.sign();
	await next.scrub();
	assert.deepEqual(next.troubles, []);
	const keys = await world.admin.run("select distinct public_key from ledger_checkpoints");
	assert.equal(keys.length, 2);
});

test("two sequencers at once place every entry once", async () => {
	const world = await ledgerWorld();
	for (let i = 0; i < 40; i++) {
		await world.record();
		await Promise.all([world.place(), world.place()]);
	}
	await world.place();
	const [row] = await world.admin.run<{ placed: number; last: number }>(
		"select count(*)::int as placed, max(leaf_index)::int as last from ledger_entries where tenant_id = $1",
		[world.tenantId],
	);
	assert.deepEqual(row, { placed: 40, last: 39 });
	await world.openSigner().sign();
	assert.deepEqual(await world.inspect(), []);
});

test("a tenant that was there before the ledger gets its log with its first act", async () => {
	const world = await ledgerWorld();
	const [row] = await world.admin.run("select 1 from ledger_logs where tenant_id = $1", [
		world.tenantId,
	]);
	assert.equal(row, undefined);
	await world.grow(1);
	assert.match(await world.newestCheckpoint(), /\n1\n/);
});

test("nobody but a superuser without triggers changes, removes or moves an entry", async () => {
	const world = await ledgerWorld();
	await world.grow(3);
	const refused = async (text: string): Promise<void> =>
		assert.rejects(world.admin.run(text), /only added to/, text);
	for (const table of ["ledger_entries", "ledger_nodes", "ledger_checkpoints", "ledger_logs"]) {
		await refused(`delete from ${table}`);
		await refused(`truncate ${table}`);
	}
	await refused("update ledger_entries set entry = '\\x00'");
	await refused("update ledger_entries set leaf_index = leaf_index + 1");
	await refused("update ledger_entries set leaf_index = null, epoch = null");
	await refused("update ledger_nodes set hash = hash");
	await refused("update ledger_checkpoints set checkpoint = ''");
});
