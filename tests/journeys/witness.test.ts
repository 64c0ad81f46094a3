/** The whole platform with a witness: away at the start, then there; what it co-signs is in the API, and can be required. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startPlatform } from "#processes/platform.ts";
import { until } from "../support/http.ts";
import { runVerifier } from "../support/ledger-texts.ts";
import { testPlatform } from "../support/platform.ts";
import { startWitness, witnessFolder } from "../support/witness.ts";

// Its key and port first; whom it trusts is known when the platform has started.
const folder = witnessFolder();
const before = await startWitness(folder, `waxwing.local/audit/=${"00".repeat(32)}`);
await before.end();
const platform = await testPlatform({
	WAXWING_LEDGER_WITNESSES: `${before.url}=${before.key}`,
	WAXWING_LEDGER_WITNESS_NETWORKS: "127.0.0.0/8",
});
const { admin, dev, dataDir, config } = platform;
const metric = async (name: string): Promise<number> => {
	const text = await (await fetch(dev.metricsUrl)).text();
	return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1]);
};

test("acts go on while the witness is away, and the metric says so", async () => {
	const made = await admin.post("/v1/api-keys", { name: "x", scopes: ["sms:read"] });
	assert.equal(made.status, 201, made.text);
	await until(
		"a witness that is behind",
		() => metric("wx_ledger_witness_behind_seconds"),
		(seconds) => seconds > 0,
	);
});

test("once it is there, the newest checkpoint is co-signed, and an export can be verified with it", async () => {
	const publicKey = readFileSync(join(dataDir, "ledger", "signer.pub"), "utf8").trim();
	const port = Number(new URL(before.url).port);
	const witness = await startWitness(folder, `waxwing.local/audit/=${publicKey}`, { port });
	assert.equal(witness.key, before.key);
	const newest = await until(
		"a co-signed checkpoint",
		async () => (await admin.get("/v1/audit/checkpoints?limit=1")).data[0],
		(one) => String(one?.["checkpoint"]).includes(`— ${witness.key.split("+")[0]} `),
		20_000,
	);
	const reply = await admin.get("/v1/audit/export");
	assert.equal(reply.status, 200, reply.text);
	const origin = String(newest?.["origin"]);
	const args = ["--origin", origin, "--key", publicKey, "--witness", witness.key];
	const { status, answer } = runVerifier(["full", ...args], reply.text);
	assert.equal(status, 0, JSON.stringify(answer));
	assert.ok(Number(answer["witnessed"]) > 0);
	await until(
		"a witness that has caught up",
		() => metric("wx_ledger_witness_behind_seconds"),
		(seconds) => seconds === 0,
		20_000,
	);
	assert.equal(await metric("wx_ledger_witness_refused_logs"), 0);
});

test("a witness that is not one is refused at the start, with the setting's name", async () => {
	await platform.stop();
	const wrong = { ...config, ledgerWitnesses: ["https://witness.test/=nobody"] };
	await assert.rejects(startPlatform(wrong), /WAXWING_LEDGER_WITNESSES holds "https:.*NAME\+ID/);
});
