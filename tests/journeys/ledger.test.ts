/** The ledger from outside: an act, its entry, its proof, checked by the verifier that anybody has. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { readId } from "#platform/ids.ts";
import { runVerifier } from "../support/ledger-texts.ts";
import { type Client, type Json, type Reply, until } from "../support/http.ts";
import { testPlatform } from "../support/platform.ts";

const platform = await testPlatform({ WAXWING_LEDGER_NAME: "ledger.test" });
const { admin, operator, live, other, dev } = platform;
const origin = `ledger.test/audit/${dev.tenantId}/e1`;

/** Asks until the signer has come round. */
async function signed(client: Client, path: string): Promise<Reply> {
	return until(
		`a signature over ${path}`,
		() => client.get(path),
		(reply) => reply.status !== 409,
	);
}

/** The pages of an export, as `curl … >> file` gathers them. */
async function exportAll(client: Client, path = "/v1/audit/export", limit = 7): Promise<string> {
	const lines: string[] = [];
	for (let from: unknown = 0; typeof from === "number"; ) {
		const reply = await client.get(`${path}?from=${from}&limit=${limit}`);
		assert.equal(reply.status, 200, reply.text);
		lines.push(reply.text);
		from = reply.body["next"];
	}
	return `${lines.join("\n")}\n`;
}

const publicKey = (): string =>
	readFileSync(join(platform.dataDir, "ledger", "signer.pub"), "utf8").trim();
const pinned = (of = origin): string[] => ["--origin", of, "--key", publicKey()];

async function addKey(): Promise<{ id: string; entry: Json }> {
	const made = await admin.post("/v1/api-keys", { name: "Kanarienvogel 77", scopes: ["sms:read"] });
	assert.equal(made.status, 201, made.text);
	const id = String(made.body["id"]);
	const { data } = await admin.get("/v1/audit/entries?type=api_key.created");
	const entry = data.find((one) => (one["targets"] as string[])[0] === id);
	assert.ok(entry !== undefined, "no entry at once");
	return { id, entry };
}

describe("an act", () => {
	test("is in the ledger at once: who, what, when, and the detail sealed", async () => {
		const { id, entry } = await addKey();
		const { id: entryId, time, request_id, index: _, epoch: __, ...rest } = entry;
		assert.match(String(entryId), /^aud_/);
		assert.match(String(request_id), /^req_/);
		assert.ok(Math.abs(Date.parse(String(time)) - Date.now()) < 10_000);
		const actor = (entry["actor"] as Json)["id"];
		assert.deepEqual(rest, {
			type: "api_key.created",
			actor: { type: "api_key", id: actor },
			environment: "live",
			targets: [id],
			outcome: "ok",
			data: {},
			detail: { name: "Kanarienvogel 77", scopes: ["sms:read"], expires_at: null },
		});
		const mine = await admin.get(`/v1/audit/entries?actor=${actor}&limit=1`);
		assert.equal(mine.data[0]?.["id"], entryId);
		const rows = await platform.database.admin.run<{ row: string }>(
			"select e::text as row from ledger_entries e where id = $1",
			[readId("aud", String(entryId))],
		);
		for (const canary of ["Kanarienvogel", Buffer.from("Kanarienvogel").toString("hex")])
			assert.ok(!String(rows[0]?.row).includes(canary));
	});

	test("is proven offline, two seconds later", async () => {
		const { entry } = await addKey();
		const reply = await signed(admin, `/v1/audit/entries/${entry["id"]}/proof`);
		assert.equal(reply.status, 200, reply.text);
		assert.equal(reply.body["origin"], origin);
		const { status, answer } = runVerifier(["entry", ...pinned()], reply.text);
		assert.equal(status, 0, JSON.stringify(answer));
		assert.equal((answer["entry"] as Json)["id"], entry["id"]);
		const shownKey = ["--origin", origin, "--key", String(reply.body["verifier_key"])];
		assert.equal(runVerifier(["entry", ...shownKey], reply.text).status, 0);
		const text = String(reply.body["proof"]);
		const changed = text.replace(/extra (.)/, (_, c: string) => `extra ${c === "e" ? "f" : "e"}`);
		assert.equal(runVerifier(["entry", ...pinned()], changed).status, 1);
	});

	test("of an operator is in the platform's log, and in that of the tenant it is about", async () => {
		const { tenantId } = dev.otherTenant;
		for (const verb of ["suspend", "resume"])
			assert.equal((await operator.post(`/v1/operator/tenants/${tenantId}/${verb}`)).status, 200);
		const types = ["tenant.resumed", "tenant.suspended"];
		const platformEntries = await operator.get("/v1/operator/audit/entries?limit=20");
		const ofPlatform = platformEntries.data.filter((one) => types.includes(String(one["type"])));
		assert.deepEqual(
			ofPlatform.map((one) => one["type"]),
			types,
		);
		assert.equal((ofPlatform[0]?.["actor"] as Json)["type"], "operator_key");
		const key = await other.get("/v1/audit/entries");
		assert.equal(key.status, 403, "a service key has no audit:read");
		const rows = await platform.database.admin.run<{ action: string }>(
			"select action from ledger_entries where tenant_id = $1 and action like 'tenant.%' order by id",
			[readId("ten", tenantId)],
		);
		assert.deepEqual(
			rows.map(({ action }) => action),
			["tenant.created", "tenant.suspended", "tenant.resumed"],
		);
	});
});

describe("checkpoints", () => {
	test("continue each other, and the verifier agrees", async () => {
		const newest = async (): Promise<Json> => {
			const { data } = await admin.get("/v1/audit/checkpoints?limit=1");
			return data[0] ?? { size: 0 };
		};
		const old = await until("a checkpoint", newest, (one) => Number(one["size"]) > 0);
		await addKey();
		const now = await until(
			"a newer one",
			newest,
			(one) => Number(one["size"]) > Number(old["size"]),
		);
		const reply = await admin.get(`/v1/audit/consistency?from=${old["size"]}&to=${now["size"]}`);
		assert.equal(reply.status, 200, reply.text);
		assert.equal(reply.body["old_checkpoint"], old["checkpoint"]);
		const run = (a: unknown, b: unknown) =>
			runVerifier(["consistency", ...pinned()], String(a), String(b), reply.text).status;
		assert.equal(run(old["checkpoint"], now["checkpoint"]), 0);
		assert.equal(run(now["checkpoint"], old["checkpoint"]), 1);
		assert.equal((await admin.get("/v1/audit/consistency?from=1&to=999999")).status, 404);
		assert.equal((await admin.get("/v1/audit/consistency?from=2&to=1")).status, 422);
		const second = await admin.get(`/v1/audit/checkpoints?limit=1&starting_after=1-${now["size"]}`);
		assert.ok(Number(second.data[0]?.["size"]) < Number(now["size"]));
	});

	test("of every tenant are in the platform's log", async () => {
		const found = await until(
			"a note of the tenant's checkpoint",
			async () => {
				const { data } = await operator.get(
					"/v1/operator/audit/entries?type=ledger.checkpoint&limit=100",
				);
				const newest = (await admin.get("/v1/audit/checkpoints?limit=1")).data[0] ?? {};
				return data.some(({ data: facts }) => {
					const { origin: of, size, root } = facts as Json;
					return (
						of === origin &&
						size === newest["size"] &&
						root === Buffer.from(String(newest["root"]), "base64").toString("hex")
					);
				});
			},
			(noted) => noted,
		);
		assert.ok(found);
	});
});

describe("the export", () => {
	test("is verified in full, with a checkpoint that was kept, for tenant and platform", async () => {
		const { entry } = await addKey();
		await signed(admin, `/v1/audit/entries/${entry["id"]}/proof`);
		const kept = (await admin.get("/v1/audit/checkpoints?limit=1")).data[0]?.["checkpoint"];
		const text = await exportAll(admin);
		const { status, answer } = runVerifier(
			["full", "@0", ...pinned(), "--newest", "@1"],
			text,
			String(kept),
		);
		assert.equal(status, 0, JSON.stringify(answer));
		assert.ok(Number(answer["entries"]) > 10);
		const platformText = await exportAll(operator, "/v1/operator/audit/export", 1_000);
		const whole = runVerifier(["full", ...pinned("ledger.test/audit/platform/e1")], platformText);
		assert.equal(whole.status, 0, JSON.stringify(whole.answer));
	});

	test("is itself recorded, before and after", async () => {
		await exportAll(admin, "/v1/audit/export", 1_000);
		const { data } = await admin.get("/v1/audit/entries?type=ledger.exported&limit=2");
		assert.deepEqual(
			data.map((one) => one["outcome"]),
			["ok", "intent"],
		);
		assert.equal(data[0]?.["request_id"], data[1]?.["request_id"]);
	});
});

describe("who may read", () => {
	test("a key with audit:read, of the live environment, its own log", async () => {
		const body = { name: "auditor", scopes: ["audit:read"] };
		const made = await admin.post("/v1/api-keys", body);
		assert.equal(made.status, 201, made.text);
		assert.equal((await live.get("/v1/audit/entries")).status, 403);
		assert.equal((await admin.get("/v1/operator/audit/entries")).status, 403);
		assert.equal((await operator.get("/v1/audit/entries")).status, 403);
		assert.equal((await platform.nobody.get("/v1/audit/checkpoints")).status, 401);
		const foreign = await platform.database.admin.run<{ id: string }>(
			"select id from ledger_entries where tenant_id = $1 limit 1",
			[readId("ten", dev.otherTenant.tenantId)],
		);
		assert.equal(foreign.length, 1);
		const { showId } = await import("#platform/ids.ts");
		const path = `/v1/audit/entries/${showId("aud", String(foreign[0]?.id))}/proof`;
		assert.equal((await admin.get(path)).status, 404);
	});
});

describe("filters and pages", () => {
	test("by type, actor and time, in both directions", async () => {
		const all = (await admin.get("/v1/audit/entries?limit=100")).data;
		const types = [...new Set(all.map((one) => String(one["type"])))];
		for (const type of types) {
			const { data } = await admin.get(`/v1/audit/entries?limit=100&type=${type}`);
			assert.ok(data.length > 0 && data.every((one) => one["type"] === type), type);
		}
		const first = await admin.get("/v1/audit/entries?limit=2");
		const second = await admin.get(
			`/v1/audit/entries?limit=2&starting_after=${first.body["next_cursor"]}`,
		);
		const ids = [...first.data, ...second.data].map((one) => one["id"]);
		assert.equal(new Set(ids).size, 4);
		assert.deepEqual(ids, ids.toSorted().toReversed());
		const back = await admin.get(
			`/v1/audit/entries?limit=2&ending_before=${second.body["prev_cursor"]}`,
		);
		assert.deepEqual(
			back.data.map((one) => one["id"]),
			ids.slice(0, 2),
		);
		const middle = String(all[Math.floor(all.length / 2)]?.["time"]);
		const later = await admin.get(`/v1/audit/entries?limit=100&from=${middle}`);
		const earlier = await admin.get(`/v1/audit/entries?limit=100&until=${middle}`);
		assert.ok(later.data.every((one) => String(one["time"]) >= middle) && later.data.length > 0);
		assert.ok(earlier.data.every((one) => String(one["time"]) < middle) && earlier.data.length > 0);
		for (const wrong of ["type=made.up", "actor=x", "from=yesterday", "limit=0"])
			assert.equal((await admin.get(`/v1/audit/entries?${wrong}`)).status, 422, wrong);
	});
});

describe("the signer", () => {
	test("has a key that only its owner reads, and its own state", () => {
		const folder = join(platform.dataDir, "ledger");
		for (const file of ["signer.key", "signer.state"])
			assert.equal(statSync(join(folder, file)).mode & 0o777, 0o600, file);
		assert.ok(existsSync(join(folder, "signer.pub")));
	});

	test("can read the ledger and add checkpoints, and nothing else", async () => {
		const { database } = platform;
		const refusal = async (text: string): Promise<unknown> =>
			database.signer
				.inPlatform((tx) => tx.query({ name: `t.${text.slice(0, 50)}`, text }))
				.then(
					() => "allowed",
					(error: Error) => error.message,
				);
		assert.equal(await refusal("select count(*) from ledger_entries"), "allowed");
		for (const text of [
			"select * from messages",
			"select * from api_keys",
			"update ledger_entries set leaf_index = 0",
			"delete from ledger_entries",
			"insert into ledger_entries values (gen_random_uuid(), gen_random_uuid(), 'x', 'x', 'xx')",
			"update ledger_checkpoints set noted = true",
			"delete from ledger_checkpoints",
			"insert into ledger_nodes values (gen_random_uuid(), 1, 0, 0, '')",
			"update ledger_logs set size = 0",
		])
			assert.match(String(await refusal(text)), /permission denied/, text);
	});
});

test("start, migrations and seeds are in the platform's log; at a stop, the stop is, signed", async () => {
	const rows = async (): Promise<string[]> =>
		(
			await platform.database.admin.run<{ action: string }>(
				"select action from ledger_entries where tenant_id = '00000000-0000-0000-0000-000000000000' order by id",
			)
		).map(({ action }) => action);
	const before = await rows();
	for (const action of ["platform.started", "tenant.created", "operator_key.created"])
		assert.ok(before.includes(action), action);
	await platform.stop();
	assert.equal(
		(await rows()).filter((one) => one !== "ledger.checkpoint").at(-1),
		"platform.stopped",
	);
	const [log] = await platform.database.admin.run<{ size: number; signed_size: number }>(
		"select size::int, signed_size::int from ledger_logs where tenant_id = '00000000-0000-0000-0000-000000000000'",
	);
	assert.equal(log?.size, log?.signed_size);
});
