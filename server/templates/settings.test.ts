import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#platform/errors.ts";
import { changeSettings, defaultSettings, type SettingsChange } from "./settings.ts";

const now = Date.parse("2026-11-22T12:00:00Z");
const change = (to: SettingsChange) => changeSettings(defaultSettings, to, now);

test("what is left out stays", () => {
	const first = change({ countries: ["IN", "DE", "IN"], outside_window: "refuse" });
	assert.deepEqual(first.countries, ["DE", "IN"]);
	const second = changeSettings(first, { dlt: { entity_id: "1101172974420810001" } }, now);
	assert.deepEqual(second, { ...first, dltEntityId: "1101172974420810001" });
	const third = changeSettings(second, { promotional_window: { from: "11:00" } }, now);
	assert.deepEqual(third, { ...second, promotionalFrom: 660 });
	const back = changeSettings(third, { promotional_window: { from: null } }, now);
	assert.deepEqual(back, second);
	assert.deepEqual(changeSettings(back, { dlt: { entity_id: null } }, now), first);
	assert.deepEqual(changeSettings(first, {}, now), first);
});

const windows: { from?: string | null; until?: string | null; refused?: "from" | "until" }[] = [
	{ from: "10:00", until: "21:00" },
	{ from: "10:01", until: "20:59" },
	{ from: null, until: null },
	{ from: "20:44" },
	{ from: "09:59", refused: "from" },
	{ from: "09:00", until: "21:00", refused: "from" },
	{ from: "00:00", until: "23:59", refused: "from" },
	{ until: "21:01", refused: "until" },
	{ from: "20:45", refused: "until" },
	{ from: "12:00", until: "12:00", refused: "until" },
	{ from: "18:00", until: "11:00", refused: "until" },
	{ until: "10:00", refused: "until" },
	{ from: "24:00", refused: "from" },
	{ from: "1:00", refused: "from" },
	{ until: "20:60", refused: "until" },
];
for (const { refused, ...promotional_window } of windows) {
	test(`${JSON.stringify(promotional_window)}: ${refused ?? "allowed"}`, () => {
		if (refused === undefined) return void change({ promotional_window });
		assert.throws(
			() => change({ promotional_window }),
			(error) =>
				error instanceof Fault && error.details[0]?.param === `promotional_window.${refused}`,
		);
	});
}

test("who asks for nine to nine is told the law", () => {
	assert.throws(
		() => change({ promotional_window: { from: "09:00", until: "21:00" } }),
		/10:00 or later.*never widen.*TCCCPR 2018/,
	);
});

const wrong: { to: SettingsChange; param: string }[] = [
	{ to: { countries: ["IN", "XX"] }, param: "countries[1]" },
	{ to: { countries: ["in"] }, param: "countries[0]" },
	{ to: { dlt: { entity_id: "123" } }, param: "dlt.entity_id" },
	{ to: { dlt: { entity_id: "110117297442081000x" } }, param: "dlt.entity_id" },
	{ to: { dlt: { telemarketers: ["12345678901"] } }, param: "dlt.telemarketers[0]" },
	{
		to: { dlt: { telemarketers: ["123456789012", "123456789012"] } },
		param: "dlt.telemarketers[1]",
	},
	{
		to: { dlt: { telemarketers: ["123456789012", "123456789013", "123456789014"] } },
		param: "dlt.telemarketers",
	},
];
for (const { to, param } of wrong) {
	test(`${JSON.stringify(to)} is refused at ${param}`, () => {
		assert.throws(
			() => change(to),
			(error) => error instanceof Fault && error.details[0]?.param === param,
		);
	});
}
