import assert from "node:assert/strict";
import { test } from "node:test";
import { manualClock } from "#platform/clock.ts";
import type { Database, Statement, Tx } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import { createIds, seededRandom } from "#platform/ids.ts";
import { Actor, createAuthenticator } from "./index.ts";
import { type KeyKind, mintKey } from "./key-text.ts";
import type { FoundKey } from "./store.ts";

const startMs = 1_760_000_000_000;
const tenantId = "0190a000-0000-7000-8000-00000000000a";

/** An authenticator over stored rows that a test may change, and a count of what was asked. */
function setup(options: { rememberedMax?: number } = {}) {
	const clock = manualClock(startMs);
	const random = seededRandom(1);
	const ids = createIds(clock, random);
	const rows = new Map<string, FoundKey>();
	const asked: string[][] = [];
	const state = { beforeAnswer: async () => {} };
	const tx = {
		async query({ name }: Statement, [wanted]: [string[]]) {
			asked.push(wanted);
			const found = wanted.flatMap((id) => rows.get(id) ?? []);
			await state.beforeAnswer();
			const operators = name === "access.find_operator_keys";
			return found.filter((row) => (row.tenantId === null) === operators);
		},
	} as unknown as Tx;
	const db: Pick<Database, "inPlatform"> = { inPlatform: (work) => work(tx) };
	const authenticator = createAuthenticator({ db, clock, ...options });
	const add = (kind: KeyKind, changes: Partial<FoundKey> = {}) => {
		const id = ids.next();
		const { text, secretHash } = mintKey(kind, id, random);
		const tenant = kind === "operator" ? undefined : { tenantId, environment: kind };
		rows.set(id, {
			id,
			tenantId: tenant?.tenantId ?? null,
			environment: tenant?.environment ?? null,
			secretHash,
			scopes: ["sms:send"],
			expiresAt: null,
			revokedAt: null,
			suspendedAt: null,
			...changes,
		});
		return { id, text: text.reveal(), header: `Bearer ${text.reveal()}` };
	};
	const change = (id: string, changes: Partial<FoundKey>): void => {
		rows.set(id, { ...(rows.get(id) as FoundKey), ...changes });
	};
	return { authenticator, clock, rows, asked, state, add, change };
}

function fault(name: string): (error: unknown) => boolean {
	return (error) => error instanceof Fault && error.name === name;
}

test("a key becomes the actor of its tenant and environment", async () => {
	const { authenticator, add } = setup();
	for (const kind of ["live", "test"] as const) {
		const key = add(kind);
		const actor = await authenticator.authenticate(key.header);
		assert.ok(Actor.is(actor));
		assert.deepEqual(
			[actor.tenantId, actor.environment, actor.keyId, actor.scopes, actor.operator],
			[tenantId, kind, key.id, ["sms:send"], false],
		);
	}
	const operator = await authenticator.authenticate(add("operator").header);
	assert.deepEqual(
		[operator.tenantId, operator.operator, operator.scopes],
		["", true, ["operator"]],
	);
});

const past = new Date(startMs - 1);
const refusals: [what: string, kind: KeyKind, changes: Partial<FoundKey>, name: string][] = [
	["a revoked key", "live", { revokedAt: past }, "key_invalid"],
	["an expired key", "live", { expiresAt: past }, "key_invalid"],
	["a key that expires this moment", "live", { expiresAt: new Date(startMs) }, "key_invalid"],
	["a live text for a test key", "live", { environment: "test" }, "key_invalid"],
	["a test text for a live key", "test", { environment: "live" }, "key_invalid"],
	[
		"an operator's text for a tenant's key",
		"operator",
		{ tenantId, environment: "live" },
		"key_invalid",
	],
	[
		"a tenant's text for an operator's key",
		"live",
		{ tenantId: null, environment: null },
		"key_invalid",
	],
	["a key of another hash", "live", { secretHash: Buffer.alloc(32) }, "key_invalid"],
	["a key of a suspended tenant", "live", { suspendedAt: past }, "tenant_suspended"],
	[
		"a revoked key of a suspended tenant",
		"live",
		{ suspendedAt: past, revokedAt: past },
		"key_invalid",
	],
	["a revoked operator's key", "operator", { revokedAt: past }, "key_invalid"],
];
for (const [what, kind, changes, name] of refusals)
	test(`${what} is refused, each time anew`, async () => {
		const { authenticator, add, asked } = setup();
		const { header } = add(kind, changes);
		await assert.rejects(authenticator.authenticate(header), fault(name));
		await assert.rejects(authenticator.authenticate(header), fault(name));
		assert.equal(asked.length, 2);
	});

test("no key, no such key, a wrong secret: nothing is learnt but that", async () => {
	const { authenticator, add, rows, asked } = setup();
	const { id, text, header } = add("live");
	for (const missing of [undefined, "", "Basic x"])
		await assert.rejects(authenticator.authenticate(missing), fault("key_missing"));
	await assert.rejects(authenticator.authenticate("Bearer nonsense"), fault("key_invalid"));
	assert.equal(asked.length, 0);
	const wrong = `${text.slice(0, -2)}${text.endsWith("AA") ? "BB" : "AA"}`;
	await assert.rejects(authenticator.authenticate(`Bearer ${wrong}`), fault("key_invalid"));
	await authenticator.authenticate(header);
	// A wrong secret does not get in on the memory of the right one.
	await assert.rejects(authenticator.authenticate(`Bearer ${wrong}`), fault("key_invalid"));
	rows.delete(id);
	await assert.rejects(
		authenticator.authenticate(add("live").header.replace("wx_live_0", "wx_live_1")),
		fault("key_invalid"),
	);
});

test("look-ups that arrive together share a query, and the same key is asked once", async () => {
	const { authenticator, add, asked } = setup();
	const keys = Array.from({ length: 30 }, () => add("live"));
	const headers = [...keys, ...keys, add("operator")].map((key) => key.header);
	const actors = await Promise.all(headers.map((header) => authenticator.authenticate(header)));
	assert.equal(actors.length, 61);
	assert.deepEqual(asked.map((ids) => ids.length).sort(), [1, 30]);
});

test("a crowd is asked in bounded queries, two at once", async () => {
	const { authenticator, add, asked, state } = setup();
	let running = 0;
	let most = 0;
	state.beforeAnswer = async () => {
		most = Math.max(most, ++running);
		await new Promise(setImmediate);
		running--;
	};
	const keys = Array.from({ length: 1_234 }, () => add("live"));
	await Promise.all(keys.map((key) => authenticator.authenticate(key.header)));
	assert.deepEqual(
		asked.map((ids) => ids.length),
		[500, 500, 234],
	);
	assert.equal(most, 2);
});

test("more waiting look-ups than there is room for are told to come again", async () => {
	const { authenticator, add } = setup();
	const keys = Array.from({ length: 10_001 }, () => add("live"));
	const outcomes = await Promise.allSettled(
		keys.map((key) => authenticator.authenticate(key.header)),
	);
	const refused = outcomes.filter((outcome) => outcome.status === "rejected");
	assert.equal(refused.length, 1);
	assert.ok(fault("rate_limited")(refused[0]?.reason));
});

test("a valid key is believed for a second and no longer, and never past its expiry", async () => {
	const { authenticator, add, asked, clock, change } = setup();
	const key = add("live", { expiresAt: new Date(startMs + 1_300) });
	await authenticator.authenticate(key.header);
	clock.advance(999);
	await authenticator.authenticate(key.header);
	assert.equal(asked.length, 1);
	clock.advance(1);
	await authenticator.authenticate(key.header);
	assert.equal(asked.length, 2);
	clock.advance(300);
	await assert.rejects(authenticator.authenticate(key.header), fault("key_invalid"));
	const other = add("live");
	await authenticator.authenticate(other.header);
	change(other.id, { revokedAt: new Date(startMs) });
	clock.advance(1_000);
	await assert.rejects(authenticator.authenticate(other.header), fault("key_invalid"));
});

test("what this process revokes or suspends is refused at once", async () => {
	const { authenticator, add, change } = setup();
	const [revoked, kept] = [add("live"), add("live")];
	await authenticator.authenticate(revoked.header);
	await authenticator.authenticate(kept.header);
	change(revoked.id, { revokedAt: new Date(startMs) });
	authenticator.forgetKey(revoked.id);
	await assert.rejects(authenticator.authenticate(revoked.header), fault("key_invalid"));
	await authenticator.authenticate(kept.header);
	change(kept.id, { suspendedAt: new Date(startMs) });
	authenticator.forgetTenant(tenantId);
	await assert.rejects(authenticator.authenticate(kept.header), fault("tenant_suspended"));
});

test("an answer that was under way during a revocation is not remembered, nor shared with later callers", async () => {
	const { authenticator, add, change, state } = setup();
	const key = add("live");
	const gate = Promise.withResolvers<void>();
	const sent = Promise.withResolvers<void>();
	state.beforeAnswer = () => {
		sent.resolve();
		return gate.promise;
	};
	const early = authenticator.authenticate(key.header);
	await sent.promise;
	change(key.id, { revokedAt: new Date(startMs) });
	authenticator.forgetKey(key.id);
	const late = authenticator.authenticate(key.header);
	late.catch(() => undefined);
	gate.resolve();
	await early;
	await assert.rejects(late, fault("key_invalid"));
	await assert.rejects(authenticator.authenticate(key.header), fault("key_invalid"));
});

test("a database that is gone is said so, and not remembered", async () => {
	const { authenticator, add, state } = setup();
	const key = add("live");
	state.beforeAnswer = () => Promise.reject(Fault.of("database_unavailable"));
	await assert.rejects(authenticator.authenticate(key.header), fault("database_unavailable"));
	state.beforeAnswer = async () => {};
	await authenticator.authenticate(key.header);
});

test("what is remembered is bounded", async () => {
	const { authenticator, add, asked } = setup({ rememberedMax: 2 });
	const keys = [add("live"), add("live"), add("live")];
	for (const key of keys) await authenticator.authenticate(key.header);
	await authenticator.authenticate(keys[2]?.header);
	assert.equal(asked.length, 3);
	await authenticator.authenticate(keys[0]?.header);
	assert.equal(asked.length, 4);
});
