import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { powers, powerViolations } from "./powers.ts";
import { sourceOf, sources } from "./sources.ts";

describe("a planted violation is caught, with what to use in its place", () => {
	const cases: [text: string, holder: string | undefined][] = [
		['import pg from "pg";', "server/platform/db.ts"],
		['import { from } from "pg-copy-streams";', "server/platform/db.ts"],
		['const a = sql("x.y", "select 1");', "server/policy/store.ts"],
		['import { connect } from "node:net";', "server/channels/sms/smpp/connect.ts"],
		['import "http";', "server/platform/http-server.ts"],
		['const dns = await import("node:dns");', "server/platform/egress.ts"],
		['const a = await fetch("http://x");', "server/platform/egress.ts"],
		["const a = new WebSocket(url);", "server/platform/egress.ts"],
		['import { spawn } from "node:child_process";', "server/processes/embedded.ts"],
		["const a = process.env;", "server/platform/config.ts"],
		['const a = process["env"];', "server/platform/config.ts"],
		["const a = Date.now();", "server/platform/clock.ts"],
		["const a = new Date();", "server/platform/clock.ts"],
		["const a = new Date;", "server/platform/clock.ts"],
		["const a = performance.now();", "server/platform/clock.ts"],
		["const a = Math.random();", undefined],
		['import { createHash } from "node:crypto";', "server/vault/digest.ts"],
		["const a = crypto.randomUUID();", "server/platform/ids.ts"],
		["const a = globalThis.crypto.subtle;", "server/vault/digest.ts"],
		["console.log(a);", "server/platform/log.ts"],
		["process.stdout.write(a);", "server/platform/log.ts"],
		['import { createRequire } from "node:module";', undefined],
		['const a = process.getBuiltinModule("fs");', undefined],
		["const a = new Clearance(b);", "server/policy/clearance.ts"],
	];
	for (const [text, holder] of cases)
		test(text, () => {
			const found = powerViolations(sourceOf("server/messages/a.ts", text));
			assert.equal(found.length, 1, `found ${found.join("; ")}`);
			assert.match(found[0] ?? "", /server\/messages\/a\.ts uses .+: .{10,}/);
			if (holder !== undefined) assert.deepEqual(powerViolations(sourceOf(holder, text)), []);
		});
});

describe("what only looks like it is let through", () => {
	const cases = [
		"const a = new Date(ms);",
		"const a: Date = b;",
		'const a = "Date.now()"; // Math.random()',
		'import type { Socket } from "node:net";',
		"const a = this.fetch(b);",
		"const a = row.crypto.x;",
		"tx.sql(b);",
		"/** console.log and process.env */",
	];
	for (const text of cases)
		test(text, () => assert.deepEqual(powerViolations(sourceOf("server/messages/a.ts", text)), []));
});

test("every power has its holders or none, and says what to use instead", () => {
	for (const { name, instead } of powers) assert.ok(instead.length > 10, name);
});

test("no file uses a power it does not hold", () => {
	assert.equal(sources("server").flatMap(powerViolations).join("\n"), "");
});
