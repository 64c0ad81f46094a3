import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readRouteUrl } from "./route-url.ts";

function read(text: string) {
	const result = readRouteUrl(text);
	assert.ok(result.ok, result.ok ? "" : result.reason);
	const { password, dialect, ...route } = result.route;
	return { ...route, password: password.reveal(), dialect: dialect.id };
}

test("a whole URL", () => {
	assert.deepEqual(
		read(
			"smpp://systemId:password@127.0.0.1:2776?window=200&tps=50&binds=3&mode=transceiver&tls=0&dialect=india-dlt",
		),
		{
			host: "127.0.0.1",
			port: 2776,
			tls: undefined,
			systemId: "systemId",
			password: "password",
			dialect: "india-dlt",
			binds: { transceiver: 3, transmitter: 0, receiver: 0 },
			window: 200,
			tps: 50,
		},
	);
});

test("what may be left out", () => {
	assert.deepEqual(read("smpp://me@smsc.example"), {
		host: "smsc.example",
		port: 2775,
		tls: undefined,
		systemId: "me",
		password: "",
		dialect: "standard",
		binds: { transceiver: 1, transmitter: 0, receiver: 0 },
		window: 10,
		tps: 0,
	});
	assert.deepEqual(
		[read("smpps://a:b@h/").port, read("smpps://a:b@h").tls, read("smpp://a:b@h?tls=1").tls],
		[3550, {}, {}],
	);
	assert.deepEqual(read("smpp://a:b@h?response_ms=700").timers, { responseTimeoutMs: 700 });
	assert.equal(read("smpp://a:b@[::1]:2775").host, "::1");
	assert.equal(read("smpp://a:p%40ss%3Aword@h").password, "p@ss:word");
	assert.deepEqual(read("smpp://a:b@h?mode=transmitter&binds=2&receivers=1").binds, {
		transceiver: 0,
		transmitter: 2,
		receiver: 1,
	});
});

describe("refused, with a sentence that repeats nothing of it", () => {
	const cases: readonly (readonly [string, string])[] = [
		["", "is not a URL"],
		["S3CRET", "is not a URL"],
		["smpp://me:S3CRET@host:99999", "is not a URL"],
		["http://me:S3CRET@host", "must begin"],
		["smpp://:S3CRET@host", "needs a systemId"],
		["smpp://host", "needs a systemId"],
		[`smpp://${"a".repeat(64)}:S3CRET@host`, "needs a systemId"],
		[`smpp://me:S3CRET${"a".repeat(60)}@host`, "has a password"],
		["smpp://me:S3CRET%00@host", "has a password"],
		["smpp://me:S3CRET%E2%82%AC@host", "has a password"],
		["smpp://me:S3CRET%zz@host", "has a password"],
		["smpp://me:S3CRET@host:0", "has port 0"],
		["smpp://me:S3CRET@host/path", "has a path"],
		["smpp://me:S3CRET@host#x", "has a path"],
		["smpp://me:S3CRET@host?windw=5", "has parameters other than"],
		["smpp://me:S3CRET@host?window=5&window=6", "gives a parameter twice"],
		["smpp://me:S3CRET@host?window=0", "has a window"],
		["smpp://me:S3CRET@host?window=ten", "has a window"],
		["smpp://me:S3CRET@host?window=", "has a window"],
		["smpp://me:S3CRET@host?tps=-1", "has a tps"],
		["smpp://me:S3CRET@host?tps=1.5", "has a tps"],
		["smpp://me:S3CRET@host?binds=65", "has a binds"],
		["smpp://me:S3CRET@host?receivers=x", "has a receivers"],
		["smpp://me:S3CRET@host?mode=both", "has a mode"],
		["smpp://me:S3CRET@host?tls=yes", "has a tls"],
		["smpp://me:S3CRET@host?response_ms=99", "has a response_ms"],
		["smpp://me:S3CRET@host?response_ms=soon", "has a response_ms"],
		["smpps://me:S3CRET@host?tls=0", "says both"],
		["smpp://me:S3CRET@host?dialect=acme", "has a dialect"],
	];
	for (const [text, says] of cases)
		test(text.slice(0, 60) || "nothing", () => {
			const result = readRouteUrl(text);
			assert.ok(!result.ok);
			assert.ok(result.reason.startsWith(`The SMPP route ${says}`), result.reason);
			assert.ok(!result.reason.includes("S3CRET"));
		});
});
