import assert from "node:assert/strict";
import { test } from "node:test";
import { readStatus, type StatusEntry, status, statusName, statusTable } from "./status.ts";

test("the table names every code once", () => {
	assert.equal(new Set(statusTable.map((row) => row.code)).size, statusTable.length);
	assert.equal(new Set(statusTable.map((row) => row.name)).size, statusTable.length);
	for (const code of Object.values(status))
		if (code !== 0) assert.ok(readStatus(code).known, `${code}`);
});

test("what a code means for the message", () => {
	const cases: readonly (readonly [number, string, string])[] = [
		[0x08, "ESME_RSYSERR", "retry"],
		[0x0b, "ESME_RINVDSTADR", "permanent"],
		[0x0e, "ESME_RINVPASWD", "bind"],
		[0x14, "ESME_RMSGQFUL", "throttled"],
		[0x58, "ESME_RTHROTTLED", "throttled"],
		[0x64, "ESME_RX_T_APPN", "retry"],
		[0xc3, "ESME_RMISSINGOPTPARAM", "permanent"],
	];
	for (const [code, name, disposition] of cases) {
		const row = readStatus(code);
		assert.deepEqual([row.name, row.disposition, row.known], [name, disposition, true]);
	}
	assert.equal(readStatus(0x45).retriesMax, 1);
	assert.equal(statusName(0), "ESME_ROK");
});

test("an unknown code is permanent under its number, unless the carrier's table reads it", () => {
	const row = readStatus(0x40a);
	assert.deepEqual(
		[row.name, row.disposition, row.retriesMax, row.known],
		["0x0000040a", "permanent", 0, false],
	);
	const own: StatusEntry = {
		code: 0x40a,
		name: "CARRIER_BUSY",
		disposition: "retry",
		retriesMax: 2,
		says: "busy",
	};
	assert.deepEqual(readStatus(0x40a, new Map([[0x40a, own]])), { ...own, known: true });
	assert.equal(statusName(0xffffffff), "0xffffffff");
});
