/**
 * A person is erased through the API of a whole platform; then the database is put back from a copy made before, and the
 * platform started again over it. What was erased stays erased, everybody else is as they were.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { numberEnding, send, settled } from "../support/messages.ts";
import { testPlatform } from "../support/platform.ts";
import { startReceiver } from "../support/receiver.ts";
import { type Json, until } from "../support/http.ts";
import { runVerifier } from "../support/ledger-texts.ts";
import { readId } from "#platform/ids.ts";

const receiver = await startReceiver();
const platform = await testPlatform();
const { live, admin, operator } = platform;
const secretText = "Your parcel 482913 is out for delivery today. -WAXWNG";

test("an erased person's messages keep their facts and lose their contents", async () => {
	const [gone, stays] = [numberEnding("000001"), numberEnding("000001")];
	await admin.post("/v1/webhooks", { url: receiver.url, events: ["sms.delivered"] });
	const [first, second] = [await send(platform, gone), await send(platform, stays)];
	for (const message of [first, second])
		assert.equal((await settled(live, message["id"]))["status"], "delivered");
	await admin.post("/v1/preferences", { handle: gone, channel: "sms", status: "granted" });
	await admin.post("/v1/sms/suppressions", { destination: gone });

	const erased = await admin.post("/v1/contacts/erasures", { destination: gone });
	assert.equal(erased.status, 201, erased.text);
	assert.equal(erased.body["status"], "pending");
	assert.deepEqual(erased.body["removed"], {
		consent_statements: 1,
		message_parts: 0,
		suppression_addresses: 1,
	});
	assert.equal(erased.text.includes(gone), false);

	const one = await live.get(`/v1/sms/messages/${String(first["id"])}`);
	assert.equal(one.status, 410, one.text);
	assert.equal(one.error["code"], "W03006");
	const { data } = await live.get("/v1/sms/messages");
	const listed = data.find((message) => message["id"] === first["id"]);
	assert.equal(listed?.["status"], "delivered");
	assert.deepEqual([listed?.["to"], listed?.["text"]], ["**ERASED**", "**ERASED**"]);
	assert.equal(
		(await live.get(`/v1/sms/messages/${String(second["id"])}`)).body["text"],
		secretText,
	);
	const events = await live.get(`/v1/sms/messages/${String(first["id"])}/events`);
	assert.equal(events.status, 200);

	// Still suppressed, without a number that could be read.
	const suppressions = await admin.get("/v1/sms/suppressions");
	assert.deepEqual(
		suppressions.data.map((row) => row["destination"]),
		["**ERASED**"],
	);
	const again = await send(platform, gone);
	assert.equal(again["status"], "rejected");
	const found = await admin.get(`/v1/sms/suppressions?destination=${encodeURIComponent(gone)}`);
	assert.equal(found.data.length, 1);
	assert.deepEqual((await admin.get("/v1/preferences")).data, []);

	const certificate = await admin.get(`/v1/contacts/erasures/${String(erased.body["id"])}`);
	assert.deepEqual(certificate.body, erased.body);
});

test("a complete certificate holds its proof, which anybody checks; a pending one holds none", async () => {
	const erased = await admin.post("/v1/contacts/erasures", { destination: numberEnding("000001") });
	const other = await admin.post("/v1/contacts/erasures", { destination: numberEnding("000001") });
	const path = `/v1/contacts/erasures/${String(erased.body["id"])}`;
	assert.equal((await admin.get(path)).body["ledger_proof"], null);
	// As when the epoch was turned, which takes days.
	await platform.database.admin.run(
		"update contact_erasures set completed_at = now() where id = $1",
		[readId("era", String(erased.body["id"]))],
	);
	const certificate = await until(
		"its entry is signed",
		() => admin.get(path),
		({ body }) => body["ledger_proof"] !== null,
	);
	assert.equal(certificate.body["status"], "complete");
	const publicKey = readFileSync(join(platform.dataDir, "ledger", "signer.pub"), "utf8").trim();
	const { origin, entry_id } = certificate.body["ledger_proof"] as Json;
	const pinned = ["--origin", String(origin), "--key", publicKey];
	const verify = (body: object) => runVerifier(["certificate", ...pinned], JSON.stringify(body));
	const { status, answer } = verify(certificate.body);
	assert.equal(status, 0, JSON.stringify(answer));
	const entry = answer["entry"] as Json;
	assert.deepEqual([entry["id"], entry["action"]], [entry_id, "contact.erased"]);
	assert.equal(verify({ ...certificate.body, id: other.body["id"] }).status, 1);
	assert.equal(verify(other.body).status, 1, "a pending one");
	const made = await admin.post("/v1/api-keys", { name: "x", scopes: ["sms:read"] });
	assert.equal(made.status, 201);
	const { data } = await admin.get("/v1/audit/entries?type=api_key.created&limit=1");
	const foreign = await until(
		"another entry is signed",
		() => admin.get(`/v1/audit/entries/${String(data[0]?.["id"])}/proof`),
		(reply) => reply.status === 200,
	);
	assert.equal(verify({ ...certificate.body, ledger_proof: foreign.body }).status, 1);
});

test("what is kept of answers about an erased person cannot be read either, and is not done again", async () => {
	const [gone, stays] = [numberEnding("000001"), numberEnding("000001")];
	const scheduled_at = new Date(Date.now() + 3_600_000).toISOString();
	const waiting = await send(platform, gone, { scheduled_at });
	const cancel = `/v1/sms/messages/${String(waiting["id"])}/cancel`;
	const requests = [
		["/v1/preferences", { handle: gone, channel: "sms", status: "granted" }],
		["/v1/sms/suppressions", { destination: gone }],
		[cancel, undefined],
		["/v1/sms/suppressions", { destination: stays }],
	] as const;
	const ask = () =>
		Promise.all(
			requests.map(([path, body], i) =>
				admin.post(path, body, { "idempotency-key": `kept answer ${i}` }),
			),
		);
	const first = await ask();
	assert.deepEqual(
		first.map(({ status }) => status),
		[201, 201, 200, 201],
	);
	assert.ok(first.slice(0, 3).every(({ text }) => text.includes(gone.slice(1))));
	assert.deepEqual(
		(await ask()).map(({ body }) => body),
		first.map(({ body }) => body),
	);
	const kept = () =>
		platform.database.admin.run<{ sealed: Buffer }>(
			"select answer_sealed as sealed from idempotency_keys where contact_index is not null order by created_at",
		);
	const copies = await kept();
	assert.equal(copies.length, 4);
	// Format 2: under the person's key. A copy of it in a backup goes with that key.
	assert.ok(copies.every(({ sealed }) => sealed[0] === 2));
	await admin.post("/v1/contacts/erasures", { destination: gone });
	assert.deepEqual(
		(await ask()).map(({ status }) => status),
		[410, 410, 410, 201],
	);
	assert.deepEqual(
		(await admin.get(`/v1/preferences?handle=${encodeURIComponent(gone)}`)).data,
		[],
	);
	const left = (await kept()).map(({ sealed }) => sealed.length);
	assert.deepEqual(left.map((length) => length > 0).toSorted(), [false, false, false, true]);

	// As a restored copy of the database has it, the answer is there and opens for nobody.
	await platform.database.admin.run(
		"update idempotency_keys set answer_sealed = $1 where contact_index is not null and answer_sealed = ''",
		[copies[0]?.sealed],
	);
	assert.equal((await ask())[0]?.status, 410);
});

test("what waits for an erased person is not sent", async () => {
	const gone = numberEnding("000001");
	const scheduled_at = new Date(Date.now() + 2_000).toISOString();
	const message = await send(platform, gone, { scheduled_at });
	await admin.post("/v1/contacts/erasures", { destination: gone });
	const read = async () => {
		const { data } = await live.get("/v1/sms/messages");
		return data.find((one) => one["id"] === message["id"])?.["status"];
	};
	await until("it is rejected", read, (status) => status === "rejected");
});

test("the operator sees the keys, rotates them under traffic, and destroys the old root key only then", async () => {
	const before = await operator.get("/v1/operator/keys");
	assert.equal(before.status, 200, before.text);
	assert.equal(before.body["provider"], "env");
	assert.equal(before.body["erasures_waiting"], 4);
	assert.equal((await operator.post("/v1/operator/keys/rotate", {})).status, 409);
	const root = String(before.body["root"]);
	const destroyed = await operator.post("/v1/operator/keys/destroy", { root });
	assert.equal(destroyed.status, 409, destroyed.text);
	assert.match(String(destroyed.error["message"]), /still wrapped by root:/);
	const tenant_id = platform.dev.tenantId;
	const rotated = await operator.post("/v1/operator/keys/rotate", { tenant_id });
	assert.equal(rotated.status, 202, rotated.text);
	assert.equal(rotated.body["tenants_turning"], 1);
	const message = await send(platform, numberEnding("000001"));
	assert.equal((await settled(live, message["id"]))["text"], secretText);
	for (const as of [live, admin]) assert.equal((await as.get("/v1/operator/keys")).status, 403);
});

test("no number and no key is in the key files", () => {
	const folder = join(platform.dataDir, "keyring");
	const names = readdirSync(folder);
	assert.ok(
		names.includes("platform.key") && names.some((name) => /^erasures-\d{6}\.log$/.test(name)),
		names.join(),
	);
	for (const name of names) {
		const text = readFileSync(join(folder, name), "latin1");
		assert.equal(/9198\d{8}|\+91/.test(text), false, name);
		assert.equal(text.includes(platform.rootKey.toString("hex")), false, name);
	}
});
