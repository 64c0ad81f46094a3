import assert from "node:assert/strict";
import { test } from "node:test";
import { rulesInForce } from "../catalogue.ts";
import { exerciseRule } from "../conformance.ts";
import { type Facts, messageClasses, type NarrowedWindow } from "../facts.ts";
import { judge } from "../judge.ts";
import { sampleFacts } from "../sample-facts.ts";
import { deliverBefore, promotionalWindow } from "./promotional-window.ts";

exerciseRule(promotionalWindow);

/** `12:34` or `12:34:56.789` on 23 November 2026 in India. */
function at(time: string): number {
	return Date.parse(`2026-11-23T${time}+05:30`);
}

function outcome(changes: Partial<Facts>): string {
	const facts = sampleFacts(changes);
	const verdict = promotionalWindow.judge(facts);
	if (verdict.kind === "refuse") return verdict.code;
	if (verdict.kind === "pass") return "pass";
	return `until ${new Date(verdict.until + 330 * 60_000).toISOString().slice(8, 19)}`;
}

const narrow = (from: string | null, until: string | null): NarrowedWindow => ({
	fromMinute: minutes(from),
	untilMinute: minutes(until),
});
function minutes(time: string | null): number | null {
	if (time === null) return null;
	const [hours, rest] = time.split(":");
	return Number(hours) * 60 + Number(rest);
}

const table: { time: string; own: NarrowedWindow; expected: string }[] = [
	{ time: "00:00:00.000", own: narrow(null, null), expected: "until 23T10:00:00" },
	{ time: "05:29:59.999", own: narrow(null, null), expected: "until 23T10:00:00" },
	{ time: "05:30:00.000", own: narrow(null, null), expected: "until 23T10:00:00" },
	{ time: "09:00:00.000", own: narrow(null, null), expected: "until 23T10:00:00" },
	{ time: "09:59:59.999", own: narrow(null, null), expected: "until 23T10:00:00" },
	{ time: "10:00:00.000", own: narrow(null, null), expected: "pass" },
	{ time: "20:44:59.999", own: narrow(null, null), expected: "pass" },
	{ time: "20:45:00.000", own: narrow(null, null), expected: "until 24T10:00:00" },
	{ time: "20:59:59.999", own: narrow(null, null), expected: "until 24T10:00:00" },
	{ time: "21:00:00.000", own: narrow(null, null), expected: "until 24T10:00:00" },
	{ time: "23:59:59.999", own: narrow(null, null), expected: "until 24T10:00:00" },
	// Narrower.
	{ time: "10:59:59.999", own: narrow("11:00", "18:00"), expected: "until 23T11:00:00" },
	{ time: "11:00:00.000", own: narrow("11:00", "18:00"), expected: "pass" },
	{ time: "17:59:59.999", own: narrow("11:00", "18:00"), expected: "pass" },
	{ time: "18:00:00.000", own: narrow("11:00", "18:00"), expected: "until 24T11:00:00" },
	{ time: "20:44:59.999", own: narrow(null, "20:50"), expected: "pass" },
	{ time: "20:45:00.000", own: narrow(null, "20:50"), expected: "until 24T10:00:00" },
	// Wider is clamped to the law.
	{ time: "09:59:59.999", own: narrow("09:00", "22:00"), expected: "until 23T10:00:00" },
	{ time: "10:00:00.000", own: narrow("09:00", "22:00"), expected: "pass" },
	{ time: "20:45:00.000", own: narrow("09:00", "22:00"), expected: "until 24T10:00:00" },
	{ time: "03:00:00.000", own: narrow("00:00", "24:00"), expected: "until 23T10:00:00" },
	// Hours that leave nothing never open, and never count as open.
	{ time: "12:00:00.000", own: narrow("18:00", "11:00"), expected: "window_empty" },
	{ time: "12:00:00.000", own: narrow("12:00", "12:00"), expected: "window_empty" },
	{ time: "12:00:00.000", own: narrow("20:50", null), expected: "window_empty" },
	{
		time: "12:00:00.000",
		own: { fromMinute: Number.NaN, untilMinute: null },
		expected: "window_empty",
	},
];
for (const { time, own, expected } of table) {
	test(`${time} with ${own.fromMinute}–${own.untilMinute}: ${expected}`, () => {
		assert.equal(outcome({ now: at(time), promotionalWindow: own }), expected);
		const choice = expected.startsWith("until") ? "outside_window" : expected;
		const now = at(time);
		assert.equal(outcome({ now, promotionalWindow: own, outsideWindow: "refuse" }), choice);
	});
}

test("the same hours all year: no summer time", () => {
	for (let month = 1; month <= 12; month++) {
		const day = `2026-${String(month).padStart(2, "0")}-28`;
		const verdicts = ["09:59:59.999", "10:00:00.000", "20:44:59.999", "20:45:00.000"].map(
			(time) => outcome({ now: Date.parse(`${day}T${time}+05:30`) }) === "pass",
		);
		assert.deepEqual(verdicts, [false, true, true, false], day);
	}
});

test("passes no moment that is outside, and no other: a year of odd steps", () => {
	const step = 37 * 60_000 + 1_234;
	for (let now = at("00:00"), n = 0; n < 14_000; n++, now += step) {
		const local = new Date(now + 330 * 60_000);
		const minute = local.getUTCHours() * 60 + local.getUTCMinutes();
		const facts = sampleFacts({ now });
		const verdict = promotionalWindow.judge(facts);
		assert.equal(verdict.kind === "pass", minute >= 600 && minute < 1245, local.toISOString());
		if (verdict.kind === "defer")
			assert.equal(promotionalWindow.judge({ ...facts, now: verdict.until }).kind, "pass");
	}
});

test("concerns promotion to India, and what might be it", () => {
	const set = rulesInForce(at("03:00"), [promotionalWindow]);
	const letter = (changes: Partial<Facts>) =>
		judge(sampleFacts({ now: at("03:00"), ...changes }), "accept", set).verdicts;
	assert.deepEqual(
		messageClasses.map((name) => letter({ class: name })),
		["n", "n", "n", "d"],
	);
	assert.equal(letter({ country: "DE" }), "n");
	assert.equal(letter({ country: undefined }), "r");
});

test("what leaves in the window must have arrived by 21:00", () => {
	assert.equal(deliverBefore(sampleFacts({ now: at("20:44") })), at("21:00"));
	assert.equal(deliverBefore(sampleFacts({ now: at("10:00") })), at("21:00"));
	assert.equal(deliverBefore(sampleFacts({ class: "service" })), undefined);
	assert.equal(deliverBefore(sampleFacts({ country: "DE" })), undefined);
});
