/** On the real database, with the rights the API has. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { testDatabase } from "../../tests/support/database.ts";
import { manualClock } from "./clock.ts";
import type { Environment } from "./db.ts";
import { Fault } from "./errors.ts";
import type { Answer, Call } from "./http.ts";
import { createOnce, type IdempotencyParts } from "./idempotency.ts";

const { app, admin } = await testDatabase();
const clock = manualClock(Date.UTC(2026, 0, 1));
const tenantA = "0198a000-0000-7000-8000-00000000000a";
const tenantB = "0198a000-0000-7000-8000-00000000000b";

/** Stands in for the vault: bound to its place, and not the plain text. */
const seal: IdempotencyParts["seal"] = async (_tx, place, about, plaintext) =>
	about === undefined ? sealed(place, plaintext) : sealed([place, about], plaintext);
const sealed = (place: unknown, plaintext: Buffer): Buffer =>
	Buffer.from(JSON.stringify([place, plaintext.toString("base64")]));
const open: IdempotencyParts["open"] = async (_tx, place, about, bytes) => {
	const [bound, text] = JSON.parse(bytes.toString()) as [unknown, string];
	const at = about === undefined ? place : [place, about];
	assert.deepEqual(bound, JSON.parse(JSON.stringify(at)));
	return Buffer.from(text, "base64");
};
const parts: IdempotencyParts = {
	db: app,
	clock,
	warm: async () => undefined,
	digest: (...texts) => Buffer.from(JSON.stringify(texts)),
	fingerprint: (tenantId, text) => Buffer.from(`keyed ${tenantId} ${text}`),
	seal,
	open,
};
/** Two processes: each has its own memory of what is under way. */
const once = createOnce(parts);
const otherProcess = createOnce(parts);

interface Over {
	tenantId?: string;
	environment?: Environment;
	fingerprint?: string;
}
function call(key: string, over: Over = {}): Call {
	const { tenantId = tenantA, environment = "live", fingerprint = "POST /v1/things\n{}" } = over;
	return {
		caller: { tenantId, environment, keyId: "k", scopes: [], operator: false },
		scope: { tenantId, environment },
		params: undefined,
		query: undefined,
		body: {},
		requestId: "req_1",
		idempotency: { keyHashInput: key, fingerprintInput: fingerprint },
		audit: { record: () => assert.fail("nothing here is audited") },
	};
}

let made = 0;
const make = async (): Promise<Answer> => ({ status: 201, body: { made: ++made } });
const fails = (name: string) => (error: unknown) => error instanceof Fault && error.name === name;

describe("one key", () => {
	test("executes once and replays the answer, in any process", async () => {
		const first = await once(call("one"), make);
		for (const process of [once, otherProcess]) {
			const again = await process(call("one"), () => assert.fail("executed twice"));
			assert.deepEqual(again.body, first.body);
			assert.equal(again.status, 201);
			assert.equal(again.headers?.["idempotent-replayed"], "true");
		}
		assert.equal(first.headers?.["idempotent-replayed"], undefined);
	});

	test("is refused for another request", async () => {
		await once(call("two"), make);
		const other = call("two", { fingerprint: "POST /v1/things\n{1}" });
		await assert.rejects(once(other, make), fails("idempotency_key_reuse"));
	});

	test("means another request for another tenant or environment", async () => {
		const places: Over[] = [{}, { tenantId: tenantB }, { environment: "test" }];
		const seen = [];
		for (const over of places) seen.push((await once(call("three", over), make)).body);
		assert.equal(new Set(seen.map((body) => JSON.stringify(body))).size, 3);
	});

	test("answers request_in_progress while the first runs, in any process", async () => {
		const started = Promise.withResolvers<void>();
		const finish = Promise.withResolvers<void>();
		const slow = once(call("four"), async () => {
			started.resolve();
			await finish.promise;
			return { status: 200, body: "slow" };
		});
		await started.promise;
		for (const process of [once, otherProcess])
			await assert.rejects(process(call("four"), make), (error) => {
				return fails("request_in_progress")(error) && (error as Fault).retryAfterSeconds === 1;
			});
		finish.resolve();
		await slow;
		assert.equal((await otherProcess(call("four"), make)).body, "slow");
	});

	test("fifty at once execute once", async () => {
		let executed = 0;
		const outcomes = await Promise.allSettled(
			Array.from({ length: 50 }, (_, n) =>
				createOnce(parts)(call("five"), async () => ({ status: 200, body: { n, at: ++executed } })),
			),
		);
		assert.equal(executed, 1);
		for (const outcome of outcomes)
			if (outcome.status === "rejected")
				assert.ok(fails("request_in_progress")(outcome.reason), String(outcome.reason));
	});

	test("may be tried again after a failure", async () => {
		const failing = async (): Promise<Answer> => {
			throw Fault.of("database_unavailable");
		};
		await assert.rejects(once(call("six"), failing), fails("database_unavailable"));
		assert.equal((await once(call("six"), async () => ({ status: 404 }))).status, 404);
		assert.equal((await otherProcess(call("six"), make)).status, 201);
	});

	test("a claim of a dead process is taken over after a minute, not before", async () => {
		const dying = createOnce({
			...parts,
			seal: () => {
				throw new Error("killed");
			},
		});
		await assert.rejects(dying(call("seven"), make), /killed/);
		clock.advance(59_000);
		await assert.rejects(once(call("seven"), make), fails("request_in_progress"));
		clock.advance(2_000);
		assert.equal((await once(call("seven"), make)).status, 201);
	});

	test("is sealed for whom it is about, who is named beside it and not in the answer", async () => {
		const about = Buffer.alloc(32, 9);
		const answer = async (): Promise<Answer> => ({ status: 201, body: { about: "one" }, about });
		assert.deepEqual((await once(call("about"), answer)).body, { about: "one" });
		const again = await otherProcess(call("about"), () => assert.fail("executed twice"));
		assert.deepEqual([again.body, again.about], [{ about: "one" }, undefined]);
		const rows = await admin.run("select 1 from idempotency_keys where contact_index = $1", [
			about,
		]);
		assert.equal(rows.length, 1);
	});

	test("whose fingerprint was made before those had a key is still this request's", async () => {
		const first = await once(call("older"), make);
		const { fingerprintInput } = call("older").idempotency as { fingerprintInput: string };
		await admin.run("update idempotency_keys set fingerprint = $1 where key_hash = $2", [
			parts.digest(fingerprintInput),
			parts.digest("idempotency", tenantA, "live", "older"),
		]);
		assert.deepEqual((await once(call("older"), make)).body, first.body);
	});

	test("keeps nothing of the answer in clear", async () => {
		const sealing = createOnce({
			...parts,
			seal: async (_tx, _place, _about, plain) => plain.map((byte) => byte ^ 90) as Buffer,
		});
		await sealing(call("eight-canary"), async () => ({ status: 200, body: "whsec_canary" }));
		const [row] = await admin.run(
			"select string_agg(k::text, ' ') as text from idempotency_keys k",
		);
		const hex = Buffer.from("whsec_canary").toString("hex");
		assert.ok(!(row as { text: string }).text.includes(hex));
	});
});

test("a call without a key is just executed", async () => {
	const bare: Call = { ...call("x"), idempotency: undefined };
	assert.equal((await once(bare, make)).status, 201);
	assert.equal((await once(bare, make)).headers, undefined);
});
