import assert from "node:assert/strict";
import { test } from "node:test";
import { testDatabase } from "../../tests/support/database.ts";
import { bools, byteas, float8s, int2s, int4s, texts, uuids } from "./db-arrays.ts";

const { app } = await testDatabase();
const one = "018f3a5e-0000-7000-8000-00000000abcd";

/** What PostgreSQL makes of it, as text. */
async function read(type: string, value: Buffer): Promise<(string | null)[]> {
	const statement = {
		name: "",
		text: `select (select array_agg(e::text order by o) from unnest($1::${type}[]) with ordinality as t (e, o)) as read`,
	};
	const [row] = await app.inPlatform((tx) =>
		tx.query<{ read: (string | null)[] | null }>(statement, [value]),
	);
	return row?.read ?? [];
}

test("PostgreSQL reads what was written, nulls, extremes and nothing included", async () => {
	const cases: [type: string, value: Buffer, expected: (string | null)[]][] = [
		["uuid", uuids([one, null, one.toUpperCase()]), [one, null, one]],
		["uuid", uuids([]), []],
		["bytea", byteas([Buffer.from([0, 255]), Buffer.alloc(0), null]), ["\\x00ff", "\\x", null]],
		["text", texts(["", 'ß€😀\\"{},', null, "NULL"]), ["", 'ß€😀\\"{},', null, "NULL"]],
		["smallint", int2s([-32_768, 32_767, null]), ["-32768", "32767", null]],
		["integer", int4s([-2_147_483_648, 2_147_483_647]), ["-2147483648", "2147483647"]],
		["float8", float8s([0.1, -0, null, 1e300]), ["0.1", "-0", null, "1e+300"]],
		["boolean", bools([true, false, null]), ["true", "false", null]],
		[
			"integer",
			int4s(Array.from({ length: 3_000 }, (_, i) => i)),
			Array.from({ length: 3_000 }, (_, i) => `${i}`),
		],
	];
	for (const [type, value, expected] of cases) assert.deepEqual(await read(type, value), expected);
});

test("what cannot be written throws before anything is sent", () => {
	for (const bad of [
		"",
		one.slice(1),
		`${one}0`,
		one.replace("a", "g"),
		"018f3a5e00007000800000000000abcdabcd",
	])
		assert.throws(() => uuids([bad]), RangeError);
	assert.throws(() => int2s([32_768]), RangeError);
	assert.throws(() => int4s([2 ** 31]), RangeError);
});
