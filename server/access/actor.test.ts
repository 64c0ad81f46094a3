import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#platform/errors.ts";
import { mintActor } from "./actor.ts";
import * as access from "./index.ts";
import { Actor, requireActor, tenantScopes } from "./index.ts";

const tenant = { tenantId: "0190a000-0000-7000-8000-00000000000a", environment: "live" } as const;
const genuine = mintActor({ keyId: "k", tenant, scopes: ["sms:send", "no:such"] });

test("an actor says who calls and what they may, and cannot be changed", () => {
	const { tenantId, environment, keyId, scopes, operator } = genuine;
	assert.deepEqual(
		{ tenantId, environment, keyId, scopes, operator },
		{ ...tenant, keyId: "k", scopes: ["sms:send"], operator: false },
	);
	assert.throws(() => Object.assign(genuine, { tenantId: "other" }), TypeError);
	assert.throws(() => (genuine.scopes as string[]).push("sms:read"), TypeError);
});

test("an admin has every tenant scope; an operator has none of them", () => {
	const admin = mintActor({ keyId: "k", tenant, scopes: ["*"] });
	for (const scope of Object.keys(tenantScopes)) assert.ok(admin.scopes.includes(scope), scope);
	assert.equal(admin.scopes.includes("operator"), false);
	const operator = mintActor({ keyId: "k", tenant: undefined, scopes: ["*", "sms:send"] });
	assert.deepEqual(operator.scopes, ["operator"]);
	assert.equal(operator.operator, true);
	assert.equal(operator.tenantId, "");
	const impostor = mintActor({ keyId: "k", tenant, scopes: ["operator"] });
	assert.deepEqual(impostor.scopes, []);
});

const lookAlikes: [string, unknown][] = [
	["a copy", { ...genuine }],
	["a copy with its prototype", Object.assign(Object.create(Actor.prototype), genuine)],
	["the prototype", Actor.prototype],
	["a proxy", new Proxy(genuine, {})],
	["what JSON makes of it", JSON.parse(JSON.stringify(genuine))],
	["a heir", Object.create(genuine)],
	["nothing", null],
	["a text", "actor"],
];
for (const [what, value] of lookAlikes)
	test(`${what} is not an actor`, () => {
		assert.equal(Actor.is(value), false);
		assert.throws(
			() => requireActor((value ?? {}) as never),
			(error) => error instanceof Fault && error.name === "key_invalid",
		);
	});

test("nobody else can make one", () => {
	const open = Actor as unknown as new (...values: unknown[]) => Actor;
	const key = { keyId: "k", tenant, scopes: ["*"] };
	assert.throws(() => new open(Symbol("minting"), key), Fault);
	assert.throws(() => new open(undefined, key), Fault);
	assert.throws(() => Reflect.construct(open, [key]), Fault);
	class Heir extends open {}
	assert.throws(() => new Heir(key), Fault);
	assert.equal("mintActor" in access, false);
	assert.equal(Actor.is(genuine), true);
	assert.equal(requireActor(genuine), genuine);
});
