/** The ledgers of many tenants that grow at once: nobody's waits for the others', and the work is bounded. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { showId } from "#platform/ids.ts";
import { silentLog } from "#platform/log.ts";
import { systemClock } from "#platform/clock.ts";
import { ledgerName, ledgerWorld } from "../../tests/support/ledger-world.ts";
import { digestsMax, firstFold, fold } from "./fold.ts";
import { system } from "./ledger.ts";
import { firstTurn, sequence } from "./sequencer.ts";
import { createSigner } from "./signer.ts";

const world = await ledgerWorld();
const { worker, signer: signerDb, admin, ledger, ids, platformLog } = world;
const parts = { db: worker, ledger, clock: systemClock, log: silentLog, name: ledgerName };

const newLogs = (count: number): string[] => Array.from({ length: count }, () => ids.next()).sort();

/** An entry in each of these logs. */
async function record(logs: readonly string[]): Promise<void> {
	const message = showId("msg", ids.next());
	const root = "00".repeat(32);
	const data = { count: 1, digests: 1, first: message, last: message, root };
	await worker.inTenants(logs, (tx) =>
		ledger.record(
			tx,
			logs.map((log) => ({ log, event: "messages.accepted", actor: system, data })),
		),
	);
}

async function waiting(logs: readonly string[]): Promise<number> {
	const [row] = await admin.run<{ n: number }>(
		"select count(*)::int as n from ledger_entries where leaf_index is null and tenant_id = any ($1)",
		[logs],
	);
	return row?.n ?? 0;
}

test("logs are placed in turn: the last ones do not wait while the first always have more", async () => {
	const logs = newLogs(1_100);
	await record(logs);
	const turn = firstTurn();
	assert.equal(await sequence(parts, turn), true, "there are more");
	assert.equal(await waiting(logs), 1_100 - 512);
	for (let step = 0; step < 2; step++) {
		await record(logs.slice(0, 512));
		await sequence(parts, turn);
	}
	assert.equal(await waiting(logs.slice(512)), 0);
	while (await sequence(parts, turn));
	assert.equal(await waiting(logs), 0);
});

test("a log that has far more than others takes its share, and the platform's log is there each time", async () => {
	const [large = "", ...small] = newLogs(4);
	for (let i = 0; i < 6; i++) await record(Array<string>(200).fill(large));
	await record([...small, platformLog]);
	const turn = firstTurn();
	assert.equal(await sequence(parts, turn), true);
	assert.deepEqual(
		[await waiting([large]), await waiting(small), await waiting([platformLog])],
		[1_200 - Math.ceil(1_024 / 5), 0, 0],
	);
	while (await sequence(parts, turn));
	assert.equal(await waiting([large]), 0);
});

test("hundreds of logs are signed in few transactions; one that was changed keeps nobody else's from it", async () => {
	const logs = newLogs(700);
	await record(logs);
	await world.place();
	const changed = logs[350] as string;
	await world.asSuperuser((run) =>
		run("update ledger_entries set actor = 'somebody_else' where tenant_id = $1", [changed]),
	);
	let transactions = 0;
	const troubles: string[] = [];
	const signer = createSigner({
		...parts,
		db: {
			inPlatform: (work) => {
				transactions++;
				return signerDb.inPlatform(work);
			},
		},
		key: world.key,
		statePath: world.statePath,
		onTrouble: (log) => void troubles.push(log),
	});
	while (await signer.step());
	assert.equal(troubles.length, 1);
	const [row] = await admin.run<{ n: number }>(
		"select count(*)::int as n from ledger_checkpoints where tenant_id = any ($1)",
		[logs],
	);
	assert.equal(row?.n, logs.length - 1);
	assert.ok(transactions < 30, `${transactions} transactions`);
});

/** A message's digest, for each of these in turn. */
async function digests(tenants: readonly string[]): Promise<void> {
	const id = tenants.map(() => ids.next());
	await admin.run(
		`insert into message_digests (tenant_id, id, environment, message_ids, leaves, root)
		select t, i, 'live', array[i], sha256(t::text::bytea), sha256(i::text::bytea) from unnest($1::uuid[], $2::uuid[]) as d (t, i)`,
		[tenants, id],
	);
}

async function unfolded(tenants: readonly string[]): Promise<number> {
	const [row] = await admin.run<{ n: number }>(
		"select count(*)::int as n from message_digests where entry_id is null and tenant_id = any ($1)",
		[tenants],
	);
	return row?.n ?? 0;
}

test("messages of few tenants enter the ledger each second, of hundreds less often, and in turn", async () => {
	const few = newLogs(10);
	await digests(few);
	assert.equal(await fold(parts), 1_000);
	const many = newLogs(400);
	await digests(many);
	assert.equal(await fold(parts), 1_600, "250 entries a second");
	assert.equal(await unfolded(many), 0);

	const [first = "", second = ""] = newLogs(2);
	await digests([...Array<string>(digestsMax + 5).fill(first), second]);
	const turn = firstFold();
	assert.equal(await fold(parts, turn), 4, "there are more");
	await digests(Array<string>(digestsMax).fill(first));
	await fold(parts, turn);
	assert.equal(await unfolded([second]), 0, "it does not wait for the first");
	for (let step = 0; step < 3; step++) await fold(parts, turn);
	assert.equal(await unfolded([first]), 0);
});
