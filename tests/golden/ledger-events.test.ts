/**
 * What the ledger records, as a list that a reviewer reads in a diff. An event type is never renamed or removed:
 * entries of it exist. `UPDATE_GOLDEN=1 node --test tests/golden/ledger-events.test.ts` writes it.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { eventTypes } from "#audit/index.ts";

const file = new URL("./ledger-events.txt", import.meta.url);

test("the ledger's event types are as listed in ledger-events.txt", () => {
	const lines = Object.entries(eventTypes).map(([name, type]) =>
		[
			name.padEnd(26),
			type.log.padEnd(8),
			[type.privileged && "privileged", "critical" in type && "critical"].filter(Boolean).join(" "),
			Object.entries(type.data)
				.map(([field, kind]) => `${field}:${kind}`)
				.join(" "),
		]
			.join(" ")
			.trimEnd(),
	);
	const text = `${lines.sort().join("\n")}\n`;
	if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(file, text);
	assert.equal(text, readFileSync(file, "utf8"));
});
