import assert from "node:assert/strict";
import { test } from "node:test";
import { heldUntilHeard } from "./thread.ts";

test("what is said before anybody listens is heard first, once, and in order", () => {
	const { say, hear } = heldUntilHeard<number>();
	const heard: number[] = [];
	say(1);
	say(2);
	hear((message) => void heard.push(message));
	say(3);
	assert.deepEqual(heard, [1, 2, 3]);
	const later: number[] = [];
	hear((message) => void later.push(message));
	say(4);
	assert.deepEqual([heard, later], [[1, 2, 3], [4]]);
});
