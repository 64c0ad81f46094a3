/**
 * Every route with what guards it, as a list that a reviewer reads in a diff: a route that becomes public, or
 * asks for another scope, shows here. `UPDATE_GOLDEN=1 node --test tests/golden/routes.test.ts` writes it.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { declaredRoutes } from "#processes/routes.ts";

const file = new URL("./routes.txt", import.meta.url);

test("routes and their permissions are as listed in routes.txt", () => {
	const lines = declaredRoutes().map((route) =>
		[
			route.method.padEnd(6),
			route.path.padEnd(40),
			route.permission.padEnd(18),
			`idempotency ${route.idempotency}`.padEnd(20),
			route.audited === false ? "" : `audited ${route.audited}`,
		]
			.join(" ")
			.trimEnd(),
	);
	const text = `${lines.sort().join("\n")}\n`;
	if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(file, text);
	assert.equal(text, readFileSync(file, "utf8"));
});
