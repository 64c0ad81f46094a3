/** The product with a real witness process beside it: what is taken there, kept, shown; away, and refusing. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { runVerifier } from "../../tests/support/ledger-texts.ts";
import { ledgerName, ledgerWorld } from "../../tests/support/ledger-world.ts";
import { startWitness, witnessFolder } from "../../tests/support/witness.ts";
import { systemClock } from "#platform/clock.ts";
import { createEgress } from "#platform/egress.ts";
import { showId } from "#platform/ids.ts";
import { silentLog } from "#platform/log.ts";
import { createMetrics } from "#platform/metrics.ts";
import { readWitness } from "./cosignature.ts";
import { createWitnessing } from "./witnessing.ts";

const egress = createEgress({ allow: ["127.0.0.0/8"], clock: systemClock });
after(() => egress.close());

async function witnessedWorld() {
	const world = await ledgerWorld();
	const folder = witnessFolder();
	const trusted = `${ledgerName}/audit/=${world.key.publicKey.toString("hex")}`;
	const witness = await startWitness(folder, trusted);
	const open = () =>
		createWitnessing({
			db: world.worker,
			egress,
			clock: systemClock,
			log: silentLog,
			metrics: createMetrics(),
			witnesses: [readWitness(`${witness.url}=${witness.key}`) ?? assert.fail()],
		});
	const cosigned = async (tenantId = world.tenantId): Promise<number[]> => {
		const rows = await world.admin.run<{ size: number }>(
			"select size::int from ledger_cosignatures where tenant_id = $1 order by size",
			[tenantId],
		);
		return rows.map((row) => row.size);
	};
	const port = Number(new URL(witness.url).port);
	return { world, witness, open, cosigned, again: () => startWitness(folder, trusted, { port }) };
}

test("each log's newest checkpoint is co-signed, shown by the API, and can be required", async () => {
	const { world, witness, open, cosigned } = await witnessedWorld();
	await world.grow(8, 2);
	const witnessing = open();
	await witnessing.step();
	await world.grow(4, 2);
	await witnessing.step();
	assert.deepEqual(await cosigned(), [8, 12], "the newest of each time");
	assert.equal((await cosigned(world.platformLog)).length, 2);
	assert.deepEqual([witnessing.behindSeconds(), witnessing.refusedLogs()], [0, 0]);
	const required = [...world.pinned, "--witness", witness.key];
	const full = runVerifier(["full", ...required], await world.exported(4));
	assert.deepEqual([full.status, full.answer["witnessed"]], [0, 12], JSON.stringify(full.answer));
	const [last] = await world.record();
	const [first] = await world.admin.run<{ id: string }>(
		"select id from ledger_entries where tenant_id = $1 and leaf_index = 0",
		[world.tenantId],
	);
	await world.place();
	await world.openSigner().sign();
	const prove = async (id: string | undefined): Promise<number | null> => {
		const body = await world.ask("audit_entry.proof", {}, { id: showId("aud", id ?? "") });
		assert.equal(runVerifier(["entry", ...world.pinned], String(body["proof"])).status, 0);
		return runVerifier(["entry", ...required], String(body["proof"])).status;
	};
	assert.equal(await prove(first?.id), 0, "under the checkpoint that is co-signed");
	assert.equal(await prove(last), 1, "not co-signed yet");
	await witnessing.step();
	assert.equal(await prove(last), 0);
	const two = await world.ask("audit_consistency.get", { from: 8, to: 13, epoch: 1 });
	const consistent = runVerifier(
		["consistency", "@0", "@1", "@2", ...required],
		String(two["old_checkpoint"]),
		String(two["new_checkpoint"]),
		(two["proof"] as string[]).join("\n"),
	);
	assert.equal(consistent.status, 0, JSON.stringify(consistent.answer));
	// Who knows nothing of before goes on where the witness stands.
	await world.asSuperuser((run) => run("delete from ledger_cosignatures"));
	await world.grow(1);
	await open().step();
	assert.deepEqual(await cosigned(), [14]);
	assert.deepEqual(await world.inspect(), []);
});

test("a witness that is away stops nothing, raises the alarm, and is caught up with", async () => {
	const { world, witness, open, cosigned, again } = await witnessedWorld();
	await world.grow(3);
	const witnessing = open();
	await witnessing.step();
	await witness.end();
	assert.deepEqual(await world.grow(3), []);
	await witnessing.step();
	await new Promise((resolve) => void setTimeout(resolve, 30));
	await witnessing.step();
	assert.ok(witnessing.behindSeconds() >= 0.03);
	assert.deepEqual(await cosigned(), [3]);
	await again();
	await witnessing.step();
	assert.equal(witnessing.behindSeconds(), 0);
	assert.deepEqual(await cosigned(), [3, 6]);
});

test("a history that was taken back or written anew is refused, and the alarm stays", async () => {
	const { world, open, cosigned } = await witnessedWorld();
	await world.grow(6, 2);
	const witnessing = open();
	await witnessing.step();
	// As if the signer had been fooled: what the witness saw is gone, and something else is signed in its place.
	await world.asSuperuser(async (run) => {
		for (const table of ["cosignatures", "checkpoints", "nodes", "logs"])
			await run(`delete from ledger_${table} where tenant_id = $1`, [world.tenantId]);
		await run("delete from ledger_entries where tenant_id = $1 and leaf_index > 2", [
			world.tenantId,
		]);
		await run("update ledger_entries set leaf_index = null, epoch = null where tenant_id = $1", [
			world.tenantId,
		]);
	});
	const fooled = async (): Promise<void> => {
		await world.place();
		await world.openSigner(`${world.statePath}.fooled${world.ids.next()}`).sign();
	};
	await fooled();
	await witnessing.step();
	assert.equal(witnessing.refusedLogs(), 1, "shorter than what was seen");
	for (let n = 0; n < 5; n++) await world.record();
	await world.place();
	await world.asSuperuser((run) =>
		run("delete from ledger_checkpoints where tenant_id = $1", [world.tenantId]),
	);
	await fooled();
	await witnessing.step();
	assert.equal(witnessing.refusedLogs(), 1, "longer, and another");
	assert.deepEqual(await cosigned(), []);
	assert.ok(witnessing.behindSeconds() > 0);
});
