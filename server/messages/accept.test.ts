/** Requests of several tenants in one group: each is answered, stored, counted and proved as if it were alone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { wideRoot } from "#audit/index.ts";
import { manualClock } from "#platform/clock.ts";
import type { Scope } from "#platform/db.ts";
import { createIds, systemRandom } from "#platform/ids.ts";
import { registerSender, saveSettings } from "#templates/index.ts";
import { createVault } from "#vault/index.ts";
import { testDatabase } from "../../tests/support/database.ts";
import { acceptGroup, type AcceptAnswer, type AcceptParts, type AcceptRequest } from "./accept.ts";
import { readDraft } from "./draft.ts";
import { createSenderIndexes } from "./prepare.ts";
import { createRouter } from "./router.ts";

const { app, worker, admin } = await testDatabase();
const clock = manualClock(Date.parse("2026-11-27T10:00:00Z"));
const random = systemRandom();
const ids = createIds(clock, random);
const vault = createVault({ db: app, rootKey: random.bytes(32), random, clock });
const routeId = ids.next();
const parts: AcceptParts = {
	worker,
	vault,
	ids,
	clock,
	router: createRouter(
		(["live", "test"] as const).map((environment) => ({
			id: routeId,
			environment,
			countries: ["*"],
			priority: 0,
		})),
	),
	handover: undefined,
	senderIndexes: createSenderIndexes(vault),
};

interface Tenant {
	readonly scope: Scope;
	readonly keyId: string;
	readonly sender: string;
}

let made = 0;
async function tenant(environment: "live" | "test" = "live"): Promise<Tenant> {
	const scope: Scope = { tenantId: ids.next(), environment };
	const { wrapped } = await vault.makeTenantKey(scope.tenantId);
	await admin.run("select wx.create_tenant($1, ''::bytea, $2, now())", [scope.tenantId, wrapped]);
	await vault.warm([scope.tenantId]);
	const sender = `TENANT${++made}`;
	const keyId = ids.next();
	await app.inTenant(scope, async (tx) => {
		const address = { id: ids.next(), kind: "alphanumeric", address: sender } as const;
		await registerSender(tx, vault, scope, { ...address, atMs: clock.now() });
		await saveSettings(tx, scope, { countries: ["DE"] }, clock.now());
	});
	await admin.run(
		"insert into api_keys (tenant_id, id, environment, secret_hash, scopes, created_at) values ($1, $2, $3, $4, '{}', now())",
		[scope.tenantId, keyId, environment, random.bytes(32)],
	);
	return { scope, keyId, sender };
}

/** As many messages as texts. */
function request({ scope, keyId, sender }: Tenant, key: string, ...texts: string[]): AcceptRequest {
	const drafts = texts.map((text) => {
		const sample = { to: "+4915112345678", from: sender, category: "transactional", text };
		const read = readDraft(sample as never, clock.now());
		assert.ok("draft" in read, JSON.stringify(read));
		return read.draft;
	});
	const hash = vault.digest("idempotency-key", key);
	const print = vault.mac(scope.tenantId, "idempotency", texts);
	return {
		scope,
		keyId,
		drafts,
		idempotency: { keyHash: hash, fingerprint: print, olderFingerprint: print },
	};
}

const idsOf = (answer: AcceptAnswer | undefined): readonly string[] => {
	assert.ok(answer?.kind === "accepted", JSON.stringify(answer));
	for (const { decision } of answer.messages) assert.equal(decision.kind, "accepted");
	return answer.messages.map(({ id }) => id);
};
const nameOf = (answer: AcceptAnswer | undefined): string =>
	answer?.kind === "failed"
		? String((answer.error as { name?: unknown }).name)
		: String(answer?.kind);

const [one, two, three] = [await tenant(), await tenant(), await tenant("test")];

test("interleaved requests of three tenants are stored under their own, sealed, hashed and told", async () => {
	const answers = await acceptGroup(parts, [
		request(one, "same key", "one, first"),
		request(two, "same key", "two, first", "two, second"),
		request(three, "same key", "three, first"),
		request(one, "other key", "one, second"),
	]);
	const expected = new Map([
		[one, [answers[0], answers[3]].flatMap(idsOf)],
		[two, idsOf(answers[1])],
		[three, idsOf(answers[2])],
	]);
	for (const [{ scope }, wanted] of expected) {
		const { tenantId, environment } = scope;
		const stored = await admin.run<{ id: string; sealed: Buffer; address_index: Buffer }>(
			"select id, sealed, address_index from messages where tenant_id = $1 and environment = $2 order by id",
			[tenantId, environment],
		);
		assert.deepEqual(
			stored.map(({ id }) => id),
			wanted,
		);
		// What is sealed is bound to tenant, environment and row: it would not open elsewhere.
		const keys = await app.inTenant(scope, (tx) =>
			vault.contacts.load(tx, [{ ...scope, index: stored[0]?.address_index as Buffer }]),
		);
		for (const { id, sealed, address_index } of stored) {
			const place = { ...scope, table: "messages", column: "sealed", row: id };
			const key = keys.of({ ...scope, index: address_index });
			assert.equal(vault.openJsonFor<unknown[]>(key, place, sealed)[0], "+4915112345678");
		}
		const [digest, ...more] = await admin.run<{
			environment: string;
			message_ids: string[];
			leaves: Buffer;
			root: Buffer;
		}>("select environment, message_ids, leaves, root from message_digests where tenant_id = $1", [
			tenantId,
		]);
		assert.deepEqual(more, []);
		assert.deepEqual([digest?.environment, digest?.message_ids], [environment, wanted]);
		assert.deepEqual(digest?.root, wideRoot(digest?.leaves as Buffer));
		const [entries, outbox] = await Promise.all([
			admin.run("select message_id from lane_entries where tenant_id = $1 and environment = $2", [
				tenantId,
				environment,
			]),
			admin.run<{ refs: string }>(
				"select refs from outbox where tenant_id = $1 and environment = $2",
				[tenantId, environment],
			),
		]);
		assert.deepEqual(entries.map((row) => row["message_id"]).sort(), wanted);
		const told = outbox.map(({ refs }) => (JSON.parse(refs) as [string][]).map(([id]) => id));
		assert.deepEqual(told, [wanted]);
	}
});

test("an Idempotency-Key is a tenant's own, also within a group", async () => {
	const four = await tenant();
	const [again, other, fresh] = await acceptGroup(parts, [
		request(one, "same key", "one, first"),
		request(two, "same key", "something else"),
		request(four, "same key", "four, first"),
	]);
	assert.deepEqual(
		[again?.kind, nameOf(other), fresh?.kind],
		["replayed", "idempotency_key_reuse", "accepted"],
	);
});

test("a key that was revoked, a tenant that was suspended, and keys that do not open concern nobody else", async () => {
	const [revoked, suspended, closed] = [await tenant(), await tenant(), await tenant()];
	await admin.run("update api_keys set revoked_at = now() where id = $1", [revoked.keyId]);
	await admin.run("update tenants set suspended_at = now() where tenant_id = $1", [
		suspended.scope.tenantId,
	]);
	const isClosed = (tenantId: string): boolean => tenantId === closed.scope.tenantId;
	const asked = [
		request(revoked, "a", "x"),
		request(one, "b", "one, third"),
		request(suspended, "c", "x"),
		request(closed, "d", "x", "y"),
		request(two, "e", "two, third"),
		// Somebody else's key, taken for one's own.
		{ ...request(one, "f", "x"), keyId: two.keyId },
	];
	const withoutOne: AcceptParts = {
		...parts,
		senderIndexes: createSenderIndexes({
			...vault,
			index(tenantId, ...rest) {
				if (isClosed(tenantId)) throw new Error("these keys do not open");
				return vault.index(tenantId, ...rest);
			},
		}),
	};
	const answers = await acceptGroup(withoutOne, asked);
	assert.deepEqual(answers.map(nameOf), [
		"key_invalid",
		"accepted",
		"key_invalid",
		"Error",
		"accepted",
		"key_invalid",
	]);
	const rows = await admin.run("select 1 from messages where tenant_id = any ($1)", [
		[revoked, suspended, closed].map(({ scope }) => scope.tenantId),
	]);
	assert.equal(rows.length, 0);
});
