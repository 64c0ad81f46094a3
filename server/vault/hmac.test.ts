import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { test } from "node:test";
import { seededRandom } from "#platform/ids.ts";
import { hmacKey, joinParts, sha256 } from "./hmac.ts";

test("RFC 4231: the test cases whose key fits a block", () => {
	const cases: [key: Buffer, text: string, sum: string][] = [
		[
			Buffer.alloc(20, 0x0b),
			"Hi There",
			"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
		],
		[
			Buffer.from("Jefe"),
			"what do ya want for nothing?",
			"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
		],
	];
	for (const [key, text, sum] of cases) assert.equal(hmacKey(key).text(text).toString("hex"), sum);
});

test("the same as node's own, for any key and message", () => {
	const random = seededRandom(4);
	for (let round = 0; round < 2_000; round++) {
		const key = random.bytes(round % 65);
		const mac = hmacKey(key);
		const text = random.bytes(Math.floor(random.fraction() * 300)).toString("latin1");
		const expected = (message: Buffer): string =>
			createHmac("sha256", key).update(message).digest("hex");
		assert.equal(mac.text(text).toString("hex"), expected(Buffer.from(text, "utf8")));
		const parts = [text, random.bytes(round % 40), ""];
		const room = Buffer.concat([Buffer.alloc(64), Buffer.from(text, "utf8")]);
		assert.equal(mac.behind(room).toString("hex"), expected(Buffer.from(text, "utf8")));
		assert.equal(mac.parts(parts).toString("hex"), expected(joinParts(parts, 0)));
		assert.deepEqual(sha256(text), createHash("sha256").update(text).digest());
	}
});

test("what it gave stays as it was, and a key is kept out of sight", () => {
	const mac = hmacKey(Buffer.alloc(32, 7));
	const first = mac.text("a");
	const copy = Buffer.from(first);
	mac.text("b");
	assert.deepEqual(first, copy);
	assert.equal(/7|Buffer/.test(JSON.stringify(mac)), false);
	assert.throws(() => hmacKey(Buffer.alloc(65)), RangeError);
});
