import assert from "node:assert/strict";
import { test } from "node:test";
import { manualClock, systemClock } from "#platform/clock.ts";
import type { Tx } from "#platform/db.ts";
import { seededRandom } from "#platform/ids.ts";
import { createVault, type Vault } from "#vault/index.ts";
import { catalogue, rulesInForce } from "./catalogue.ts";
import * as minter from "./clearance.ts";
import {
	Clearance,
	clearanceValidityMs,
	type Outcome,
	recall,
	renew,
	screen,
	screenUnder,
	stillClear,
} from "./clearance.ts";
import type { FactName, Facts } from "./facts.ts";
import * as publicDoor from "./index.ts";
import { pass, type Rule } from "./rule.ts";
import { noonInIndia, sampleFacts } from "./sample-facts.ts";

const now = noonInIndia;
const night = Date.parse("2026-11-23T22:30:00+05:30");
const morning = Date.parse("2026-11-24T10:00:00+05:30");
const otherTenant = "01930000-0000-7000-8000-000000000002";
const sealer = await warmVault([sampleFacts().tenantId, otherTenant]);

/** The real vault, over two wrapped keys in memory. */
async function warmVault(tenantIds: readonly string[]): Promise<Vault> {
	const rows: { tenantId: string; epoch: number; wrapped: Buffer }[] = [];
	const tx = { query: async () => rows } as unknown as Tx;
	const vault = createVault({
		db: { inPlatform: (work) => work(tx) },
		rootKey: Buffer.alloc(32, 7),
		random: seededRandom(7),
		clock: manualClock(now),
	});
	for (const tenantId of tenantIds)
		rows.push({ tenantId, epoch: 1, wrapped: (await vault.makeTenantKey(tenantId)).wrapped });
	await vault.warm(tenantIds);
	return vault;
}

type Kind<K extends Outcome["kind"]> = Extract<Outcome, { kind: K }>;

function expectKind<K extends Outcome["kind"]>(outcome: Outcome, kind: K): Kind<K> {
	assert.equal(outcome.kind, kind);
	return outcome as Kind<K>;
}

const cleared = (facts: Facts = sampleFacts()): Clearance =>
	expectKind(screen(facts, "accept", sealer, facts.now), "cleared").clearance;

const stored = ({ ruleset, validUntil, seal }: Clearance) => ({ ruleset, validUntil, seal });

test("a message that every rule passes is cleared for ten minutes", () => {
	const outcome = expectKind(screen(sampleFacts(), "accept", sealer, now), "cleared");
	assert.equal(outcome.verdicts, "p".repeat(catalogue.length));
	assert.equal(outcome.ruleset, rulesInForce(now).id);
	const { clearance } = outcome;
	assert.ok(Clearance.is(clearance));
	assert.equal(clearance.ruleset, outcome.ruleset);
	assert.equal(clearance.messageId, sampleFacts().messageId);
	assert.equal(clearance.seal.length, 32);
	assert.equal(clearance.isUsableAt(now - 1), false);
	assert.equal(clearance.isUsableAt(now), true);
	assert.equal(clearance.isUsableAt(now + clearanceValidityMs - 1), true);
	assert.equal(clearance.isUsableAt(now + clearanceValidityMs), false);
	assert.equal(clearance.isUsableAt(Number.NaN), false);
});

test("every rule gives its verdict, and a refusal mints nothing", () => {
	const facts = sampleFacts({
		now: night,
		suppressed: true,
		promotionalConsent: "none",
		dlt: { entityId: null, registeredEntityId: null, templateId: null },
	});
	const outcome = expectKind(screen(facts, "accept", sealer, night), "refused");
	assert.equal(outcome.verdicts, "prpprdrr");
	assert.equal(outcome.refusal.ruleId, "house/suppression");
	assert.ok(outcome.refusal.cites.length > 0);
	assert.deepEqual(Object.keys(outcome).sort(), ["kind", "refusal", "ruleset", "verdicts"]);
});

for (const name of Object.keys(sampleFacts()) as FactName[]) {
	test(`nothing is minted when ${name} is missing`, () => {
		const facts = { ...sampleFacts(), [name]: undefined } as unknown as Facts;
		const outcome = expectKind(screen(facts, "accept", sealer, now), "refused");
		assert.match(outcome.refusal.code, name === "now" ? /^no_rules$/ : /^fact_missing$/);
	});
}

test("an empty list of rules, or one that judges nothing, mints nothing", () => {
	const silent: Rule = { ...(catalogue[0] as Rule), applies: () => false };
	for (const list of [[], [silent]]) {
		const outcome = screenUnder(rulesInForce(now, list), sampleFacts(), "accept", sealer, now);
		assert.equal(expectKind(outcome, "refused").refusal.code, "no_rules");
	}
});

test("a deferred message gets a clearance to be stored with, usable at no time", () => {
	const facts = sampleFacts({ now: night });
	const outcome = expectKind(screen(facts, "accept", sealer, night), "deferred");
	assert.equal(outcome.until, morning);
	assert.equal(outcome.verdicts, "pppppdpp");
	assert.equal(outcome.deferral.ruleId, "in-trai/promotional-window");
	for (const at of [night - 1, night, night + 1, morning, morning + 1])
		assert.equal(outcome.standing.isUsableAt(at), false);
	const recalled = recall(stored(outcome.standing), facts, sealer);
	assert.ok(recalled !== undefined, "its seal is genuine");
	for (const at of [night, night + 1, morning]) assert.equal(recalled.isUsableAt(at), false);
	assert.deepEqual(stillClear(recalled, sampleFacts({ now: morning })), {
		kind: "stale",
		why: "expired",
	});
	const renewed = renew(sampleFacts({ now: morning }), sealer, morning);
	assert.ok(expectKind(renewed, "cleared").clearance.isUsableAt(morning));
});

test("a message for later is judged by the rules of then, and must be screened again then", () => {
	const facts = sampleFacts({ now: morning });
	const outcome = expectKind(screen(facts, "accept", sealer, night), "cleared");
	for (const at of [night, morning]) assert.equal(outcome.clearance.isUsableAt(at), false);
	const recalled = recall(stored(outcome.clearance), facts, sealer);
	for (const at of [night, morning]) assert.equal(recalled?.isUsableAt(at), false);
});

test("a stored clearance is believed for its own message only", () => {
	const clearance = cleared();
	const row = stored(clearance);
	const recalled = recall(row, sampleFacts(), sealer);
	assert.ok(Clearance.is(recalled));
	assert.equal(recalled.isUsableAt(now), true);
	const others: Partial<Facts>[] = [
		{ tenantId: otherTenant },
		{ environment: "test" },
		{ messageId: "01930000-0000-7000-8000-00000000abce" },
		{ recipient: Buffer.alloc(32, 9) },
		{ bodyDigest: Buffer.alloc(32, 9) },
	];
	for (const changes of others) {
		assert.equal(recall(row, sampleFacts(changes), sealer), undefined);
		assert.deepEqual(stillClear(clearance, sampleFacts(changes)), {
			kind: "stale",
			why: "other_message",
		});
	}
	const flipped = Buffer.from(row.seal);
	flipped.writeUInt8(flipped.readUInt8(5) ^ 1, 5);
	for (const changed of [
		{ ...row, ruleset: "r-0000000000000000" },
		{ ...row, validUntil: row.validUntil + 1 },
		{ ...row, validUntil: Number.NaN },
		{ ...row, seal: flipped },
		{ ...row, seal: Buffer.alloc(0) },
		{ ...row, seal: row.seal.subarray(0, 31) },
	])
		assert.equal(recall(changed, sampleFacts(), sealer), undefined);
});

test("a look-alike does not compile and is refused at run time", () => {
	const real = cleared();
	// @ts-expect-error An object literal has not the class's private field.
	const literal: Clearance = {
		tenantId: real.tenantId,
		messageId: real.messageId,
		ruleset: real.ruleset,
		validUntil: real.validUntil,
		notBefore: real.notBefore,
		seal: real.seal,
		isUsableAt: () => true,
		isFor: () => true,
	};
	// @ts-expect-error The constructor is private.
	assert.throws(() => new Clearance(Symbol("minting"), {}), /Only policy mints/);
	const inherited = Object.create(Clearance.prototype, {
		isUsableAt: { value: () => true },
		isFor: { value: () => true },
	}) as Clearance;
	const pretenders = [
		literal,
		inherited,
		structuredClone({ ...real }),
		new Proxy(real, {}),
		Object.setPrototypeOf({}, real),
		JSON.parse(JSON.stringify(real)),
	];
	for (const pretender of pretenders) {
		assert.equal(Clearance.is(pretender), false);
		assert.deepEqual(stillClear(pretender as Clearance, sampleFacts()), {
			kind: "stale",
			why: "forged",
		});
	}
	for (const value of [null, undefined, 1, "clearance", Clearance])
		assert.equal(Clearance.is(value), false);
});

test("what makes clearances of the caller's choosing is not on the public door", () => {
	const doors = Object.keys(publicDoor);
	assert.ok(!doors.includes("screenUnder"));
	assert.deepEqual(
		Object.keys(minter).filter((name) => /mint|issue/i.test(name)),
		[],
	);
});

test("nothing handed out can change a clearance", () => {
	const recipient = Buffer.alloc(32, 1);
	const clearance = cleared(sampleFacts({ recipient }));
	recipient.fill(9);
	clearance.seal.fill(0);
	assert.equal(clearance.isFor(sampleFacts()), true);
	assert.ok(recall(stored(clearance), sampleFacts(), sealer) !== undefined);
	assert.throws(() => Object.assign(clearance, { validUntil: 9e15 }), TypeError);
});

test("what can change is judged again before the message leaves", () => {
	const clearance = cleared();
	const later = now + 60_000;
	const verdict = (changes: Partial<Facts>) => {
		const standing = stillClear(clearance, sampleFacts({ now: later, ...changes }));
		return standing.kind === "refused" ? standing.refusal.code : standing.kind;
	};
	assert.equal(verdict({}), "clear");
	assert.equal(verdict({ suppressed: true }), "recipient_opted_out");
	assert.equal(verdict({ suppressed: undefined }), "fact_missing");
	assert.equal(verdict({ promotionalConsent: "revoked" }), "consent_revoked");
	assert.equal(verdict({ sender: { registered: false, active: false } }), "sender_unregistered");
	assert.equal(verdict({ countriesAllowed: [] }), "destination_not_allowed");
	assert.equal(verdict({ now: now + clearanceValidityMs }), "stale");
});

test("the window closes on a clearance that is still valid", () => {
	const before = Date.parse("2026-11-23T20:44:00+05:30");
	const clearance = cleared(sampleFacts({ now: before }));
	const standing = stillClear(clearance, sampleFacts({ now: before + 60_000 }));
	assert.equal(standing.kind, "deferred");
	assert.equal(standing.kind === "deferred" && standing.deferral.until, morning);
});

test("a clearance minted under other rules must be renewed", () => {
	const older: Rule[] = [{ ...(catalogue[0] as Rule), version: 99, judge: () => pass }];
	const set = rulesInForce(now, older);
	const outcome = expectKind(screenUnder(set, sampleFacts(), "accept", sealer, now), "cleared");
	assert.deepEqual(stillClear(outcome.clearance, sampleFacts()), {
		kind: "stale",
		why: "rules_changed",
	});
});

test("test keys meet the same rules", () => {
	for (const changes of [{}, { suppressed: true }, { country: "US" }, { now: night }]) {
		const facts = sampleFacts(changes);
		const live = screen(facts, "accept", sealer, facts.now);
		const trial = screen({ ...facts, environment: "test" }, "accept", sealer, facts.now);
		assert.deepEqual([trial.kind, trial.verdicts], [live.kind, live.verdicts]);
	}
});

test("a screen and a last look cost microseconds", (t) => {
	const facts = sampleFacts();
	const noSeal = { mac: () => Buffer.alloc(32), verifyMac: () => false };
	const clearance = cleared();
	const perCall = (work: () => unknown): number => {
		for (let i = 0; i < 20_000; i++) work();
		let best = Number.POSITIVE_INFINITY;
		for (let round = 0; round < 5; round++) {
			const startMs = systemClock.elapsed();
			for (let i = 0; i < 20_000; i++) work();
			best = Math.min(best, (systemClock.elapsed() - startMs) / 20);
		}
		return best;
	};
	const screenUs = perCall(() => screen(facts, "accept", noSeal, now));
	const lookUs = perCall(() => stillClear(clearance, facts));
	const sealedUs = perCall(() => screen(facts, "accept", sealer, now));
	t.diagnostic(
		`screen ${screenUs.toFixed(2)} µs, with the seal ${sealedUs.toFixed(2)} µs, last look ${lookUs.toFixed(2)} µs`,
	);
	// Generous bounds: a rule that reaches for Intl or a database is caught, a busy machine is not.
	assert.ok(screenUs < 50 && lookUs < 20, `${screenUs} µs, ${lookUs} µs`);
});
