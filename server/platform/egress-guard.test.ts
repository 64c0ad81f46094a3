import assert from "node:assert/strict";
import { it } from "node:test";
import { systemClock } from "./clock.ts";
import { createEgress } from "./egress.ts";
import { shareLookups } from "./egress-guard.ts";

const loopback = ["127.0.0.0/8", "::1/128"];

it("asks for a name once at a time, and for few names at a time", async () => {
	const asked: string[] = [];
	const answers: (() => void)[] = [];
	const resolve = shareLookups(async (host) => {
		asked.push(host);
		await new Promise<void>((answer) => answers.push(answer));
		if (host === "b") throw new Error("no such name");
		return [host];
	}, 2);
	const all = Promise.allSettled(["a", "a", "b", "c", "c", "d", "a"].map(resolve));
	await new Promise(setImmediate);
	assert.deepEqual(asked, ["a", "b"]);
	while (answers.length > 0) {
		for (const answer of answers.splice(0)) answer();
		await new Promise(setImmediate);
		assert.ok(answers.length <= 2);
	}
	assert.deepEqual(asked, ["a", "b", "c", "d"]);
	const outcomes = (await all).map((one) => (one.status === "fulfilled" ? one.value[0] : "failed"));
	assert.deepEqual(outcomes, ["a", "a", "failed", "c", "c", "d", "a"]);
	const later = resolve("a");
	await new Promise(setImmediate);
	answers.pop()?.();
	assert.deepEqual(await later, ["a"]);
	assert.equal(asked.length, 5);
});

it("resolves with the system's resolver when told no other", async () => {
	const egress = createEgress({ allow: loopback, clock: systemClock });
	const found = await egress.checkedAddresses("localhost");
	assert.equal(found.kind, "checked");
	const closed = createEgress({ allow: [], clock: systemClock });
	assert.partialDeepStrictEqual(await closed.checkedAddresses("localhost"), {
		reason: "refused_address",
	});
});
