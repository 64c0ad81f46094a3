import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { manualClock } from "./clock.ts";
import { createIds, firstIdAt, readId, seededRandom, showId, timeOfId } from "./ids.ts";

test("an id shown and read again is the same id", () => {
	fc.assert(
		fc.property(fc.uuid(), (id) => {
			const shown = showId("msg", id);
			assert.match(shown, /^msg_[0-7][0-9a-hjkmnp-tv-z]{25}$/);
			assert.equal(readId("msg", shown), id);
		}),
		{ seed: 1, numRuns: 500 },
	);
	// The examples of the TypeID specification.
	assert.equal(showId("p", "00000000-0000-0000-0000-000000000000"), `p_${"0".repeat(26)}`);
	assert.equal(showId("p", "ffffffff-ffff-ffff-ffff-ffffffffffff"), `p_7${"z".repeat(25)}`);
	assert.equal(
		showId("prefix", "01890a5d-ac96-774b-bcce-b302099a8057"),
		"prefix_01h455vb4pex5vsknk084sn02q",
	);
});

test("what is not such an id is none", () => {
	const shown = showId("msg", "01890a5d-ac96-774b-bcce-b302099a8057");
	for (const bad of [
		"",
		"msg_",
		shown.slice(1),
		`${shown}0`,
		shown.replace("msg", "whe"),
		shown.toUpperCase(),
		`msg_8${"0".repeat(25)}`,
		`msg_${"u".repeat(26)}`,
	])
		assert.equal(readId("msg", bad), undefined, bad);
});

test("ids grow, hold their time, and go on growing when the clock goes back", () => {
	const clock = manualClock(Date.parse("2026-11-22T12:00:00Z"));
	const ids = createIds(clock, seededRandom(1));
	let last = ids.next();
	for (let i = 0; i < 20_000; i++) {
		if (i === 10_000) clock.advance(-5_000);
		const next = ids.next();
		assert.ok(next > last, `${next} after ${last}`);
		assert.match(next, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
		last = next;
	}
	const first = firstIdAt(clock.now() + 60_000);
	assert.equal(timeOfId(first), clock.now() + 60_000);
	assert.ok(first > last);
});
